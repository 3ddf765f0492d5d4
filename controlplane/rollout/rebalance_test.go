package rollout

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

// newUnevenWorld is a steady service of n tasks, all in az0, on instances one of which
// is in each of the zones.
func newUnevenWorld(t tester, n, zones int) *world {
	w := newWorld(t, n, 0)
	w.settings.HealthyAfter = 0
	w.addZone("az0")
	w.settle()
	w.change(func(s *model.Service) { s.AvailabilityZoneRebalancing = ecs.AvailabilityZoneRebalancingENABLED })
	for z := 1; z < zones; z++ {
		w.addZone("az" + string(rune('0'+z)))
	}
	w.takeEvents()
	return w
}

// addZone adds an instance in a zone.
func (w *world) addZone(name string) model.InstanceID {
	id := w.addInstance(len(w.instances))
	w.instance(id, func(i *model.Instance) {
		i.Attributes = []ecs.Attribute{{Name: "ecs.availability-zone", Value: &name}}
	})
	return id
}

// inZones counts the tasks that are to go on by zone.
func (w *world) inZones() map[string]int {
	counts := map[string]int{}
	for _, t := range w.live() {
		counts[zone(w.instances[t.Instance])]++
	}
	return counts
}

func TestRebalance_StartsInTheEmptyZonesAndThenStopsInTheFullOne(t *testing.T) {
	w := newUnevenWorld(t, 4, 2)
	out := w.plan()
	if len(out.Tasks) != 0 || !slices.Equal(out.Moves, []Move{{"az1", 2}}) || !w.svc.Rebalancing {
		t.Fatalf("first it stops %d tasks and moves %v", len(out.Tasks), out.Moves)
	}
	if out := w.plan(); len(out.Tasks) != 0 || out.StartsAny() {
		t.Fatalf("while they are pending: %+v", out)
	}
	fresh := w.live()[4:]
	w.run(fresh[0].ID)
	if out := w.plan(); len(out.Tasks) != 1 || out.StartsAny() {
		t.Fatalf("with one of two running: %+v", out)
	}
	w.settle()
	if got := w.inZones(); got["az0"] != 2 || got["az1"] != 2 {
		t.Errorf("spread %v", got)
	}
	events := w.takeEvents()
	for _, e := range []string{
		"(service web) is not AZ balanced with 4 tasks in az0 and 0 tasks in az1. AZ Rebalancing in progress.",
		"(service web) has started 2 tasks in az1 to AZ Rebalance: (task " + string(fresh[0].ID) + ") (task " + string(fresh[1].ID) + ").",
		"(service web) is AZ balanced with 2 tasks in az0 and 2 tasks in az1.",
	} {
		if n := count(events, e); n != 1 {
			t.Errorf("%d times %q in %q", n, e, events)
		}
	}
	stopped := 0
	for _, task := range w.tasks {
		if task.LastStatus == model.TaskStopped {
			stopped++
			if n := count(events, "(service web) has stopped 1 running tasks in az0 due to AZ rebalancing: (task "+string(task.ID)+")."); n != 1 {
				t.Errorf("%d events of the end of %s in %q", n, task.ID, events)
			}
		}
	}
	if stopped != 2 || w.svc.Primary().RolloutState != ecs.DeploymentRolloutStateCOMPLETED || w.svc.Rebalancing {
		t.Errorf("%d stopped, service %+v", stopped, w.svc)
	}
}

func count(list []string, want string) int {
	n := 0
	for _, s := range list {
		if s == want {
			n++
		}
	}
	return n
}

func TestRebalance_OnlyWhatIsEvenEnoughStays(t *testing.T) {
	for name, change := range map[string]func(w *world){
		"disabled": func(w *world) {
			w.change(func(s *model.Service) { s.AvailabilityZoneRebalancing = ecs.AvailabilityZoneRebalancingDISABLED })
		},
		"no room above the desired count": func(w *world) { w.percent(50, 100) },
		"all are protected": func(w *world) {
			for _, t := range w.live() {
				w.protect(t.ID, 48*time.Hour)
			}
		},
		"the other zone drains": func(w *world) { w.drain("i01") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newUnevenWorld(t, 4, 2)
			change(w)
			if out := w.plan(); out.StartsAny() || len(out.Tasks) > 0 {
				t.Errorf("plans %+v", out)
			}
		})
	}
	even := newUnevenWorld(t, 1, 3)
	if out := even.plan(); out.StartsAny() || even.svc.Rebalancing {
		t.Error("one task in one of three zones is as even as it gets")
	}
}

