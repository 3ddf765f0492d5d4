package services

import (
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/rollout"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/controlplane/store/storetest"
	"github.com/longshore/longshore/proto/ecs"
)

// What a plan rests on is checked for all of its steps, and what a step has done itself does
// not count.
func TestGrounds_HoldUntilATaskThatServesOrAnInstanceBecomesAnother(t *testing.T) {
	task := func(id model.TaskID, health ecs.HealthStatus) *model.Task {
		return &model.Task{
			Cluster: "c", ID: id, Instance: "i", Service: "s", DesiredStatus: model.TaskRunning, LastStatus: model.TaskRunning, HealthStatus: health,
		}
	}
	stopped := task("1", ecs.HealthStatusUNKNOWN)
	stopped.DesiredStatus = model.TaskStopped
	instance := &model.Instance{Cluster: "c", ID: "i", Status: model.StatusActive}
	silent, draining := *instance, *instance
	silent.SilentSince, draining.Status = time.Unix(1, 0), model.StatusDraining
	moreTags := *instance
	moreTags.Version = 2

	laterStop := rollout.Output{Later: []rollout.Step{{Tasks: []*model.Task{stopped}}}}
	laterStart := rollout.Output{Later: []rollout.Step{{Start: rollout.Start{Count: 1}}}}
	for name, c := range map[string]struct {
		out    rollout.Output
		change func(tx *store.Tx)
		want   bool
	}{
		"nothing":                             {laterStop, func(tx *store.Tx) {}, true},
		"another serving task stops":          {laterStop, func(tx *store.Tx) { tx.PutTask(stopped) }, false},
		"it is healthy no more":               {laterStop, func(tx *store.Tx) { tx.PutTask(task("2", ecs.HealthStatusUNKNOWN)) }, false},
		"it is gone":                          {laterStop, func(tx *store.Tx) { tx.DeleteTask(task("2", "")) }, false},
		"a task of another service stops":     {laterStop, func(tx *store.Tx) { other := *stopped; other.ID, other.Service = "3", "x"; tx.PutTask(&other) }, true},
		"a plan that only starts, and a stop": {laterStart, func(tx *store.Tx) { tx.PutTask(stopped) }, true},
		"its host falls silent":               {laterStart, func(tx *store.Tx) { tx.PutInstance(&silent) }, false},
		"its host is drained":                 {laterStop, func(tx *store.Tx) { tx.PutInstance(&draining) }, false},
		"its host changes otherwise":          {laterStop, func(tx *store.Tx) { tx.PutInstance(&moreTags) }, true},
		"another host comes":                  {laterStart, func(tx *store.Tx) { tx.PutInstance(&model.Instance{Cluster: "c", ID: "j"}) }, true},
		"a plan that changes no task":         {rollout.Output{}, func(tx *store.Tx) { tx.PutInstance(&silent) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := storetest.New(t, nil)
			put := func(f func(tx *store.Tx)) {
				if err := s.Update(t.Context(), func(tx *store.Tx) error { f(tx); return nil }); err != nil {
					t.Fatal(err)
				}
			}
			put(func(tx *store.Tx) {
				tx.PutInstance(instance)
				tx.PutTask(task("1", ecs.HealthStatusUNKNOWN))
				tx.PutTask(task("2", ecs.HealthStatusHEALTHY))
				other := task("3", ecs.HealthStatusUNKNOWN)
				other.Service = "x"
				tx.PutTask(other)
			})
			view := s.View()
			key := model.ServiceKey{Cluster: "c", Name: "s"}
			g := groundsOf(view, rollout.Input{
				Service: &model.Service{Cluster: "c", Name: "s"}, Roster: rollout.NewRoster(view.OpenTasksOfService(key)),
				Instance: func(id model.InstanceID) (*model.Instance, bool) { return view.Instance("c", id) },
			}, c.out)
			put(c.change)
			put(func(tx *store.Tx) {
				if got := g.hold(tx); got != c.want {
					t.Errorf("the plan holds: %v", got)
				}
				if g.renew(tx); !g.hold(tx) {
					t.Error("what was taken into account still upsets it")
				}
			})
		})
	}
}
