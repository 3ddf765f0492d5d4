package agent_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longshore/longshore/agent/agenttest"
	"github.com/longshore/longshore/agent/runtime"
	"github.com/longshore/longshore/proto/ecs"
)

func TestAgent_EngineOutages(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		newHost(t, c, m)
		c.run(arn("runs"), definition(container("main", "server:1")))
		c.run(arn("ends"), definition(container("main", "server:1")))
		kept := c.becomes(arn("runs"), "RUNNING").Containers[0].RuntimeId
		gone := c.becomes(arn("ends"), "RUNNING").Containers[0].RuntimeId
		m.SetDown(true)
		m.Exit(gone, 11)
		c.run(arn("late"), definition(container("main", "server:1")))
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		m.SetDown(false)
		if s := c.becomes(arn("ends"), "STOPPED"); s.Containers[0].GetExitCode() != 11 {
			t.Errorf("ended while the engine was away: %v", s)
		}
		c.becomes(arn("late"), "RUNNING")
		if s := c.becomes(arn("runs"), "RUNNING"); s.Containers[0].RuntimeId != kept {
			t.Errorf("went on as %v", s)
		}
		if got := len(all(t, m)); got != 3 {
			t.Errorf("%d containers, want 3", got)
		}
		// The engine's crash takes its containers along.
		m.SetDown(true)
		m.KillRunning()
		time.Sleep(time.Second)
		m.SetDown(false)
		for _, id := range []string{"runs", "late"} {
			if s := c.becomes(arn(id), "STOPPED"); s.Containers[0].GetExitCode() != 137 {
				t.Errorf("%s: %v", id, s)
			}
		}
	})
}

func TestAgent_LostAnswersStartNothingTwice(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		lost := map[string]int{}
		once := func(op string) bool { lost[op]++; return lost[op] == 1 }
		engine := agenttest.Intercept(m, agenttest.Hooks{
			Create: func(ctx context.Context, next runtime.Runtime, spec runtime.Spec) (string, error) {
				id, err := next.Create(ctx, spec)
				if once("create") {
					return "", fmt.Errorf("create: %w", runtime.ErrUnavailable)
				}
				return id, err
			},
			Start: func(ctx context.Context, next runtime.Runtime, id string) error {
				err := next.Start(ctx, id)
				if once("start") {
					return fmt.Errorf("start: %w", runtime.ErrUnavailable)
				}
				return err
			},
			Inspect: func(ctx context.Context, next runtime.Runtime, id string) (runtime.Container, error) {
				if once("inspect") {
					return runtime.Container{}, fmt.Errorf("inspect: %w", runtime.ErrUnavailable)
				}
				return next.Inspect(ctx, id)
			},
		})
		newHost(t, c, engine)
		c.run(arn("1"), definition(container("main", "server:1")))
		c.becomes(arn("1"), "RUNNING")
		if calls := m.Calls(); calls["Create"] != 1 || calls["Start"] != 1 || len(all(t, m)) != 1 {
			t.Errorf("calls %v, containers %+v", calls, all(t, m))
		}
	})
}

func TestAgent_SlowCallsTimeOut(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		engine := agenttest.Intercept(m, agenttest.Hooks{
			Start: func(ctx context.Context, next runtime.Runtime, id string) error {
				if err := next.Start(ctx, id); err != nil {
					return err
				}
				<-ctx.Done()
				return fmt.Errorf("start: %w", ctx.Err())
			},
		})
		newHost(t, c, engine)
		c.run(arn("1"), definition(container("main", "server:1")))
		s := c.becomes(arn("1"), "STOPPED")
		if want := "DockerTimeoutError: Could not transition to started; timed out after waiting 3m0s"; s.StopCode != "TaskFailedToStart" || s.Reason != want {
			t.Errorf("reported %v", s)
		}
		if found := all(t, m); found[0].State != runtime.Exited {
			t.Errorf("container left %+v", found[0])
		}
	})
}

func TestAgent_SessionsComeAndGoWithoutTouchingTasks(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		newHost(t, c, m)
		c.run(arn("1"), definition(container("main", "server:1")))
		id := c.becomes(arn("1"), "RUNNING").Containers[0].RuntimeId
		for range 5 {
			c.breakSession()
			m.AddImage("extra:1", agenttest.Program{})
			time.Sleep(10 * time.Second)
		}
		c.breakSession()
		m.Exit(id, 6)
		if s := c.becomes(arn("1"), "STOPPED"); s.Containers[0].GetExitCode() != 6 {
			t.Errorf("reported %v", s)
		}
		if calls := m.Calls(); calls["Start"] != 1 || calls["Stop"] != 0 {
			t.Errorf("calls %v", calls)
		}
	})
}

func TestAgent_FailuresHaveECSsReasons(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		newHost(t, c, m)
		c.run(arn("first"), definition(container("main", "server:1", port(80, 8080))))
		c.becomes(arn("first"), "RUNNING")
		broken := definition(container("main", "server:1"))
		broken.Cpu = "512" // on a host that cannot limit a task
		for id, d := range map[string]ecs.TaskDefinition{
			"CannotPullContainerError":    definition(container("main", "nowhere.example/missing:1")),
			"CannotStartContainerError":   definition(container("main", "broken:1")),
			"CannotStartContainerError2":  definition(container("main", "server:1", port(80, 8080))),
			"ResourceInitializationError": broken,
		} {
			c.run(arn(id), d)
			s := c.becomes(arn(id), "STOPPED")
			if s.StopCode != "TaskFailedToStart" || !strings.HasPrefix(s.Reason, strings.TrimRight(id, "2")+": ") {
				t.Errorf("%s: %v", id, s)
			}
			if len(s.Containers) > 0 && (s.Containers[0].ExitCode != nil || s.Containers[0].Reason != s.Reason) {
				t.Errorf("%s: container %v", id, s.Containers[0])
			}
		}
	})
}
