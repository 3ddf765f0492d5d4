package store

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

// Whoever planned on a frozen copy learns from the numbers alone that nothing has happened
// to what it rests on.
func TestUpsets_GrowWithWhateverMayUpsetAPlan(t *testing.T) {
	statuses := []model.TaskStatus{model.TaskPending, model.TaskRunning, model.TaskStopped}
	rapid.Check(t, func(t *rapid.T) {
		tables := newTables()
		for range rapid.IntRange(1, 30).Draw(t, "transactions") {
			before := tables.freeze()
			tx := &Tx{Tables: tables}
			for range rapid.IntRange(1, 3).Draw(t, "puts") {
				id := rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "id")
				if rapid.Bool().Draw(t, "a task") {
					tx.PutTask(&model.Task{
						Cluster: "c", ID: model.TaskID(id), Instance: "1", Service: "s",
						LastStatus: rapid.SampledFrom(statuses).Draw(t, "is"), DesiredStatus: rapid.SampledFrom(statuses[1:]).Draw(t, "is to be"),
						HealthStatus: rapid.SampledFrom([]ecs.HealthStatus{"UNKNOWN", "HEALTHY", "UNHEALTHY"}).Draw(t, "health"),
					})
					continue
				}
				i := &model.Instance{Cluster: "c", ID: model.InstanceID(id), Status: rapid.SampledFrom([]string{"ACTIVE", "DRAINING"}).Draw(t, "status")}
				if rapid.Bool().Draw(t, "silent") {
					i.SilentSince = time.Unix(1, 0)
				}
				tx.PutInstance(i)
			}
			if rapid.IntRange(0, 3).Draw(t, "refused") == 0 {
				tx.rollback()
			}
			checkUpsets(t, before, tables)
		}
	})
}

func checkUpsets(t *rapid.T, before, now *Tables) {
	was, is := before.Upsets("c"), now.Upsets("c")
	for old := range before.OpenTasksOfService(model.ServiceKey{Cluster: "c", Name: "s"}) {
		if next, _ := now.Task("c", old.ID); CeasesToServe(old, next) && was.Tasks == is.Tasks {
			t.Fatalf("%+v has become %+v, which nobody is told", old, next)
		}
	}
	if changed := !slices.EqualFunc(slices.Collect(before.LiveInstances("c", "")), slices.Collect(now.LiveInstances("c", "")),
		func(a, b *model.Instance) bool { return a.ID == b.ID && !Turns(a, b) }); changed && was.Instances == is.Instances {
		t.Fatal("instances have changed, which nobody is told")
	}
}
