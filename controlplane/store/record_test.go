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

// roundTrip writes a task and reads it again. Moments are compared as such: a record does
// not keep their zones.
func roundTrip(t interface{ Fatalf(string, ...any) }, task *model.Task) {
	b, err := appendTask(nil, task)
	if err != nil {
		t.Fatalf("encoding %+v: %v", task, err)
	}
	var got model.Task
	if err := decodeTask(b, &got); err != nil {
		t.Fatalf("decoding %q: %v", b, err)
	}
	if want := inUTC(t, task); !reflect.DeepEqual(inUTC(t, &got), want) {
		t.Fatalf("read\n%+v\nwant\n%+v", got, want)
	}
}

// inUTC returns a copy whose moments are all of one zone.
func inUTC(t interface{ Fatalf(string, ...any) }, task *model.Task) *model.Task {
	out := *task
	v := reflect.ValueOf(&out).Elem()
	for i := range v.NumField() {
		if at, isTime := v.Field(i).Interface().(time.Time); isTime {
			v.Field(i).Set(reflect.ValueOf(at.UTC()))
		}
	}
	return &out
}

// Each member of a task and of its containers, alone and not zero, comes back: a member
// that is added is not forgotten.
func TestRecord_KnowsEveryMember(t *testing.T) {
	set := func(v reflect.Value) { fill(t, v, 4) }
	for i := range reflect.TypeFor[model.Task]().NumField() {
		var task model.Task
		set(reflect.ValueOf(&task).Elem().Field(i))
		roundTrip(t, &task)
	}
	for i := range reflect.TypeFor[model.Container]().NumField() {
		task := model.Task{Containers: make([]model.Container, 2)}
		set(reflect.ValueOf(&task.Containers[1]).Elem().Field(i))
		roundTrip(t, &task)
	}
	for i := range reflect.TypeFor[model.Reservation]().NumField() {
		var task model.Task
		set(reflect.ValueOf(&task.Reserved).Elem().Field(i))
		roundTrip(t, &task)
	}
	var all model.Task
	set(reflect.ValueOf(&all).Elem())
	roundTrip(t, &all)
}

// fill makes a value and what is in it, to a depth, something else than zero.
func fill(t *testing.T, v reflect.Value, depth int) {
	if depth == 0 {
		return
	}
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Date(2026, 2, 3, 4, 5, 6, 700_000_001, time.FixedZone("", 3600)).UTC()))
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

// randomRecord draws a task of what decides how a record is written.
func randomRecord(t *rapid.T) *model.Task {
	moment := rapid.Map(rapid.Int64Range(-1<<35, 1<<36), func(s int64) time.Time { return time.Unix(s, s&(1<<29-1)) })
	hexadecimal := rapid.StringMatching(`(sha256:)?[0-9a-f]{14,66}|[0-9A-F]{32}|sha256:[0-9a-f]{64}`)
	return &model.Task{
		ID: model.TaskID(hexadecimal.Draw(t, "id")), Group: rapid.String().Draw(t, "group"),
		StoppedReason: strings.ToValidUTF8(string(rapid.SliceOf(rapid.Byte()).Draw(t, "reason")), "?"),
		Version:       rapid.Int64().Draw(t, "version"), Lost: rapid.Bool().Draw(t, "lost"),
		Reserved:  model.Reservation{CPU: rapid.Int64().Draw(t, "cpu"), TCP: rapid.SliceOf(rapid.Uint16()).Draw(t, "tcp")},
		CreatedAt: moment.Draw(t, "created"), StoppedAt: moment.Draw(t, "stopped"),
		Containers: rapid.SliceOf(rapid.Custom(func(t *rapid.T) model.Container {
			return model.Container{
				Name: rapid.String().Draw(t, "name"), ImageDigest: hexadecimal.Draw(t, "digest"),
				ExitCode: rapid.Ptr(rapid.Int32(), true).Draw(t, "exit"),
			}
		})).Draw(t, "containers"),
	}
}

func TestRecord_ComesBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { roundTrip(t, randomRecord(t)) })
}

