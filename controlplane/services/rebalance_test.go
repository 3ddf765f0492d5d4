package services_test

import (
	"strings"
	"testing"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

func inZone(id model.InstanceID, zone string, cpu int32) *model.Instance {
	i := host(id, cpu)
	i.Attributes = []ecs.Attribute{{Name: "ecs.availability-zone", Value: &zone}}
	return i
}

func TestLoop_MovesTasksToAZoneThatComes(t *testing.T) {
	w := newWorld(t, inZone("i1", "a", 4096))
	w.deploy(4, 1)
	w.await("four tasks", settled(4, 1))
	w.update(func(tx *store.Tx) {
		s, _ := tx.Service(key)
		next := *s
		next.AvailabilityZoneRebalancing = ecs.AvailabilityZoneRebalancingENABLED
		tx.PutService(&next)
	})
	spread := func(want map[model.InstanceID]int) func(*store.Tables) bool {
		return func(v *store.Tables) bool {
			have, n, wanted := map[model.InstanceID]int{}, 0, 0
			for task := range v.LiveTasksOfService(key) {
				have[task.Instance]++
				n++
			}
			for id, count := range want {
				wanted += count
				if have[id] != count {
					return false
				}
			}
			s, _ := v.Service(key)
			return n == wanted && s.SteadyReported && !s.Rebalancing
		}
	}
	// A zone whose host has no room: it is tried, told of, and nothing stops for it.
	w.update(func(tx *store.Tx) { tx.PutInstance(inZone("i2", "b", 0)) })
	w.await("the miss", func(*store.Tables) bool {
		return strings.Contains(strings.Join(w.events(), "\n"), "(service web) is unable to place a task in b because no container instance met all of its requirements.")
	})
	if !settled(4, 1)(w.store.View()) {
		t.Error("a task was stopped for a zone that has no room")
	}
	w.update(func(tx *store.Tx) { tx.PutInstance(inZone("i2", "b", 4096)) })
	w.await("two tasks in each zone", spread(map[model.InstanceID]int{"i1": 2, "i2": 2}))
	w.update(func(tx *store.Tx) { tx.PutInstance(inZone("i3", "c", 4096)) })
	w.await("one task in the third zone", func(v *store.Tables) bool {
		return spread(map[model.InstanceID]int{"i1": 2, "i2": 1, "i3": 1})(v) || spread(map[model.InstanceID]int{"i1": 1, "i2": 2, "i3": 1})(v)
	})
	all := strings.Join(w.events(), "\n")
	for _, text := range []string{
		"(service web) is not AZ balanced with 4 tasks in a and 0 tasks in b. AZ Rebalancing in progress.",
		"(service web) has started 2 tasks in b to AZ Rebalance: (task ",
		"running tasks in a due to AZ rebalancing: (task ",
		"(service web) is AZ balanced with 2 tasks in a and 2 tasks in b.",
		"(service web) is not AZ balanced with 2 tasks in a, 2 tasks in b, and 0 tasks in c. AZ Rebalancing in progress.",
	} {
		if strings.Count(all, text) == 0 {
			t.Errorf("no event %q in\n%s", text, all)
		}
	}
}
