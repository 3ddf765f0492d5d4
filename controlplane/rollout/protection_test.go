package rollout

import (
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

// unable is the event of a deployment that protected tasks keep too large.
func unable(deployment string) string {
	return "(service web) was unable to reach steady state because task set (" + deployment + ") was unable to scale in. " +
		"Reason: The number of protected tasks are more than the desired count of tasks."
}

func wantLive(t *testing.T, w *world, want ...model.TaskID) {
	t.Helper()
	live := map[model.TaskID]bool{}
	for _, x := range w.live() {
		live[x.ID] = true
	}
	for _, id := range want {
		if !live[id] {
			t.Errorf("task %s is to stop; it should stay", id)
		}
	}
	if len(live) != len(want) {
		t.Errorf("%d tasks stay, want %d", len(live), len(want))
	}
}

func TestPlan_ScaleInTakesTheTasksThatAreNotProtected(t *testing.T) {
	w := steady(t, 3, 3)
	protected := w.live()[1].ID
	w.protect(protected, time.Hour)
	w.scale(1)
	wantPlan(t, w.plan(), 2, 0)
	wantLive(t, w, protected)
	w.obey()
	w.plan()
	w.checkSteady()
}

func TestPlan_ScaleInWaitsForProtectionToEnd(t *testing.T) {
	w := steady(t, 3, 3)
	ids := w.live()
	for _, x := range ids[:2] {
		w.protect(x.ID, time.Hour)
	}
	end := w.now.Add(time.Hour)
	w.scale(0)
	wantPlan(t, w.plan(), 1, 0)
	wantLive(t, w, ids[0].ID, ids[1].ID)
	w.obey()
	w.takeEvents()
	out := w.plan()
	wantPlan(t, out, 0, 0)
	wantWake(t, out, end)
	wantEvents(t, w.takeEvents(), unable("ecs-svc/1"))
	w.plan()
	wantEvents(t, w.takeEvents())
	w.now = end
	wantPlan(t, w.plan(), 2, 0)
	w.settle()
	w.checkSteady()
}

func TestPlan_DeploymentKeepsProtectedTasksBesideTheNewOnes(t *testing.T) {
	w := steady(t, 2, 2)
	protected := w.live()[0].ID
	w.protect(protected, time.Hour)
	w.deploy(2)
	for range 8 {
		w.plan()
		w.obey()
		w.pass(2 * time.Second)
	}
	if n := len(w.live()); n != 3 {
		t.Errorf("%d tasks, want the protected one and 2 new ones", n)
	}
	if s := w.svc.Primary().RolloutState; s != ecs.DeploymentRolloutStateINPROGRESS {
		t.Errorf("the deployment is %s while a task of the old one is there", s)
	}
	events := w.takeEvents()
	if last := events[len(events)-1]; last != unable("ecs-svc/1") {
		t.Errorf("the last event is %q", last)
	}
	w.protect(protected, 0)
	wantPlan(t, w.plan(), 1, 0)
	w.settle()
	w.checkSteady()
}

func TestPlan_BlamesThePercentagesIfTheyLeaveNoRoomBesideProtectedTasks(t *testing.T) {
	w := steady(t, 2, 2)
	w.percent(0, 100)
	for _, x := range w.live() {
		w.protect(x.ID, time.Hour)
	}
	w.deploy(2)
	wantPlan(t, w.plan(), 0, 0)
	wantEvents(t, w.takeEvents(), blocked("web"))
}

func TestPlan_ProtectionDoesNotHold(t *testing.T) {
	for name, happens := range map[string]func(*world, *model.Task){
		"against failing health checks": func(w *world, x *model.Task) {
			w.health(x.ID, ecs.HealthStatusUNHEALTHY)
			w.plan() // starts another one
			w.run(w.live()[1].ID)
			w.pass(time.Minute)
		},
		"on an instance that drains":  func(w *world, x *model.Task) { w.percent(0, 100); w.drain(x.Instance) },
		"when the service is deleted": func(w *world, _ *model.Task) { w.change(func(s *model.Service) { s.Status = model.StatusDraining }) },
		"once it has ended":           func(w *world, _ *model.Task) { w.scale(0); w.pass(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			w := steady(t, 1, 2)
			x := w.live()[0]
			w.protect(x.ID, time.Hour)
			happens(w, x)
			if n := stopsOf(w.plan()); n != 1 {
				t.Errorf("the plan stops %d, want 1", n)
			}
		})
	}
}

func TestPlan_OfTwoDaemonTasksOnAnInstanceTheProtectedOneStays(t *testing.T) {
	w := newWorld(t, 0, 1)
	w.change(func(s *model.Service) { s.SchedulingStrategy = ecs.SchedulingStrategyDAEMON })
	w.percent(0, 100)
	w.settle()
	older := w.live()[0]
	twin := *older
	twin.ID, twin.CreatedAt = "twin", w.now
	w.tasks = append(w.tasks, &twin)
	w.protect("twin", time.Hour)
	wantPlan(t, w.plan(), 1, 0)
	wantLive(t, w, "twin")
}
