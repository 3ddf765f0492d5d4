package store

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/longshore/longshore/controlplane/model"
)

type taskKeyOf struct {
	cluster model.ClusterName
	id      model.TaskID
}

// Whatever is put, replaced, taken back and removed, and even if all groups have the same
// hash, every walk gives what a look at all tasks gives; so do frozen copies, later.
func TestTaskTable_WalksWhatALookAtAllTasksFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := newTaskTable()
		hash, bits := table.hash, rapid.SampledFrom([]uint64{0, 1 << 33, 1<<64 - 1}).Draw(t, "bits of the hash")
		table.hash = func(s string) uint64 { return hash(s) & bits }
		have := map[taskKeyOf]*model.Task{}
		type frozen struct {
			table *taskTable
			tasks map[taskKeyOf]*model.Task
		}
		var copies []frozen
		for range rapid.IntRange(1, 60).Draw(t, "changes") {
			next := randomTask(t)
			key := taskKeyOf{next.Cluster, next.ID}
			if rapid.IntRange(0, 4).Draw(t, "what") == 0 {
				if got := table.remove(next); got != have[key] {
					t.Fatalf("removed %v, want %v", got, have[key])
				}
				delete(have, key)
			} else {
				if got := table.put(next); got != have[key] {
					t.Fatalf("replaced %v, want %v", got, have[key])
				}
				have[key] = next
			}
			if rapid.IntRange(0, 5).Draw(t, "freeze") == 0 {
				tasks := map[taskKeyOf]*model.Task{}
				for k, task := range have {
					tasks[k] = task
				}
				copies = append(copies, frozen{table.freeze(), tasks})
			}
		}
		checkTaskTable(t, table, have)
		for _, c := range copies {
			checkTaskTable(t, c.table, c.tasks)
		}
	})
}

func randomTask(t *rapid.T) *model.Task {
	ids := []model.TaskID{"t", "t1", "0123456789abcdef", "01234567ffffffff", "01234567", "fffffffff", "a", "0", "0 ", ""}
	id := rapid.IntRange(0, len(ids)-1).Draw(t, "id")
	name := rapid.SampledFrom([]string{"", "x", "y"})
	task := &model.Task{
		Cluster: []model.ClusterName{"c", "d"}[id%2], ID: ids[id], // ids are random: no two clusters have the same
		Instance: model.InstanceID(name.Draw(t, "instance")), Service: model.ServiceName(name.Draw(t, "service")),
		StartedBy: name.Draw(t, "starter"), Definition: model.DefinitionRef{Family: model.Family(name.Draw(t, "family"))},
		OutcomeCounted: rapid.Bool().Draw(t, "counted"),
	}
	task.DesiredStatus, task.LastStatus = model.TaskRunning, model.TaskRunning
	if rapid.Bool().Draw(t, "stopping") {
		task.DesiredStatus = model.TaskStopped
		if rapid.Bool().Draw(t, "stopped") {
			task.LastStatus, task.StoppedAt = model.TaskStopped, time.Unix(int64(rapid.IntRange(-1, 1).Draw(t, "second")), rapid.Int64Range(0, 1).Draw(t, "nano"))
		}
	}
	return task
}

func checkTaskTable(t *rapid.T, table *taskTable, have map[taskKeyOf]*model.Task) {
	tables := &Tables{tasks: table}
	byID := func(a, b *model.Task) int { return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.ID, b.ID)) }
	check := func(what string, got iter.Seq[*model.Task], order func(a, b *model.Task) int, want func(*model.Task) bool) {
		var all []*model.Task
		for _, task := range have {
			if want(task) {
				all = append(all, task)
			}
		}
		slices.SortFunc(all, order)
		if got := slices.Collect(got); !slices.Equal(got, all) {
			t.Fatalf("%s: %d tasks %v, want %d %v", what, len(got), got, len(all), all)
		}
	}
	for key, task := range have {
		if got, ok := tables.Task(key.cluster, key.id); !ok || got != task {
			t.Fatalf("looked up %v, want %v", got, task)
		}
	}
	check("stopped", tables.StoppedTasks(), func(a, b *model.Task) int { return cmp.Or(a.StoppedAt.Compare(b.StoppedAt), byID(a, b)) },
		func(r *model.Task) bool { return !TaskLive(r) })
	endingLast := func(a, b *model.Task) int { return cmp.Or(cmp.Compare(a.DesiredStatus, b.DesiredStatus), byID(a, b)) }
	for _, c := range []model.ClusterName{"c", "d"} {
		for _, name := range []string{"x", "y"} {
			of := func(f func(*model.Task) string, also func(*model.Task) bool) func(*model.Task) bool {
				return func(r *model.Task) bool { return r.Cluster == c && f(r) == name && also(r) }
			}
			key := model.ServiceKey{Cluster: c, Name: model.ServiceName(name)}
			check("live on an instance", tables.LiveTasksOnInstance(c, model.InstanceID(name)), endingLast, of(byInstance, TaskLive))
			check("open of a service", tables.OpenTasksOfService(key), endingLast, of(byService, TaskOpen))
			check("live of a service", tables.LiveTasksOfService(key), endingLast, of(byService, TaskLive))
			for _, from := range []model.TaskID{"", "01234567", "a", "t1", "~"} {
				for _, desired := range []model.TaskStatus{model.TaskRunning, model.TaskStopped, model.TaskPending} {
					after := func(r *model.Task) bool { return r.DesiredStatus == desired && r.ID >= from }
					what := fmt.Sprintf("%s of %s in %s from %q", desired, name, c, from)
					check(what+" by cluster", tables.Tasks(c, desired, from), byID, func(r *model.Task) bool { return r.Cluster == c && after(r) })
					check(what+" by instance", tables.TasksOnInstance(c, model.InstanceID(name), desired, from), byID, of(byInstance, after))
					check(what+" by service", tables.TasksOfService(key, desired, from), byID, of(byService, after))
					check(what+" by family", tables.TasksOfFamily(c, model.Family(name), desired, from), byID, of(byFamily, after))
					check(what+" by starter", tables.TasksStartedBy(c, name, desired, from), byID, of(byStarter, after))
				}
			}
		}
	}
}

