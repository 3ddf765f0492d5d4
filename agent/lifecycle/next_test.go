package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/runtime"
	"github.com/longshore/longshore/proto/ecs"
)

const (
	failedToStart   = "TaskFailedToStart"
	essentialExited = "EssentialContainerExited"
)

func TestNext_ATaskGoesFromPullToRunning(t *testing.T) {
	s := play(t, task(container("web"), container("log", sidecar)))
	s.expect("pull web", "pull log")
	s.ok("pull web")
	s.expect("create web", "pull log")
	s.ok("create web", "start web")
	s.expect("pull log")
	s.status(lifecycle.Pending)
	s.ok("pull log", "create log")
	s.status(lifecycle.Pending)
	s.ok("start log")
	s.expect()
	s.status(lifecycle.Running)
}

func TestNext_LinksExistBeforeTheyAreCreatedAndRunBeforeTheyAreStarted(t *testing.T) {
	s := play(t, task(container("web", linked("db:database")), container("db")))
	s.ok("pull web")
	s.expect("pull db")
	s.ok("pull db", "create db")
	s.expect("create web", "start db")
	s.ok("create web")
	s.expect("start db")
	s.ok("start db")
	s.expect("start web")
	s.ok("start web")
	s.status(lifecycle.Running)

	s.task.Stop = true
	s.next()
	s.expect("stop web")
	s.status(lifecycle.Stopping)
	s.ok("stop web")
	s.expect("stop db")
	s.ok("stop db")
	s.status(lifecycle.Stopped)
	s.verdict("", "")
}

func TestNext_VolumesAreMadeBeforeAndRemovedAfterTheContainers(t *testing.T) {
	definition := task(container("web", func(c *ecs.ContainerDefinition) {
		c.MountPoints = []ecs.MountPoint{{SourceVolume: "data", ContainerPath: "/data"}}
	}))
	definition.Volumes = []ecs.Volume{{Name: "data"}}
	s := play(t, definition)
	s.expect("create_volumes", "pull web")
	s.ok("pull web")
	s.expect("create_volumes")
	s.ok("create_volumes", "create web", "start web")
	s.exits("web", 0)
	s.status(lifecycle.Stopped)

	s.task.Released = true
	s.advance(time.Hour - time.Second)
	s.expect()
	if want := start.Add(time.Hour); !s.plan.Wake.Equal(want) {
		t.Fatalf("wakes at %v, want %v", s.plan.Wake, want)
	}
	s.advance(time.Second)
	s.ok("remove web", "remove_volumes")
	if !s.plan.Done {
		t.Fatal("not done after everything was removed")
	}
}

func TestNext_NothingIsRemovedBeforeTheControlPlaneKnows(t *testing.T) {
	s := play(t, task(container("web")))
	s.run("web")
	s.exits("web", 0)
	s.advance(100 * time.Hour)
	s.expect()
	s.task.Released = true
	s.next()
	s.expect("remove web")
}

func TestNext_AVolumeThatCanNotBeMadeFailsTheTask(t *testing.T) {
	definition := task(container("web", func(c *ecs.ContainerDefinition) {
		c.MountPoints = []ecs.MountPoint{{SourceVolume: "data", ContainerPath: "/data"}}
	}))
	definition.Volumes = []ecs.Volume{{Name: "data"}}
	s := play(t, definition)
	s.end("create_volumes", lifecycle.Result{Err: errors.New("no space left on device")})
	s.verdict(failedToStart, "CannotCreateVolumeError: no space left on device")
	s.expect("pull web", "cancel web")
}

func TestNext_TheEndOfAnEssentialContainerStopsTheOthers(t *testing.T) {
	s := play(t, task(container("web"), container("log", sidecar), container("db")))
	s.run("web", "log", "db")
	s.exits("log", 1)
	s.expect()
	s.status(lifecycle.Running)
	s.exits("web", 3)
	s.expect("stop db")
	s.status(lifecycle.Stopping)
	s.verdict(essentialExited, "Essential container in task exited")
	s.ok("stop db")
	s.status(lifecycle.Stopped)
	s.verdict(essentialExited, "Essential container in task exited")
	for i, want := range []int32{3, 1, 143} {
		if got := s.state.Containers[i].ExitCode; got == nil || *got != want {
			t.Errorf("container %d: exit code %v, want %d", i, got, want)
		}
	}
}

