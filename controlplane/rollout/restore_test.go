package rollout

import (
	"slices"
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

// failing is a service of four tasks of which all have begun to fail their health checks.
func failingService(t *testing.T, least, most int32) *world {
	w := newWorld(t, 4, 2)
	w.checked[def(1)] = true
	w.percent(least, most)
	w.settle()
	for _, x := range w.live() {
		w.health(x.ID, ecs.HealthStatusUNHEALTHY)
	}
	return w
}

func TestPlan_UnhealthyTasksStayUntilOthersServe(t *testing.T) {
	w := failingService(t, 100, 200)
	wantPlan(t, w.plan(), 0, 4)
	for n, x := range w.live()[4:] {
		w.run(x.ID)
		w.health(x.ID, ecs.HealthStatusHEALTHY)
		wantPlan(t, w.plan(), 1, 0)
		if n := len(w.live()) - 7 + n; n != 0 {
			t.Errorf("%d tasks too many are to go on", n)
		}
	}
}

func TestPlan_WhereSuccessorsFailAsWellTheOldestGoFirst(t *testing.T) {
	w := failingService(t, 100, 200)
	first := w.live()
	w.plan()
	w.pass(time.Minute)
	for _, x := range w.live()[4:] {
		w.run(x.ID)
		w.health(x.ID, ecs.HealthStatusUNHEALTHY)
	}
	out := w.plan()
	wantPlan(t, out, 4, 0)
	for _, x := range out.Tasks {
		if !slices.ContainsFunc(first, func(o *model.Task) bool { return o.ID == x.ID }) {
			t.Errorf("%s is stopped, which came later", x.ID)
		}
	}
}

func TestPlan_UnhealthyTasksThatRecoverAreKept(t *testing.T) {
	w := failingService(t, 100, 200)
	w.plan()
	w.settle() // all are well again
	if n := len(w.live()); n != 4 {
		t.Errorf("%d tasks in the end", n)
	}
}

func TestPlan_UnhealthyTasksMakeRoomAsFarAsThePercentagesAllow(t *testing.T) {
	for _, c := range []struct {
		least, most int32
		stops       int
	}{{100, 100, 1}, {75, 100, 1}, {50, 100, 2}, {0, 100, 4}} {
		w := failingService(t, c.least, c.most)
		wantPlan(t, w.plan(), c.stops, 0)
		wantPlan(t, w.plan(), 0, 0) // they have not ended
		w.obeyStops()
		wantPlan(t, w.plan(), 0, c.stops)
		wantPlan(t, w.plan(), 0, 0) // their successors do not serve
	}
}

// obeyStops ends the tasks that are to stop.
func (w *world) obeyStops() {
	for _, x := range w.tasks {
		if x.DesiredStatus == model.TaskStopped && x.LastStatus != model.TaskStopped {
			w.end(x.ID, ecs.TaskStopCodeEssentialContainerExited)
		}
	}
}

// stuck is a service of four tasks whose update does not get on: its tasks stay PENDING.
func stuck(t *testing.T) *world {
	w := steady(t, 4, 2)
	w.checked[def(1)] = true
	for _, x := range w.live() {
		w.health(x.ID, ecs.HealthStatusHEALTHY)
	}
	w.deploy(2)
	wantPlan(t, w.plan(), 0, 4)
	return w
}

func TestPlan_WhatAnUpdateIsToReplaceIsReplacedByItsLike(t *testing.T) {
	for name, happens := range map[string]func(*world, *model.Task){
		"a task that crashes":      func(w *world, x *model.Task) { w.end(x.ID, ecs.TaskStopCodeEssentialContainerExited) },
		"a task that a user stops": func(w *world, x *model.Task) { w.end(x.ID, ecs.TaskStopCodeUserInitiated) },
		"a task whose host is gone": func(w *world, x *model.Task) {
			w.instance(x.Instance, func(i *model.Instance) { i.Status = model.StatusInactive })
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := stuck(t)
			happens(w, w.live()[0])
			if out := w.plan(); out.Restore.Count == 0 || out.Restore.Deployment != "ecs-svc/1" {
				t.Errorf("%d of %q are started, want some of ecs-svc/1", out.Restore.Count, out.Restore.Deployment)
			}
			if out := w.plan(); stopsOf(out) != 0 || out.StartsAny() {
				t.Errorf("what is on its way is not left alone: %+v", out)
			}
			serving := 0
			for _, x := range w.live() {
				if x.Definition == def(1) && !w.away(x) {
					serving++
				}
			}
			if serving != 4 {
				t.Errorf("%d old tasks, want 4", serving)
			}
		})
	}
}

func TestPlan_ALargerDesiredCountGoesForWhatServesToo(t *testing.T) {
	w := stuck(t)
	w.scale(8)
	out := w.plan()
	wantPlan(t, out, 0, 4)
	if out.Restore.Count != 4 {
		t.Errorf("%d old tasks are started, want 4", out.Restore.Count)
	}
	out = w.plan()
	wantPlan(t, out, 0, 0)
	if out.Restore.Count != 0 {
		t.Errorf("%d more old tasks are started", out.Restore.Count)
	}
}

