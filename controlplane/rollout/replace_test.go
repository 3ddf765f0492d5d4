package rollout

import (
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

// steady returns a world whose service has reached its steady state.
func steady(t *testing.T, desired, instances int) *world {
	t.Helper()
	w := newWorld(t, desired, instances)
	w.settle()
	w.checkSteady()
	w.takeEvents()
	return w
}

// stopsOf counts the tasks that a plan stops.
func stopsOf(out Output) int {
	n := 0
	for _, t := range out.Tasks {
		if t.DesiredStatus == model.TaskStopped && t.LastStatus != model.TaskStopped {
			n++
		}
	}
	return n
}

func wantPlan(t *testing.T, out Output, stops, starts int) {
	t.Helper()
	if got := stopsOf(out); got != stops || out.Start.Count != starts {
		t.Errorf("the plan stops %d and starts %d, want %d and %d", got, out.Start.Count, stops, starts)
	}
}

func wantWake(t *testing.T, out Output, at time.Time) {
	t.Helper()
	if !out.WakeAt.Equal(at) {
		t.Errorf("the plan wakes at %v, want %v", out.WakeAt, at)
	}
}

func TestPlan_NewServiceStartsItsTasksAndReportsWhenSteady(t *testing.T) {
	w := newWorld(t, 2, 2)
	wantPlan(t, w.plan(), 0, 2)
	wantPlan(t, w.plan(), 0, 0)
	w.obey()
	wantWake(t, w.plan(), epoch.Add(2*time.Second))
	w.pass(2 * time.Second)
	w.plan()
	wantEvents(t, w.takeEvents(),
		"(service web) has started 2 tasks: (task t0002) (task t0003).",
		"(service web) (deployment ecs-svc/1) deployment completed.",
		"(service web) has reached a steady state.")
	d := w.svc.Primary()
	if d.RolloutState != ecs.DeploymentRolloutStateCOMPLETED || d.RolloutStateReason != "ECS deployment ecs-svc/1 completed." || !d.UpdatedAt.Equal(w.now) {
		t.Errorf("deployment %+v", *d)
	}
	before := w.svc
	out := w.plan()
	wantPlan(t, out, 0, 0)
	wantEvents(t, w.takeEvents())
	wantWake(t, out, time.Time{})
	if w.svc != before {
		t.Errorf("a steady service is written again: %+v", *w.svc)
	}
}

// TestPlan_FirstStepOfARollingUpdate gives every service old healthy tasks and a
// new deployment.
func TestPlan_FirstStepOfARollingUpdate(t *testing.T) {
	for name, c := range map[string]struct {
		desired       int
		least, most   int32
		stops, starts int
	}{
		"one task, one more is started":           {1, 100, 200, 0, 1},
		"four tasks double":                       {4, 100, 200, 0, 4},
		"half may go, none may come":              {4, 50, 100, 2, 0},
		"half may go and four may come":           {4, 50, 200, 2, 4},
		"none needs to stay":                      {3, 0, 100, 3, 0},
		"percentages are rounded to the safe way": {3, 50, 150, 1, 1},
		"a quarter either way":                    {4, 75, 125, 1, 1},
		"neither way":                             {4, 100, 100, 0, 0},
		"not even one more":                       {1, 100, 150, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := steady(t, c.desired, 3)
			w.percent(c.least, c.most)
			w.deploy(2)
			wantPlan(t, w.plan(), c.stops, c.starts)
		})
	}
}

