package agent_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longshore/longshore/agent"
	"github.com/longshore/longshore/agent/agenttest"
	"github.com/longshore/longshore/agent/runtime"
	"github.com/longshore/longshore/proto/ecs"
)

// runJob pulls an image and runs a task of it to its end; its container is
// removed a minute after that.
func runJob(t *testing.T, c *controlPlane, m *agenttest.Memory, ref string) {
	t.Helper()
	m.PublishImage(ref, agenttest.Program{ExitsAtOnce: true}, nil)
	id := arn("job-" + strings.NewReplacer("/", "-", ":", "-").Replace(ref) + fmt.Sprint(time.Now().UnixNano()))
	c.run(id, definition(container("main", ref)))
	c.becomes(id, "STOPPED")
	c.remove(id)
}

func quickCleanup(c *agent.Config) { c.TaskCleanupWait = time.Minute }

// has returns which of the images the engine has.
func has(t *testing.T, m *agenttest.Memory, refs ...string) (left []string) {
	t.Helper()
	for _, ref := range refs {
		if _, err := m.Image(t.Context(), ref); err == nil {
			left = append(left, ref)
		}
	}
	return left
}

func TestCleanup_RemovesWhatItPulledWhenItIsOldAndFiveAtATime(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		h := newHost(t, c, m, quickCleanup)
		var jobs []string
		for n := range 7 {
			jobs = append(jobs, fmt.Sprintf("job%d:1", n))
			runJob(t, c, m, jobs[n])
			time.Sleep(time.Minute) // the order of their use
		}
		m.PublishImage("stays:1", agenttest.Program{}, nil)
		c.run(arn("stays"), definition(container("main", "stays:1")))
		c.becomes(arn("stays"), "RUNNING")
		h.stop()
		h.start() // what it pulled in its former life is its own still
		time.Sleep(50 * time.Minute)
		if left := has(t, m, jobs...); len(left) != 7 {
			t.Errorf("within the hour there is left only %v", left)
		}
		time.Sleep(20 * time.Minute)
		if left := has(t, m, jobs...); !slices.Equal(left, jobs[5:]) {
			t.Errorf("after one cycle there is left %v, want %v", left, jobs[5:])
		}
		time.Sleep(time.Hour)
		if left := has(t, m, append(jobs, "stays:1", "server:1", "failure:1")...); !slices.Equal(left, []string{"stays:1", "server:1", "failure:1"}) {
			t.Errorf("in the end there is left %v, want what runs and what it never pulled", left)
		}
	})
}

func TestCleanup_SettingsAreKept(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(*agent.Config)
		left []string
	}{
		"disabled":      {func(c *agent.Config) { c.ImageCleanup.Disabled = true }, []string{"old:1", "other:1"}},
		"prefer cached": {func(c *agent.Config) { c.PullBehavior = agent.PullPreferCached }, []string{"old:1", "other:1"}},
		"excluded":      {func(c *agent.Config) { c.ImageCleanup.Exclude = []string{"old:1"} }, []string{"old:1", "other:1"}},
		"untracked":     {func(c *agent.Config) { c.ImageCleanup.Untracked = true }, nil},
		"default":       {func(*agent.Config) {}, []string{"other:1"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := agenttest.NewMemory(runtime.Info{})
				m.AddImage("other:1", agenttest.Program{})
				c := newControlPlane(t)
				c.patience = 24 * time.Hour
				newHost(t, c, m, quickCleanup, test.edit)
				runJob(t, c, m, "old:1")
				time.Sleep(3 * time.Hour)
				if left := has(t, m, "old:1", "other:1"); !slices.Equal(left, test.left) {
					t.Errorf("left %v, want %v", left, test.left)
				}
			})
		})
	}
}

