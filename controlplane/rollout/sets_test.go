package rollout

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
	"pgregory.net/rapid"
)

// newSetsWorld is a world whose service is EXTERNAL and has no task sets yet.
func newSetsWorld(t tester, desired, instances int) *world {
	w := newWorld(t, desired, instances)
	w.change(func(s *model.Service) {
		s.Controller, s.Deployments = ecs.DeploymentControllerTypeEXTERNAL, nil
	})
	return w
}

// addSet does what CreateTaskSet does.
func (w *world) addSet(revision int32, scale float64) model.DeploymentID {
	id := w.nextDeployment()
	w.change(func(s *model.Service) {
		s.TaskSets = append(s.TaskSets, model.TaskSet{ID: id, Status: model.DeploymentActive, Definition: def(revision), Scale: scale,
			CreatedAt: w.now, Stability: ecs.StabilityStatusSTABILIZING})
	})
	return id
}

func (w *world) changeSet(id model.DeploymentID, f func(*model.TaskSet)) {
	w.change(func(s *model.Service) {
		s.TaskSets = slices.Clone(s.TaskSets)
		if set, ok := s.TaskSet(id); ok {
			f(set)
		}
	})
}

func (w *world) dropSet(id model.DeploymentID) {
	w.changeSet(id, func(set *model.TaskSet) { set.Status, set.Scale = model.TaskSetDraining, 0 })
}

// planSets plans once, checks the plan and applies it.
func (w *world) planSets() Output {
	w.t.Helper()
	in := w.input()
	before := w.snapshot()
	sets := slices.Clone(w.svc.TaskSets)
	out := Plan(in)
	if !reflect.DeepEqual(before, w.snapshot()) || !reflect.DeepEqual(sets, w.svc.TaskSets) {
		w.t.Fatalf("the plan changed its input")
	}
	w.checkRepeatable(in, out)
	w.checkKept(in, out)
	w.checkSets(in, out)
	w.events = append(w.events, out.Events...)
	for _, t := range out.Tasks {
		w.tasks[slices.IndexFunc(w.tasks, func(o *model.Task) bool { return o.ID == t.ID })] = t
	}
	w.svc = out.Service
	for _, start := range out.Starts {
		w.placeSet(start)
	}
	return out
}

func (w *world) placeSet(s SetStart) {
	set, ok := w.svc.TaskSet(s.Set)
	if !ok {
		w.t.Fatalf("tasks of %s are started, which is not there", s.Set)
	}
	var started []model.TaskID
	var miss *Miss
	for range s.Count {
		at := w.emptiest(w.open())
		if at == "" {
			miss = &Miss{NoInstances: len(w.instances) == 0, Instance: "i00", Reason: "RESOURCE:CPU"}
			break
		}
		w.ids++
		t := &model.Task{
			ID: model.TaskID(fmt.Sprintf("t%04d", w.ids)), Cluster: "c", Service: w.svc.Name, Instance: at,
			Definition: set.Definition, Deployment: set.ID, CreatedAt: w.now,
			DesiredStatus: model.TaskRunning, LastStatus: model.TaskPending,
		}
		w.tasks = append(w.tasks, t)
		started = append(started, t.ID)
	}
	var events []string
	w.svc, events = PlacedSet(w.svc, s.Set, started, miss)
	w.events = append(w.events, events...)
}

// computed is the computed desired count, worked out in whole numbers.
func (w *world) computed(set model.TaskSet) int {
	if set.Status == model.TaskSetDraining || w.svc.Status != model.StatusActive {
		return 0
	}
	return (int(w.svc.DesiredCount)*int(set.Scale) + 99) / 100 // the tests' scales are whole
}