func TestIdNumber_IsInTheOrderOfIDs(t *testing.T) {
	// Of the characters around those of an id, so that prefixes are often the same.
	ids := rapid.StringOfN(rapid.SampledFrom([]rune("0189:@`abfgz -")), 0, 12, -1)
	rapid.Check(t, func(t *rapid.T) {
		a, b := model.TaskID(ids.Draw(t, "a")), model.TaskID(ids.Draw(t, "b"))
		if a > b {
			a, b = b, a
		}
		if idNumber(a) > idNumber(b) {
			t.Fatalf("%q has %x, and %q has %x", a, idNumber(a), b, idNumber(b))
		}
	})
	if got := idNumber("0123abcdef"); got != 0x0123abcd {
		t.Errorf("got %x", got)
	}
}

func TestTimeNumber_IsInTheOrderOfTimes(t *testing.T) {
	moments := rapid.Custom(func(t *rapid.T) time.Time {
		return time.Unix(rapid.Int64Range(-10, 1<<35).Draw(t, "second"), rapid.Int64Range(0, 1e9-1).Draw(t, "nano"))
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := moments.Draw(t, "a"), moments.Draw(t, "b")
		if a.After(b) {
			a, b = b, a
		}
		if timeNumber(a) > timeNumber(b) {
			t.Fatalf("%v has %x, and %v has %x", a, timeNumber(a), b, timeNumber(b))
		}
	})
	if timeNumber(time.Time{}) != 0 {
		t.Error("no time is not the first")
	}
	if now := time.Unix(1_700_000_000, 1); timeNumber(now) == timeNumber(now.Add(1)) {
		t.Error("two times of today have the same number")
	}
}

// Whatever becomes of tasks, and whatever is taken back, a service and its deployments have
// the counts that a look at its tasks finds, in frozen copies as well.
func TestServiceCounts_AreThoseOfItsTasks(t *testing.T) {
	deployments := []model.DeploymentID{"", "one", "two"}
	statuses := []model.TaskStatus{model.TaskProvisioning, model.TaskPending, model.TaskRunning, model.TaskStopping, model.TaskStopped}
	check := func(t *rapid.T, view *Tables) {
		for _, k := range []model.ServiceKey{{Cluster: "c", Name: "x"}, {Cluster: "c", Name: "y"}, {Cluster: "d", Name: "x"}, {Cluster: "d", Name: "y"}} {
			for _, d := range deployments {
				var wantRunning, wantPending int32
				for r := range view.LiveTasksOfService(k) {
					if d != "" && r.Deployment != d {
						continue
					}
					if r.LastStatus == model.TaskRunning {
						wantRunning++
					} else if r.LastStatus.Starting() {
						wantPending++
					}
				}
				if running, pending := view.ServiceCounts(k, d); running != wantRunning || pending != wantPending {
					t.Fatalf("%v %q: %d run and %d will, want %d and %d", k, d, running, pending, wantRunning, wantPending)
				}
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		tables := newTables()
		var views []*Tables
		for range rapid.IntRange(1, 40).Draw(t, "changes") {
			tx := &Tx{Tables: tables}
			for range rapid.IntRange(1, 3).Draw(t, "tasks") {
				next := randomTask(t)
				next.Deployment = rapid.SampledFrom(deployments).Draw(t, "deployment")
				if next.LastStatus != model.TaskStopped {
					next.LastStatus = rapid.SampledFrom(statuses[:4]).Draw(t, "status")
				}
				if rapid.IntRange(0, 4).Draw(t, "what") == 0 {
					tx.DeleteTask(next)
				} else {
					tx.PutTask(next)
				}
			}
			if rapid.IntRange(0, 3).Draw(t, "back") == 0 {
				tx.rollback()
			}
			if rapid.Bool().Draw(t, "freeze") {
				views = append(views, tables.freeze())
			}
			check(t, tables)
		}
		for _, view := range views {
			check(t, view)
		}
	})
}

// A service's tasks that come and go leave nothing behind, and what is counted of them is
// right in copies that were frozen before.
func TestDefinitionInUse_AsLongAsATaskOfItIsLive(t *testing.T) {
	tables := newTables()
	ref := model.DefinitionRef{Family: "f", Revision: 1}
	put := func(id model.TaskID, status model.TaskStatus) *Tables {
		tx := &Tx{Tables: tables}
		tx.PutTask(&model.Task{ID: id, Cluster: "c", Definition: ref, DesiredStatus: model.TaskRunning, LastStatus: status})
		return tables.freeze()
	}
	want := []bool{true, true, true, false, true}
	views := []*Tables{
		put("a", model.TaskPending), put("b", model.TaskRunning), put("a", model.TaskStopped), put("b", model.TaskStopped), put("c", model.TaskPending),
	}
	for i, view := range views {
		if got := view.DefinitionInUse(ref); got != want[i] {
			t.Errorf("after change %d: in use %t", i, got)
		}
	}
	if counted, _ := views[1].taskUse(taskUseKey{definition: ref}); counted.tasks != 2 {
		t.Errorf("a frozen copy counts %d tasks, want 2", counted.tasks)
	}
}
