package rollout

import (
	"fmt"
	"slices"
	"testing"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

// BenchmarkPlan_ByState plans once for services of several sizes: at rest, in the middle of a
// rollout, and before there is anything; the first time, and when 100 tasks have changed since the last.
func BenchmarkPlan_ByState(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		for _, kind := range []ecs.SchedulingStrategy{ecs.SchedulingStrategyREPLICA, ecs.SchedulingStrategyDAEMON} {
			hosts := n
			if kind == ecs.SchedulingStrategyREPLICA {
				hosts = n / 10
			}
			for _, state := range []string{"empty", "steady", "rollout"} {
				in := benchInput(b, kind, n, hosts, state)
				b.Run(fmt.Sprintf("%s/tasks=%d/%s/first", kind, n, state), func(b *testing.B) {
					for b.Loop() {
						Plan(in)
					}
				})
				b.Run(fmt.Sprintf("%s/tasks=%d/%s/later", kind, n, state), func(b *testing.B) {
					in := in
					in.Roster = NewRoster(slices.Values(in.Tasks))
					for b.Loop() {
						for _, t := range in.Tasks[:min(len(in.Tasks), 100)] {
							in.Roster.Note(t)
						}
						Plan(in)
					}
				})
			}
		}
	}
}

// benchInput is what a plan is made from for a service of n tasks.
func benchInput(b *testing.B, kind ecs.SchedulingStrategy, n, hosts int, state string) Input {
	w := newWorld(b, n, hosts)
	w.svc.SchedulingStrategy = kind
	if kind == ecs.SchedulingStrategyDAEMON {
		w.percent(0, 100)
	}
	ids := w.open()
	if state != "empty" {
		for i := range n {
			w.tasks = append(w.tasks, &model.Task{
				ID: model.TaskID(fmt.Sprintf("%032x", i*7919)), Cluster: "c", Instance: ids[i%hosts], Service: "web",
				Deployment: w.svc.Primary().ID, Definition: def(1), DesiredStatus: model.TaskRunning, LastStatus: model.TaskRunning,
				CreatedAt: epoch, StartedAt: epoch, HealthStatus: ecs.HealthStatusUNKNOWN,
			})
		}
		w.now = epoch.Add(w.settings.HealthyAfter)
	}
	if state == "rollout" {
		w.deploy(2)
		for i := range w.tasks[:n/2] {
			w.tasks[i].Deployment, w.tasks[i].Definition = w.svc.Primary().ID, def(2)
		}
	}
	return w.input()
}