// checkSets checks what a plan may never do.
func (w *world) checkSets(in Input, out Output) {
	w.t.Helper()
	changes := len(out.Tasks)
	for _, start := range out.Starts {
		changes += start.Count
		set, ok := in.Service.TaskSet(start.Set)
		if !ok {
			w.t.Fatalf("tasks of %s are started, which is not there", start.Set)
		}
		wanted, held := 0, 0
		for _, t := range in.Tasks {
			if t.Deployment != start.Set || t.LastStatus == model.TaskStopped || w.away(t) {
				continue
			}
			held++
			if t.DesiredStatus == model.TaskRunning && !w.stoppedBy(out, t) {
				wanted++
			}
		}
		if most := w.computed(*set); held+start.Count > 2*most || start.Count > most {
			w.t.Fatalf("%d tasks are started beside %d (%d of them wanted) of a task set that is to have %d", start.Count, held, wanted, most)
		}
	}
	groups := map[model.DeploymentID]bool{}
	for _, t := range in.Tasks {
		groups[t.Deployment] = true
	}
	for _, set := range in.Service.TaskSets {
		groups[set.ID] = true
	}
	if changes > max(w.settings.MaxChanges, len(groups)) {
		w.t.Fatalf("a plan of %d changes; at most %d are allowed", changes, w.settings.MaxChanges)
	}
	for _, t := range in.Tasks {
		if w.stoppedBy(out, t) && w.shields(t) && t.DesiredStatus == model.TaskRunning {
			w.t.Fatalf("the protected task %s is stopped", t.ID)
		}
	}
}

func (w *world) stoppedBy(out Output, t *model.Task) bool {
	return slices.ContainsFunc(out.Tasks, func(o *model.Task) bool { return o.ID == t.ID && o.DesiredStatus == model.TaskStopped })
}

// settleSets plans until nothing more happens, agents obeying.
func (w *world) settleSets() {
	w.t.Helper()
	for range 400 {
		service := w.svc
		out := w.planSets()
		quiet := len(out.Tasks) == 0 && len(out.Starts) == 0 && len(out.Events) == 0
		if quiet && out.WakeAt.IsZero() && w.svc == service && w.resting() {
			return
		}
		w.obey()
		if out.WakeAt.After(w.now) {
			w.now = out.WakeAt
		}
	}
	w.t.Fatalf("no rest after 400 plans; service %+v", *w.svc)
}

// perSet counts the tasks that serve by task set, and fails on any other.
func (w *world) perSet() map[model.DeploymentID]int {
	w.t.Helper()
	n := map[model.DeploymentID]int{}
	for _, t := range w.tasks {
		switch {
		case t.LastStatus == model.TaskStopped:
		case !w.serves(t):
			w.t.Fatalf("at rest with task %+v", *t)
		default:
			n[t.Deployment]++
		}
	}
	return n
}

func (w *world) checkSetsSteady() {
	w.t.Helper()
	have := w.perSet()
	for _, set := range w.svc.TaskSets {
		if set.Status == model.TaskSetDraining {
			w.t.Fatalf("at rest with the deleted task set %+v", set)
		}
		if n := w.computed(set); have[set.ID] != n || int(w.svc.ComputedCount(&set)) != n {
			w.t.Fatalf("at rest with %d tasks of %+v, want %d", have[set.ID], set, n)
		}
		if set.Stability != ecs.StabilityStatusSTEADYSTATE || set.FailedStarts != 0 || set.LastPlacement != "" {
			w.t.Fatalf("at rest with %+v", set)
		}
		delete(have, set.ID)
	}
	if len(have) > 0 {
		w.t.Fatalf("at rest with tasks of task sets that are gone: %v", have)
	}
	if w.svc.SteadyReported != (len(w.svc.TaskSets) > 0) {
		w.t.Fatalf("at rest with %+v", *w.svc)
	}
}

