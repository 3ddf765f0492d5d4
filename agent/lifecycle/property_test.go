package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/runtime"
	"github.com/longshore/longshore/proto/ecs"
)

// world is a task, an engine that can do anything an engine does, and the
// control plane's memory of what it was told. It checks the rules at each step.
type world struct {
	t     *rapid.T
	input lifecycle.Input
	task  lifecycle.Task
	state lifecycle.State
	now   time.Time

	engine  map[string]*runtime.Container // by id
	volumes bool
	serial  int
	flying  []lifecycle.Action
	starts  map[string]int // by unit
	excused map[string]bool
	over    map[string]bool // containers that this agent has reported as STOPPED
	told    lifecycle.Status
	done    bool
	calm    bool // the engine does as it is told
}

func newWorld(t *rapid.T) *world {
	w := &world{t: t, now: time.Unix(1000, 0), engine: map[string]*runtime.Container{}, starts: map[string]int{}, excused: map[string]bool{}}
	w.input = lifecycle.Input{
		ARN: "arn:aws:ecs:r:1:task/c/1", Cluster: "c", Instance: "i", CleanupWait: time.Hour,
		Definition: drawDefinition(t), Subnets: []string{"subnet-default"}, Host: testHost,
	}
	w.restart()
	return w
}

func drawDefinition(t *rapid.T) *ecs.TaskDefinition {
	d := &ecs.TaskDefinition{Family: "f", Revision: 1, Volumes: []ecs.Volume{{Name: "data"}}}
	d.NetworkMode = rapid.SampledFrom([]ecs.NetworkMode{"", ecs.NetworkModeAwsvpc}).Draw(t, "network mode")
	d.PidMode = rapid.SampledFrom([]ecs.PidMode{"", ecs.PidModeTask}).Draw(t, "PID mode")
	d.Memory = rapid.SampledFrom([]string{"", "512"}).Draw(t, "memory")
	conditions := []ecs.ContainerCondition{
		ecs.ContainerConditionSTART, ecs.ContainerConditionCOMPLETE, ecs.ContainerConditionSUCCESS, ecs.ContainerConditionHEALTHY,
	}
	for i := range rapid.IntRange(1, 4).Draw(t, "containers") {
		essential := i == 0 || rapid.Bool().Draw(t, "essential")
		c := ecs.ContainerDefinition{Name: fmt.Sprint("c", i), Image: "image", Essential: &essential}
		if rapid.Bool().Draw(t, "volume") {
			c.MountPoints = []ecs.MountPoint{{SourceVolume: "data", ContainerPath: "/data"}}
		}
		if rapid.Bool().Draw(t, "secret") {
			c.Secrets = []ecs.Secret{{Name: "S", ValueFrom: "s"}}
		}
		if rapid.IntRange(0, 2).Draw(t, "restarts") == 0 {
			yes, period := true, int32(60)
			c.RestartPolicy = &ecs.ContainerRestartPolicy{Enabled: &yes, IgnoredExitCodes: []int32{0}, RestartAttemptPeriod: &period}
		}
		if rapid.Bool().Draw(t, "start timeout") {
			limit := int32(30)
			c.StartTimeout = &limit
		}
		if i > 0 { // upon earlier ones only, so that there is no circle
			on := fmt.Sprint("c", rapid.IntRange(0, i-1).Draw(t, "on"))
			switch rapid.IntRange(0, 3).Draw(t, "edge") {
			case 0:
				c.Links = []string{on}
			case 1:
				c.VolumesFrom = []ecs.VolumeFrom{{SourceContainer: on}}
			case 2:
				c.DependsOn = []ecs.ContainerDependency{{ContainerName: on, Condition: rapid.SampledFrom(conditions).Draw(t, "condition")}}
			}
		}
		d.ContainerDefinitions = append(d.ContainerDefinitions, c)
	}
	return d
}

// restart forgets everything but what the engine and the control plane know,
// as a new agent would. Actions that were under way may have happened.
func (w *world) restart() {
	stop := w.task.Stop
	for _, a := range w.flying {
		if rapid.Bool().Draw(w.t, "happened before the restart") {
			w.perform(a)
		}
	}
	w.flying, w.over = nil, map[string]bool{}
	task, err := lifecycle.Compile(w.input)
	if err != nil {
		w.t.Fatalf("Compile: %v", err)
	}
	task.Stop = stop
	w.task = task
	w.state = lifecycle.NewState(task, w.told, w.list(), w.now)
	w.step()
}

func (w *world) list() []runtime.Container {
	var all []runtime.Container
	for _, id := range slices.Sorted(maps.Keys(w.engine)) {
		all = append(all, *w.engine[id])
	}
	return all
}

