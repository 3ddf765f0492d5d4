package launch_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/longshore/longshore/controlplane/launch"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/placement"
	"github.com/longshore/longshore/proto/ecs"
)

// strategyOf reads "a base weight, b base weight".
func strategyOf(text string) []ecs.CapacityProviderStrategyItem {
	var out []ecs.CapacityProviderStrategyItem
	for part := range strings.SplitSeq(text, ",") {
		var item ecs.CapacityProviderStrategyItem
		if _, err := fmt.Sscan(part, &item.CapacityProvider, &item.Base, &item.Weight); err != nil {
			panic(err)
		}
		out = append(out, item)
	}
	return out
}

func TestSplit_FillsBasesThenFollowsWeights(t *testing.T) {
	for name, c := range map[string]struct {
		strategy string
		count    int
		have     map[string]int
		want     string
	}{
		"evenly":                        {"a 0 1, b 0 1", 4, nil, "abab"},
		"one to four":                   {"a 0 1, b 0 4", 10, nil, "bbbabbbbab"},
		"base first":                    {"a 0 1, b 2 1", 5, nil, "bbaba"},
		"a base without weight":         {"a 2 0, b 0 1", 4, nil, "aabb"},
		"what is there counts":          {"a 0 1, b 0 1", 3, map[string]int{"a": 2}, "bba"},
		"a base that is there":          {"a 2 1, b 0 1", 2, map[string]int{"a": 2}, "ab"},
		"no weight takes nothing":       {"a 0 0, b 0 1", 2, nil, "bb"},
		"one alone needs no weight":     {"a 0 0", 2, nil, "aa"},
		"others' tasks do not matter":   {"a 0 1, b 0 1", 1, map[string]int{"c": 9}, "a"},
		"a strategy that takes no more": {"a 1 0, b 0 0", 3, nil, "a"},
		"nothing":                       {"a 0 1", 0, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := strings.Join(launch.Split(strategyOf(c.strategy), c.count, c.have), ""); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestSplit_IsProportionalAndTheSameInSteps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		strategy, sum := []ecs.CapacityProviderStrategyItem{}, 0
		for _, name := range []string{"a", "b", "c"}[:rapid.IntRange(2, 3).Draw(t, "providers")] {
			weight := rapid.Int32Range(1, 20).Draw(t, "weight")
			strategy = append(strategy, ecs.CapacityProviderStrategyItem{CapacityProvider: name, Weight: weight})
			sum += int(weight)
		}
		based := rapid.IntRange(0, len(strategy)-1).Draw(t, "based")
		base := rapid.IntRange(0, 10).Draw(t, "base")
		strategy[based].Base = int32(base)
		rounds := rapid.IntRange(1, 3).Draw(t, "rounds")
		count := base + rounds*sum
		all := launch.Split(strategy, count, nil)
		have := map[string]int{}
		var steps []string
		for len(steps) < count {
			n := rapid.IntRange(1, count-len(steps)).Draw(t, "step")
			for _, p := range launch.Split(strategy, n, have) {
				steps = append(steps, p)
				have[p]++
			}
		}
		if !slices.Equal(all, steps) {
			t.Fatalf("at once %v, in steps %v", all, steps)
		}
		for i, item := range strategy {
			want := rounds * int(item.Weight)
			if i == based {
				want += base
			}
			if have[item.CapacityProvider] != want {
				t.Fatalf("%s has %d of %d, want %d of %+v", item.CapacityProvider, have[item.CapacityProvider], count, want, strategy)
			}
		}
	})
}

func fleetOf(pools map[string]string) *placement.Fleet {
	f := placement.NewFleet()
	for id, pool := range pools {
		f.PutInstance(placement.Instance{
			ID: id, CPU: 250, MemoryMiB: 1000, Connected: true, Status: placement.Active,
			Attributes: map[string]string{model.PoolAttribute: pool},
		})
	}
	return f
}

func poolOf(p model.ProviderName) string {
	return map[model.ProviderName]string{"a": "pa", "b": "pb"}[p]
}

func orderOf(strategy string) *launch.Order {
	return &launch.Order{
		Cluster: "c", Group: "g", CapacityStrategy: strategyOf(strategy),
		Definition: &model.Definition{Shape: ecs.TaskDefinition{ContainerDefinitions: []ecs.ContainerDefinition{{Name: "m", Cpu: 100}}}},
	}
}

func TestPortions_PlaceInThePoolOfTheirProvider(t *testing.T) {
	fleet := fleetOf(map[string]string{"i1": "pa", "i2": "pb", "i3": "", "i4": "other"})
	order := orderOf("a 0 1, b 0 1")
	portions := order.Portions(4, map[string]int{"a": 1}, poolOf)
	if len(portions) != 2 || portions[0].Count != 2 || portions[1].Count != 2 {
		t.Fatalf("portions %+v", portions)
	}
	for i, want := range []string{"i1", "i2"} {
		result := portions[i].Place(fleet, nil)
		if len(result.Assignments) != 2 || result.Assignments[0].InstanceID != want || result.Assignments[1].InstanceID != want {
			t.Errorf("placed %+v, want both on %s", result.Assignments, want)
		}
		task := portions[i].Task("t", placement.Assignment{InstanceID: want}, time.Unix(1, 0))
		if want := []model.ProviderName{"a", "b"}[i]; task.CapacityProvider != want {
			t.Errorf("task of %q, want %q", task.CapacityProvider, want)
		}
	}
	if order.CapacityProvider != "" {
		t.Error("the order itself was changed")
	}
}

func TestPortion_ShortageIsToldOfItsPoolOnly(t *testing.T) {
	fleet := fleetOf(map[string]string{"i1": "pa", "i2": "pb", "i3": ""})
	result := orderOf("a 0 1").Portions(3, nil, poolOf)[0].Place(fleet, nil)
	if len(result.Assignments) != 2 || result.NoInstances || len(result.Failures) != 1 || result.Failures[0].InstanceID != "i1" ||
		result.Closest == nil || result.Closest.Reason != placement.ReasonCPU {
		t.Errorf("got %+v", result)
	}
	empty := fleetOf(map[string]string{"i1": "pa", "i3": ""})
	result = orderOf("b 0 1").Portions(1, nil, poolOf)[0].Place(empty, nil)
	if len(result.Assignments) != 0 || !result.NoInstances || len(result.Failures) != 0 || result.Closest != nil {
		t.Errorf("got %+v", result)
	}
}

func TestPortions_WithoutAStrategyAreTheWholeOrder(t *testing.T) {
	order := orderOf("a 0 1")
	order.CapacityStrategy = nil
	portions := order.Portions(3, nil, poolOf)
	if len(portions) != 1 || portions[0].Order != order || portions[0].Count != 3 {
		t.Fatalf("got %+v", portions)
	}
	fleet := fleetOf(map[string]string{"i1": "pa", "i2": ""})
	result := portions[0].PlaceOn(fleet, []model.InstanceID{"i2", "i1"}, nil)
	if len(result.Assignments) != 2 || result.NoInstances {
		t.Errorf("got %+v", result)
	}
}
