package rollout

import (
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

func TestPlan_EmptiesADrainingInstanceWithinThePercentages(t *testing.T) {
	w := steady(t, 2, 2)
	w.scale(3)
	w.plan() // one PENDING task, on i00
	w.takeEvents()
	w.drain("i00")
	wantPlan(t, w.plan(), 1, 2)
	wantEvents(t, w.takeEvents(), "(service web) stopped 1 pending tasks.",
		"(service web) has started 2 tasks: (task t0005) (task t0006).")
	w.obey()
	wantPlan(t, w.plan(), 0, 0)
	w.pass(2 * time.Second)
	wantPlan(t, w.plan(), 1, 0)
	w.settle()
	w.checkSteady()
	if n := w.on("i00"); n != 0 {
		t.Errorf("%d tasks stay on the draining instance", n)
	}
}

func TestPlan_ADrainingInstanceKeepsItsTasksWhileTheyHaveNowhereToGo(t *testing.T) {
	w := steady(t, 2, 1)
	w.drain("i00")
	for range 3 {
		wantPlan(t, w.plan(), 0, 2)
		w.obey()
	}
	if n := len(w.live()); n != 2 {
		t.Errorf("%d tasks go on, want 2", n)
	}
	w.percent(50, 200)
	wantPlan(t, w.plan(), 1, 2)
}

func TestPlan_ReplacesTheTasksOfAHostThatIsSilentForTooLong(t *testing.T) {
	w := steady(t, 2, 2)
	w.silence("i00")
	out := w.plan()
	wantPlan(t, out, 0, 0)
	wantWake(t, out, w.now.Add(15*time.Second))
	w.pass(15 * time.Second)
	out = w.plan()
	wantPlan(t, out, 0, 1)
	if !w.tasks[0].Lost || w.tasks[0].DesiredStatus != model.TaskRunning {
		t.Errorf("the task on the silent host is %+v", *w.tasks[0])
	}
	w.settle()
	w.takeEvents()

	w.recover("i00")
	out = w.plan()
	wantPlan(t, out, 1, 0)
	wantEvents(t, w.takeEvents(), "(service web) has stopped 1 running tasks: (task t0002).")
	w.settle()
	if len(w.live()) != 2 {
		t.Errorf("%d tasks go on, want 2", len(w.live()))
	}
}

func TestPlan_AHostThatReturnsInTimeKeepsItsTask(t *testing.T) {
	for name, replaced := range map[string]bool{"before the limit": false, "before the replacement runs": true} {
		t.Run(name, func(t *testing.T) {
			w := steady(t, 2, 2)
			w.silence("i00")
			w.pass(14 * time.Second)
			w.plan()
			if replaced {
				w.pass(time.Second)
				wantPlan(t, w.plan(), 0, 1)
			}
			w.recover("i00")
			w.plan()
			w.settle()
			w.checkSteady()
			if x := w.tasks[0]; x.LastStatus != model.TaskRunning || x.Lost {
				t.Errorf("the task on the returned host is %+v", *x)
			}
		})
	}
}

func TestPlan_ADeploymentCompletesWithoutTheTasksOfALostHost(t *testing.T) {
	w := steady(t, 2, 2)
	w.silence("i00")
	w.pass(time.Minute)
	w.deploy(2)
	w.settle()
	if d := w.svc.Deployments; len(d) != 1 || d[0].RolloutState != ecs.DeploymentRolloutStateCOMPLETED {
		t.Errorf("deployments %+v", d)
	}
	w.recover("i00")
	wantPlan(t, w.plan(), 1, 0)
	w.settle()
	w.checkSteady()
}

func TestPlan_TasksOfAnInstanceThatIsGoneAreReplaced(t *testing.T) {
	w := steady(t, 2, 2)
	delete(w.instances, "i00")
	wantPlan(t, w.plan(), 0, 1)
}

func daemon(t *testing.T, instances int) *world {
	t.Helper()
	w := newWorld(t, 0, instances)
	w.change(func(s *model.Service) { s.SchedulingStrategy = ecs.SchedulingStrategyDAEMON })
	w.percent(0, 100)
	w.settle()
	w.checkSteady()
	w.takeEvents()
	return w
}

func TestPlan_DaemonRunsOneTaskOnEachInstance(t *testing.T) {
	w := daemon(t, 3)
	if w.svc.DesiredCount != 3 {
		t.Errorf("desiredCount %d, want 3", w.svc.DesiredCount)
	}
	id := w.addInstance(3)
	out := w.plan()
	wantPlan(t, out, 0, 1)
	if len(out.Start.Instances) != 1 || out.Start.Instances[0] != id {
		t.Errorf("starts %+v, want one on %s", out.Start, id)
	}
	w.settle()
	w.checkSteady()
}

func TestPlan_DaemonUpdateStopsTheOldTaskOfAnInstanceBeforeItStartsTheNew(t *testing.T) {
	w := daemon(t, 3)
	w.deploy(2)
	wantPlan(t, w.plan(), 3, 0)
	w.end(w.tasks[0].ID, "")
	out := w.plan()
	wantPlan(t, out, 0, 1)
	if out.Start.Instances[0] != w.tasks[0].Instance {
		t.Errorf("starts %+v", out.Start)
	}
	w.settle()
	w.checkSteady()
}

func TestPlan_DaemonUpdateKeepsMinimumHealthyPercent(t *testing.T) {
	w := daemon(t, 4)
	w.percent(50, 100)
	w.deploy(2)
	wantPlan(t, w.plan(), 2, 0)
	w.settle()
	w.checkSteady()
}

func TestPlan_DaemonLeavesDrainingAndUnfitInstances(t *testing.T) {
	w := daemon(t, 3)
	w.drain("i00")
	wantPlan(t, w.plan(), 1, 0)
	w.settle()
	in := w.input()
	in.Eligible = []model.InstanceID{"i01"} // i02 no longer meets a constraint
	wantPlan(t, Plan(in), 1, 0)
}

func TestPlan_DaemonTaskOnASilentHostStaysWhenItReturns(t *testing.T) {
	w := daemon(t, 2)
	w.silence("i00")
	wantPlan(t, w.plan(), 0, 0)
	if w.svc.DesiredCount != 2 {
		t.Errorf("desiredCount %d while one host is silent for a moment, want 2", w.svc.DesiredCount)
	}
	w.pass(time.Minute)
	wantPlan(t, w.plan(), 0, 0)
	if w.svc.DesiredCount != 1 {
		t.Errorf("desiredCount %d without the lost host, want 1", w.svc.DesiredCount)
	}
	w.recover("i00")
	wantPlan(t, w.plan(), 0, 0)
	w.settle()
	w.checkSteady()
}

func TestPlan_DaemonStopsASecondTaskOnAnInstance(t *testing.T) {
	w := daemon(t, 1)
	x := w.add("i00")
	w.run(x.ID)
	w.pass(time.Minute)
	wantPlan(t, w.plan(), 1, 0)
	if w.tasks[1].DesiredStatus != model.TaskStopped {
		t.Error("the older task was stopped rather than the newer")
	}
}