func TestPlan_AllOldTasksMayCrashAtOnce(t *testing.T) {
	w := stuck(t)
	for _, x := range w.live() {
		if x.Definition == def(1) {
			w.end(x.ID, ecs.TaskStopCodeEssentialContainerExited)
		}
	}
	if out := w.plan(); out.Restore.Count != 4 {
		t.Errorf("%d old tasks are started, want 4", out.Restore.Count)
	}
	w.settle()
	w.checkSteady()
}

func TestPlan_OldTasksThatFailToStartAreSlowed(t *testing.T) {
	w := stuck(t)
	w.end(w.live()[0].ID, ecs.TaskStopCodeUserInitiated)
	for range 10 {
		out := w.plan()
		if out.Restore.Count == 0 {
			if !out.WakeAt.After(w.now) {
				t.Fatalf("it is not looked at again: %+v", out)
			}
			if w.svc.FailedStarts != 0 || w.svc.Primary().FailedTasks != 0 {
				t.Errorf("the new deployment is blamed: %+v", *w.svc)
			}
			w.now = out.WakeAt
			if w.plan().Restore.Count != 1 {
				t.Error("none is started after the pause")
			}
			return
		}
		live := w.live()
		w.end(live[len(live)-1].ID, ecs.TaskStopCodeTaskFailedToStart)
	}
	t.Error("it is never slowed")
}

// failed is a service of four tasks whose update has failed and was not rolled back.
func failed(t *testing.T) *world {
	w := stuck(t)
	w.breaker(false)
	for w.svc.Primary().RolloutState != ecs.DeploymentRolloutStateFAILED {
		for _, x := range w.live() {
			if x.Definition == def(2) {
				w.end(x.ID, ecs.TaskStopCodeTaskFailedToStart)
			}
		}
		if out := w.plan(); out.WakeAt.After(w.now) {
			w.now = out.WakeAt
		}
	}
	w.plan()
	if w.ofRevision(1) != 4 || w.ofRevision(2) != 0 {
		t.Fatalf("%d old and %d new tasks", w.ofRevision(1), w.ofRevision(2))
	}
	return w
}

func TestPlan_AfterAFailureWhatServesIsKeptUp(t *testing.T) {
	for name, happens := range map[string]func(*world){
		"when a task ends":         func(w *world) { w.end(w.live()[0].ID, ecs.TaskStopCodeUserInitiated) },
		"when a task is unhealthy": func(w *world) { w.health(w.live()[0].ID, ecs.HealthStatusUNHEALTHY) },
		"when an instance drains":  func(w *world) { w.drain(w.live()[0].Instance) },
		"when more are asked for":  func(w *world) { w.scale(6) },
		"when fewer are asked for": func(w *world) { w.scale(2) },
		"when the last one has gone": func(w *world) {
			for _, x := range w.live() {
				w.end(x.ID, ecs.TaskStopCodeEssentialContainerExited)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := failed(t)
			happens(w)
			for range 12 {
				out := w.plan()
				if out.Start.Count != 0 {
					t.Fatalf("%d tasks of the failed deployment are started", out.Start.Count)
				}
				w.obey()
				w.pass(2 * time.Second)
			}
			if n := w.ofRevision(1); n != int(w.svc.DesiredCount) || w.ofRevision(2) != 0 {
				t.Errorf("%d old and %d new tasks, want %d and 0", n, w.ofRevision(2), w.svc.DesiredCount)
			}
			for _, x := range w.live() {
				if w.instances[x.Instance].Status != model.StatusActive {
					t.Errorf("%s is still on %s", x.ID, x.Instance)
				}
			}
		})
	}
}

func TestPlan_TasksThatFindNoPlaceOpenTheBreaker(t *testing.T) {
	w := steady(t, 4, 2)
	w.breaker(true)
	w.capacity = 2
	w.deploy(2)
	w.plan()
	if w.svc.LastPlacement == "" {
		t.Fatal("there was a place")
	}
	began := w.now
	for range 20 {
		out := w.plan()
		if w.svc.Primary().Definition == def(1) {
			if after := w.now.Sub(began); after != 3*unplacedEvery {
				t.Errorf("rolled back after %s, want %s", after, 3*unplacedEvery)
			}
			return
		}
		if !out.WakeAt.After(w.now) {
			t.Fatalf("it is not looked at again: %+v", out)
		}
		w.now = out.WakeAt
	}
	t.Errorf("it is never rolled back: %+v", *w.svc.Primary())
}

func TestPlan_WaitingForRoomIsNoFailure(t *testing.T) {
	w := steady(t, 4, 2)
	w.breaker(true)
	w.percent(50, 200)
	w.capacity = 2
	w.deploy(2)
	w.plan() // two are stopped
	w.pass(time.Hour)
	for range 3 {
		w.plan()
		w.pass(time.Hour) // and take their time
	}
	if n := w.svc.Primary().FailedTasks; n != 0 {
		t.Errorf("%d failures while tasks end", n)
	}
	w.settle()
	w.checkSteady()
}
