package services_test

import (
	"testing"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/rollout"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// As ECS's text of UpdateService has it: what a new strategy or new constraints say holds
// for tasks that are started from then on; those that run stay until they are replaced.
func TestLoop_NewStrategiesAndConstraintsHoldForNewTasks(t *testing.T) {
	w := newWorld(t, host("i1", 4096), host("i2", 4096), host("i3", 4096))
	w.deploy(3, 1)
	w.await("one task on each host", func(v *store.Tables) bool { return settled(3, 1)(v) && only("i1", "i2", "i3")(v) })
	first := map[model.TaskID]bool{}
	for task := range w.store.View().LiveTasksOfService(key) {
		first[task.ID] = true
	}
	change := func(f func(*model.Service)) {
		w.update(func(tx *store.Tx) {
			have, _ := tx.Service(key)
			next := rollout.Renewed(*have)
			f(&next)
			tx.PutService(&next)
		})
	}
	on := func(v *store.Tables) map[model.InstanceID]int {
		out := map[model.InstanceID]int{}
		for task := range v.LiveTasksOfService(key) {
			out[task.Instance]++
		}
		return out
	}
	// The fullest host takes what comes; all have as much left, so it is one of them.
	change(func(s *model.Service) {
		s.PlacementStrategy, s.DesiredCount = []ecs.PlacementStrategy{{Type: ecs.PlacementStrategyTypeBinpack, Field: "cpu"}}, 7
	})
	w.await("seven tasks", settled(7, 1))
	packed := false
	for _, n := range on(w.store.View()) {
		packed = packed || n == 5
	}
	if !packed {
		t.Errorf("packed as %v", on(w.store.View()))
	}
	stayed := 0
	for task := range w.store.View().LiveTasksOfService(key) {
		if first[task.ID] {
			stayed++
		}
	}
	if stayed != 3 {
		t.Errorf("%d of the first three tasks stayed", stayed)
	}
	// Nothing but i2 may take what comes from now on.
	before := on(w.store.View())
	change(func(s *model.Service) {
		s.PlacementConstraints = []ecs.PlacementConstraint{{Type: ecs.PlacementConstraintTypeMemberOf, Expression: "attribute:name == two"}}
		s.DesiredCount = 9
	})
	two := host("i2", 4096)
	name := "two"
	two.Attributes = append(two.Attributes, ecs.Attribute{Name: "name", Value: &name})
	w.update(func(tx *store.Tx) { tx.PutInstance(two) })
	w.await("nine tasks", settled(9, 1))
	after := on(w.store.View())
	if after["i2"] != before["i2"]+2 || after["i1"] != before["i1"] || after["i3"] != before["i3"] {
		t.Errorf("from %v to %v", before, after)
	}
	// With a new deployment all of them go there.
	w.deploy(3, 2)
	w.await("three tasks of the new revision", settled(3, 2))
	if got := on(w.store.View()); got["i2"] != 3 {
		t.Errorf("a deployment placed %v", got)
	}
}