func TestNext_FailuresOfAnEssentialContainer(t *testing.T) {
	refused := errors.New("port is already allocated")
	late := fmt.Errorf("start: %w", context.DeadlineExceeded)
	tests := []struct {
		name   string
		steps  []string
		err    error
		reason string
	}{
		{"pull web", nil, errors.New("manifest unknown"), "CannotPullContainerError: manifest unknown"},
		{"pull web", nil, late, "DockerTimeoutError: Could not transition to pulled; timed out after waiting 2h0m0s"},
		{"create web", []string{"pull web"}, refused, "CannotCreateContainerError: port is already allocated"},
		{"create web", []string{"pull web"}, late, "DockerTimeoutError: Could not transition to created; timed out after waiting 4m0s"},
		{"start web", []string{"pull web", "create web"}, refused, "CannotStartContainerError: port is already allocated"},
		{"start web", []string{"pull web", "create web"}, late, "DockerTimeoutError: Could not transition to started; timed out after waiting 3m0s"},
	}
	for _, test := range tests {
		t.Run(test.reason, func(t *testing.T) {
			s := play(t, task(container("web")))
			s.ok(test.steps...)
			s.end(test.name, lifecycle.Result{Err: test.err})
			s.verdict(failedToStart, test.reason)
			if errors.Is(test.err, context.DeadlineExceeded) && !strings.HasPrefix(test.name, "pull") {
				s.expect("inspect web") // it may have happened all the same
				s.end("inspect web", lifecycle.Result{Err: runtime.ErrNotFound})
			}
			s.expect()
			s.status(lifecycle.Stopped)
			report := lifecycle.Report(s.task, s.state)
			if report.Containers[0].ExitCode != nil || report.Containers[0].Status != "STOPPED" {
				t.Errorf("container reported as %v", report.Containers[0])
			}
		})
	}
}

func TestNext_AContainerThatStartedAgainstATimeoutIsStopped(t *testing.T) {
	s := play(t, task(container("web"), container("log", sidecar)))
	s.run("web")
	s.ok("pull log", "create log")
	s.end("start log", lifecycle.Result{Err: context.DeadlineExceeded})
	s.end("inspect log", lifecycle.Result{Container: s.container("log", runtime.Running, 0)})
	s.expect("stop log")
	s.ok("stop log")
	s.status(lifecycle.Running)
	if got, want := s.state.Containers[1].Reason, "DockerTimeoutError: Could not transition to started; timed out after waiting 3m0s"; got != want {
		t.Errorf("reason %q, want %q", got, want)
	}
}

func TestNext_ATaskGoesOnWithoutANonEssentialContainer(t *testing.T) {
	s := play(t, task(container("web"), container("log", sidecar)))
	s.run("web")
	s.end("pull log", lifecycle.Result{Err: errors.New("no such image")})
	s.status(lifecycle.Running)
	s.verdict("", "")
	if got, want := s.state.Containers[1].Reason, "CannotPullContainerError: no such image"; got != want {
		t.Errorf("reason %q, want %q", got, want)
	}
}

func TestNext_DependencyConditions(t *testing.T) {
	tests := []struct {
		name      string
		condition ecs.ContainerCondition
		happens   func(*script)
		starts    bool
		reason    string
	}{
		{"complete", ecs.ContainerConditionCOMPLETE, func(s *script) { s.exits("init", 1) }, true, ""},
		{"success", ecs.ContainerConditionSUCCESS, func(s *script) { s.exits("init", 0) }, true, ""},
		{"no success", ecs.ContainerConditionSUCCESS, func(s *script) { s.exits("init", 1) }, false,
			"Container web can not be started: dependency init did not reach SUCCESS: it exited with code 1"},
		{"healthy", ecs.ContainerConditionHEALTHY, func(s *script) {
			c := s.container("init", runtime.Running, 0)
			c.Health = "healthy"
			s.observe(c)
		}, true, ""},
		{"ended before it was healthy", ecs.ContainerConditionHEALTHY, func(s *script) { s.exits("init", 0) }, false,
			"Container web can not be started: dependency init did not reach HEALTHY: it exited with code 0"},
		{"too late", ecs.ContainerConditionCOMPLETE, func(s *script) { s.advance(30 * time.Second) }, false,
			"Container web can not be started: dependency init did not reach COMPLETE: it timed out after 30s"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := play(t, task(container("web", after("init", test.condition)), container("init", sidecar, startTimeout(30))))
			s.run("init")
			s.ok("pull web", "create web")
			s.expect()
			s.status(lifecycle.Pending)
			if !s.plan.Wake.Equal(start.Add(30 * time.Second)) {
				t.Fatalf("wakes at %v, want when the start timeout is over", s.plan.Wake)
			}
			test.happens(s)
			if test.starts {
				s.ok("start web")
				s.status(lifecycle.Running)
				return
			}
			s.verdict(failedToStart, test.reason)
		})
	}
}

