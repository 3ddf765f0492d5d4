package services_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// The revisions of the definition "f" in a fleet, by what becomes of their tasks.
const (
	runs          = int32(iota + 1) // no health check
	runsToo                         // the same
	getsHealthy                     // has a health check, which passes after a while
	staysUnknown                    // has one that never says anything
	getsUnhealthy                   // has one that fails after a while
	failsToStart                    // never runs
	crashes                         // runs for a moment
)

func fDefinition(revision int32) *model.Definition {
	main := ecs.ContainerDefinition{Name: "main", Cpu: 1, Memory: new(int32(1))}
	if checkedRevision(revision) {
		main.HealthCheck = &ecs.HealthCheck{Command: []string{"CMD", "true"}}
	}
	return &model.Definition{
		Ref:    model.DefinitionRef{Family: "f", Revision: revision},
		Status: ecs.TaskDefinitionStatusACTIVE,
		Shape:  ecs.TaskDefinition{ContainerDefinitions: []ecs.ContainerDefinition{main}},
	}
}

func checkedRevision(revision int32) bool {
	return revision >= getsHealthy && revision <= getsUnhealthy
}

// fleet are simulated agents on a store. Each change of a task is answered with the
// next step of that task a little later, unless its host is silent.
type fleet struct {
	store *store.Store
	delay func() time.Duration

	mu   sync.Mutex
	next map[model.TaskID]time.Time // when the agent has something to report
	wake chan struct{}
}

func newFleet(seed uint64) *fleet {
	r := rand.New(rand.NewPCG(seed, 1))
	return &fleet{
		delay: func() time.Duration { return time.Duration(r.Int64N(int64(4 * time.Millisecond))) },
		next:  map[model.TaskID]time.Time{},
		wake:  make(chan struct{}, 1),
	}
}

// observe notes the tasks that an agent must look at.
func (f *fleet) observe(view *store.Tables, changes []store.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range changes {
		switch next := c.New.(type) {
		case *model.Task:
			if next != nil {
				f.next[next.ID] = time.Now().Add(f.delay())
			}
		case *model.Instance:
			if next != nil {
				for t := range view.LiveTasksOnInstance(next.Cluster, next.ID) {
					f.next[t.ID] = time.Now().Add(f.delay())
				}
			}
		}
	}
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// run lets the agents work until ctx ends.
func (f *fleet) run(ctx context.Context) {
	for s := range f.store.View().AllServices() {
		for t := range f.store.View().LiveTasksOfService(s.Key()) {
			f.observe(f.store.View(), []store.Change{{Old: (*model.Task)(nil), New: t}})
		}
	}
	for {
		due, wait := f.due()
		if len(due) > 0 {
			// What is lost with the term of leadership, the agents of the next report again.
			f.store.Update(ctx, func(tx *store.Tx) error { f.report(tx, due); return nil })
			continue
		}
		select {
		case <-f.wake:
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// due takes up to 50 tasks whose time has come, or says how long there are none.
func (f *fleet) due() (due []model.TaskID, wait time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	wait = time.Second
	for id, at := range f.next {
		if at.After(now) {
			wait = min(wait, at.Sub(now))
		} else if len(due) < 50 {
			due = append(due, id)
			delete(f.next, id)
		}
	}
	return due, wait
}

func (f *fleet) report(tx *store.Tx, due []model.TaskID) {
	for _, id := range due {
		t, ok := tx.Task("c", id)
		if !ok || !store.TaskLive(t) {
			continue
		}
		if i, ok := tx.Instance("c", t.Instance); ok && !i.AgentConnected {
			continue
		}
		if next, changed := t.Reported(nextReport(t), time.Now()); changed {
			tx.PutTask(next)
		}
	}
}

// nextReport is what an agent says next of a task.
func nextReport(t *model.Task) model.TaskReport {
	stopped := model.TaskReport{Status: model.TaskStopped, StopCode: ecs.TaskStopCodeEssentialContainerExited}
	revision := t.Definition.Revision
	switch {
	case t.DesiredStatus == model.TaskStopped:
		return stopped
	case t.LastStatus.Starting() && revision == failsToStart:
		stopped.StopCode = ecs.TaskStopCodeTaskFailedToStart
		return stopped
	case t.LastStatus.Starting():
		return model.TaskReport{Status: model.TaskRunning, StartedAt: time.Now()}
	case revision == crashes:
		return stopped
	case revision == getsHealthy:
		return model.TaskReport{Status: model.TaskRunning, HealthStatus: ecs.HealthStatusHEALTHY}
	case revision == getsUnhealthy:
		return model.TaskReport{Status: model.TaskRunning, HealthStatus: ecs.HealthStatusUNHEALTHY}
	}
	return model.TaskReport{}
}

// hosts are n instances in three zones.
func hosts(n int) []*model.Instance {
	var out []*model.Instance
	for k := range n {
		i := host(model.InstanceID("i"+string(rune('a'+k))), 4096)
		zone := "az" + string(rune('1'+k%3))
		i.Attributes = append(slices.Clone(i.Attributes), ecs.Attribute{Name: "ecs.availability-zone", Value: &zone})
		out = append(out, i)
	}
	return out
}

// until waits until a condition holds of what a store has committed.
func until(t testing.TB, s *store.Store, what string, holds func(*store.Tables) bool) {
	t.Helper()
	changed, stop := s.Subscribe()
	defer stop()
	deadline := time.After(60 * time.Second)
	for !holds(s.View()) {
		select {
		case <-changed:
		case <-deadline:
			for svc := range s.View().AllServices() {
				t.Logf("%+v", *svc)
				for e := range s.View().Events(svc.Key()) {
					t.Log(e.Message)
				}
			}
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