// TestPlan_OfTaskSetsConvergesInAnyWorld lets everything go wrong at random moments,
// with task sets coming, going and changing. Then the world heals, and each task set
// must come to its share.
func TestPlan_OfTaskSetsConvergesInAnyWorld(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newSetsWorld(t, rapid.IntRange(0, 7).Draw(t, "desired"), rapid.IntRange(1, 5).Draw(t, "instances"))
		w.settings.MaxChanges = rapid.SampledFrom([]int{1, 3, 100}).Draw(t, "changes")
		w.settings.HealthyAfter = rapid.SampledFrom([]time.Duration{0, 2 * time.Second}).Draw(t, "healthyAfter")
		w.capacity = rapid.IntRange(1, 12).Draw(t, "capacity")
		w.checked[def(2)] = true
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			w.disturbSets(t)
			if rapid.IntRange(0, 2).Draw(t, "plan") > 0 {
				w.planSets()
			}
		}
		w.capacity = 1000
		for id := range w.instances {
			w.recover(id)
		}
		for _, x := range w.tasks {
			if x.LastStatus == model.TaskStopping {
				w.end(x.ID, ecs.TaskStopCodeEssentialContainerExited)
			}
		}
		w.settleSets()
		w.checkSetsSteady()
		w.change(func(s *model.Service) { s.Status, s.DesiredCount = model.StatusDraining, 0 })
		w.settleSets()
		if left := w.perSet(); w.svc.Status != model.StatusInactive || len(w.svc.TaskSets) > 0 || len(left) > 0 {
			t.Fatalf("the deleted service is %s, with %d tasks", w.svc.Status, len(left))
		}
	})
}

func (w *world) disturbSets(t *rapid.T) {
	switch rapid.SampledFrom([]string{"task", "task", "task", "obey", "instance", "time", "set", "set", "desired"}).Draw(t, "what") {
	case "task":
		w.disturbTask(t)
	case "obey":
		w.obey()
	case "instance":
		w.disturbInstance(t)
	case "time":
		w.pass(time.Duration(rapid.IntRange(1, 20_000).Draw(t, "ms")) * time.Millisecond)
	case "desired":
		w.scale(rapid.Int32Range(0, 7).Draw(t, "desired"))
	case "set":
		sets := w.svc.TaskSets
		scale := float64(rapid.SampledFrom([]int{0, 1, 30, 50, 100}).Draw(t, "scale"))
		if len(sets) == 0 || len(sets) < 5 && rapid.Bool().Draw(t, "new") {
			w.addSet(rapid.Int32Range(1, 2).Draw(t, "revision"), scale)
			return
		}
		set := rapid.SampledFrom(sets).Draw(t, "set")
		if rapid.Bool().Draw(t, "delete") {
			w.dropSet(set.ID)
		} else if set.Status != model.TaskSetDraining {
			w.changeSet(set.ID, func(s *model.TaskSet) { s.Scale = scale })
		}
	}
}

