package rollout

import (
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

// failAll lets every task that has not run fail to start, a moment later.
func (w *world) failAll() {
	w.pass(time.Millisecond)
	for _, x := range w.live() {
		if x.LastStatus.Starting() {
			w.end(x.ID, ecs.TaskStopCodeTaskFailedToStart)
		}
	}
}

func TestPlan_SlowsAServiceWhoseTasksFailToStart(t *testing.T) {
	w := newWorld(t, 4, 2)
	pauses := []time.Duration{0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900}
	for round, pause := range pauses {
		pause *= time.Second
		wantPlan(t, w.plan(), 0, 4)
		if pause == 0 {
			w.failAll()
			continue
		}
		w.pass(time.Millisecond)
		paused := w.now.Add(pause)
		for _, x := range w.live() { // one by one: still one round
			w.end(x.ID, ecs.TaskStopCodeTaskFailedToStart)
			out := w.plan()
			wantPlan(t, out, 0, 0)
			wantWake(t, out, paused)
			w.pass(time.Millisecond)
		}
		if t.Failed() {
			t.Fatalf("in round %d, with a pause of %v", round+1, pause)
		}
		w.now = paused
	}
	told := 0
	for _, e := range w.takeEvents() {
		if e == "(service web) is unable to consistently start tasks successfully." {
			told++
		}
	}
	if told != 1 {
		t.Errorf("told %d times that tasks fail to start, want once", told)
	}
	if got := w.svc.Primary().FailedTasks; got != int32(4*len(pauses)) {
		t.Errorf("failedTasks %d, want %d", got, 4*len(pauses))
	}
	w.settle()
	w.checkSteady()
}

func TestRenewed_EndsThePauseOfASlowedService(t *testing.T) {
	w := newWorld(t, 1, 1)
	for range 5 {
		w.plan()
		w.failAll()
	}
	w.plan()
	if !w.now.Before(w.svc.PauseUntil) {
		t.Fatal("the service is not slowed")
	}
	w.change(func(*model.Service) {})
	wantPlan(t, w.plan(), 0, 1)
}

func TestPlan_OneHealthyTaskDoesNotLiftThePauseOfTheOthers(t *testing.T) {
	w := newWorld(t, 2, 2)
	w.plan()
	w.run("t0002")
	w.pass(time.Minute)
	for range 6 {
		w.failAll()
		w.plan()
		if w.now.Before(w.svc.PauseUntil) {
			w.now = w.svc.PauseUntil
			w.plan()
		}
	}
	if w.svc.FailedStarts != 6 {
		t.Errorf("%d failed rounds, want 6", w.svc.FailedStarts)
	}
	if got := w.svc.Primary().FailedTasks; got != 0 {
		t.Errorf("failedTasks %d of a deployment with a healthy task, want 0", got)
	}
}

func TestPlan_WhatCountsAsAFailureToStart(t *testing.T) {
	never := time.Duration(-1)
	for name, c := range map[string]struct {
		ran   time.Duration
		code  ecs.TaskStopCode
		fails int32
	}{
		"never ran, failed to start":            {never, ecs.TaskStopCodeTaskFailedToStart, 1},
		"never ran, essential container exited": {never, ecs.TaskStopCodeEssentialContainerExited, 1},
		"never ran, without a code":             {never, "", 1},
		"never ran, stopped by a user":          {never, ecs.TaskStopCodeUserInitiated, 0},
		"never ran, stopped by the scheduler":   {never, ecs.TaskStopCodeServiceSchedulerInitiated, 0},
		"never ran, host gone":                  {never, ecs.TaskStopCodeTerminationNotice, 0},
		"exited at once":                        {time.Second, ecs.TaskStopCodeEssentialContainerExited, 1},
		"stopped by a user at once":             {time.Second, ecs.TaskStopCodeUserInitiated, 0},
		"exited after a while":                  {2 * time.Second, ecs.TaskStopCodeEssentialContainerExited, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1, 1)
			w.plan()
			if c.ran != never {
				w.run("t0002")
				w.pass(c.ran)
			}
			w.end("t0002", c.code)
			wantPlan(t, w.plan(), 0, 1)
			w.plan()
			if got := w.svc.Primary().FailedTasks; got != c.fails || w.svc.FailedStarts != c.fails {
				t.Errorf("failedTasks %d, failed rounds %d, want %d", got, w.svc.FailedStarts, c.fails)
			}
			if !w.tasks[0].OutcomeCounted {
				t.Error("the task is not marked as counted")
			}
		})
	}
}

