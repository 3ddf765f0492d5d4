package lifecycle_test

import (
	"errors"
	"testing"
	"time"

	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/runtime"
	"github.com/longshore/longshore/proto/ecs"
)

// restarting gives a container a restart policy.
func restarting(period int32, ignored ...int32) func(*ecs.ContainerDefinition) {
	return func(c *ecs.ContainerDefinition) {
		yes := true
		c.RestartPolicy = &ecs.ContainerRestartPolicy{Enabled: &yes, IgnoredExitCodes: ignored}
		if period > 0 {
			c.RestartPolicy.RestartAttemptPeriod = &period
		}
	}
}

// ended is a container whose run lasted until now.
func (s *script) ended(name string, after time.Duration, code int) *runtime.Container {
	c := s.container(name, runtime.Exited, code)
	c.StartedAt = s.now.Add(-after)
	return c
}

// exitsAfter lets time pass, and then a container end.
func (s *script) exitsAfter(d time.Duration, name string, code int) {
	s.advance(d)
	s.observe(s.ended(name, d, code))
}

func TestRestart_AContainerThatRanLongEnoughIsStartedAgain(t *testing.T) {
	for name, edit := range map[string]func(*ecs.ContainerDefinition){
		"essential":     func(*ecs.ContainerDefinition) {},
		"not essential": sidecar,
	} {
		t.Run(name, func(t *testing.T) {
			s := play(t, task(container("main"), container("web", restarting(60), edit)))
			s.run("main", "web")
			s.exitsAfter(time.Minute, "web", 1)
			s.expect("restart web")
			if began := s.open["restart web"].Began; !began.Equal(start) {
				t.Errorf("restart of the run of %v, want that of %v", began, start)
			}
			s.status(lifecycle.Running)
			if r := lifecycle.Report(s.task, s.state).Containers[1]; r.Status != "RUNNING" || r.ExitCode != nil {
				t.Errorf("while it is restarted: %v", r)
			}
			s.end("restart web", lifecycle.Result{Container: s.container("web", runtime.Running, 0)})
			s.expect()
			s.verdict("", "")
			if c := s.state.Containers[1]; c.Runs != (lifecycle.Runs{Restarts: 1, Latest: s.now}) || !c.StartedAt.Equal(s.now) || c.ExitCode != nil || !c.FinishedAt.IsZero() {
				t.Errorf("after the restart: %+v", c)
			}
		})
	}
}

func TestRestart_NotAfterAShortRunOrAnIgnoredCode(t *testing.T) {
	for name, c := range map[string]struct {
		policy func(*ecs.ContainerDefinition)
		ran    time.Duration
		code   int
	}{
		"no policy":            {func(*ecs.ContainerDefinition) {}, time.Hour, 1},
		"a policy that is off": {func(c *ecs.ContainerDefinition) { c.RestartPolicy = &ecs.ContainerRestartPolicy{} }, time.Hour, 1},
		"a short run":          {restarting(60), 59 * time.Second, 1},
		"short by default":     {restarting(0), 299 * time.Second, 1},
		"an ignored exit code": {restarting(60, 7, 0), time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := play(t, task(container("web", c.policy)))
			s.run("web")
			s.exitsAfter(c.ran, "web", c.code)
			s.expect()
			s.status(lifecycle.Stopped)
			s.verdict("EssentialContainerExited", "Essential container in task exited")
		})
	}
}

func TestRestart_TheSecondRunMustBeLongEnoughToo(t *testing.T) {
	s := play(t, task(container("web", restarting(60))))
	s.run("web")
	s.exitsAfter(time.Minute, "web", 1)
	s.end("restart web", lifecycle.Result{Container: s.container("web", runtime.Running, 0)})
	s.exitsAfter(30*time.Second, "web", 2)
	s.expect()
	s.status(lifecycle.Stopped)
	if r := lifecycle.Report(s.task, s.state).Containers[0]; r.GetExitCode() != 2 {
		t.Errorf("reported %v", r)
	}
}

func TestRestart_ATaskThatEndsRestartsNothing(t *testing.T) {
	s := play(t, task(container("main"), container("web", restarting(60))))
	s.run("main", "web")
	s.advance(time.Hour)
	s.task.Stop = true
	s.next()
	s.expect("stop main", "stop web")
	s.end("stop web", lifecycle.Result{Container: s.ended("web", time.Hour, 143)})
	s.expect("stop main")
	s.ok("stop main")
	s.expect()
	s.status(lifecycle.Stopped)
}