func TestPlan_EventsOfATaskSetNameIt(t *testing.T) {
	w := newSetsWorld(t, 2, 2)
	set := w.addSet(1, 100)
	w.settleSets()
	of := "(service web, taskSet " + string(set) + ")"
	started := slices.ContainsFunc(w.takeEvents(), func(e string) bool { return strings.HasPrefix(e, of+" has started 2 tasks: (task ") })
	if !started {
		t.Error("no event tells that the task set has started its tasks")
	}
	w.changeSet(set, func(s *model.TaskSet) { s.Scale = 50 })
	w.settleSets()
	if events := w.takeEvents(); !slices.ContainsFunc(events, func(e string) bool { return strings.HasPrefix(e, of+" has stopped 1 running tasks: (task ") }) {
		t.Errorf("no event tells that the task set has stopped a task: %q", events)
	}
	view := setView(w.svc, &w.svc.TaskSets[0])
	for got, want := range map[string]string{
		stoppedPending(view, 3):                              of + " stopped 3 pending tasks.",
		registeredTargets(view, 2, groupA):                   of + " registered 2 targets in (target-group " + string(groupA) + ")",
		deregisteredTargets(view, 1, groupA):                 of + " deregistered 1 targets in (target-group " + string(groupA) + ")",
		beganDraining(view, 1, set):                          of + " has begun draining connections on 1 tasks.",
		beganDraining(newWorld(t, 1, 1).svc, 1, "ecs-svc/7"): "(service web, taskSet ecs-svc/7) has begun draining connections on 1 tasks.",
	} {
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestPlan_StartsTheShareOfEachTaskSetRoundedUp(t *testing.T) {
	w := newSetsWorld(t, 3, 2)
	a, b := w.addSet(1, 100), w.addSet(3, 40)
	c := w.addSet(3, 0)
	w.settleSets()
	if have := w.perSet(); have[a] != 3 || have[b] != 2 || have[c] != 0 {
		t.Errorf("got %v", have)
	}
	events := w.takeEvents()
	for _, want := range []string{
		"(service web) updated computedDesiredCount for taskSet " + string(b) + " to 2.",
		"(service web, taskSet " + string(a) + ") updated state to STEADY_STATE.",
		"(service web) has reached a steady state.",
	} {
		if !slices.Contains(events, want) {
			t.Errorf("no event %q in %q", want, events)
		}
	}
	w.changeSet(b, func(set *model.TaskSet) { set.Scale = 10 })
	w.settleSets()
	if have := w.perSet(); have[a] != 3 || have[b] != 1 {
		t.Errorf("scaled down: got %v", have)
	}
	w.dropSet(a)
	w.settleSets()
	if have := w.perSet(); have[a] != 0 || have[b] != 1 || len(w.svc.TaskSets) != 2 {
		t.Errorf("deleted: got %v and %+v", have, w.svc.TaskSets)
	}
}

func TestPlan_ScalesTaskSetsDownWhereTheServiceHasMostTasks(t *testing.T) {
	w := newSetsWorld(t, 4, 2)
	a := w.addSet(1, 100)
	w.settleSets()
	b := w.addSet(3, 50)
	// The second task set is on the first instance alone, and so that has the most.
	w.drain("i01")
	w.svc, _ = PlacedSet(w.svc, b, nil, nil)
	for range 2 {
		w.placeSet(SetStart{b, 1})
	}
	w.recover("i01")
	w.settleSets()
	w.changeSet(a, func(set *model.TaskSet) { set.Scale = 50 })
	w.settleSets()
	if w.on("i00") != 2 || w.on("i01") != 2 {
		t.Errorf("%d and %d tasks are left on the instances", w.on("i00"), w.on("i01"))
	}
}

func TestPlan_KeepsAProtectedTaskOfADeletedTaskSetUntilItsProtectionEnds(t *testing.T) {
	w := newSetsWorld(t, 2, 1)
	a := w.addSet(1, 100)
	w.settleSets()
	kept := w.live()[0].ID
	w.protect(kept, time.Hour)
	w.dropSet(a)
	out := w.planSets()
	w.obey()
	out = w.planSets()
	if live := w.live(); len(live) != 1 || live[0].ID != kept || len(w.svc.TaskSets) != 1 {
		t.Errorf("tasks %v, task sets %+v", live, w.svc.TaskSets)
	}
	if want := epoch.Add(time.Hour); out.WakeAt.Before(want) {
		t.Errorf("plans again at %s", out.WakeAt)
	}
	w.settleSets()
	if len(w.live()) != 0 || len(w.svc.TaskSets) != 0 {
		t.Errorf("tasks %v, task sets %+v", w.live(), w.svc.TaskSets)
	}
}

func TestPlan_SlowsOnlyTheTaskSetThatFailsToStart(t *testing.T) {
	w := newSetsWorld(t, 1, 1)
	bad, good := w.addSet(1, 100), w.addSet(3, 100)
	for range 6 {
		w.planSets()
		for _, x := range w.live() {
			switch {
			case x.Deployment == bad:
				w.end(x.ID, ecs.TaskStopCodeTaskFailedToStart)
			case x.LastStatus.Starting():
				w.run(x.ID)
			}
		}
		w.pass(100 * time.Millisecond)
	}
	w.pass(5 * time.Second)
	w.planSets()
	b, _ := w.svc.TaskSet(bad)
	g, _ := w.svc.TaskSet(good)
	if b.FailedStarts < 3 || !b.PauseUntil.After(epoch) || b.Stability != ecs.StabilityStatusSTABILIZING {
		t.Errorf("the one that fails: %+v", *b)
	}
	if g.FailedStarts != 0 || g.Stability != ecs.StabilityStatusSTEADYSTATE {
		t.Errorf("the other one: %+v", *g)
	}
	if w.svc.SteadyReported {
		t.Error("the service is said to be steady")
	}
}

// A task set that finds no place must not take all of every plan.
func TestPlan_StartsTheTasksOfOneTaskSetWhileAnotherFindsNoPlace(t *testing.T) {
	w := newSetsWorld(t, 200, 0)
	a, b := w.addSet(1, 100), w.addSet(3, 10)
	starts := map[model.DeploymentID]int{}
	for range 5 {
		for _, s := range w.planSets().Starts {
			starts[s.Set] += s.Count
		}
	}
	if starts[a] == 0 || starts[b] < 20 {
		t.Errorf("starts %v", starts)
	}
	// Nor may two of them keep the loop busy.
	w.changeSet(b, func(set *model.TaskSet) { set.Scale = 100 })
	for range 5 {
		w.planSets()
	}
	if out := w.planSets(); !out.WakeAt.IsZero() || len(out.Starts) != 2 {
		t.Errorf("plans again at %s, having asked for %+v", out.WakeAt, out.Starts)
	}
}

func TestPlan_CountsAHostThatIsAwayAgainstStability(t *testing.T) {
	w := newSetsWorld(t, 2, 2)
	a := w.addSet(1, 100)
	w.settleSets()
	w.silence("i00")
	w.pass(w.settings.SilentLimit)
	w.idle()
	set, _ := w.svc.TaskSet(a)
	if set.Stability != ecs.StabilityStatusSTABILIZING || !w.svc.SteadyReported {
		t.Errorf("got %+v of %+v", *set, *w.svc)
	}
}

// idle lets some plans pass while a host is away.
func (w *world) idle() {
	w.t.Helper()
	for range 5 {
		w.planSets()
		w.obey()
		w.pass(3 * time.Second)
	}
	w.planSets()
}

func TestComputedCount_RoundsUpWhatIsNoWholeNumber(t *testing.T) {
	for _, c := range []struct {
		desired int32
		scale   float64
		want    int32
	}{
		{0, 100, 0}, {5, 0, 0}, {10, 12, 2}, {10, 10, 1}, {3000, 1.1, 33}, {1, 0.01, 1}, {3, 100, 3}, {3, 33.4, 2},
	} {
		s := model.Service{Status: model.StatusActive, DesiredCount: c.desired}
		if got := s.ComputedCount(&model.TaskSet{Scale: c.scale}); got != c.want {
			t.Errorf("%g%% of %d: got %d, want %d", c.scale, c.desired, got, c.want)
		}
	}
}

// Every event that a plan writes may push an old one out: that is two records.
func TestPlan_LeavesRoomForTheEventsOfUnhealthyTasks(t *testing.T) {
	w := newWorld(t, 90, 2)
	w.checked[def(1)] = true
	w.settle()
	for _, x := range w.live() {
		w.health(x.ID, ecs.HealthStatusUNHEALTHY)
	}
	if out := w.plan(); len(out.Tasks)+2*len(out.Events)+out.Start.Count > w.settings.MaxChanges+10 {
		t.Errorf("%d tasks, %d starts and %d events", len(out.Tasks), out.Start.Count, len(out.Events))
	}
}

func TestPlan_ForgetsADeletedTaskSetWhoseHostIsAwayAndStopsWhatIsLeftThere(t *testing.T) {
	w := newSetsWorld(t, 1, 1)
	a := w.addSet(1, 100)
	w.settleSets()
	w.silence("i00")
	w.pass(w.settings.SilentLimit)
	w.dropSet(a)
	w.planSets()
	if len(w.svc.TaskSets) != 0 || len(w.live()) != 0 {
		t.Errorf("got task sets %+v, live tasks %v", w.svc.TaskSets, w.live())
	}
	w.recover("i00")
	w.settleSets()
	if left := w.perSet(); len(left) != 0 {
		t.Errorf("tasks %v", left)
	}
}