func TestPlan_FailuresOfOlderDeploymentsDoNotCount(t *testing.T) {
	w := newWorld(t, 1, 1)
	w.plan()
	w.deploy(2)
	w.failAll()
	w.plan()
	if w.svc.FailedStarts != 0 || w.svc.Primary().FailedTasks != 0 {
		t.Errorf("service %+v", *w.svc)
	}
}

func TestPlan_ATaskThatRanLetsFailuresCountAnew(t *testing.T) {
	w := newWorld(t, 1, 1)
	w.breaker(false)
	for range 5 {
		for range 2 {
			w.plan()
			w.failAll()
		}
		w.plan()
		w.obey()
		w.pass(time.Minute)
		w.end(w.live()[0].ID, ecs.TaskStopCodeEssentialContainerExited) // no plan saw it RUNNING
	}
	w.plan()
	if d := w.svc.Primary(); d.FailedTasks != 0 || d.RolloutState != ecs.DeploymentRolloutStateINPROGRESS {
		t.Errorf("deployment %+v", *d)
	}
}

// failDeployment makes the tasks of the PRIMARY deployment fail until its
// circuit breaker has fired.
func (w *world) failDeployment() {
	w.t.Helper()
	id := w.svc.Primary().ID
	for range 20 {
		w.plan()
		if d := w.svc.Primary(); d.ID != id || d.RolloutState == ecs.DeploymentRolloutStateFAILED {
			return
		}
		w.failAll()
		if w.now.Before(w.svc.PauseUntil) {
			w.now = w.svc.PauseUntil
		}
	}
	w.t.Fatalf("the deployment does not fail: %+v", *w.svc)
}

func TestPlan_FailedDeploymentStartsNothingAndLeavesTheOldTasks(t *testing.T) {
	w := steady(t, 2, 2)
	w.breaker(false)
	w.deploy(2)
	w.failDeployment()
	events := w.takeEvents()
	if last := events[len(events)-1]; last != "(service web) (deployment ecs-svc/4) deployment failed: tasks failed to start." {
		t.Errorf("the last event is %q", last)
	}
	if d := w.svc.Primary(); d.RolloutStateReason != "ECS deployment circuit breaker: tasks failed to start." {
		t.Errorf("deployment %+v", *d)
	}
	for range 3 {
		w.pass(time.Hour)
		wantPlan(t, w.plan(), 0, 0)
	}
	live := w.live()
	if len(live) != 2 || live[0].Definition != def(1) {
		t.Errorf("%d tasks go on, want the 2 old ones", len(live))
	}
	w.scale(1)
	wantPlan(t, w.plan(), 1, 0)
	w.deploy(3)
	w.settle()
	w.checkSteady()
}

func TestPlan_RollsAFailedDeploymentBack(t *testing.T) {
	w := steady(t, 1, 2)
	w.breaker(true)
	w.deploy(2)
	w.failDeployment()
	primary := *w.svc.Primary()
	if primary.Definition != def(1) || primary.RolloutState != ecs.DeploymentRolloutStateINPROGRESS ||
		primary.RolloutStateReason != "ECS deployment circuit breaker: rolling back to deploymentId "+string(primary.ID)+"." {
		t.Errorf("deployment %+v", primary)
	}
	failed := w.svc.Deployments[1]
	if failed.RolloutState != ecs.DeploymentRolloutStateFAILED || failed.Status != model.DeploymentActive || failed.FailedTasks != 3 {
		t.Errorf("the failed deployment is %+v", failed)
	}
	w.takeEvents()
	w.settle()
	w.checkSteady()
	if w.svc.Primary().ID != primary.ID {
		t.Errorf("the deployment at the end is %+v", *w.svc.Primary())
	}
}

