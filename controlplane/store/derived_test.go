package store

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

// What is derived must equal what counting the records gives, after any
// transactions, some of them taken back, and in every frozen copy.
func TestDerived_EqualsACountOfTheRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tables := newTables()
		frozen := map[*Tables]string{}
		for range rapid.IntRange(1, 30).Draw(t, "transactions") {
			tx := &Tx{Tables: tables}
			for range rapid.IntRange(1, 5).Draw(t, "puts") {
				randomPut(t, tx)
			}
			if rapid.Bool().Draw(t, "refused") {
				tx.rollback()
				if rapid.Bool().Draw(t, "replayed") {
					tx.replay()
				}
			}
			if rapid.Bool().Draw(t, "sealed") {
				copied := tables.freeze()
				frozen[copied] = describe(copied)
			}
			checkDerived(t, tables)
		}
		for copied, before := range frozen {
			if now := describe(copied); now != before {
				t.Fatalf("a frozen copy changed:\n%s\nwas\n%s", now, before)
			}
			checkDerived(t, copied)
		}
	})
}

func randomPut(t *rapid.T, tx *Tx) {
	instance := model.InstanceID(rapid.SampledFrom([]string{"i1", "i2"}).Draw(t, "instance"))
	switch rapid.SampledFrom([]string{"task", "task", "task", "instance", "delete"}).Draw(t, "what") {
	case "instance":
		tx.PutInstance(&model.Instance{
			ID: instance, Cluster: "c", AgentConnected: true,
			Status:    rapid.SampledFrom([]string{model.StatusActive, model.StatusDraining, model.StatusInactive}).Draw(t, "status"),
			Resources: []ecs.Resource{{Name: "CPU", IntegerValue: 4096}, {Name: "MEMORY", IntegerValue: 8192}},
		})
	case "task":
		id := model.TaskID(fmt.Sprint("t", rapid.IntRange(1, 5).Draw(t, "task")))
		next := &model.Task{ID: id, Cluster: "c", Instance: instance, Service: "s", DesiredStatus: model.TaskRunning, Group: "g"}
		next.Reserved = model.Reservation{CPU: 100, MemoryMiB: int64(rapid.IntRange(1, 3).Draw(t, "memory")), TCP: []uint16{80}}
		next.LaunchType = rapid.SampledFrom([]ecs.LaunchType{"", ecs.LaunchTypeEC2, ecs.LaunchTypeFARGATE, ecs.LaunchTypeEXTERNAL}).Draw(t, "launch type")
		if old, ok := tx.Task("c", id); ok {
			next.Instance, next.Reserved, next.LaunchType = old.Instance, old.Reserved, old.LaunchType // set for life
		}
		next.LastStatus = rapid.SampledFrom([]model.TaskStatus{model.TaskPending, model.TaskRunning, model.TaskStopping, model.TaskStopped}).Draw(t, "status")
		tx.PutTask(next)
	case "delete":
		for task := range tx.StoppedTasks() {
			tx.DeleteTask(task)
			break
		}
	}
}

func checkDerived(t *rapid.T, tables *Tables) {
	var want ClusterCounts
	for range tables.LiveInstances("c", "") {
		want.Instances++
	}
	for task := range tables.tasks.all() {
		switch task.LastStatus {
		case model.TaskRunning:
			*want.RunningTasks.of(task.LaunchType)++
		case model.TaskPending:
			*want.PendingTasks.of(task.LaunchType)++
		}
	}
	if got := tables.Counts("c"); got != want {
		t.Fatalf("counts %+v, want %+v", got, want)
	}
	fleet := tables.Fleet("c")
	if fleet.Len() != int(want.Instances) {
		t.Fatalf("%d instances in the fleet, want %d", fleet.Len(), want.Instances)
	}
	for i := range tables.LiveInstances("c", "") {
		cpu, memory, tasks := int64(4096), int64(8192), 0
		for task := range tables.LiveTasksOnInstance("c", i.ID) {
			cpu, memory, tasks = cpu-task.Reserved.CPU, memory-task.Reserved.MemoryMiB, tasks+1
		}
		v, ok := fleet.Instance(string(i.ID))
		if !ok || v.FreeCPU() != cpu || v.FreeMemoryMiB() != memory || v.Tasks() != tasks {
			t.Fatalf("instance %s has %d CPU, %d MiB, %d tasks; want %d, %d, %d", i.ID, v.FreeCPU(), v.FreeMemoryMiB(), v.Tasks(), cpu, memory, tasks)
		}
	}
}

func describe(tables *Tables) string {
	var lines []string
	for task := range tables.tasks.all() {
		lines = append(lines, fmt.Sprint(*task))
	}
	for i := range tables.LiveInstances("c", "") {
		v, _ := tables.Fleet("c").Instance(string(i.ID))
		lines = append(lines, fmt.Sprint(*i, v.FreeCPU(), v.FreeMemoryMiB(), v.Tasks()))
	}
	return fmt.Sprint(lines, tables.Counts("c"))
}

// Every index must agree with the table: a record that changes leaves no ghost.
func TestTasks_IndexesHoldWhatTheyShould(t *testing.T) {
	tables := newTables()
	tx := &Tx{Tables: tables}
	task := model.Task{ID: "t", Cluster: "c", Instance: "i", Service: "s", StartedBy: "me", DesiredStatus: model.TaskRunning, LastStatus: model.TaskPending}
	task.Definition.Family = "f"
	first := task
	tx.PutTask(&first)
	stopped := task
	stopped.DesiredStatus, stopped.LastStatus, stopped.StoppedAt = model.TaskStopped, model.TaskStopped, time.Unix(1, 0)
	tx.PutTask(&stopped)
	for name, at := range map[string]struct{ running, stopped int }{
		"cluster":  {len(slices.Collect(tx.Tasks("c", model.TaskRunning, ""))), len(slices.Collect(tx.Tasks("c", model.TaskStopped, "")))},
		"instance": {len(slices.Collect(tx.TasksOnInstance("c", "i", model.TaskRunning, ""))), len(slices.Collect(tx.TasksOnInstance("c", "i", model.TaskStopped, "")))},
		"service":  {len(slices.Collect(tx.TasksOfService(model.ServiceKey{Cluster: "c", Name: "s"}, model.TaskRunning, ""))), len(slices.Collect(tx.TasksOfService(model.ServiceKey{Cluster: "c", Name: "s"}, model.TaskStopped, "")))},
		"family":   {len(slices.Collect(tx.TasksOfFamily("c", "f", model.TaskRunning, ""))), len(slices.Collect(tx.TasksOfFamily("c", "f", model.TaskStopped, "")))},
		"starter":  {len(slices.Collect(tx.TasksStartedBy("c", "me", model.TaskRunning, ""))), len(slices.Collect(tx.TasksStartedBy("c", "me", model.TaskStopped, "")))},
		"stopped":  {len(slices.Collect(tx.LiveTasksOnInstance("c", "i"))), len(slices.Collect(tx.StoppedTasks()))},
	} {
		if at.running != 0 || at.stopped != 1 {
			t.Errorf("index by %s: %d running and %d stopped, want 0 and 1", name, at.running, at.stopped)
		}
	}
	tx.DeleteTask(&task) // not the stored pointer: the key counts
	if left := tables.tasks.items(); left != 0 {
		t.Errorf("the trees still have %d items of the deleted task", left)
	}
}