func TestNext_AWaitingSidecarDoesNotKeepTheTaskFromRunning(t *testing.T) {
	s := play(t, task(container("web"), container("late", sidecar, after("web", ecs.ContainerConditionHEALTHY))))
	s.run("web")
	s.ok("pull late")
	s.status(lifecycle.Pending)
	s.ok("create late")
	s.status(lifecycle.Running)
	healthy := s.container("web", runtime.Running, 0)
	healthy.Health = "healthy"
	s.observe(healthy)
	s.expect("start late")
	s.status(lifecycle.Running)
}

func TestNext_StoppedBeforeAnythingWasThere(t *testing.T) {
	task, err := lifecycle.Compile(input(task(container("web"))))
	if err != nil {
		t.Fatal(err)
	}
	task.Stop = true
	plan := lifecycle.Next(task, lifecycle.NewState(task, lifecycle.Pending, nil, start), start)
	if plan.Status != lifecycle.Stopped || len(plan.Actions) > 0 {
		t.Fatalf("plan %+v, want STOPPED and nothing done", plan)
	}
}

func TestNext_AStopCancelsThePull(t *testing.T) {
	s := play(t, task(container("web")))
	s.task.Stop = true
	s.next()
	s.expect("pull web", "cancel web")
	s.status(lifecycle.Stopping)
	s.end("pull web", lifecycle.Result{Err: context.Canceled})
	s.status(lifecycle.Stopped)
}

func TestNext_AnUnavailableEngineIsTriedAgainWithGrowingPauses(t *testing.T) {
	s := play(t, task(container("web")))
	for _, pause := range []time.Duration{100, 200, 400, 800, 1600, 3200, 5000, 5000} {
		pause *= time.Millisecond
		s.end("pull web", lifecycle.Result{Err: runtime.ErrUnavailable})
		s.expect()
		if got := s.plan.Wake.Sub(s.now); got != pause {
			t.Fatalf("pause %v, want %v", got, pause)
		}
		s.advance(pause)
	}
	s.end("pull web", lifecycle.Result{Err: runtime.ErrUnavailable})
	s.state.Refresh(s.task, nil, s.now)
	s.next()
	s.expect("pull web")
}

func TestNext_ALostAnswerIsLookedUpBeforeAnythingElse(t *testing.T) {
	s := play(t, task(container("web")))
	s.ok("pull web", "create web")
	s.end("start web", lifecycle.Result{Err: runtime.ErrUnavailable})
	s.advance(time.Second)
	s.expect("inspect web")
	s.end("inspect web", lifecycle.Result{Container: s.container("web", runtime.Running, 0)})
	s.expect()
	s.status(lifecycle.Running)
}

func TestNext_AnImageThatWentAwayIsPulledOnceMore(t *testing.T) {
	s := play(t, task(container("web")))
	gone := lifecycle.Result{Err: fmt.Errorf("image: %w", runtime.ErrNotFound)}
	s.ok("pull web")
	s.end("create web", gone)
	s.ok("pull web")
	s.end("create web", gone)
	s.verdict(failedToStart, "CannotCreateContainerError: image: not found")
}

func TestNext_KilledForMemory(t *testing.T) {
	s := play(t, task(container("web")))
	s.run("web")
	c := s.container("web", runtime.Exited, 137)
	c.OOMKilled = true
	s.observe(c)
	got := lifecycle.Report(s.task, s.state).Containers[0]
	if got.GetExitCode() != 137 || got.Reason != "OutOfMemoryError: Container killed due to memory usage" {
		t.Errorf("reported %v", got)
	}
}