func TestRebalance_ZoneWithoutRoomIsToldOnceAndTriedAgain(t *testing.T) {
	w := newUnevenWorld(t, 4, 2)
	w.capacity = 0
	w.plan()
	const text = "(service web) is unable to place a task in az1 because no container instance met all of its requirements."
	w.plan()
	if n := count(w.events, text); n != 1 || len(w.live()) != 4 {
		t.Fatalf("told %d times in %q", n, w.events)
	}
	w.capacity = 100
	w.settle()
	if got := w.inZones(); got["az1"] != 2 {
		t.Errorf("spread %v when there is room", got)
	}
}

func TestRebalance_AnUpdateInBetweenWins(t *testing.T) {
	for name, change := range map[string]func(w *world){
		"scaled in":  func(w *world) { w.scale(2) },
		"scaled out": func(w *world) { w.scale(7) },
		"deployed":   func(w *world) { w.deploy(2) },
		"disabled": func(w *world) {
			w.change(func(s *model.Service) { s.AvailabilityZoneRebalancing = ecs.AvailabilityZoneRebalancingDISABLED })
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newUnevenWorld(t, 4, 2)
			w.plan()
			change(w)
			if w.svc.Rebalancing {
				t.Error("still moves")
			}
			w.settle()
			w.checkSteady()
		})
	}
}

func TestRebalance_ReplacementThatFailsIsSlowedAndNothingElseStops(t *testing.T) {
	w := newUnevenWorld(t, 4, 2)
	w.pass(time.Minute)
	begun := w.now
	for range 4 {
		if out := w.plan(); !out.StartsAny() {
			if !out.WakeAt.After(w.now) {
				t.Fatalf("waits for nothing at %v: %+v", w.now, out)
			}
			w.now = out.WakeAt
			w.plan()
		}
		for _, task := range w.live()[4:] {
			w.end(task.ID, ecs.TaskStopCodeTaskFailedToStart)
		}
	}
	w.plan()
	if w.inZones()["az0"] != 4 || !w.now.After(begun) || count(w.events, unableToStart("web")) != 1 {
		t.Errorf("spread %v at %v, events %q", w.inZones(), w.now, w.events)
	}
}

// Whatever happens, a service that wants it ends even, having moved no more than needed
// once nothing disturbs it; world checks the percentages of every plan.
func TestRebalance_ConvergesInAnyWorld(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, rapid.IntRange(0, 9).Draw(t, "desired"), 0)
		w.settings.MaxChanges = rapid.SampledFrom([]int{1, 3, 100}).Draw(t, "changes")
		w.settings.HealthyAfter = rapid.SampledFrom([]time.Duration{0, 2 * time.Second}).Draw(t, "healthyAfter")
		for range rapid.IntRange(1, 5).Draw(t, "instances") {
			w.addZone(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "zone"))
		}
		w.percent(100, 200)
		w.change(func(s *model.Service) { s.AvailabilityZoneRebalancing = ecs.AvailabilityZoneRebalancingENABLED })
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			w.disturb(t)
			if rapid.IntRange(0, 2).Draw(t, "plan") > 0 {
				w.plan()
			}
		}
		w.heal()
		w.percent(100, 200)
		w.settle()
		w.checkSteady()
		// All protection is over: now nothing hinders.
		w.pass(49 * time.Hour)
		uneven := w.unevenness()
		before := len(w.tasks)
		w.settle()
		if w.unevenness() > 0 {
			t.Fatalf("spread %v over %v", w.inZones(), w.zones())
		}
		if moved := len(w.tasks) - before; moved != uneven {
			t.Fatalf("%d tasks were started to move %d", moved, uneven)
		}
		w.checkSteady()
	})
}

// unevenness is how many tasks must move for the zones to be even.
func (w *world) unevenness() int {
	zones, counts := w.zones(), w.inZones()
	var have []int
	for _, z := range zones {
		have = append(have, counts[z])
	}
	slices.Sort(have)
	slices.Reverse(have)
	total, moves := len(w.live()), 0
	for i, n := range have {
		target := total / len(zones)
		if i < total%len(zones) {
			target++
		}
		moves += max(0, n-target)
	}
	return moves
}
