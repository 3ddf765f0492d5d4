package agent_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longshore/longshore/agent"
	"github.com/longshore/longshore/agent/agenttest"
	"github.com/longshore/longshore/agent/runtime"
)

// registry counts the pulls that an engine makes, and makes them slow or fail.
type registry struct {
	mu            sync.Mutex
	takes         time.Duration
	err           error
	pulls         map[string]int
	now, most     int
	cancelledPull bool
}

func (r *registry) engine(m *agenttest.Memory) runtime.Runtime {
	r.pulls = map[string]int{}
	return agenttest.Intercept(m, agenttest.Hooks{
		Pull: func(ctx context.Context, next runtime.Runtime, ref string, auth *runtime.Auth) error {
			r.mu.Lock()
			r.pulls[ref]++
			r.now++
			r.most = max(r.most, r.now)
			err := r.err
			r.mu.Unlock()
			select {
			case <-ctx.Done():
				err = ctx.Err()
			case <-time.After(r.takes):
			}
			r.mu.Lock()
			r.now--
			r.cancelledPull = r.cancelledPull || errors.Is(err, context.Canceled)
			r.mu.Unlock()
			if err != nil {
				return err
			}
			return next.Pull(ctx, ref, auth)
		},
	})
}

func (r *registry) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

func TestPull_SeveralTasksOfOneImagePullOnceAndSeveralImagesInTurn(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		r := &registry{takes: time.Minute}
		newHost(t, c, r.engine(m), func(config *agent.Config) { config.MaxPulls = 2 })
		const images, tasks = 6, 3
		for i := range images {
			ref := fmt.Sprintf("published%d:1", i)
			m.PublishImage(ref, agenttest.Program{}, nil)
			for j := range tasks {
				c.run(arn(fmt.Sprint(i, "-", j)), definition(container("main", ref)))
			}
		}
		before := time.Now()
		for i := range images {
			for j := range tasks {
				s := c.becomes(arn(fmt.Sprint(i, "-", j)), "RUNNING")
				if s.Containers[0].ImageDigest == "" || s.PullStoppedAt-s.PullStartedAt < time.Minute.Milliseconds() {
					t.Errorf("reported %v", s)
				}
			}
		}
		if took := time.Since(before); took > 3*time.Minute+time.Second || r.most != 2 || m.Calls()["Pull"] != images {
			t.Errorf("took %v, at most %d at a time, %d pulls", took, r.most, m.Calls()["Pull"])
		}
	})
}

func TestPull_IsCancelledWithTheLastTaskThatWantsIt(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		r := &registry{takes: time.Hour}
		newHost(t, c, r.engine(m))
		m.PublishImage("published:1", agenttest.Program{}, nil)
		for _, id := range []string{"1", "2"} {
			c.run(arn(id), definition(container("main", "published:1")))
			c.becomes(arn(id), "PENDING")
		}
		c.stop(arn("1"))
		if s := c.becomes(arn("1"), "STOPPED"); s.StopCode != "" || s.Containers[0].ExitCode != nil {
			t.Errorf("reported %v", s)
		}
		synctest.Wait()
		if r.cancelledPull {
			t.Error("cancelled while the second task still wants it")
		}
		c.stop(arn("2"))
		c.becomes(arn("2"), "STOPPED")
		if !r.cancelledPull || r.pulls["published:1"] != 1 {
			t.Errorf("cancelled %v, pulls %v", r.cancelledPull, r.pulls)
		}
	})
}

func TestPull_Behaviors(t *testing.T) {
	// Three tasks, one after the other: the second while the registry is down, the third
	// of an image that was never in it.
	tests := []struct {
		behavior       agent.PullBehavior
		pulls          int // by the time that the second has come
		second, reason string
	}{
		{agent.PullDefault, 2, "RUNNING", ""},
		{agent.PullAlways, 2, "STOPPED", "CannotPullContainerError: registry is down"},
		{agent.PullOnce, 1, "RUNNING", ""},
		{agent.PullPreferCached, 1, "RUNNING", ""},
	}
	for _, test := range tests {
		t.Run(string(test.behavior), func(t *testing.T) {
			bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
				r := &registry{}
				newHost(t, c, r.engine(m), func(config *agent.Config) { config.PullBehavior = test.behavior })
				m.PublishImage("published:1", agenttest.Program{}, nil)
				d := definition(container("main", "published:1"))
				c.run(arn("1"), d)
				c.becomes(arn("1"), "RUNNING")
				r.fail(errors.New("registry is down"))
				c.run(arn("2"), d)
				if s := c.becomes(arn("2"), test.second); s.Reason != test.reason {
					t.Errorf("second task: %v", s)
				}
				if r.pulls["published:1"] != test.pulls {
					t.Errorf("%d pulls, want %d", r.pulls["published:1"], test.pulls)
				}
				c.run(arn("3"), definition(container("main", "server:1"))) // came from no registry
				want := "RUNNING"
				if test.behavior == agent.PullAlways {
					want = "STOPPED"
				}
				c.becomes(arn("3"), want)
			})
		})
	}
}

func TestPull_AnImageThatHasGoneIsFetchedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		gone := 0
		engine := agenttest.Intercept(m, agenttest.Hooks{
			Create: func(ctx context.Context, next runtime.Runtime, spec runtime.Spec) (string, error) {
				if gone++; gone == 2 {
					return "", fmt.Errorf("image %s: %w", spec.Image, runtime.ErrNotFound)
				}
				return next.Create(ctx, spec)
			},
		})
		newHost(t, c, engine)
		for _, id := range []string{"1", "2"} {
			c.run(arn(id), definition(container("main", "server:1")))
			c.becomes(arn(id), "RUNNING")
		}
		if got := m.Calls()["Image"]; got != 2 {
			t.Errorf("the image was looked up %d times, want once and once more when it had gone", got)
		}
	})
}
