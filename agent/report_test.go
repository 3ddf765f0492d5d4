package agent_test

import (
	"context"
	"testing"
	"time"

	"github.com/longshore/longshore/agent/agenttest"
	"github.com/longshore/longshore/agent/runtime"
	agentv1 "github.com/longshore/longshore/proto/agent/v1"
)

// Each report costs the control plane a commit: that a container was created
// goes along with that it was started, if that follows soon.
func TestReport_ALaunchIsOneReport(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		newHost(t, c, m)
		c.run(arn("1"), definition(container("main", "server:1")))
		s := c.becomes(arn("1"), "RUNNING")
		c.mu.Lock()
		statuses := c.tasks[arn("1")].statuses
		c.mu.Unlock()
		if len(statuses) != 1 || s.Containers[0].RuntimeId == "" || s.PullStartedAt == 0 {
			t.Errorf("reported as %v, last %v", statuses, s)
		}
	})
}

// What was held back is not lost when the agent is, and does not stay back when
// the engine takes its time.
func TestReport_OfASlowLaunchComesAllTheSame(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		slow := agenttest.Intercept(m, agenttest.Hooks{
			Start: func(ctx context.Context, next runtime.Runtime, id string) error {
				select {
				case <-time.After(time.Minute):
				case <-ctx.Done():
					return ctx.Err()
				}
				return next.Start(ctx, id)
			},
		})
		h := newHost(t, c, slow)
		began := time.Now()
		c.run(arn("1"), definition(container("main", "server:1")))
		created := func(s *agentv1.TaskState) bool { return s.Containers[0].RuntimeId != "" }
		id := c.until(arn("1"), "a container", created).Containers[0].RuntimeId
		if took := time.Since(began); took > time.Second {
			t.Errorf("it was reported after %v", took)
		}
		h.stop()
		h.start()
		if s := c.becomes(arn("1"), "RUNNING"); s.Containers[0].RuntimeId != id || len(all(t, m)) != 1 {
			t.Errorf("after the restart %v, containers %+v", s, all(t, m))
		}
	})
}
