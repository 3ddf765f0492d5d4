package rollout

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/model"
)

// inSteps counts the stops and starts of a plan's later steps.
func inSteps(out Output) (stops, starts []int) {
	for _, s := range out.Later {
		if len(s.Tasks) > 0 {
			stops = append(stops, len(s.Tasks))
		}
		if s.Start.Count > 0 {
			starts = append(starts, s.Start.Count)
		}
	}
	return stops, starts
}

func TestSteps_HaveTheStopsAndStartsThatDoNotFit(t *testing.T) {
	w := newWorld(t, 25, 3)
	w.settings.MaxChanges, w.settings.MaxSteps = 10, 9
	out := w.plan()
	if _, starts := inSteps(out); out.Start.Count != 10 || !slices.Equal(starts, []int{10, 5}) {
		t.Errorf("starts %d and then %v", out.Start.Count, starts)
	}
	w.settle()
	w.scale(2)
	w.further = true
	out = w.plan()
	if stops, _ := inSteps(out); len(out.Tasks) != 10 || !slices.Equal(stops, []int{10, 3}) {
		t.Errorf("stops %d and then %v", len(out.Tasks), stops)
	}
	if n := len(w.live()); n != 2 {
		t.Errorf("%d tasks are to go on", n)
	}
	for _, want := range []string{"has stopped 10 running tasks", "has stopped 3 running tasks"} {
		if !slices.ContainsFunc(w.events, func(e string) bool { return strings.Contains(e, want) }) {
			t.Errorf("no event says %q: %q", want, w.events)
		}
	}
}

func TestSteps_AreNoMoreThanAllowed(t *testing.T) {
	w := newWorld(t, 100, 3)
	w.settings.MaxChanges, w.settings.MaxSteps = 10, 2
	out := w.plan()
	if _, starts := inSteps(out); out.Start.Count != 10 || !slices.Equal(starts, []int{10, 10}) || !out.WakeAt.Equal(w.now) {
		t.Errorf("starts %d and then %v, wakes at %v", out.Start.Count, starts, out.WakeAt)
	}
}

// A task that found no place is not followed by a thousand that find none.
func TestSteps_AreNotStartedWhereTheLastStartFoundNoPlace(t *testing.T) {
	w := newWorld(t, 25, 1)
	w.settings.MaxChanges, w.capacity = 10, 3
	w.plan()
	if out := w.plan(); len(out.Later) != 0 || out.Start.Count != 10 {
		t.Errorf("starts %d, and later %+v", out.Start.Count, out.Later)
	}
}

// A step must not rest on tasks of a host that stops to count before it is its turn.
func TestSteps_EndWhenASilentHostStopsToCount(t *testing.T) {
	w := steady(t, 25, 5)
	w.settings.MaxChanges = 10
	w.silence("i00")
	since := w.instances["i00"].SilentSince
	w.pass(3 * time.Second)
	w.deploy(2)
	out := w.plan()
	if len(out.Later) == 0 || !out.LaterUntil.Equal(since.Add(w.settings.SilentLimit)) {
		t.Errorf("%d later steps, until %v", len(out.Later), out.LaterUntil)
	}
}

// What is in a target group is drained, and the events of that are in the first transaction.
func TestSteps_StopNoTaskThatGetsTraffic(t *testing.T) {
	w := steady(t, 25, 5)
	w.settings.MaxChanges = 10
	for _, x := range w.live() {
		w.set(x.ID, func(t *model.Task) {
			t.Targets, t.RegisteredAt = []model.Target{{Group: "g", Health: model.TargetHealthy}}, epoch
		})
	}
	w.scale(0)
	in := w.input()
	in.Drain = func(model.TargetGroupARN) time.Duration { return time.Minute }
	out := Plan(in)
	if len(out.Tasks) != 10 || len(out.Later) != 0 || !out.WakeAt.Equal(w.now) {
		t.Errorf("stops %d, and later %+v", len(out.Tasks), out.Later)
	}
}
