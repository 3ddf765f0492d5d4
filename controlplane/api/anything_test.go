package api_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// words are texts that mean something somewhere, and some that are at a limit.
var words = []string{
	"", "default", "c", "s", "web", "web:1", "web:0", "main", "x", "a b", "nö\x00\u2028", "\u202e\U0001f4a9", strings.Repeat("n", 256),
	"ACTIVE", "RUNNING", "STOPPED", "INTEGER", "STRINGSET", "CPU", "MEMORY", "PORTS", "22", "instanceId", "memory", "attribute:", "attribute:zone",
	"service:s", "ecs-svc/1", "arn:aws:ecs:us-east-1:123456789012:task-set/c/x/ecs-svc/1", "arn:",
	"arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/a/0", "arn:aws:servicediscovery:us-east-1:123456789012:service/a", "arn:aws:ecs:us-east-1:123456789012:cluster/", "arn:aws:ecs:us-east-1:123456789012:task/c/x/y",
	"arn:aws:ecs:us-east-1:123456789012:service/s", "arn:aws:ecs:us-east-1:999999999999:cluster/c", "CMD", "/data",
}

var numbers = []int64{0, 1, 2, 4, 10, 11, 64, 80, 100, 101, 200, 65535, 65536, -1, math.MaxInt32, math.MinInt32}

// drawing says how documents are drawn. Every type is right.
type drawing struct {
	model *apiModel
	known map[string][]any // values that mean something, by member
	odd   int              // of ten values of a member that has known ones, so many are drawn from words and numbers
	rare  int              // of ten optional members, so many are there
}

// draw draws a value of a shape for a member.
func (d *drawing) draw(t *rapid.T, name, member string, depth int) any {
	s := d.model.Shapes[name]
	if values := d.known[member]; len(values) > 0 && s.Type != "structure" && s.Type != "list" && s.Type != "map" && len(s.Enum) == 0 &&
		rapid.IntRange(0, 9).Draw(t, member+" odd?") >= d.odd {
		if v := rapid.SampledFrom(values).Draw(t, member); d.model.check(name, member, asNumber(v)) == nil {
			return v
		}
	}
	switch s.Type {
	case "structure":
		return d.structure(t, s, depth)
	case "list":
		out := []any{}
		for range rapid.SampledFrom([]int{1, 1, 1, 1, 1, 2, 0, 11}).Draw(t, name+" length") {
			out = append(out, d.draw(t, s.Member.name, member, depth+1))
		}
		return out
	case "map":
		return map[string]any{rapid.SampledFrom(words).Draw(t, name+" key"): d.draw(t, s.Value.name, "", depth+1)}
	case "boolean":
		return rapid.Bool().Draw(t, name)
	case "string":
		if len(s.Enum) > 0 && rapid.IntRange(0, 9).Draw(t, name+" odd?") >= d.odd {
			return rapid.SampledFrom(s.Enum).Draw(t, name)
		}
		return rapid.SampledFrom(words).Draw(t, name)
	}
	return rapid.SampledFrom(numbers).Draw(t, name)
}

// asNumber makes of a Go number what the decoder of answers makes of JSON's.
func asNumber(v any) any {
	if n, ok := v.(int); ok {
		return json.Number(fmt.Sprint(n))
	}
	return v
}

// always are members that are not required, and without which little happens.
var always = []string{
	"cluster", "image", "memory", "services", "tasks", "containerInstances", "targetId", "targetType", "totalResources", "type", "integerValue", "service", "task",
}

func (d *drawing) structure(t *rapid.T, s shape, depth int) map[string]any {
	members := make([]string, 0, len(s.Members))
	for member := range s.Members {
		members = append(members, member)
	}
	slices.Sort(members)
	out := map[string]any{}
	for _, member := range members {
		likely := d.rare
		if slices.Contains(s.Required, member) || slices.Contains(always, member) {
			// What is required is there most of the time, or nothing else is ever reached.
			likely = 10 - d.odd/3
		}
		if depth < 6 && rapid.IntRange(0, 9).Draw(t, member+"?") < likely {
			out[member] = d.draw(t, s.Members[member].name, member, depth+1)
		}
	}
	return out
}

// anyRequests sends random requests to a populated cluster.
func (w *world) anyRequests(names []string, succeeded map[string]bool) func(*rapid.T) {
	m := loadModel()
	round := 0
	return func(t *rapid.T) {
		round++
		w.populate(fmt.Sprint("c", round))
		d := &drawing{model: m, known: w.known}
		for range 20 {
			name := rapid.SampledFrom(names).Draw(t, "operation")
			d.odd = rapid.SampledFrom([]int{0, 0, 1, 5}).Draw(t, "odd")
			d.rare = rapid.SampledFrom([]int{0, 1, 1, 3}).Draw(t, "rare")
			body, err := json.Marshal(d.structure(t, m.Shapes[m.Operations[name].Input], 0))
			if err != nil {
				t.Fatal(err)
			}
			if status, _ := w.try(t, name, body); status == http.StatusOK {
				succeeded[name] = true
			}
		}
		w.unchanged(t)
	}
}

func TestAnyRequest_GetsAnAnswerOfTheAPIAndARefusedOneChangesNothing(t *testing.T) {
	w := newWorld(t)
	names, succeeded := answeredOperations(), map[string]bool{}
	rapid.Check(t, w.anyRequests(names, succeeded))
	t.Logf("%d of %d operations succeeded at least once", len(succeeded), len(names))
	if len(succeeded) < len(names)/2 {
		t.Errorf("only %d of %d operations ever succeeded: the requests do not go deep", len(succeeded), len(names))
	}
}

// FuzzAnyRequest is the same for as long as one likes.
func FuzzAnyRequest(f *testing.F) {
	w := newWorld(f)
	w.t = target{f}
	f.Fuzz(rapid.MakeFuzz(w.anyRequests(answeredOperations(), map[string]bool{})))
}

// target is what fixtures fail through while a fuzz target runs, which must not call
// the methods of its testing.F.
type target struct{ testing.TB }

func (target) Helper()                           {}
func (target) Error(args ...any)                 { panic(fmt.Sprintln(args...)) }
func (target) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (target) Fatal(args ...any)                 { panic(fmt.Sprintln(args...)) }
func (target) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