// step asks for a plan, checks it and begins its actions.
func (w *world) step() {
	if w.done {
		return
	}
	plan := lifecycle.Next(w.task, w.state, w.now)
	if plan.Status < w.state.Status || plan.Status < w.told {
		w.t.Fatalf("status went back from %v (told %v) to %v", w.state.Status, w.told, plan.Status)
	}
	if old := w.state.Verdict; old != (lifecycle.Verdict{}) && plan.Verdict != old {
		w.t.Fatalf("verdict changed from %v to %v", old, plan.Verdict)
	}
	w.state.Commit(plan)
	w.told = plan.Status
	w.checkReport()
	w.done = plan.Done
	for _, a := range plan.Actions {
		w.checkAction(a)
		w.state.Begin(a, w.now)
		if a.Op != lifecycle.Cancel {
			w.flying = append(w.flying, a)
		}
	}
	if again := lifecycle.Next(w.task, w.state, w.now); len(again.Actions) > 0 {
		w.t.Fatalf("the same state plans more: %v", again.Actions)
	}
}

// checkReport checks that what is said of a container is final once it has stopped:
// a container that is restarted goes on running to everybody else.
func (w *world) checkReport() {
	for i, c := range lifecycle.Report(w.task, w.state).Containers {
		name := w.task.Units[i].Name
		if w.over[name] && c.Status != "STOPPED" {
			w.t.Fatalf("%s was reported as STOPPED and is %s", name, c.Status)
		}
		if c.ExitCode != nil && c.Status != "STOPPED" {
			w.t.Fatalf("%s is %s and has the exit code %d", name, c.Status, *c.ExitCode)
		}
		w.over[name] = c.Status == "STOPPED"
	}
}

func (w *world) checkAction(a lifecycle.Action) {
	for _, other := range w.flying {
		if a.Unit == other.Unit && a.Op != lifecycle.Cancel {
			w.t.Fatalf("%v planned while %v is under way on unit %d", a.Op, other.Op, a.Unit)
		}
	}
	if a.Unit < 0 {
		return
	}
	ending := w.task.Stop || w.state.Verdict != lifecycle.Verdict{} || w.state.Status >= lifecycle.Stopping
	c := w.state.Containers[a.Unit]
	switch a.Op {
	case lifecycle.Pull, lifecycle.Create, lifecycle.Start, lifecycle.RestartContainer:
		if ending {
			w.t.Fatalf("%v of a task that ends", a.Op)
		}
		if a.Op != lifecycle.Start && w.task.Units[a.Unit].Unresolved() && !w.state.ValuesReady {
			w.t.Fatalf("%v before the secrets are known", a.Op)
		}
		if spec := w.state.SpecOf(w.task, a.Unit); a.Op == lifecycle.Create && w.task.Units[a.Unit].Unresolved() && !slices.Contains(spec.Env, "S=value") {
			w.t.Fatalf("creation without the secret: %v", spec.Env)
		}
	case lifecycle.Remove:
		if w.state.Status != lifecycle.Stopped || !w.task.Released {
			w.t.Fatalf("removal before the control plane knows")
		}
	}
	if a.Op == lifecycle.Start {
		w.checkStart(a.Unit, c)
	}
	if a.Op == lifecycle.Stop && c.Fault == "" {
		for _, d := range w.task.Units[a.Unit].Before {
			if other := w.find(d); other != nil && other.State == runtime.Running {
				w.t.Fatalf("%d is stopped before %d, which depends on it", a.Unit, d)
			}
		}
	}
}

func (w *world) checkStart(unit int, c lifecycle.Container) {
	if c.Phase != lifecycle.Created || c.Fault != "" {
		w.t.Fatalf("start of a container in phase %v with fault %q", c.Phase, c.Fault)
	}
	for _, d := range w.task.Units[unit].After {
		on := w.state.Containers[d.Unit]
		if on.StartedAt.IsZero() {
			w.t.Fatalf("%d is started before %d, on which it depends", unit, d.Unit)
		}
		if d.Condition == ecs.ContainerConditionSUCCESS && (on.ExitCode == nil || *on.ExitCode != 0) {
			w.t.Fatalf("%d is started before %d succeeded", unit, d.Unit)
		}
		if d.Condition == ecs.ContainerConditionCOMPLETE && on.ExitCode == nil {
			w.t.Fatalf("%d is started before %d has ended", unit, d.Unit)
		}
		if d.Condition == ecs.ContainerConditionHEALTHY && (on.Health != "healthy" || on.Phase != lifecycle.Started) {
			w.t.Fatalf("%d is started while %d is %q", unit, d.Unit, on.Health)
		}
	}
}