// Whoever updates has JSON in etcd.
func TestRecord_OfAnEarlierVersionIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		task := randomRecord(t)
		b, err := json.Marshal(task)
		if err != nil {
			t.Fatalf("marshal: %v", err)
		}
		var got model.Task
		if err := decodeTask(b, &got); err != nil {
			t.Fatalf("decoding %s: %v", b, err)
		}
		if want := inUTC(t, task); !reflect.DeepEqual(inUTC(t, &got), want) {
			t.Fatalf("read\n%+v\nwant\n%+v", got, want)
		}
	})
}

// A record that is cut off or has too much is refused, and none at all makes the reader
// fail otherwise.
func TestRecord_ThatIsBrokenIsRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, err := appendTask(nil, randomRecord(t))
		if err != nil {
			t.Fatalf("encode: %v", err)
		}
		if n := rapid.IntRange(0, len(b)-1).Draw(t, "cut"); decodeTask(b[:n], &model.Task{}) == nil {
			t.Fatalf("%d bytes of %d were read as a task", n, len(b))
		}
		if decodeTask(append(b[:len(b):len(b)], 0), &model.Task{}) == nil {
			t.Fatalf("a byte too many was read")
		}
		broken := append([]byte{}, b...)
		for range rapid.IntRange(1, 3).Draw(t, "errors") {
			broken[rapid.IntRange(0, len(b)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		_ = decodeTask(broken, &model.Task{}) // whatever it says, it comes back
	})
}

func TestRecord_OfANewerVersionIsRefusedByThatName(t *testing.T) {
	b, err := appendTask(nil, &model.Task{ID: "t"})
	if err != nil {
		t.Fatal(err)
	}
	newer := append([]byte{}, b...)
	newer[maskSize] |= 0x80 // the last member that there may be
	for _, b := range [][]byte{newer, {2}, {}} {
		if err := decodeTask(b, &model.Task{}); err == nil || !strings.Contains(err.Error(), "newer version") {
			t.Errorf("decoding %q: %v, want that it may be a newer version's", b, err)
		}
	}
}

// A record that is written may be shared with those who read it.
func TestRecord_IsNotTouchedByWriting(t *testing.T) {
	code := int32(1)
	task := &model.Task{Version: 3, Lost: true, Containers: []model.Container{{ExitCode: &code}}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		roundTrip(t, task)
	}()
	roundTrip(t, task) // for the race detector
	<-done
}

func BenchmarkRecord(b *testing.B) {
	task := &model.Task{
		ID: "0123456789abcdef0123456789abcdef", Cluster: "default", Instance: "fedcba9876543210fedcba9876543210",
		Definition: model.DefinitionRef{Family: "web", Revision: 12}, LaunchType: "EC2", Group: "family:web",
		DesiredStatus: model.TaskRunning, LastStatus: model.TaskRunning, Version: 3, HealthStatus: "UNKNOWN",
		Reserved: model.Reservation{CPU: 10, MemoryMiB: 16},
		Containers: []model.Container{{
			ID: "01234567-89ab-cdef-0123-456789abcdef", Name: "main", Image: "registry.example.com/team/web:1.2.3",
			ImageDigest: digestPrefix + strings.Repeat("0123456789abcdef", 4), RuntimeID: strings.Repeat("0123456789abcdef", 4),
			LastStatus: model.TaskRunning, HealthStatus: "UNKNOWN",
		}},
		CreatedAt: time.Now(), ConnectivityAt: time.Now(), PullStartedAt: time.Now(), PullStoppedAt: time.Now(), StartedAt: time.Now(),
	}
	for _, form := range []struct {
		name   string
		encode func(*model.Task) ([]byte, error)
		decode func([]byte, *model.Task) error
	}{
		{"json", func(t *model.Task) ([]byte, error) { return json.Marshal(t) }, func(b []byte, t *model.Task) error { return json.Unmarshal(b, t) }},
		{"record", func(t *model.Task) ([]byte, error) { return appendTask(nil, t) }, decodeTask},
	} {
		encoded, err := form.encode(task)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("encode/"+form.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := form.encode(task); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(encoded)), "bytes")
		})
		b.Run("decode/"+form.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := form.decode(encoded, &model.Task{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