func TestPlan_RollsOneTaskOverWithoutAGap(t *testing.T) {
	w := steady(t, 1, 2)
	old := w.live()[0].ID
	w.deploy(2)
	wantPlan(t, w.plan(), 0, 1)
	w.obey()
	wantPlan(t, w.plan(), 0, 0) // RUNNING, but for too short a time
	w.pass(2 * time.Second)
	wantPlan(t, w.plan(), 1, 0)
	for _, x := range w.tasks {
		if x.ID == old && (x.StopCode != ecs.TaskStopCodeServiceSchedulerInitiated ||
			x.StoppedReason != "Scaling activity initiated by (deployment ecs-svc/3)" || x.Version != 1 || !x.OutcomeCounted) {
			t.Errorf("the old task is %+v", *x)
		}
	}
	if n := len(w.svc.Deployments); n != 2 {
		t.Errorf("%d deployments while the old task stops, want 2", n)
	}
	w.settle()
	w.checkSteady()
	wantEvents(t, w.takeEvents(),
		"(service web) has started 1 tasks: (task t0004).",
		"(service web) has stopped 1 running tasks: (task t0002).",
		"(service web) (deployment ecs-svc/3) deployment completed.",
		"(service web) has reached a steady state.")
}

func TestPlan_WaitsForTheHealthCheckBeforeItStopsOldTasks(t *testing.T) {
	w := steady(t, 1, 2)
	w.checked[def(2)] = true
	w.deploy(2)
	w.plan()
	next := w.live()[1].ID
	w.run(next)
	w.pass(time.Hour)
	wantPlan(t, w.plan(), 0, 0)
	w.health(next, ecs.HealthStatusHEALTHY)
	wantPlan(t, w.plan(), 1, 0)
}

func TestPlan_TellsOnceThatThePercentagesBlockADeployment(t *testing.T) {
	w := steady(t, 2, 2)
	w.percent(100, 100)
	w.deploy(2)
	w.plan()
	w.plan()
	wantEvents(t, w.takeEvents(), "(service web) was unable to stop or start tasks during a deployment because of the service deployment configuration. "+
		"Update the minimumHealthyPercent or maximumPercent value and try again.")
	w.percent(50, 100)
	w.settle()
	w.checkSteady()
}

func TestPlan_SuccessiveUpdatesEndAtTheNewest(t *testing.T) {
	w := steady(t, 3, 3)
	w.deploy(2)
	w.plan()
	w.obey()
	w.deploy(3)
	wantPlan(t, w.plan(), 3, 0) // those of the second, which do not serve yet
	w.obey()
	wantPlan(t, w.plan(), 0, 3)
	w.deploy(4)
	w.settle()
	w.checkSteady()
	if got := w.live()[0].Definition; got != def(4) {
		t.Errorf("runs %v", got)
	}
}

func TestPlan_UpdateStopsOldPendingTasksAtOnce(t *testing.T) {
	w := newWorld(t, 2, 2)
	w.plan()
	w.takeEvents()
	w.deploy(2)
	wantPlan(t, w.plan(), 2, 2)
	wantEvents(t, w.takeEvents(), "(service web) stopped 2 pending tasks.",
		"(service web) has started 2 tasks: (task t0005) (task t0006).")
}

func TestPlan_ReplacesAtOnceWhatRanAndEnded(t *testing.T) {
	w := steady(t, 2, 2)
	w.pass(time.Minute)
	for range 10 {
		w.end(w.live()[0].ID, ecs.TaskStopCodeEssentialContainerExited)
		wantPlan(t, w.plan(), 0, 1)
		w.obey()
		w.pass(3 * time.Second)
	}
	w.settle()
	if w.svc.FailedStarts != 0 || w.svc.Primary().FailedTasks != 0 {
		t.Errorf("service %+v", *w.svc)
	}
	if last := w.events[len(w.events)-1]; last != "(service web) has reached a steady state." {
		t.Errorf("the last event is %q", last)
	}
}

func TestPlan_ReplacesATaskThatAUserStopsWhileItStillStops(t *testing.T) {
	w := steady(t, 2, 2)
	w.set(w.live()[0].ID, func(x *model.Task) {
		x.DesiredStatus, x.StopCode = model.TaskStopped, ecs.TaskStopCodeUserInitiated
	})
	wantPlan(t, w.plan(), 0, 1)
	w.settle()
	w.checkSteady()
}