// A deployment may differ from the one before in where it takes capacity from alone.
func TestPlan_RollsBackToTheFormerCapacityProviders(t *testing.T) {
	w := steady(t, 1, 2)
	w.breaker(true)
	before := *w.svc.Primary()
	w.change(func(s *model.Service) {
		s.LaunchType, s.CapacityProviderStrategy = "", []ecs.CapacityProviderStrategyItem{{CapacityProvider: "p", Weight: 1}}
	})
	next := Deploy(*w.svc, w.nextDeployment(), def(1), w.now)
	w.svc = &next
	if d := w.svc.Primary(); len(d.CapacityProviderStrategy) != 1 || d.LaunchType != "" {
		t.Fatalf("deployment %+v", d)
	}
	w.failDeployment()
	if d := w.svc.Primary(); d.Definition != before.Definition || d.LaunchType != before.LaunchType || len(d.CapacityProviderStrategy) != 0 ||
		d.RolloutState != ecs.DeploymentRolloutStateINPROGRESS {
		t.Errorf("deployment %+v, want one like %+v", d, before)
	}
	if w.svc.LaunchType != before.LaunchType || len(w.svc.CapacityProviderStrategy) != 0 {
		t.Errorf("the service has %q and %v", w.svc.LaunchType, w.svc.CapacityProviderStrategy)
	}
}

func TestPlan_EventsOfARollback(t *testing.T) {
	w := steady(t, 1, 2)
	w.breaker(true)
	w.deploy(2)
	w.failDeployment()
	w.settle()
	wantEvents(t, w.takeEvents(),
		"(service web) has started 1 tasks: (task t0004).",
		"(service web) has started 1 tasks: (task t0005).",
		"(service web) has started 1 tasks: (task t0006).",
		"(service web) is unable to consistently start tasks successfully.",
		"(service web) (deployment ecs-svc/3) deployment failed: tasks failed to start.",
		"(service web) rolling back to deployment ecs-svc/7.",
		"(service web) has started 1 tasks: (task t0008).",
		"(service web) has stopped 1 running tasks: (task t0002).",
		"(service web) (deployment ecs-svc/7) deployment completed.",
		"(service web) has reached a steady state.")
}

func TestPlan_DoesNotRollBackToTheDefinitionThatFailed(t *testing.T) {
	w := steady(t, 1, 2)
	w.breaker(true)
	w.deploy(2)
	w.failDeployment()
	w.failDeployment() // of the rollback itself
	if d := w.svc.Primary(); d.Definition != def(1) || d.RolloutState != ecs.DeploymentRolloutStateFAILED {
		t.Errorf("deployment %+v", *d)
	}
	wantPlan(t, w.plan(), 0, 0)
}

func TestPlan_FirstDeploymentHasNothingToRollBackTo(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.breaker(true)
	w.failDeployment()
	if d := w.svc.Deployments; len(d) != 1 || d[0].RolloutState != ecs.DeploymentRolloutStateFAILED {
		t.Errorf("deployments %+v", d)
	}
	w.pass(time.Hour)
	out := w.plan()
	wantPlan(t, out, 0, 0)
	wantWake(t, out, time.Time{})
}

func TestPlan_ScaleInOfAFailedDeploymentKeepsTheOldTasks(t *testing.T) {
	w := steady(t, 4, 2)
	w.breaker(false)
	w.percent(50, 200)
	w.checked[def(2)] = true
	w.deploy(2)
	w.plan() // two old tasks go, four new ones come
	for _, x := range w.live()[3:] {
		w.run(x.ID)
	}
	w.failDeployment()
	w.scale(2)
	w.plan()
	live := w.live()
	if len(live) != 2 || live[0].Definition != def(1) || live[1].Definition != def(1) {
		t.Errorf("%d tasks go on, want the 2 old ones", len(live))
	}
	w.percent(0, 200)
	wantPlan(t, w.plan(), 0, 0)
}

func TestPlan_ATaskIsCountedOnceThoughItIsGivenAgain(t *testing.T) {
	w := newWorld(t, 1, 1)
	w.plan()
	w.failAll()
	w.plan()
	if d := w.svc.Primary(); d.FailedTasks != 1 || !d.UpdatedAt.Equal(w.now) {
		t.Errorf("deployment %+v", *d)
	}
	in := w.input()
	in.Tasks = w.tasks
	if out := Plan(in); out.Service.Primary().FailedTasks != 1 {
		t.Errorf("failedTasks %d, want 1", out.Service.Primary().FailedTasks)
	}
}

