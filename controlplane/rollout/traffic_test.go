package rollout

import (
	"slices"
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

const groupA = model.TargetGroupARN("arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/a/0123456789abcdef")

// balancedTask is a RUNNING task that was registered with a group.
func balancedTask(id model.TaskID, s *model.Service, health model.TargetHealth) *model.Task {
	return &model.Task{
		ID: id, Cluster: s.Cluster, Instance: "i00", Service: s.Name, Deployment: s.Primary().ID, Definition: def(1),
		DesiredStatus: model.TaskRunning, LastStatus: model.TaskRunning, CreatedAt: epoch, StartedAt: epoch, RegisteredAt: epoch, Version: 1,
		Targets: []model.Target{{Group: groupA, Container: "main", ContainerPort: 80, Health: health, Description: "Request timed out"}},
	}
}

// planOf plans a service with one instance and these tasks, an hour after it began.
func planOf(t *testing.T, desired int, change func(*Input), tasks ...func(*model.Service) *model.Task) Output {
	t.Helper()
	w := newWorld(t, desired, 1)
	w.now = epoch.Add(time.Hour)
	in := w.input()
	in.Drain = func(model.TargetGroupARN) time.Duration { return 30 * time.Second }
	for _, task := range tasks {
		in.Tasks = append(in.Tasks, task(w.svc))
	}
	if change != nil {
		change(&in)
	}
	return Plan(in)
}

func only(t *testing.T, out Output) *model.Task {
	t.Helper()
	if len(out.Tasks) != 1 {
		t.Fatalf("%d tasks change, want 1: %+v", len(out.Tasks), out)
	}
	return out.Tasks[0]
}

func TestPlan_BringsActivatingTasksIntoService(t *testing.T) {
	out := planOf(t, 1, nil, func(s *model.Service) *model.Task {
		task := balancedTask("t1", s, model.TargetInitial)
		task.LastStatus, task.StartedAt = model.TaskActivating, time.Time{}
		return task
	})
	if task := only(t, out); task.LastStatus != model.TaskRunning || task.StartedAt.IsZero() || task.Version != 2 {
		t.Errorf("%+v", task)
	}
	if want := "(service web) registered 1 targets in (target-group " + string(groupA) + ")"; !slices.Contains(out.Events, want) {
		t.Errorf("events %q, want %q", out.Events, want)
	}
}

func TestPlan_DrainsATaskBeforeItMayStop(t *testing.T) {
	out := planOf(t, 0, nil, func(s *model.Service) *model.Task { return balancedTask("t1", s, model.TargetHealthy) })
	task := only(t, out)
	if task.LastStatus != model.TaskDeactivating || task.MayStop() || !task.InTraffic() || !out.WakeAt.Equal(epoch.Add(time.Hour+30*time.Second)) {
		t.Errorf("stopped: %s, may stop %t, wake at %s", task.LastStatus, task.MayStop(), out.WakeAt)
	}
	if want := "(service web) deregistered 1 targets in (target-group " + string(groupA) + ")"; !slices.Contains(out.Events, want) {
		t.Errorf("events %q, want %q", out.Events, want)
	}
	for _, c := range []struct {
		after   time.Duration
		changes int
	}{{29 * time.Second, 0}, {30 * time.Second, 1}} {
		out := planOf(t, 0, func(in *Input) { in.Now = in.Now.Add(c.after) }, func(*model.Service) *model.Task { return task })
		if len(out.Tasks) != c.changes || c.changes == 1 && !out.Tasks[0].MayStop() {
			t.Errorf("after %s: %+v", c.after, out.Tasks)
		}
	}
}

func TestPlan_DoesNotDrainOnAHostThatIsSilent(t *testing.T) {
	out := planOf(t, 0, func(in *Input) {
		i, _ := in.Instance("i00")
		silent := *i
		silent.SilentSince = epoch
		in.Instance = func(model.InstanceID) (*model.Instance, bool) { return &silent, true }
	}, func(s *model.Service) *model.Task {
		task := balancedTask("t1", s, model.TargetHealthy)
		task.DesiredStatus, task.OutcomeCounted, task.Lost = model.TaskStopped, true, true
		return task
	})
	if task := only(t, out); !task.MayStop() {
		t.Errorf("%+v", task)
	}
}

func TestPlan_ReplacesATaskWhoseTargetFailsAfterTheGracePeriod(t *testing.T) {
	failing := func(s *model.Service) *model.Task { return balancedTask("t1", s, model.TargetUnhealthy) }
	grace := int32(7200)
	out := planOf(t, 1, func(in *Input) {
		s := *in.Service
		s.HealthCheckGracePeriod = &grace
		in.Service = &s
	}, failing)
	if len(out.Tasks) != 0 || !out.WakeAt.Equal(epoch.Add(2*time.Hour)) {
		t.Errorf("within the grace period: %+v, wake at %s", out.Tasks, out.WakeAt)
	}
	if out = planOf(t, 1, nil, failing); len(out.Tasks) != 0 || out.Start.Count != 1 {
		t.Errorf("%d tasks change and %d start; want none before the one that starts serves", len(out.Tasks), out.Start.Count)
	}
	out = planOf(t, 1, nil, failing, func(s *model.Service) *model.Task { return balancedTask("t2", s, model.TargetHealthy) })
	task := only(t, out)
	if task.DesiredStatus != model.TaskStopped || task.StopCode != ecs.TaskStopCodeServiceSchedulerInitiated ||
		task.StoppedReason != "Task failed ELB health checks in (target-group "+string(groupA)+")" || task.MayStop() {
		t.Errorf("%+v", task)
	}
	if out.Start.Count != 0 || out.Service.Primary().FailedTasks != 1 {
		t.Errorf("%d are started, %d have failed; want 0 and 1", out.Start.Count, out.Service.Primary().FailedTasks)
	}
}

func TestPlan_IsNotSettledBeforeTargetsAreHealthy(t *testing.T) {
	for health, want := range map[model.TargetHealth]ecs.DeploymentRolloutState{
		model.TargetInitial: ecs.DeploymentRolloutStateINPROGRESS, model.TargetHealthy: ecs.DeploymentRolloutStateCOMPLETED,
	} {
		out := planOf(t, 1, nil, func(s *model.Service) *model.Task { return balancedTask("t1", s, health) })
		if got := out.Service.Primary().RolloutState; got != want {
			t.Errorf("with a target %q: %s, want %s", health, got, want)
		}
	}
}

func TestPlan_TellsThatTargetsOfCrashedTasksAreGone(t *testing.T) {
	out := planOf(t, 1, nil, func(s *model.Service) *model.Task {
		task := balancedTask("t1", s, model.TargetHealthy)
		task.LastStatus, task.DesiredStatus, task.StoppedAt = model.TaskStopped, model.TaskStopped, epoch.Add(time.Minute)
		task.StopCode = ecs.TaskStopCodeEssentialContainerExited
		return task
	})
	if want := "(service web) deregistered 1 targets in (target-group " + string(groupA) + ")"; !slices.Contains(out.Events, want) || out.Start.Count != 1 {
		t.Errorf("events %q, want %q; %d started", out.Events, want, out.Start.Count)
	}
}
