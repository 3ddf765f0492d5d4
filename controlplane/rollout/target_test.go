package rollout

import (
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

// A deployment waits until its tasks are healthy targets; those that are not once the grace
// period is over are replaced, and count for the circuit breaker.
func TestPlan_HeedsTheHealthOfTargets(t *testing.T) {
	w := newWorld(t, 1, 2)
	grace := int32(60)
	w.change(func(s *model.Service) { s.HealthCheckGracePeriod = &grace })
	state := Target{}
	plan := func() Output {
		in := w.input()
		in.Target = func(*model.Task) (Target, bool) { return state, true }
		out := Plan(in)
		w.svc = out.Service
		for _, x := range out.Tasks {
			w.set(x.ID, func(have *model.Task) { *have = *x })
		}
		if out.Start.Count > 0 {
			w.place(out.Start)
		}
		return out
	}
	plan()
	w.obey()
	w.pass(10 * time.Second)
	if plan(); w.svc.Primary().RolloutState != ecs.DeploymentRolloutStateINPROGRESS {
		t.Fatal("completed before the target is healthy")
	}
	state = Target{Health: TargetUnhealthy, Group: "web", Port: 80, Reason: "Health checks failed"}
	started := w.tasks[0].StartedAt
	if out := plan(); len(out.Tasks) > 0 || !out.WakeAt.Equal(started.Add(time.Minute)) {
		t.Fatalf("within the grace period %d tasks change, and the next look is at %v", len(out.Tasks), out.WakeAt)
	}
	state.Health = TargetHealthy
	if plan(); w.svc.Primary().RolloutState != ecs.DeploymentRolloutStateCOMPLETED {
		t.Fatal("not completed with a healthy target")
	}
	state.Health = TargetUnhealthy
	w.pass(time.Minute)
	out := plan()
	if len(out.Tasks) != 1 || out.Tasks[0].StoppedReason != "Task failed ELB health checks in (target-group web)" || out.Service.Primary().FailedTasks != 1 {
		t.Fatalf("an unhealthy target gives %+v", out)
	}
	if want := "(service web) (task " + string(out.Tasks[0].ID) + ") (port 80) is unhealthy in (target-group web) due to (reason Health checks failed)"; out.Events[0] != want {
		t.Errorf("event %q, want %q", out.Events[0], want)
	}
}