func (w *world) find(unit int) *runtime.Container {
	for _, c := range w.engine {
		if c.Labels[lifecycle.LabelContainer] == w.task.Units[unit].Name {
			return c
		}
	}
	return nil
}

// perform does on the engine what an action asks for.
func (w *world) perform(a lifecycle.Action) lifecycle.Result {
	if a.Op == lifecycle.Resolve {
		r := lifecycle.Result{Values: make([]*lifecycle.Values, len(w.task.Units))}
		for i := range w.task.Units {
			if w.task.Units[i].Unresolved() {
				r.Values[i] = &lifecycle.Values{Secrets: map[string]string{"S": "value"}}
			}
		}
		return r
	}
	if a.Unit == lifecycle.NoUnit {
		w.volumes = a.Op == lifecycle.CreateVolumes
		return lifecycle.Result{}
	}
	c := w.find(a.Unit)
	missing := lifecycle.Result{Err: runtime.ErrNotFound}
	switch a.Op {
	case lifecycle.Pull:
		return lifecycle.Result{Digest: "sha256:1"}
	case lifecycle.Create:
		if c == nil {
			w.serial++
			c = &runtime.Container{ID: fmt.Sprint("id", w.serial), Labels: w.task.Units[a.Unit].Spec.Labels}
			w.engine[c.ID] = c
		}
		return lifecycle.Result{RuntimeID: c.ID}
	case lifecycle.Start:
		if c == nil {
			return missing
		}
		if c.State == runtime.Created {
			c.State, c.StartedAt = runtime.Running, w.now
			name := c.Labels[lifecycle.LabelContainer]
			if w.starts[name]++; w.starts[name] > 1 && !w.excused[name] {
				w.t.Fatalf("%s was started twice", name)
			}
		}
	case lifecycle.RestartContainer:
		if c == nil {
			return missing
		}
		if c.State == runtime.Exited && c.StartedAt.Equal(a.Began) {
			w.restartContainer(a.Unit, c)
		}
	case lifecycle.Stop:
		if c != nil && c.State == runtime.Running {
			w.exit(c, 143)
		}
	case lifecycle.Remove:
		if c != nil {
			delete(w.engine, c.ID)
		}
		return lifecycle.Result{}
	}
	if c == nil {
		return missing
	}
	seen := *c
	return lifecycle.Result{Container: &seen}
}

// restartContainer starts a container once more, if that is right.
func (w *world) restartContainer(unit int, c *runtime.Container) {
	policy := w.input.Definition.ContainerDefinitions[unit].RestartPolicy
	if ran := c.FinishedAt.Sub(c.StartedAt); policy == nil || c.ExitCode == 0 || ran < time.Minute {
		w.t.Fatalf("%s is restarted after %v and exit code %d", c.Labels[lifecycle.LabelContainer], ran, c.ExitCode)
	}
	c.State, c.StartedAt, c.FinishedAt, c.ExitCode, c.Health = runtime.Running, w.now, time.Time{}, 0, ""
}

func (w *world) exit(c *runtime.Container, code int) {
	c.State, c.ExitCode, c.FinishedAt = runtime.Exited, code, w.now
}

// finish ends one of the actions under way, in one of the ways that they end.
func (w *world) finish(t *rapid.T) {
	if len(w.flying) == 0 {
		return
	}
	i := rapid.IntRange(0, len(w.flying)-1).Draw(t, "which")
	a := w.flying[i]
	w.flying = slices.Delete(w.flying, i, i+1)
	r := w.outcome(t, a)
	w.state.End(w.task, a, r, w.now)
	w.step()
}

func (w *world) outcome(t *rapid.T, a lifecycle.Action) lifecycle.Result {
	if w.calm {
		return w.perform(a)
	}
	lossy := []error{runtime.ErrUnavailable, context.DeadlineExceeded, context.Canceled}
	switch rapid.IntRange(0, 9).Draw(t, "outcome") {
	case 0: // it happened, and the answer was lost
		w.perform(a)
		return lifecycle.Result{Err: rapid.SampledFrom(lossy).Draw(t, "error")}
	case 1: // it did not happen
		return lifecycle.Result{Err: rapid.SampledFrom(lossy).Draw(t, "error")}
	case 2:
		if a.Op == lifecycle.Stop || a.Op == lifecycle.Inspect {
			return w.perform(a)
		}
		return lifecycle.Result{Err: errors.New("refused")}
	}
	return w.perform(a)
}

func (w *world) running(t *rapid.T) *runtime.Container {
	var all []*runtime.Container
	for _, id := range slices.Sorted(maps.Keys(w.engine)) {
		if w.engine[id].State == runtime.Running {
			all = append(all, w.engine[id])
		}
	}
	if len(all) == 0 {
		return nil
	}
	return rapid.SampledFrom(all).Draw(t, "container")
}