func TestRestart_ATaskIsNotOverBeforeARestartUnderWayIs(t *testing.T) {
	s := play(t, task(container("main"), container("web", restarting(60), sidecar)))
	s.run("main", "web")
	s.exitsAfter(time.Minute, "web", 1)
	s.observe(s.ended("main", time.Minute, 0))
	s.expect("restart web")
	s.status(lifecycle.Stopping)
	s.end("restart web", lifecycle.Result{Container: s.container("web", runtime.Running, 0)})
	s.expect("stop web")
	s.ok("stop web")
	s.status(lifecycle.Stopped)
}

func TestRestart_ARefusalEndsTheContainerAsItsLastRunDid(t *testing.T) {
	s := play(t, task(container("web", restarting(60))))
	s.run("web")
	s.exitsAfter(time.Minute, "web", 9)
	s.end("restart web", lifecycle.Result{Err: errors.New("no space left on device")})
	s.status(lifecycle.Stopped)
	s.verdict("EssentialContainerExited", "Essential container in task exited")
	r := lifecycle.Report(s.task, s.state).Containers[0]
	if r.GetExitCode() != 9 || r.Reason != "CannotStartContainerError: no space left on device" {
		t.Errorf("reported %v", r)
	}
}

func TestRestart_ALostAnswerIsLookedInto(t *testing.T) {
	for name, happened := range map[string]bool{"it was restarted": true, "it was not": false} {
		t.Run(name, func(t *testing.T) {
			s := play(t, task(container("web", restarting(60))))
			s.run("web")
			s.exitsAfter(time.Minute, "web", 1)
			old := s.ended("web", time.Minute, 1)
			s.end("restart web", lifecycle.Result{Err: runtime.ErrUnavailable})
			s.status(lifecycle.Running)
			s.advance(time.Minute)
			s.expect("inspect web")
			if happened {
				s.end("inspect web", lifecycle.Result{Container: s.container("web", runtime.Running, 0)})
				s.expect()
				return
			}
			s.end("inspect web", lifecycle.Result{Container: old})
			s.expect("restart web")
		})
	}
}

func TestRestart_OldNewsOfTheRunBeforeIsLookedInto(t *testing.T) {
	s := play(t, task(container("web", restarting(60))))
	s.run("web")
	s.exitsAfter(time.Minute, "web", 1)
	old := s.ended("web", time.Minute, 1)
	s.end("restart web", lifecycle.Result{Container: s.container("web", runtime.Running, 0)})
	s.observe(old)
	s.expect("inspect web")
	s.status(lifecycle.Running)
	s.end("inspect web", lifecycle.Result{Container: s.container("web", runtime.Running, 0)})
	s.expect()
}

func TestRestart_ANewAgentDecidesTheSame(t *testing.T) {
	definition := task(container("web", restarting(60)))
	for name, c := range map[string]struct {
		ran  time.Duration
		want string
	}{"long enough": {time.Minute, "restart web"}, "too short": {time.Second, ""}} {
		t.Run(name, func(t *testing.T) {
			s := play(t, definition)
			s.state = lifecycle.NewState(s.task, lifecycle.Running, []runtime.Container{*s.ended("web", c.ran, 1)}, s.now)
			s.open = map[string]lifecycle.Action{}
			s.next()
			if c.want == "" {
				s.expect()
				s.status(lifecycle.Stopped)
				return
			}
			s.expect(c.want)
		})
	}
}

func TestRestart_WhoWaitsForTheEndWaitsForTheLastOne(t *testing.T) {
	s := play(t, task(container("main", after("init", ecs.ContainerConditionSUCCESS)), container("init", sidecar, restarting(60, 0))))
	s.ok("pull main", "pull init")
	s.ok("create main", "create init")
	s.ok("start init")
	s.exitsAfter(time.Minute, "init", 1)
	s.expect("restart init")
	s.end("restart init", lifecycle.Result{Container: s.container("init", runtime.Running, 0)})
	s.expect()
	s.exitsAfter(time.Minute, "init", 0)
	s.expect("start main")
}
