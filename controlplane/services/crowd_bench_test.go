package services_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/rollout"
	"github.com/longshore/longshore/controlplane/services"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/controlplane/store/storetest"
)

// crowd are simulated agents for benchmarks: each change of a task is answered at once, in
// an Update of its own, as the sessions of many hosts do. It costs the same for each task,
// however many there are.
type crowd struct {
	store *store.Store

	mu   sync.Mutex
	todo []model.TaskID
	wake *sync.Cond
	end  bool
}

func newCrowd() *crowd {
	c := &crowd{}
	c.wake = sync.NewCond(&c.mu)
	return c
}

func (c *crowd) observe(_ *store.Tables, changes []store.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, change := range changes {
		if t, ok := change.New.(*model.Task); ok && t != nil && answers(t) {
			c.todo = append(c.todo, t.ID)
			c.wake.Signal()
		}
	}
}

// answers tells whether an agent has something to say of a task.
func answers(t *model.Task) bool {
	return t.LastStatus.Starting() || t.DesiredStatus == model.TaskStopped && store.TaskLive(t)
}

// reporters is how many sessions report at once.
const reporters = 256

// run lets the agents work until ctx ends.
func (c *crowd) run(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.end = true
		c.wake.Broadcast()
	})
	defer stop()
	var all sync.WaitGroup
	for range reporters {
		all.Go(func() {
			for id, ok := c.next(); ok; id, ok = c.next() {
				c.store.Update(ctx, func(tx *store.Tx) error { report(tx, id); return nil })
			}
		})
	}
	all.Wait()
}

func (c *crowd) next() (model.TaskID, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.todo) == 0 && !c.end {
		c.wake.Wait()
	}
	if c.end {
		return "", false
	}
	id := c.todo[0]
	c.todo = c.todo[1:]
	return id, true
}

func report(tx *store.Tx, id model.TaskID) {
	t, ok := tx.Task("c", id)
	if !ok || !answers(t) {
		return
	}
	status := model.TaskRunning
	if t.DesiredStatus == model.TaskStopped {
		status = model.TaskStopped
	}
	if next, changed := t.Reported(model.TaskReport{Status: status}, time.Now()); changed {
		tx.PutTask(next)
	}
}

// stage is a store on a real etcd with the loop and a crowd of agents at work.
type stage struct {
	*testing.B
	db       *store.Store
	registry *prometheus.Registry
}

// setStage ends what it started when stop is called.
func setStage(b *testing.B) (s *stage, stop func()) {
	agents, registry := newCrowd(), prometheus.NewRegistry()
	var loop *services.Loop
	db := storetest.New(b, func(s *store.Store) {
		s.Observe(agents.observe)
		loop = services.New(services.Config{Store: s, Settings: rollout.DefaultSettings(), Registry: registry})
	})
	agents.store = db
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { loop.Run(ctx) })
	running.Go(func() { agents.run(ctx) })
	return &stage{b, db, registry}, func() { cancel(); running.Wait() }
}

func (s *stage) put(f func(tx *store.Tx)) {
	s.Helper()
	if err := s.db.Update(s.Context(), func(tx *store.Tx) error { f(tx); return nil }); err != nil {
		s.Fatal(err)
	}
}

// phase does something and waits until it is done. It reports how many looks at services
// that took and, for each of n tasks, the processor time of everything, agents and etcd included.
func (s *stage) phase(name string, n int, begin func(), done func(*store.Tables) bool) {
	s.Helper()
	began, cpu, looks := time.Now(), processorTime(s.B), looksTaken(s.B, s.registry)
	begin()
	until(s, s.db, name, done)
	s.ReportMetric(float64(n)/time.Since(began).Seconds(), name+"-tasks/s")
	s.ReportMetric((processorTime(s.B)-cpu).Seconds()*1e6/float64(n), name+"-µs/task")
	s.ReportMetric(float64(looksTaken(s.B, s.registry)-looks), name+"-looks")
}
