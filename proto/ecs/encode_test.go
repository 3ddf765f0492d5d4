package ecs_test

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/longshore/longshore/proto/ecs"
)

// The texts are those that JSON has to write in another way, and some that it does not.
var texts = []string{"", "a", "team/web:1", "\"\\/", "a<", "a>", "&", "\x00\x1f\x7f\n\r\t\b\f", "nö", "\u2028\u2029", "\U0001f4a9", "\xff\xfe", "a,", "{", "["}

var moments = []time.Time{
	{}, time.UnixMilli(0), time.UnixMilli(1), time.UnixMilli(-1), time.UnixMilli(1700000000000), time.UnixMilli(1700000000100),
	time.UnixMilli(1700000000120), time.UnixMilli(1700000000123), time.UnixMilli(1700000000003), time.UnixMilli(-62135596800000),
	time.UnixMilli(253402300799999), time.UnixMilli(253402300800000), time.Unix(1<<40, 999_999_999),
}

// fill gives a value any content that its type can have, lists that are empty and not nil
// included; fewer of its members are there the deeper it is.
func fill(t *rapid.T, v reflect.Value, depth int) {
	there := func() bool { return rapid.IntRange(0, 1+depth).Draw(t, "there?") == 0 }
	switch v.Interface().(type) {
	case ecs.Timestamp:
		if rapid.Bool().Draw(t, "odd?") {
			v.Set(reflect.ValueOf(ecs.At(rapid.SampledFrom(moments).Draw(t, "moment"))))
		} else {
			v.Set(reflect.ValueOf(ecs.At(time.UnixMilli(rapid.Int64Range(-1<<50, 1<<50).Draw(t, "ms")))))
		}
		return
	case json.RawMessage:
		v.SetBytes(rapid.SampledFrom([][]byte{nil, []byte(`{"a": [1, "<"]}`), []byte(`null`)}).Draw(t, "document"))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if there() {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem(), depth)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), depth+1)
		}
	case reflect.Slice:
		if there() {
			n := rapid.IntRange(0, 3).Draw(t, "length")
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				fill(t, v.Index(i), depth)
			}
		}
	case reflect.Map:
		if there() {
			v.Set(reflect.ValueOf(rapid.MapOf(rapid.SampledFrom(texts), rapid.SampledFrom(texts)).Draw(t, "map")))
		}
	case reflect.String:
		v.SetString(rapid.SampledFrom(texts).Draw(t, "text"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "truth"))
	case reflect.Float64:
		v.SetFloat(rapid.SampledFrom([]float64{0, 1, -0.5, 1e21, 1e-7, math.MaxFloat64}).Draw(t, "fraction"))
	default:
		v.SetInt(int64(rapid.Int32().Draw(t, "number")))
	}
}

func TestAppendJSON_IsWhatMarshalWrites(t *testing.T) {
	for _, o := range ecs.Operations() {
		for _, empty := range []func() any{o.Input, o.Output} {
			t.Run(reflect.TypeOf(empty()).Elem().Name(), func(t *testing.T) {
				t.Parallel()
				rapid.Check(t, func(t *rapid.T) {
					x := empty()
					fill(t, reflect.ValueOf(x).Elem(), 0)
					want, err := json.Marshal(x)
					if err != nil {
						t.Fatal(err)
					}
					got, err := ecs.AppendJSON([]byte("before,"), x.(ecs.Structure))
					if err != nil || string(got) != "before,"+string(want) {
						t.Fatalf("got %v\n%s\nwant\n%s", err, got, want)
					}
				})
			})
		}
	}
}

// Marshal is no judge of moments, which it asks the same code for.
func TestTimestamp_IsTheShortestNumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := rapid.Int64Range(-1<<60, 1<<60).Draw(t, "ms")
		got, err := ecs.AppendJSON(nil, &ecs.Task{CreatedAt: ecs.At(time.UnixMilli(ms))})
		if err != nil {
			t.Fatal(err)
		}
		want, err := json.Marshal(float64(ms) / 1000)
		if err != nil {
			t.Fatal(err)
		}
		var have struct{ CreatedAt json.RawMessage }
		if err := json.Unmarshal(got, &have); err != nil {
			t.Fatal(err)
		}
		if string(have.CreatedAt) != string(want) {
			t.Fatalf("%d ms: got %s, want %s", ms, have.CreatedAt, want)
		}
	})
}

func TestAppendJSON_SaysWhatCannotBeWritten(t *testing.T) {
	for name, x := range map[string]ecs.Structure{
		"no number":   &ecs.CanaryConfiguration{CanaryPercent: math.NaN()},
		"no document": &ecs.DeploymentLifecycleHook{HookDetails: json.RawMessage(`{`)},
	} {
		if _, err := ecs.AppendJSON(nil, x); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
