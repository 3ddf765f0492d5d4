package rollout

import (
	"slices"
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
	"pgregory.net/rapid"
)

// TestPlan_KeepsItsLimitsAndConvergesInAnyWorld lets everything go wrong at
// random moments; world checks every plan. Then the world heals, and the service
// must come to what was asked for.
func TestPlan_KeepsItsLimitsAndConvergesInAnyWorld(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, rapid.IntRange(0, 7).Draw(t, "desired"), rapid.IntRange(1, 5).Draw(t, "instances"))
		w.settings.MaxChanges = rapid.SampledFrom([]int{1, 3, 100}).Draw(t, "changes")
		w.further = rapid.Bool().Draw(t, "further steps")
		w.settings.HealthyAfter = rapid.SampledFrom([]time.Duration{0, 2 * time.Second}).Draw(t, "healthyAfter")
		w.capacity = rapid.IntRange(1, 12).Draw(t, "capacity")
		w.checked[def(2)], w.checked[def(3)] = true, true
		w.mute[def(3)] = rapid.Bool().Draw(t, "mute")
		if rapid.Bool().Draw(t, "daemon") {
			w.change(func(s *model.Service) { s.SchedulingStrategy = ecs.SchedulingStrategyDAEMON })
			w.percent(0, 100)
		} else {
			w.drawPercent(t)
		}
		if rapid.Bool().Draw(t, "breaker") {
			w.breaker(rapid.Bool().Draw(t, "rollback"))
		}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			w.disturb(t)
			if rapid.IntRange(0, 2).Draw(t, "plan") > 0 {
				w.plan()
			}
		}
		w.heal()
		w.settle()
		w.checkSteady()
	})
}

func (w *world) drawPercent(t *rapid.T) {
	p := rapid.SampledFrom([][2]int32{{100, 200}, {100, 150}, {50, 100}, {50, 200}, {0, 100}, {0, 200}, {75, 125}, {100, 100}}).Draw(t, "percent")
	w.percent(p[0], p[1])
}

// disturb does one thing that may happen at any moment.
func (w *world) disturb(t *rapid.T) {
	switch rapid.SampledFrom([]string{"task", "task", "task", "task", "obey", "instance", "time", "time", "service"}).Draw(t, "what") {
	case "task":
		w.disturbTask(t)
	case "obey":
		w.obey()
	case "instance":
		w.disturbInstance(t)
	case "time":
		w.pass(time.Duration(rapid.IntRange(1, 20_000).Draw(t, "ms")) * time.Millisecond)
	case "service":
		switch rapid.IntRange(0, 3).Draw(t, "change") {
		case 0:
			w.deploy(rapid.Int32Range(1, 4).Draw(t, "revision"))
		case 1:
			if rapid.Bool().Draw(t, "again") {
				w.deploy(w.svc.Primary().Definition.Revision) // forceNewDeployment
			} else if w.svc.SchedulingStrategy == ecs.SchedulingStrategyREPLICA {
				w.drawPercent(t)
			}
		default:
			w.scale(rapid.Int32Range(0, 7).Draw(t, "desired"))
		}
	}
}

func (w *world) disturbTask(t *rapid.T) {
	var there []*model.Task
	for _, x := range w.tasks {
		if x.LastStatus != model.TaskStopped {
			there = append(there, x)
		}
	}
	if len(there) == 0 {
		return
	}
	x := rapid.SampledFrom(there).Draw(t, "task")
	switch rapid.SampledFrom([]string{"run", "run", "exit", "sick", "well", "user", "stopping", "protect"}).Draw(t, "does") {
	case "run":
		if x.LastStatus.Starting() {
			w.run(x.ID)
		}
	case "exit":
		w.end(x.ID, ecs.TaskStopCodeEssentialContainerExited)
	case "sick", "well":
		if x.LastStatus == model.TaskRunning && w.checked[x.Definition] {
			w.health(x.ID, rapid.SampledFrom([]ecs.HealthStatus{ecs.HealthStatusHEALTHY, ecs.HealthStatusUNHEALTHY}).Draw(t, "health"))
		}
	case "user":
		w.set(x.ID, func(x *model.Task) {
			if x.DesiredStatus != model.TaskStopped {
				x.DesiredStatus, x.StopCode = model.TaskStopped, ecs.TaskStopCodeUserInitiated
			}
		})
	case "protect":
		w.protect(x.ID, time.Duration(rapid.IntRange(0, 2880).Draw(t, "minutes"))*time.Minute)
	case "stopping":
		w.set(x.ID, func(x *model.Task) { x.LastStatus = model.TaskStopping })
	}
}