// What was there before the agent came is its owner's, though a task used it.
func TestCleanup_AnImageThatAPullFoundOnTheHostIsNotRemoved(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		m.PublishImage("known:1", agenttest.Program{ExitsAtOnce: true}, nil)
		if err := m.Pull(t.Context(), "known:1", nil, nil); err != nil {
			t.Fatal(err)
		}
		newHost(t, c, m, quickCleanup)
		runJob(t, c, m, "known:1")
		if got := m.Calls()["Pull"]; got != 2 {
			t.Fatalf("%d pulls, want the test's and the agent's", got)
		}
		time.Sleep(4 * time.Hour)
		if left := has(t, m, "known:1"); len(left) == 0 {
			t.Error("it was removed")
		}
	})
}

func TestCleanup_WhenTheDiskIsShortImagesGoAtOnceOldestUseFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := agenttest.NewMemory(runtime.Info{DataRoot: "/var/lib/engine"})
		c := newControlPlane(t)
		c.patience = 24 * time.Hour
		var used atomic.Int64 // per cent, beside the images, each of which is 2
		newHost(t, c, m, quickCleanup, func(config *agent.Config) {
			config.ImageCleanup.FreePercent = func(path string) (float64, error) {
				if path != "/var/lib/engine" {
					t.Errorf("measured %s", path)
				}
				images, err := m.ListImages(context.Background())
				return float64(100 - used.Load() - 2*int64(len(images))), err
			}
		})
		refs := []string{"a:1", "b:1", "c:1", "d:1"}
		for _, ref := range refs {
			runJob(t, c, m, ref)
			time.Sleep(2 * time.Minute)
		}
		runJob(t, c, m, "a:1") // used again: it goes last
		time.Sleep(2 * time.Minute)
		if left := has(t, m, refs...); len(left) != 4 {
			t.Fatalf("with room enough there is left %v", left)
		}
		used.Store(85) // 7 % are free; 10 are wanted
		time.Sleep(2 * time.Minute)
		if left := has(t, m, refs...); !slices.Equal(left, []string{"a:1", "d:1"}) {
			t.Errorf("left %v, want what was used last, and no more removed than needed", left)
		}
	})
}

// A task that comes while its image is being removed waits for that, and pulls.
func TestCleanup_DoesNotRaceWithTasksThatStart(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		removing, goOn := make(chan struct{}), make(chan struct{})
		engine := agenttest.Intercept(m, agenttest.Hooks{
			RemoveImage: func(ctx context.Context, next runtime.Runtime, name string) error {
				removing <- struct{}{}
				<-goOn
				return next.RemoveImage(ctx, name)
			},
		})
		newHost(t, c, engine, quickCleanup)
		runJob(t, c, m, "old:1")
		<-removing
		m.PublishImage("old:1", agenttest.Program{}, nil)
		c.run(arn("new"), definition(container("main", "old:1")))
		c.becomes(arn("new"), "PENDING")
		time.Sleep(time.Second)
		if got := m.Calls()["Create"]; got != 1 {
			t.Errorf("%d containers, want none beside the one that is gone", got)
		}
		close(goOn)
		c.becomes(arn("new"), "RUNNING")
		if got := m.Calls()["Pull"]; got != 2 {
			t.Errorf("%d pulls, want it pulled again", got)
		}
	})
}

// A task that needs an image keeps it before there is a container: while it
// waits for a dependency, or for another image.
func TestCleanup_KeepsWhatAWaitingTaskWillNeed(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		r := &registry{}
		engine := r.engine(m)
		newHost(t, c, engine, quickCleanup, func(config *agent.Config) { config.PullInactivity, config.PullBehavior = 10*time.Hour, agent.PullOnce })
		runJob(t, c, m, "needed:1")
		r.takes = 115 * time.Minute
		m.PublishImage("slow:1", agenttest.Program{}, nil)
		c.run(arn("both"), definition(container("main", "needed:1", func(d *ecs.ContainerDefinition) {
			d.Links = []string{"db"}
		}), container("db", "slow:1")))
		time.Sleep(100 * time.Minute) // the cycles at 60 and 90 would take it
		if left := has(t, m, "needed:1"); len(left) == 0 {
			t.Error("it was removed while a task waits for its other image")
		}
	})
}
