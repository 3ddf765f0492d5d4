package rollout

import (
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/longshore/longshore/controlplane/model"
)

// keeper keeps a roster of a world from one plan to the next, and tells it only of what has
// changed in between.
type keeper struct {
	roster    *Roster
	tasks     map[model.TaskID]model.Task
	instances map[model.InstanceID]model.Instance
}

// sameAs tells whether the roster gives the same plan as the records do.
func (k *keeper) sameAs(in Input, instances map[model.InstanceID]*model.Instance, out Output) (Output, bool) {
	if k.roster == nil {
		k.roster = NewRoster(slices.Values(in.Tasks[:len(in.Tasks)/2]))
		k.tasks, k.instances = map[model.TaskID]model.Task{}, map[model.InstanceID]model.Instance{}
	}
	there := map[model.TaskID]model.Task{}
	for _, t := range in.Tasks {
		there[t.ID] = *t
		if was, ok := k.tasks[t.ID]; !ok || !reflect.DeepEqual(was, *t) {
			k.roster.Note(t)
		}
	}
	for id := range k.tasks {
		if _, ok := there[id]; !ok {
			k.roster.Forget(id)
		}
	}
	k.tasks = there
	for id := range k.instances {
		if now, ok := instances[id]; !ok || !reflect.DeepEqual(k.instances[id], *now) {
			k.roster.NoteInstance(id)
		}
	}
	k.instances = map[model.InstanceID]model.Instance{}
	for id, i := range instances {
		k.instances[id] = *i
	}
	in.Tasks, in.Roster = nil, k.roster
	again := Plan(in)
	return again, reflect.DeepEqual(out, again)
}

func (w *world) checkKept(in Input, out Output) {
	w.t.Helper()
	if again, same := w.kept.sameAs(in, w.instances, out); !same {
		w.t.Fatalf("a roster that was kept gave\n%+v\nand the records\n%+v", again, out)
	}
}

func TestRoster_HasTheTasksThatWereNotedByID(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, want := NewRoster(slices.Values([]*model.Task(nil))), map[model.TaskID]*model.Task{}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			id := model.TaskID(rapid.StringMatching("[a-f]{1,2}").Draw(t, "id"))
			task := &model.Task{
				ID: id, Instance: model.InstanceID(rapid.SampledFrom([]string{"i1", "i2", "i3"}).Draw(t, "on")), CreatedAt: time.Now(),
				LastStatus:     rapid.SampledFrom([]model.TaskStatus{model.TaskPending, model.TaskRunning, model.TaskStopped}).Draw(t, "status"),
				OutcomeCounted: rapid.Bool().Draw(t, "counted"),
			}
			switch {
			case rapid.IntRange(0, 4).Draw(t, "forget") == 0:
				r.Forget(id)
				delete(want, id)
			case task.LastStatus == model.TaskStopped && task.OutcomeCounted:
				r.Note(task)
				delete(want, id)
			default:
				r.Note(task)
				want[id] = task
			}
			if rapid.Bool().Draw(t, "look") {
				checkRoster(t, r, want)
			}
		}
		checkRoster(t, r, want)
	})
}

func checkRoster(t *rapid.T, r *Roster, want map[model.TaskID]*model.Task) {
	var live []model.TaskID
	hosts := map[model.InstanceID]int{}
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if want[id].LastStatus != model.TaskStopped {
			live = append(live, id)
			hosts[want[id].Instance]++
		}
	}
	var got []model.TaskID
	for _, m := range r.byID() {
		got = append(got, m.task.ID)
	}
	if !slices.Equal(got, live) {
		t.Fatalf("the roster has %v, and %v were noted", got, live)
	}
	all := map[model.TaskID]*model.Task{}
	for task := range r.Tasks() {
		all[task.ID] = task
	}
	if !maps.Equal(all, want) {
		t.Fatalf("the roster has %v, and %v were noted", all, want)
	}
	if !slices.Equal(slices.Sorted(r.Instances()), slices.Sorted(maps.Keys(hosts))) {
		t.Fatalf("the tasks are on %v, not %v", slices.Sorted(r.Instances()), hosts)
	}
	for id, n := range hosts {
		if r.hosts[id].members != n {
			t.Fatalf("%d tasks are on %s, not %d", n, id, r.hosts[id].members)
		}
	}
}
