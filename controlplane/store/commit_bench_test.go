package store_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/controlplane/store/storetest"
	"github.com/longshore/longshore/proto/ecs"
)

// measure begins to measure; what it returns tells the processor time.
func measure(b *testing.B) (end func()) {
	used := func() time.Duration {
		var usage syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
			b.Fatal(err)
		}
		return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	b.ReportAllocs()
	b.ResetTimer()
	before := used()
	return func() { b.ReportMetric(float64((used()-before).Nanoseconds())/float64(b.N), "cpu-ns/op") }
}

// BenchmarkCommit is what it takes to make 100 tasks durable in one Update, the embedded etcd's
// part of it included: new ones, and reports that they run.
func BenchmarkCommit(b *testing.B) {
	const together = 100
	make100 := func() []*model.Task {
		tasks := make([]*model.Task, together)
		for i := range tasks {
			tasks[i] = &model.Task{
				ID: model.NewTaskID(), Cluster: "default", Instance: model.InstanceID(fmt.Sprintf("%032x", i)),
				Definition: model.DefinitionRef{Family: "app", Revision: 3}, LaunchType: ecs.LaunchTypeEC2, Group: "family:app",
				DesiredStatus: model.TaskRunning, LastStatus: model.TaskPending, Version: 1,
				Reserved:  model.Reservation{CPU: 128, MemoryMiB: 256},
				CreatedAt: time.Now(),
				Containers: []model.Container{{
					ID: model.NewUUID(), Name: "main", Image: "registry.invalid/app:1", LastStatus: model.TaskPending,
				}},
			}
		}
		return tasks
	}
	put := func(b *testing.B, s *store.Store, tasks []*model.Task) {
		if err := s.Update(b.Context(), func(tx *store.Tx) error {
			for _, t := range tasks {
				tx.PutTask(t)
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("new", func(b *testing.B) {
		s := storetest.New(b, nil)
		tasks := make([][]*model.Task, b.N)
		for i := range tasks {
			tasks[i] = make100()
		}
		defer measure(b)()
		for _, some := range tasks {
			put(b, s, some)
		}
	})
	b.Run("report", func(b *testing.B) {
		s := storetest.New(b, nil)
		const groups = 200
		known := make([][]*model.Task, groups)
		for i := range known {
			known[i] = make100()
			put(b, s, known[i])
		}
		defer measure(b)()
		for i := range b.N {
			some := known[i%groups]
			for k, t := range some {
				next := *t
				next.Version++
				next.LastStatus = model.TaskRunning
				some[k] = &next
			}
			put(b, s, some)
		}
	})
}