func TestPlan_ATaskThatRanWithoutEverBeingHealthyClearsNoFailures(t *testing.T) {
	w := newWorld(t, 1, 1)
	w.checked[def(1)] = true
	w.plan()
	w.failAll()
	w.plan()
	w.run(w.live()[0].ID)
	w.pass(time.Minute)
	w.end(w.live()[0].ID, ecs.TaskStopCodeEssentialContainerExited)
	w.plan()
	if w.svc.FailedStarts != 0 || w.svc.Primary().FailedTasks != 1 {
		t.Errorf("failed rounds %d, failedTasks %d, want 0 and 1", w.svc.FailedStarts, w.svc.Primary().FailedTasks)
	}
}

func TestPlan_ASteadyServiceRemembersNoFailures(t *testing.T) {
	w := newWorld(t, 2, 1)
	w.plan()
	w.set("t0002", func(x *model.Task) { x.LastStatus = model.TaskStopping }) // of itself
	wantPlan(t, w.plan(), 0, 1)
	w.pass(time.Millisecond)
	w.end("t0002", ecs.TaskStopCodeTaskFailedToStart)
	w.plan()
	if w.svc.FailedStarts != 1 {
		t.Errorf("%d failed rounds, want 1", w.svc.FailedStarts)
	}
	w.settle()
	w.checkSteady()
}

func TestPlan_FailedHealthChecksEndADeployment(t *testing.T) {
	w := steady(t, 1, 2)
	w.breaker(false)
	w.checked[def(2)] = true
	w.deploy(2)
	for range 3 {
		w.plan()
		for _, x := range w.live() {
			if x.Definition == def(2) {
				w.run(x.ID)
				w.health(x.ID, ecs.HealthStatusUNHEALTHY)
			}
		}
		w.plan()
		for _, x := range w.tasks {
			if x.DesiredStatus == model.TaskStopped && x.LastStatus != model.TaskStopped {
				w.end(x.ID, "")
			}
		}
	}
	w.plan()
	if d := w.svc.Primary(); d.FailedTasks != 3 || d.RolloutState != ecs.DeploymentRolloutStateFAILED {
		t.Errorf("deployment %+v", *d)
	}
	if w.svc.FailedStarts != 0 {
		t.Errorf("tasks that ran slow the service: %d", w.svc.FailedStarts)
	}
}

func TestPlan_FailuresAfterCompletionDoNotEndADeployment(t *testing.T) {
	w := steady(t, 1, 1)
	w.breaker(true)
	w.end("t0002", ecs.TaskStopCodeEssentialContainerExited)
	for range 8 {
		w.plan()
		w.failAll()
		if w.now.Before(w.svc.PauseUntil) {
			w.now = w.svc.PauseUntil
		}
	}
	w.plan()
	if d := w.svc.Primary(); d.RolloutState != ecs.DeploymentRolloutStateCOMPLETED || d.FailedTasks < leastFailures {
		t.Errorf("deployment %+v", *d)
	}
}

func TestThreshold_IsHalfOfTheDesiredCountWithinBounds(t *testing.T) {
	for desired, want := range map[int]int{0: 3, 1: 3, 6: 3, 7: 4, 25: 13, 399: 200, 400: 200, 1000: 200} {
		if got := threshold(nil, desired); got != want {
			t.Errorf("threshold(%d) = %d, want %d", desired, got, want)
		}
	}
}

// What a rollback goes back to is all of the last deployment, not its definition alone.
func TestPlan_RollsBackToTheWiringOfTheLastDeployment(t *testing.T) {
	w := newWorld(t, 1, 1)
	w.breaker(true)
	balanced := []ecs.LoadBalancer{{TargetGroupArn: "old"}}
	w.change(func(s *model.Service) { s.LoadBalancers = balanced })
	w.deploy(1)
	w.settle()
	w.change(func(s *model.Service) { s.LoadBalancers = []ecs.LoadBalancer{{TargetGroupArn: "new"}} })
	w.deploy(1)
	for range 10 {
		w.plan()
		for _, x := range w.live() {
			if x.Deployment == w.svc.Primary().ID && x.LastStatus.Starting() {
				w.end(x.ID, ecs.TaskStopCodeTaskFailedToStart)
			}
		}
		if w.svc.LoadBalancers[0].TargetGroupArn == "old" {
			break
		}
		w.pass(time.Second)
	}
	if got := w.svc.LoadBalancers; got[0].TargetGroupArn != "old" || w.svc.Primary().LoadBalancers[0].TargetGroupArn != "old" {
		t.Errorf("got %+v in %+v", got, *w.svc.Primary())
	}
}
