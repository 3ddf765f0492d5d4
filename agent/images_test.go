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
		Pull: func(ctx context.Context, next runtime.Runtime, ref string, auth *runtime.Auth, progress func(runtime.PullProgress)) error {
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
			return next.Pull(ctx, ref, auth, progress)
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
		newHost(t, c, r.engine(m), func(config *agent.Config) { config.MaxPulls, config.PullInactivity = 2, time.Hour })
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
		newHost(t, c, r.engine(m), func(config *agent.Config) { config.PullInactivity = 2 * time.Hour })
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

func TestPull_OnceIsRememberedByTheNextAgent(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		h := newHost(t, c, m, func(config *agent.Config) { config.PullBehavior = agent.PullOnce })
		m.PublishImage("published:1", agenttest.Program{}, nil)
		c.run(arn("1"), definition(container("main", "published:1")))
		c.becomes(arn("1"), "RUNNING")
		h.stop()
		h.start()
		c.run(arn("2"), definition(container("main", "docker.io/library/published:1")))
		c.becomes(arn("2"), "RUNNING")
		if got := m.Calls()["Pull"]; got != 1 {
			t.Errorf("%d pulls, want one", got)
		}
	})
}

func TestPull_ThatStandsStillIsGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		engine := agenttest.Intercept(m, agenttest.Hooks{
			Pull: func(ctx context.Context, _ runtime.Runtime, _ string, _ *runtime.Auth, progress func(runtime.PullProgress)) error {
				for range 10 { // slow, and alive
					time.Sleep(50 * time.Second)
					progress(runtime.PullProgress{Layer: "a", Status: "Downloading", Current: 1})
				}
				<-ctx.Done()
				return fmt.Errorf("pull: %w", ctx.Err())
			},
		})
		newHost(t, c, engine)
		c.run(arn("1"), definition(container("main", "published:1")))
		s := c.becomes(arn("1"), "STOPPED")
		want := "CannotPullContainerError: inactivity time exceeded timeout while pulling image published:1: nothing came for 1m0s"
		if s.Reason != want || s.StopCode != "TaskFailedToStart" {
			t.Errorf("reported %v", s)
		}
		if took := s.PullStoppedAt - s.PullStartedAt; took != (560 * time.Second).Milliseconds() {
			t.Errorf("the pull took %d ms", took)
		}
	})
}
