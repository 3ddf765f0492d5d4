package services_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/controlplane/store/storetest"
	"github.com/longshore/longshore/proto/ecs"
)

// told tells whether an event of a service contains a text.
func told(v *store.Tables, k model.ServiceKey, text string) bool {
	for e := range v.Events(k) {
		if strings.Contains(e.Message, text) {
			return true
		}
	}
	return false
}

// A service that no task can be made for says so, keeps what it has, and leaves the other
// services alone.
func TestLoop_SaysThatNoTaskCanBeMade(t *testing.T) {
	w := lead(t, storetest.Etcd(t), 0)
	all := []model.Service{replica("a", 2, 100, 200), daemon("d"), replica("p", 2, 100, 200), replica("z", 2, 100, 200)}
	all[2].LaunchType, all[2].CapacityProviderStrategy = "", []ecs.CapacityProviderStrategyItem{{CapacityProvider: "gone", Weight: 1}}
	all[2].Primary().LaunchType, all[2].Primary().CapacityProviderStrategy = "", all[2].CapacityProviderStrategy
	w.begin(3, all...)
	w.settle(keyOf(all[0]), keyOf(all[1]), keyOf(all[3]))
	var kept []model.TaskID
	for task := range w.store.View().LiveTasksOfService(keyOf(all[1])) {
		kept = append(kept, task.ID)
	}
	w.update(func(tx *store.Tx) {
		for revision := runs; revision <= crashes; revision++ {
			d, _ := tx.Definition(model.DefinitionRef{Family: "f", Revision: revision})
			tx.DeleteDefinition(d)
		}
		tx.PutDefinition(&model.Definition{Ref: model.DefinitionRef{Family: "g", Revision: 1}, Shape: fDefinition(runs).Shape})
		extra := hosts(4)[3]
		tx.PutInstance(extra)
	})
	w.change(keyOf(all[0]), func(s *model.Service) { s.DesiredCount = 3 })
	w.change(keyOf(all[3]), func(s *model.Service) {
		s.Primary().Definition = model.DefinitionRef{Family: "g", Revision: 1}
		s.DesiredCount = 3
	})
	for _, s := range all[:2] {
		until(t, w.store, "the missing definition told by "+string(s.Name), func(v *store.Tables) bool {
			return told(v, keyOf(s), "was unable to place a task. Reason: the task definition f:1 does not exist.")
		})
	}
	until(t, w.store, "the missing provider told", func(v *store.Tables) bool {
		return told(v, keyOf(all[2]), "Reason: No Container Instances were found in your capacity provider.")
	})
	until(t, w.store, "the other service scaled", func(v *store.Tables) bool {
		return len(slices.Collect(v.LiveTasksOfService(keyOf(all[3])))) == 3
	})
	for task := range w.store.View().LiveTasksOfService(keyOf(all[1])) {
		if task.DesiredStatus != model.TaskRunning || !slices.Contains(kept, task.ID) {
			t.Errorf("the DAEMON task %s is to be %s; it had %v", task.ID, task.DesiredStatus, kept)
		}
	}
}