func TestPlan_AtMaximum100AReplacementWaitsForTheOldTaskToBeGone(t *testing.T) {
	w := steady(t, 1, 2)
	w.percent(0, 100)
	id := w.live()[0].ID
	w.set(id, func(x *model.Task) { x.DesiredStatus, x.StopCode = model.TaskStopped, ecs.TaskStopCodeUserInitiated })
	wantPlan(t, w.plan(), 0, 0)
	w.end(id, "")
	wantPlan(t, w.plan(), 0, 1)
}

func TestPlan_StopsAndReplacesUnhealthyTasks(t *testing.T) {
	w := newWorld(t, 2, 2)
	w.checked[def(1)] = true
	w.settle()
	w.takeEvents()
	w.health("t0002", ecs.HealthStatusUNHEALTHY)
	wantPlan(t, w.plan(), 0, 1)
	w.run("t0004")
	wantPlan(t, w.plan(), 0, 0) // it does not serve yet
	w.health("t0004", ecs.HealthStatusHEALTHY)
	wantPlan(t, w.plan(), 1, 0)
	if got := w.tasks[0].StoppedReason; got != "Task failed container health checks" {
		t.Errorf("stoppedReason %q", got)
	}
	w.settle()
	wantEvents(t, w.takeEvents(),
		"(service web) has started 1 tasks: (task t0004).",
		"(service web) (task t0002) failed container health checks.",
		"(service web) has stopped 1 running tasks: (task t0002).",
		"(service web) has reached a steady state.")
}

func TestPlan_IgnoresFailingHealthChecksInTheGracePeriod(t *testing.T) {
	w := newWorld(t, 1, 1)
	grace := int32(60)
	w.change(func(s *model.Service) { s.HealthCheckGracePeriod = &grace })
	w.checked[def(1)] = true
	w.plan()
	w.run("t0002")
	w.health("t0002", ecs.HealthStatusUNHEALTHY)
	out := w.plan()
	wantPlan(t, out, 0, 0)
	wantWake(t, out, epoch.Add(time.Minute))
	w.pass(time.Minute)
	wantPlan(t, w.plan(), 0, 1)
}

func TestPlan_ScaleInTakesFromTheFullestZoneAndInstanceTheNewest(t *testing.T) {
	for name, c := range map[string]struct {
		on    []model.InstanceID // where the tasks t0002, t0003, … are; i01 is the only one in its zone
		scale int32
		want  map[model.TaskID]bool
	}{
		"the fullest zone":     {[]model.InstanceID{"i00", "i02", "i01"}, 2, map[model.TaskID]bool{"t0002": true}},
		"the fullest instance": {[]model.InstanceID{"i00", "i02", "i02", "i01", "i01", "i01"}, 5, map[model.TaskID]bool{"t0004": true}},
		"the newest":           {[]model.InstanceID{"i01", "i01", "i01"}, 2, map[model.TaskID]bool{"t0004": true}},
		"evenly":               {[]model.InstanceID{"i00", "i00", "i01", "i01"}, 2, map[model.TaskID]bool{"t0003": true, "t0005": true}},
		"to nothing":           {[]model.InstanceID{"i00", "i01"}, 0, map[model.TaskID]bool{"t0002": true, "t0003": true}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, len(c.on), 3)
			for _, id := range c.on {
				w.pass(time.Second)
				w.add(id)
			}
			w.settle()
			w.scale(c.scale)
			out := w.plan()
			wantPlan(t, out, len(c.want), 0)
			for _, x := range out.Tasks {
				if !c.want[x.ID] {
					t.Errorf("%s on %s is stopped, want %v", x.ID, x.Instance, c.want)
				}
			}
		})
	}
}

func TestPlan_ScaleInTakesPendingTasksFirst(t *testing.T) {
	w := steady(t, 3, 1)
	w.scale(5)
	w.plan()
	w.takeEvents()
	w.scale(2)
	out := w.plan()
	wantPlan(t, out, 3, 0)
	wantEvents(t, w.takeEvents(), "(service web) has stopped 1 running tasks: (task t0002).", "(service web) stopped 2 pending tasks.")
	w.settle()
	w.checkSteady()
}

