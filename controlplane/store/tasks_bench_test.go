package store

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

const (
	benchInstances = 10_000
	benchTasks     = 100_000
	benchBatch     = 100 // records of a transaction of etcd, after which the tables are frozen
)

// benchTables are a large fleet's: two thirds of its tasks are standalone, the others
// are of ten services.
type benchTables struct {
	*Tables
	instances []model.InstanceID
	tasks     []*model.Task // as they were put first
	batch     *batch
	pad       room
	view      *Tables
}

func newBenchTables(b *testing.B) *benchTables {
	b.Helper()
	t := &benchTables{Tables: newTables(), batch: newBatch(DefaultLimits())}
	for range benchInstances {
		t.instances = append(t.instances, model.NewInstanceID())
	}
	t.update(func(tx *Tx) {
		for _, id := range t.instances {
			tx.PutInstance(&model.Instance{
				ID: id, Cluster: "default", Status: model.StatusActive, AgentConnected: true,
				Resources: []ecs.Resource{{Name: "CPU", IntegerValue: 1 << 20}, {Name: "MEMORY", IntegerValue: 1 << 20}},
			})
		}
	})
	t.tasks = t.make(benchTasks)
	for _, task := range t.tasks {
		t.update(func(tx *Tx) { tx.PutTask(task) })
	}
	return t
}

// make makes records as RunTask and services do, on random instances.
func (t *benchTables) make(n int) []*model.Task {
	out := make([]*model.Task, n)
	for i := range out {
		task := &model.Task{
			ID: model.NewTaskID(), Cluster: "default", Instance: t.instances[rand.IntN(len(t.instances))],
			Definition: model.DefinitionRef{Family: "app", Revision: 3}, LaunchType: ecs.LaunchTypeEC2, Group: "family:app",
			DesiredStatus: model.TaskRunning, LastStatus: model.TaskPending, Version: 1,
			Reserved:  model.Reservation{CPU: 128, MemoryMiB: 256},
			CreatedAt: time.Now(),
			Containers: []model.Container{{
				ID: model.NewUUID(), Name: "main", Image: "registry.invalid/app:1", LastStatus: model.TaskPending,
			}},
		}
		if i%3 == 0 {
			task.Service, task.Deployment = model.ServiceName(model.Shared(fmt.Sprint("service-", i%30))), "ecs-svc/1234567890123456789"
			task.Group, task.StartedBy = "service:app", string(task.Deployment)
		}
		out[i] = task
	}
	return out
}

// update is Store.Update without etcd.
func (t *benchTables) update(f func(*Tx)) {
	tx := &Tx{Tables: t.Tables, room: t.pad}
	_ = tx.run(func(tx *Tx) error { f(tx); return nil })
	t.batch.add(tx)
	t.pad = tx.again()
	if len(t.batch.ops)+len(t.batch.taskOps) >= benchBatch {
		spare := t.batch.again()
		t.batch, t.view = newBatch(DefaultLimits()), t.freeze()
		t.batch.room = spare
	}
}

// What it takes to record a task of RunTask, and what to record an agent's report that
// it runs, all but what etcd does.
func BenchmarkPutTask(b *testing.B) {
	b.Run("create", func(b *testing.B) {
		t := newBenchTables(b)
		tasks := t.make(b.N)
		measure(b, func() {
			for _, task := range tasks {
				t.update(func(tx *Tx) { tx.PutTask(task) })
			}
		})
	})
	b.Run("report", func(b *testing.B) {
		t := newBenchTables(b)
		reports := make([]model.TaskReport, b.N)
		for i := range reports {
			reports[i] = model.TaskReport{
				Status: model.TaskRunning, StartedAt: time.Now(), PullStartedAt: time.Now(), PullStoppedAt: time.Now(),
				Containers: []model.ContainerReport{{Name: "main", RuntimeID: model.NewUUID(), Status: model.TaskRunning}},
			}
		}
		order := rand.Perm(len(t.tasks))
		now := time.Now()
		measure(b, func() {
			for i := range reports {
				id := t.tasks[order[i%len(order)]].ID
				t.update(func(tx *Tx) {
					old, _ := tx.Task("default", id)
					if next, changed := old.Reported(reports[i], now); changed {
						tx.PutReported(old, next)
					}
				})
			}
		})
	})
}

// measure runs what is to be measured with no garbage left from before. It tells the
// processor time, the collector's included, too: on a busy machine the clock says little.
func measure(b *testing.B, f func()) {
	runtime.GC()
	b.ReportAllocs()
	b.ResetTimer()
	before := processorTime(b)
	f()
	b.ReportMetric(float64((processorTime(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

func processorTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func BenchmarkScanTasks(b *testing.B) {
	t := newBenchTables(b)
	view := t.freeze()
	b.Run("of a service", func(b *testing.B) {
		n := 0
		before := processorTime(b)
		for b.Loop() {
			for range view.OpenTasksOfService(model.ServiceKey{Cluster: "default", Name: "service-0"}) {
				n++
			}
		}
		b.ReportMetric(float64((processorTime(b)-before).Nanoseconds())/float64(n), "cpu-ns/task")
	})
	b.Run("on an instance", func(b *testing.B) {
		n := 0
		before := processorTime(b)
		for i := 0; b.Loop(); i++ {
			for range view.LiveTasksOnInstance("default", t.instances[i%len(t.instances)]) {
				n++
			}
		}
		b.ReportMetric(float64((processorTime(b)-before).Nanoseconds())/float64(n), "cpu-ns/task")
	})
	b.Run("one", func(b *testing.B) {
		order := rand.Perm(len(t.tasks))
		measure(b, func() {
			for i := range b.N {
				view.Task("default", t.tasks[order[i%len(order)]].ID)
			}
		})
	})
}

// BenchmarkTaskMemory says how much heap a task takes in the tables.
func BenchmarkTaskMemory(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		t := &benchTables{Tables: newTables(), batch: newBatch(DefaultLimits()), instances: []model.InstanceID{"i"}}
		tasks := t.make(benchTasks)
		runtime.GC()
		runtime.ReadMemStats(&before)
		for _, task := range tasks {
			t.update(func(tx *Tx) { tx.PutTask(task) })
		}
		t.batch = nil
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/benchTasks, "B/task")
		runtime.KeepAlive(t)
		runtime.KeepAlive(tasks)
	}
}
