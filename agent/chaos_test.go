package agent_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/longshore/longshore/agent/agenttest"
	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/runtime"
	"github.com/longshore/longshore/proto/ecs"
)

// flaky is an engine that loses one answer in ten, before or after doing what
// it was asked for, and counts what it started.
type flaky struct {
	mu     sync.Mutex
	random *rand.Rand
	calm   bool
	starts map[string]int // by container name
}

// lose tells whether the call is to be lost before, or after it is made.
func (f *flaky) lose() (before, after bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.random.IntN(20)
	return n == 0 && !f.calm, n == 1 && !f.calm
}

var errLost = fmt.Errorf("answer lost: %w", runtime.ErrUnavailable)

func lossy[T any](f *flaky, call func() (T, error)) (T, error) {
	before, after := f.lose()
	var zero T
	if before {
		return zero, errLost
	}
	v, err := call()
	if after {
		return zero, errLost
	}
	return v, err
}

func lossyErr(f *flaky, call func() error) error {
	_, err := lossy(f, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

func (f *flaky) engine(m *agenttest.Memory) runtime.Runtime {
	return agenttest.Intercept(m, agenttest.Hooks{
		Image: func(ctx context.Context, next runtime.Runtime, ref string) (runtime.Image, error) {
			return lossy(f, func() (runtime.Image, error) { return next.Image(ctx, ref) })
		},
		Create: func(ctx context.Context, next runtime.Runtime, spec runtime.Spec) (string, error) {
			return lossy(f, func() (string, error) { return next.Create(ctx, spec) })
		},
		Start: func(ctx context.Context, next runtime.Runtime, id string) error {
			return lossyErr(f, func() error {
				c, err := next.Inspect(ctx, id)
				if err != nil {
					return err
				}
				if err := next.Start(ctx, id); err != nil {
					return err
				}
				if c.State == runtime.Created {
					f.mu.Lock()
					f.starts[c.Name]++
					f.mu.Unlock()
				}
				return nil
			})
		},
		Stop: func(ctx context.Context, next runtime.Runtime, id string, grace time.Duration) error {
			return lossyErr(f, func() error { return next.Stop(ctx, id, grace) })
		},
		Inspect: func(ctx context.Context, next runtime.Runtime, id string) (runtime.Container, error) {
			return lossy(f, func() (runtime.Container, error) { return next.Inspect(ctx, id) })
		},
		Remove: func(ctx context.Context, next runtime.Runtime, id string) error {
			return lossyErr(f, func() error { return next.Remove(ctx, id) })
		},
		CreateVolume: func(ctx context.Context, next runtime.Runtime, volume runtime.Volume) error {
			return lossyErr(f, func() error { return next.CreateVolume(ctx, volume) })
		},
	})
}

// TestAgent_ThroughEverythingThatBreaks lets answers get lost, the engine, the
// session and the agent come and go at random, and then looks at the result.
func TestAgent_ThroughEverythingThatBreaks(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
				f := &flaky{random: rand.New(rand.NewPCG(seed, 1)), starts: map[string]int{}}
				h := newHost(t, c, f.engine(m))
				random := rand.New(rand.NewPCG(seed, 2))
				tasks := breakThings(t, h, m, random)
				f.mu.Lock()
				f.calm = true
				f.mu.Unlock()
				m.SetDown(false)
				h.stop()
				h.start()
				for _, id := range tasks {
					c.stop(id)
				}
				for _, id := range tasks {
					c.becomes(id, "STOPPED")
					c.wentForward(id)
					c.remove(id)
				}
				for name, n := range f.starts {
					if n > 1 {
						t.Errorf("%s was started %d times", name, n)
					}
				}
				time.Sleep(4 * time.Hour)
				volumes, err := m.ListVolumes(t.Context(), nil)
				if left := all(t, m); len(left) > 0 || len(volumes) > 0 || err != nil {
					t.Errorf("left on the engine: %d containers %+v, volumes %v, %v", len(left), left, volumes, err)
				}
			})
		})
	}
}

func breakThings(t *testing.T, h *host, m *agenttest.Memory, random *rand.Rand) (tasks []string) {
	t.Helper()
	d := definition(container("web", "server:1", mount("data", "/data"), func(c *ecs.ContainerDefinition) { c.Links = []string{"db"} }),
		container("db", "server:1"))
	d.Volumes = []ecs.Volume{{Name: "data"}}
	for step := range 150 {
		switch random.IntN(8) {
		case 0, 1, 2:
			id := arn(fmt.Sprint(step))
			h.c.run(id, d)
			tasks = append(tasks, id)
		case 3:
			if len(tasks) > 0 {
				h.c.stop(tasks[random.IntN(len(tasks))])
			}
		case 4:
			m.SetDown(random.IntN(2) == 0)
		case 5:
			h.c.mu.Lock()
			connected := h.c.out != nil
			h.c.mu.Unlock()
			if connected {
				h.c.breakSession()
			}
		case 6:
			m.SetDown(false) // without it no new agent gets ready
			h.stop()
			h.start()
		case 7:
			if up, err := m.List(t.Context(), map[string]string{lifecycle.LabelCluster: "default"}); err == nil && len(up) > 0 {
				m.Exit(up[random.IntN(len(up))].ID, random.IntN(3))
			}
		}
		time.Sleep(time.Duration(random.IntN(3000)) * time.Millisecond)
	}
	return tasks
}
