package rollout

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/model"
)

func TestPlaced_TellsWhyATaskFoundNoPlace(t *testing.T) {
	const (
		head = "(service web) was unable to place a task because no container instance met all of its requirements."
		tail = " For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
	)
	for name, c := range map[string]struct {
		miss Miss
		want string
	}{
		"no instances": {Miss{NoInstances: true}, " Reason: No Container Instances were found in your cluster."},
		"cpu":          {Miss{Instance: "i1", Reason: "RESOURCE:CPU"}, " The closest matching (container-instance i1) has insufficient CPU units available."},
		"memory":       {Miss{Instance: "i1", Reason: "RESOURCE:MEMORY"}, " The closest matching (container-instance i1) has insufficient memory available."},
		"ports":        {Miss{Instance: "i1", Reason: "RESOURCE:PORTS"}, " The closest matching (container-instance i1) is already using a port required by your task."},
		"attribute":    {Miss{Instance: "i1", Reason: "ATTRIBUTE"}, " The closest matching (container-instance i1) is missing an attribute required by your task."},
		"agent":        {Miss{Instance: "i1", Reason: "AGENT"}, ` The closest matching (container-instance i1) encountered error "AGENT".`},
		"none is near": {Miss{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, events := Placed(&model.Service{Name: "web"}, nil, &c.miss)
			wantEvents(t, events, head+c.want+tail)
			if again, events := Placed(s, nil, &c.miss); again != s || events != nil {
				t.Errorf("the same miss is told again: %q", events)
			}
		})
	}
}

func TestPlaced_TellsWhatWasStartedAndForgetsAMiss(t *testing.T) {
	s := &model.Service{Name: "web"}
	short, events := Placed(s, []model.TaskID{"a", "b"}, &Miss{NoInstances: true})
	if len(events) != 2 || events[0] != "(service web) has started 2 tasks: (task a) (task b)." || s.LastPlacement != "" {
		t.Errorf("events %q, input %+v", events, *s)
	}
	full, events := Placed(short, []model.TaskID{"c"}, nil)
	wantEvents(t, events, "(service web) has started 1 tasks: (task c).")
	if full.LastPlacement != "" {
		t.Errorf("the miss is still remembered: %q", full.LastPlacement)
	}
	if same, _ := Placed(full, []model.TaskID{"d"}, nil); same != full {
		t.Error("a service that did not change is written again")
	}
}

func TestPlaced_TellsThatACapacityProviderHasNoHosts(t *testing.T) {
	_, events := Placed(&model.Service{Name: "web"}, nil, &Miss{NoInstances: true, Provider: "p"})
	if len(events) != 1 || !strings.Contains(events[0], "Reason: No Container Instances were found in your capacity provider.") {
		t.Errorf("events %q", events)
	}
}

func TestPlan_ForgetsAMissWhenNothingWaitsForAPlace(t *testing.T) {
	w := newWorld(t, 2, 1)
	w.capacity = 1
	w.plan()
	w.plan()
	misses := slices.DeleteFunc(w.takeEvents(), func(e string) bool { return e == "(service web) has started 1 tasks: (task t0002)." })
	if len(misses) != 1 || w.svc.LastPlacement != misses[0] {
		t.Fatalf("misses %q, remembered %q", misses, w.svc.LastPlacement)
	}
	w.svc = &[]model.Service{*w.svc}[0]
	w.svc.DesiredCount = 1
	w.settle()
	w.checkSteady()
}

func TestPlan_DoesNotHurryWhileNothingFits(t *testing.T) {
	w := newWorld(t, 25, 1)
	w.settings.MaxChanges = 10
	w.capacity = 0
	w.plan()
	for range 3 {
		out := w.plan()
		wantPlan(t, out, 0, 10)
		wantWake(t, out, time.Time{})
	}
	w.capacity = 1000
	w.settle()
	w.checkSteady()
}