func TestPlan_ScaleInTakesAPendingTaskRatherThanANewerOneThatRuns(t *testing.T) {
	w := steady(t, 1, 1)
	w.percent(0, 200)
	w.scale(2)
	w.plan()
	w.pass(time.Second)
	w.scale(3)
	w.plan()
	w.run("t0004")
	w.pass(time.Minute)
	w.scale(2)
	out := w.plan()
	wantPlan(t, out, 1, 0)
	if out.Tasks[0].ID != "t0003" {
		t.Errorf("stops %s, want the pending t0003", out.Tasks[0].ID)
	}
}

func TestPlan_UpdateLeavesOldTasksAloneThatWillSoonBeHealthy(t *testing.T) {
	w := newWorld(t, 2, 2)
	w.plan()
	w.obey()
	w.deploy(2)
	wantPlan(t, w.plan(), 0, 2)
}

func TestPlan_MaximumPercentDoesNotKeepAServiceFromItsDesiredCount(t *testing.T) {
	w := newWorld(t, 4, 2)
	w.percent(0, 50)
	wantPlan(t, w.plan(), 0, 4)
}

func TestPlan_CountsTheEventsOfUnhealthyTasksInItsSize(t *testing.T) {
	w := newWorld(t, 6, 1)
	w.checked[def(1)] = true
	w.settle()
	for _, x := range w.live() {
		w.health(x.ID, ecs.HealthStatusUNHEALTHY)
	}
	w.percent(0, 100)
	w.settings.MaxChanges = 4
	wantPlan(t, w.plan(), 2, 0)
}

func TestPlan_DeletedServiceStopsAllAndThenIsInactive(t *testing.T) {
	w := steady(t, 3, 2)
	w.deploy(2)
	w.plan()
	w.silence("i00")
	w.pass(15 * time.Second)
	w.change(func(s *model.Service) { s.Status = model.StatusDraining })
	w.plan()
	if n := len(w.live()); n != 0 {
		t.Errorf("%d tasks go on", n)
	}
	w.obey()
	w.plan()
	if w.svc.Status != model.StatusInactive || w.svc.DesiredCount != 0 || len(w.svc.Deployments) != 1 {
		t.Errorf("service %+v", *w.svc)
	}
	out := Plan(w.input())
	if out.Service != w.svc || out.Start.Count != 0 || out.Tasks != nil || out.Events != nil {
		t.Errorf("an INACTIVE service is planned: %+v", out)
	}
}

func TestPlan_KeepsToItsSize(t *testing.T) {
	w := newWorld(t, 25, 3)
	w.settings.MaxChanges = 10
	for _, want := range []int{10, 10, 5, 0} {
		out := w.plan()
		wantPlan(t, out, 0, want)
		if more := out.WakeAt.Equal(w.now); more != (want == 10) {
			t.Errorf("wakes at %v after %d starts", out.WakeAt, want)
		}
	}
	w.settle()
	w.scale(0)
	wantPlan(t, w.plan(), 10, 0)
	w.settle()
	w.checkSteady()
}

func BenchmarkPlan(b *testing.B) {
	for name, n := range map[string]int{"1000 tasks": 1000, "10000 tasks": 10000} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, n, 100)
			for i := range n {
				w.run(w.add(model.InstanceID(w.open()[i%100])).ID)
			}
			w.pass(time.Minute)
			w.deploy(2)
			in := w.input()
			for b.Loop() {
				Plan(in)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/task")
		})
	}
}

// Tasks whose health checks never say anything count neither as serving nor as failed.
// They must not block what mends them.
func TestPlan_ReplacesAndScalesInTasksThatNeverGetHealthy(t *testing.T) {
	w := newWorld(t, 5, 3)
	w.checked[def(2)], w.mute[def(2)] = true, true
	w.deploy(2)
	w.plan()
	w.obey()
	w.pass(time.Hour)
	w.plan()
	w.scale(3)
	w.plan()
	w.obey()
	if n := len(w.live()); n != 3 {
		t.Fatalf("%d tasks after scaling in to 3", n)
	}
	w.deploy(3)
	w.settle()
	w.checkSteady()
}
