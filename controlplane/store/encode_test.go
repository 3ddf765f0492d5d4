package store

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/longshore/longshore/controlplane/model"
)

func sameAsMarshal(t interface{ Fatalf(string, ...any) }, task *model.Task) {
	want, wantErr := json.Marshal(task)
	got, err := encodeTask(task)
	if (err != nil) != (wantErr != nil) {
		t.Fatalf("error %v, want %v", err, wantErr)
	}
	if err == nil && string(got) != string(want) {
		t.Fatalf("encoded\n%s\nwant\n%s", got, want)
	}
}

// Each field of a task and of its container, alone and not zero, is encoded as
// json.Marshal does: a field that is added is not forgotten.
func TestEncodeTask_KnowsEveryField(t *testing.T) {
	set := func(v reflect.Value) { fill(t, v, 3) }
	for i := range reflect.TypeFor[model.Task]().NumField() {
		var task model.Task
		set(reflect.ValueOf(&task).Elem().Field(i))
		sameAsMarshal(t, &task)
	}
	for i := range reflect.TypeFor[model.Container]().NumField() {
		task := model.Task{Containers: make([]model.Container, 2)}
		set(reflect.ValueOf(&task.Containers[1]).Elem().Field(i))
		sameAsMarshal(t, &task)
	}
	var all model.Task
	set(reflect.ValueOf(&all).Elem())
	sameAsMarshal(t, &all)
}

// fill makes a value and what is in it, to a depth, something else than zero.
func fill(t *testing.T, v reflect.Value, depth int) {
	if depth == 0 {
		return
	}
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Date(2026, 2, 3, 4, 5, 6, 700_000_000, time.FixedZone("", 3600))))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(`a<"\é` + "\n")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint16, reflect.Uint32:
		v.SetUint(7)
	case reflect.Float64:
		v.SetFloat(7)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), depth-1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(t, v.Index(0), depth-1)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), depth)
		}
	default:
		t.Fatalf("a task has a field of the kind %v, which this test does not know", v.Kind())
	}
}

func TestEncodeTask_IsTheSameAsJSON(t *testing.T) {
	moment := rapid.Map(rapid.Int64Range(-1<<40, 1<<40), func(s int64) time.Time { return time.Unix(s, s%1e9) })
	rapid.Check(t, func(t *rapid.T) {
		task := model.Task{
			ID: model.TaskID(rapid.String().Draw(t, "id")), Group: rapid.String().Draw(t, "group"),
			StoppedReason: strings.ToValidUTF8(string(rapid.SliceOf(rapid.Byte()).Draw(t, "reason")), "\xff"),
			Version:       rapid.Int64().Draw(t, "version"),
			Definition:    model.DefinitionRef{Family: model.Family(rapid.String().Draw(t, "family")), Revision: rapid.Int32().Draw(t, "revision")},
			Reserved:      model.Reservation{CPU: rapid.Int64().Draw(t, "cpu"), TCP: rapid.SliceOf(rapid.Uint16()).Draw(t, "tcp")},
			CreatedAt:     moment.Draw(t, "created"), StoppedAt: moment.Draw(t, "stopped"),
			Containers: rapid.SliceOf(rapid.Custom(func(t *rapid.T) model.Container {
				return model.Container{Name: rapid.String().Draw(t, "name"), ExitCode: rapid.Ptr(rapid.Int32(), true).Draw(t, "exit")}
			})).Draw(t, "containers"),
		}
		sameAsMarshal(t, &task)
	})
}

func TestEncodeTask_RefusesATimeThatJSONCannotSay(t *testing.T) {
	sameAsMarshal(t, &model.Task{CreatedAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)})
}