func (w *world) disturbInstance(t *rapid.T) {
	ids := make([]model.InstanceID, 0, len(w.instances))
	for id := range w.instances {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	id := rapid.SampledFrom(ids).Draw(t, "instance")
	switch rapid.IntRange(0, 3).Draw(t, "happens") {
	case 0:
		w.drain(id)
	case 1:
		if w.instances[id].AgentConnected {
			w.silence(id)
		}
	default:
		w.recover(id)
	}
}

// heal ends all that keeps a service from its goal for good: too few hosts, a
// failed deployment, and percentages that leave no room.
func (w *world) heal() {
	w.capacity = 1000
	for id := range w.instances {
		w.recover(id)
	}
	for _, x := range w.tasks {
		if x.LastStatus == model.TaskStopping {
			w.end(x.ID, ecs.TaskStopCodeEssentialContainerExited)
		}
		if x.HealthStatus == ecs.HealthStatusUNHEALTHY && x.LastStatus == model.TaskRunning {
			w.health(x.ID, ecs.HealthStatusHEALTHY)
		}
	}
	if w.svc.SchedulingStrategy == ecs.SchedulingStrategyREPLICA {
		w.percent(100, 200)
	}
	// What has already failed may still end the deployment, and then the one that
	// takes its place is not to be blamed for it.
	for w.plan().WakeAt.Equal(w.now) {
	}
	if d := w.svc.Primary(); d.RolloutState == ecs.DeploymentRolloutStateFAILED || w.mute[d.Definition] {
		w.deploy(4)
	}
}

func (w *world) checkSteady() {
	w.t.Helper()
	want := int(w.svc.DesiredCount)
	if w.svc.SchedulingStrategy == ecs.SchedulingStrategyDAEMON {
		want = len(w.instances)
	}
	live, used := w.live(), map[model.InstanceID]bool{}
	for _, x := range live {
		if !w.serves(x) || x.Deployment != w.svc.Primary().ID || x.Lost {
			w.t.Fatalf("at rest with task %+v of deployment %+v", *x, *w.svc.Primary())
		}
		used[x.Instance] = true
	}
	if len(live) != want {
		w.t.Fatalf("at rest with %d tasks, want %d, of service %+v", len(live), want, *w.svc)
	}
	if w.svc.SchedulingStrategy == ecs.SchedulingStrategyDAEMON && len(used) != want {
		w.t.Fatalf("at rest with tasks on %d instances of %d", len(used), want)
	}
	if d := w.svc.Deployments; len(d) != 1 || d[0].RolloutState != ecs.DeploymentRolloutStateCOMPLETED || int(d[0].DesiredCount) != want {
		w.t.Fatalf("at rest with deployments %+v", d)
	}
	if s := w.svc; !s.SteadyReported || s.FailedStarts != 0 || !s.PauseUntil.IsZero() || s.LastPlacement != "" {
		w.t.Fatalf("at rest with service %+v", *s)
	}
	if last := w.events; len(last) > 0 && last[len(last)-1] != "(service web) has reached a steady state." {
		w.t.Fatalf("the last event at rest is %q", last[len(last)-1])
	}
}

// TestPlan_BreakerFiresExactlyAtTheThreshold reports failures in groups, some of
// them to plans that are thrown away, and counts for itself.
func TestPlan_BreakerFiresExactlyAtTheThreshold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		desired := rapid.IntRange(1, 450).Draw(t, "desired")
		w := newWorld(t, desired, 3)
		w.settings.MaxChanges = 1000
		w.breaker(false)
		want := min(max((desired+1)/2, 3), 200)
		failures := 0
		for failures < want {
			w.plan()
			if at := w.svc.PauseUntil; at.After(w.now) {
				w.now = at
				w.plan()
			}
			live := w.live()
			n := rapid.IntRange(1, min(len(live), want-failures)).Draw(t, "group")
			for _, x := range live[:n] {
				w.end(x.ID, ecs.TaskStopCodeTaskFailedToStart)
			}
			for range rapid.IntRange(0, 2).Draw(t, "lost plans") {
				Plan(w.input())
			}
			w.plan()
			failures += n
			d := w.svc.Primary()
			if int(d.FailedTasks) != failures {
				t.Fatalf("%d failures are counted, %d happened", d.FailedTasks, failures)
			}
			if failed := d.RolloutState == ecs.DeploymentRolloutStateFAILED; failed != (failures >= want) {
				t.Fatalf("failed is %v after %d failures of %d", failed, failures, want)
			}
		}
		for range 3 {
			if out := w.plan(); out.Start.Count != 0 || len(out.Tasks) != 0 || len(out.Events) != 0 {
				t.Fatalf("a failed deployment goes on: %+v", out)
			}
		}
	})
}

// TestSpread_TakesFromTheFullest compares the order with one chosen by looking
// at every candidate again for every task taken away.
func TestSpread_TakesFromTheFullest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, 0, 6)
		var all, candidates []*member
		for range rapid.IntRange(0, 25).Draw(t, "tasks") {
			w.pass(time.Duration(rapid.IntRange(0, 1).Draw(t, "pause")) * time.Second)
			x := w.add(rapid.SampledFrom(w.open()).Draw(t, "on"))
			m := &member{task: x, standing: healthy, zone: zone(w.instances[x.Instance])}
			all = append(all, m)
			if rapid.Bool().Draw(t, "candidate") {
				candidates = append(candidates, m)
			}
		}
		zones, instances := map[string]int{}, map[model.InstanceID]int{}
		for _, m := range all {
			zones[m.zone]++
			instances[m.task.Instance]++
		}
		left := slices.Clone(candidates)
		for got := range countSpread(all).order(candidates) {
			for _, m := range left {
				z, n := zones[m.zone]-zones[got.zone], instances[m.task.Instance]-instances[got.task.Instance]
				if z > 0 || m.zone == got.zone && (n > 0 || m.task.Instance == got.task.Instance && m.task.CreatedAt.After(got.task.CreatedAt)) {
					t.Fatalf("%s of %s was taken rather than %s of %s", got.task.ID, got.task.Instance, m.task.ID, m.task.Instance)
				}
			}
			zones[got.zone]--
			instances[got.task.Instance]--
			left = slices.DeleteFunc(left, func(m *member) bool { return m == got })
		}
		if len(left) != 0 {
			t.Fatalf("%d candidates were left out", len(left))
		}
	})
}