func (w *world) event(c *runtime.Container) {
	for i := range w.task.Units {
		if w.task.Units[i].Name == c.Labels[lifecycle.LabelContainer] {
			w.state.Doubt(i)
		}
	}
	w.step()
}

func (w *world) advance(d time.Duration) {
	w.now = w.now.Add(d)
	w.step()
}

// settle lets a calm engine answer everything until nothing is left to do now.
func (w *world) settle(t *rapid.T) {
	w.calm = true
	for range 500 {
		w.step()
		if len(w.flying) > 0 {
			w.finish(t)
			continue
		}
		plan := lifecycle.Next(w.task, w.state, w.now)
		if plan.Wake.IsZero() || plan.Wake.Sub(w.now) > lifecycle.PullDeadline || w.state.Status == lifecycle.Stopped && !w.task.Released {
			return
		}
		w.now = plan.Wake
	}
	t.Fatalf("the task does not come to rest: %+v", w.state)
}

func TestNext_AnyInterleavingKeepsTheRulesAndStopAlwaysEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		t.Repeat(map[string]func(*rapid.T){
			"finish":  w.finish,
			"finish2": w.finish, // more often than the rest
			"finish3": w.finish,
			"advance": func(t *rapid.T) {
				w.advance(time.Duration(rapid.IntRange(1, 90).Draw(t, "seconds")) * time.Second)
			},
			"exit": func(t *rapid.T) {
				if c := w.running(t); c != nil {
					w.exit(c, rapid.SampledFrom([]int{0, 1}).Draw(t, "code"))
					w.event(c)
				}
			},
			"killed for memory": func(t *rapid.T) {
				if c := w.running(t); c != nil {
					c.OOMKilled = true
					w.exit(c, 137)
					w.event(c)
				}
			},
			"health": func(t *rapid.T) {
				if c := w.running(t); c != nil {
					c.Health = rapid.SampledFrom([]string{"healthy", "unhealthy"}).Draw(t, "health")
					w.event(c)
				}
			},
			"removed by somebody": func(t *rapid.T) {
				if c := w.running(t); c != nil {
					delete(w.engine, c.ID)
					// A new agent cannot know of it unless the task was known to run.
					w.excused[c.Labels[lifecycle.LabelContainer]] = w.told < lifecycle.Running
					w.event(c)
				}
			},
			// The daemon names it last of all things that it makes, and nobody tells of it.
			"removed before it ran": func(t *rapid.T) {
				for _, id := range slices.Sorted(maps.Keys(w.engine)) {
					if c := w.engine[id]; c.State == runtime.Created && rapid.Bool().Draw(t, "this one") {
						delete(w.engine, id)
						w.event(c)
						return
					}
				}
			},
			"stop": func(t *rapid.T) {
				if rapid.IntRange(0, 5).Draw(t, "rarely") == 0 {
					w.task.Stop = true
					w.step()
				}
			},
			"agent restarts": func(t *rapid.T) {
				if !w.done && !w.task.Released {
					w.restart()
				}
			},
			"engine comes back": func(*rapid.T) {
				w.state.Refresh(w.task, w.list(), w.now)
				w.step()
			},
			"released": func(*rapid.T) {
				w.task.Released = w.told == lifecycle.Stopped
				w.step()
			},
		})
		w.task.Stop = true
		w.settle(t)
		if w.state.Status != lifecycle.Stopped {
			t.Fatalf("told to stop, it came to rest %v: %+v", w.state.Status, w.state)
		}
		for _, c := range w.engine {
			if c.State == runtime.Running {
				t.Fatalf("%s still runs", c.Labels[lifecycle.LabelContainer])
			}
		}
		w.checkEnds()
		w.task.Released = true
		w.now = w.now.Add(2 * time.Hour)
		w.settle(t)
		if !w.done || w.volumes || len(w.engine) > 0 {
			t.Fatalf("not cleaned up: done %v, volumes %v, containers %v, state %+v", w.done, w.volumes, w.list(), w.state)
		}
	})
}

func TestNext_AHealthyEngineBringsEveryTaskToRunningOrStopped(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.settle(t)
		waits := slices.ContainsFunc(w.input.Definition.ContainerDefinitions, func(c ecs.ContainerDefinition) bool {
			return len(c.DependsOn) > 0 && c.DependsOn[0].Condition != ecs.ContainerConditionSTART
		})
		if !waits && w.state.Status != lifecycle.Running {
			t.Fatalf("came to rest %v: %+v", w.state.Status, w.state)
		}
		for i, c := range w.state.Containers {
			if !waits && c.Phase != lifecycle.Started {
				t.Fatalf("container %d came to rest in phase %v", i, c.Phase)
			}
		}
	})
}
