package lifecycle_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/runtime"
	"github.com/longshore/longshore/proto/ecs"
)

var start = time.Unix(1_000_000, 0)

// script plays one task step by step; ops are named "pull web", "volumes".
type script struct {
	t     *testing.T
	task  lifecycle.Task
	state lifecycle.State
	now   time.Time
	open  map[string]lifecycle.Action
	plan  lifecycle.Plan
}

func play(t *testing.T, definition ecs.TaskDefinition) *script {
	t.Helper()
	task, err := lifecycle.Compile(input(definition))
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, task: task, now: start, open: map[string]lifecycle.Action{}}
	s.state = lifecycle.NewState(task, lifecycle.Pending, nil, s.now)
	s.next()
	return s
}

func input(definition ecs.TaskDefinition) lifecycle.Input {
	definition.Family, definition.Revision = "app", 7
	return lifecycle.Input{
		ARN: "arn:aws:ecs:us-east-1:000000000000:task/prod/0123", Cluster: "prod", Instance: "arn:instance",
		Definition: &definition, CleanupWait: time.Hour,
	}
}

func (s *script) next() {
	s.plan = lifecycle.Next(s.task, s.state, s.now)
	s.state.Commit(s.plan)
	for _, a := range s.plan.Actions {
		s.state.Begin(a, s.now)
		s.open[s.name(a)] = a
	}
}

func (s *script) name(a lifecycle.Action) string {
	if a.Unit < 0 {
		return a.Op.String()
	}
	return a.Op.String() + " " + s.task.Units[a.Unit].Name
}

// expect checks the actions that are under way.
func (s *script) expect(names ...string) {
	s.t.Helper()
	var got []string
	for name := range s.open {
		got = append(got, name)
	}
	slices.Sort(got)
	slices.Sort(names)
	if !slices.Equal(got, names) {
		s.t.Fatalf("under way: %q, want %q", got, names)
	}
}

func (s *script) status(want lifecycle.Status) {
	s.t.Helper()
	if s.state.Status != want {
		s.t.Fatalf("status %v, want %v", s.state.Status, want)
	}
}

func (s *script) verdict(code, reason string) {
	s.t.Helper()
	if want := (lifecycle.Verdict{Code: code, Reason: reason}); s.state.Verdict != want {
		s.t.Fatalf("verdict %+v, want %+v", s.state.Verdict, want)
	}
}

// end ends an action that is under way.
func (s *script) end(name string, r lifecycle.Result) {
	s.t.Helper()
	a, ok := s.open[name]
	if !ok {
		s.t.Fatalf("%s is not under way", name)
	}
	delete(s.open, name)
	s.state.End(s.task, a, r, s.now)
	s.next()
}

// ok ends actions as a willing engine does.
func (s *script) ok(names ...string) {
	s.t.Helper()
	for _, name := range names {
		op, container, _ := strings.Cut(name, " ")
		switch op {
		case "create":
			s.end(name, lifecycle.Result{RuntimeID: "id-" + container})
		case "start":
			s.end(name, lifecycle.Result{Container: s.container(container, runtime.Running, 0)})
		case "stop":
			s.end(name, lifecycle.Result{Container: s.container(container, runtime.Exited, 143)})
		default:
			s.end(name, lifecycle.Result{})
		}
	}
}

func (s *script) container(name string, state runtime.State, code int) *runtime.Container {
	c := &runtime.Container{
		ID: "id-" + name, State: state, ExitCode: code, StartedAt: s.now,
		Labels: map[string]string{lifecycle.LabelContainer: name, lifecycle.LabelTask: s.task.ARN},
	}
	if state == runtime.Exited {
		c.FinishedAt = s.now
	}
	return c
}

func (s *script) observe(c *runtime.Container) {
	s.state.Observe(s.task, []runtime.Container{*c}, s.now)
	s.next()
}

func (s *script) exits(name string, code int) { s.observe(s.container(name, runtime.Exited, code)) }

func (s *script) advance(d time.Duration) {
	s.now = s.now.Add(d)
	s.next()
}

// run brings containers from nothing to running.
func (s *script) run(names ...string) {
	s.t.Helper()
	for _, op := range []string{"pull ", "create ", "start "} {
		for _, name := range names {
			s.ok(op + name)
		}
	}
}

func container(name string, edit ...func(*ecs.ContainerDefinition)) ecs.ContainerDefinition {
	c := ecs.ContainerDefinition{Name: name, Image: "image-" + name}
	for _, e := range edit {
		e(&c)
	}
	return c
}

func sidecar(c *ecs.ContainerDefinition) { no := false; c.Essential = &no }

func linked(to string) func(*ecs.ContainerDefinition) {
	return func(c *ecs.ContainerDefinition) { c.Links = append(c.Links, to) }
}

func after(on string, condition ecs.ContainerCondition) func(*ecs.ContainerDefinition) {
	return func(c *ecs.ContainerDefinition) {
		c.DependsOn = append(c.DependsOn, ecs.ContainerDependency{ContainerName: on, Condition: condition})
	}
}

func startTimeout(seconds int32) func(*ecs.ContainerDefinition) {
	return func(c *ecs.ContainerDefinition) { c.StartTimeout = &seconds }
}

func task(containers ...ecs.ContainerDefinition) ecs.TaskDefinition {
	return ecs.TaskDefinition{ContainerDefinitions: containers}
}
