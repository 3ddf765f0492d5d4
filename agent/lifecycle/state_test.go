package lifecycle_test

import (
	"testing"
	"time"

	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/runtime"
	"github.com/longshore/longshore/proto/ecs"
)

func TestNewState_AdoptsWhatRunsAndNeverStartsWhatIsMissing(t *testing.T) {
	s := play(t, task(container("web"), container("db")))
	db := *s.container("db", runtime.Running, 0)
	s.open = map[string]lifecycle.Action{}
	s.state = lifecycle.NewState(s.task, lifecycle.Running, []runtime.Container{db}, s.now)
	s.next()
	s.expect("stop db")
	s.verdict(essentialExited, "Container web is missing on the host")
	s.ok("stop db")
	s.status(lifecycle.Stopped)
	web := lifecycle.Report(s.task, s.state).Containers[0]
	if web.ExitCode != nil || web.Reason != "Container web is missing on the host" {
		t.Errorf("reported %v", web)
	}
}

func TestNewState_AContainerThatEndedMeanwhileKeepsItsExitCode(t *testing.T) {
	s := play(t, task(container("web")))
	found := *s.container("web", runtime.Exited, 7)
	s.state = lifecycle.NewState(s.task, lifecycle.Running, []runtime.Container{found}, s.now.Add(time.Hour))
	s.open = map[string]lifecycle.Action{}
	s.next()
	s.expect()
	s.status(lifecycle.Stopped)
	s.verdict(essentialExited, "Essential container in task exited")
	if !s.state.StoppedAt.Equal(found.FinishedAt) {
		t.Errorf("stopped at %v, want when the container ended, %v", s.state.StoppedAt, found.FinishedAt)
	}
}

func TestNewState_AFailedStartIsNotTriedAgain(t *testing.T) {
	s := play(t, task(container("web")))
	found := runtime.Container{
		ID: "id-web", State: runtime.Exited, ExitCode: 127, Error: "exec: not found",
		Labels: s.container("web", runtime.Exited, 0).Labels,
	}
	s.state = lifecycle.NewState(s.task, lifecycle.Pending, []runtime.Container{found}, s.now)
	s.open = map[string]lifecycle.Action{}
	s.next()
	s.expect()
	s.verdict(failedToStart, "CannotStartContainerError: exec: not found")
}

func TestOrphan_WhatRunsIsRemovedAtOnceAndWhatHasEndedAfterTheWait(t *testing.T) {
	running := runtime.Container{ID: "id-web", State: runtime.Running, Labels: map[string]string{lifecycle.LabelTask: "a", lifecycle.LabelContainer: "web"}}
	s := &script{t: t, now: start, open: map[string]lifecycle.Action{}, task: lifecycle.Orphan("a", []runtime.Container{running}, nil, 0, time.Hour)}
	s.state = lifecycle.NewState(s.task, lifecycle.Pending, []runtime.Container{running}, s.now)
	s.next()
	s.ok("stop web", "remove web")
	if !s.plan.Done {
		t.Fatal("the running orphan is still there")
	}
	ended := running
	ended.State, ended.FinishedAt = runtime.Exited, start
	s.task = lifecycle.Orphan("a", []runtime.Container{ended}, nil, 0, time.Hour)
	s.state = lifecycle.NewState(s.task, lifecycle.Pending, []runtime.Container{ended}, s.now)
	s.next()
	s.expect()
	s.advance(time.Hour)
	s.expect("remove web")
}

func TestReport_HealthAndBindings(t *testing.T) {
	check := func(c *ecs.ContainerDefinition) { c.HealthCheck = &ecs.HealthCheck{Command: []string{"CMD", "true"}} }
	s := play(t, task(container("web", check), container("db", check), container("log", sidecar, check)))
	s.run("web", "db", "log")
	health := func(name, health string) {
		c := s.container(name, runtime.Running, 0)
		c.Health = health
		c.Ports = []runtime.PortBinding{{BindIP: "0.0.0.0", ContainerPort: 80, HostPort: 32768, Protocol: "tcp"}}
		s.observe(c)
	}
	for _, step := range []struct{ name, health, want string }{
		{"web", "healthy", "UNKNOWN"}, {"log", "unhealthy", "UNKNOWN"}, {"db", "healthy", "HEALTHY"},
		{"web", "starting", "UNKNOWN"}, {"db", "unhealthy", "UNHEALTHY"},
	} {
		health(step.name, step.health)
		if got := lifecycle.Report(s.task, s.state).HealthStatus; got != step.want {
			t.Errorf("%s is %s: task is %s, want %s", step.name, step.health, got, step.want)
		}
	}
	report := lifecycle.Report(s.task, s.state)
	if b := report.Containers[0].NetworkBindings; len(b) != 1 || b[0].HostPort != 32768 || b[0].ContainerPort != 80 {
		t.Errorf("bindings %v", b)
	}
	if report.StartedAt != start.UnixMilli() || report.PullStartedAt != start.UnixMilli() || report.ExecutionStoppedAt != 0 {
		t.Errorf("times of %v", report)
	}
}
