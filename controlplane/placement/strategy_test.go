package placement

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestPlace_BinpackFillsTheFullestThatStillFits(t *testing.T) {
	f := fleetOf(host("empty"), host("half"), host("full"))
	f.AddTask("half", Use{CPU: 512, MemoryMiB: 100, Group: "x"})
	f.AddTask("full", Use{CPU: 900, MemoryMiB: 512, Group: "x"})
	for _, test := range []struct {
		strategy Strategy
		want     []string
	}{
		{BinpackCPU(), []string{"half", "half", "empty", "empty", "empty", "empty"}},
		{BinpackMemory(), []string{"half", "half", "empty", "empty", "empty", "empty"}},
	} {
		got := placedOn(Place(f, Request{Count: 7, CPU: 256, MemoryMiB: 64, Strategies: []Strategy{test.strategy}, Rand: seeded(3)}))
		if !slices.Equal(got, test.want) {
			t.Errorf("%v: placed on %v, want %v", test.strategy, got, test.want)
		}
	}
	// What fits both is packed where the resource of the strategy is scarce.
	small := Request{Count: 1, CPU: 64, MemoryMiB: 64, Strategies: []Strategy{BinpackMemory()}}
	if got := placedOn(Place(f, small)); got[0] != "full" {
		t.Errorf("a small task went to %v, want full", got)
	}
}

func TestPlace_SpreadCountsOnlyTasksOfTheGroup(t *testing.T) {
	f := fleetOf(host("a"), host("b"), host("c"))
	for range 5 {
		f.AddTask("a", Use{Group: "other"})
	}
	f.AddTask("b", Use{Group: "service:web"})
	f.AddTask("c", Use{Group: "service:web"})
	got := placedOn(Place(f, Request{Count: 1, Group: "service:web", Strategies: []Strategy{SpreadInstances()}, Rand: seeded(1)}))
	if !slices.Equal(got, []string{"a"}) {
		t.Errorf("placed on %v, want a", got)
	}
}

func TestPlace_SpreadEvensOutZonesThenInstances(t *testing.T) {
	var instances []Instance
	for i := range 10 { // two in zone a, three in b, five in c
		zone := string("aabbbccccc"[i])
		instances = append(instances, host(zone+strconv.Itoa(i), with("zone", zone)))
	}
	result := Place(fleetOf(instances...), Request{Count: 12, Group: "g", Rand: seeded(5),
		Strategies: []Strategy{SpreadAttribute("zone"), SpreadInstances()}})
	zones, each := map[byte]int{}, map[string]int{}
	for _, id := range placedOn(result) {
		zones[id[0]]++
		each[id]++
	}
	if zones['a'] != 4 || zones['b'] != 4 || zones['c'] != 4 {
		t.Errorf("zones have %v, want 4 each", zones)
	}
	for id, n := range each {
		if most := map[byte]int{'a': 2, 'b': 2, 'c': 1}[id[0]]; n > most {
			t.Errorf("%s has %d, want at most %d", id, n, most)
		}
	}
}

func TestPlace_InstancesWithoutTheAttributeAreOneMoreValue(t *testing.T) {
	f := fleetOf(host("a", with("zone", "z")), host("empty", with("zone", "")), host("b"), host("c"))
	f.AddTask("b", Use{Group: "g"})
	f.AddTask("c", Use{Group: "g"})
	f.AddTask("a", Use{Group: "g"})
	result := Place(f, Request{Count: 3, Group: "g", Strategies: []Strategy{SpreadAttribute("zone"), SpreadInstances()}})
	// Without: 2, z: 1, the empty value: 0.
	got := placedOn(result)
	if got[0] != "empty" || slices.Contains(got[:2], "b") || slices.Contains(got[:2], "c") {
		t.Errorf("placed on %v", got)
	}
}

func TestPlace_SpreadGoesOnWhereTheLeastLoadedHasNoRoom(t *testing.T) {
	f := fleetOf(
		host("small", with("zone", "a"), func(in *Instance) { in.CPU = 100 }),
		host("one", with("zone", "b")),
		host("two", with("zone", "c")),
	)
	f.AddTask("one", Use{Group: "g"})
	f.AddTask("two", Use{Group: "g"})
	f.AddTask("two", Use{Group: "g"})
	for _, strategies := range [][]Strategy{
		{SpreadInstances()}, {SpreadAttribute("zone")},
		{SpreadInstances(), BinpackCPU()}, {SpreadAttribute("zone"), BinpackMemory()},
		{SpreadAttribute("zone"), SpreadInstances()}, {SpreadInstances(), SpreadAttribute("zone")},
		{BinpackMemory(), SpreadInstances(), SpreadAttribute("zone")},
	} {
		got := placedOn(Place(f, Request{Count: 1, CPU: 200, Group: "g", Strategies: strategies, Rand: seeded(8)}))
		if !slices.Equal(got, []string{"one"}) {
			t.Errorf("%v: placed on %v, want one", strategies, got)
		}
	}
}

func TestPlace_TasksThatAreAboutToGoDoNotWeighInSpread(t *testing.T) {
	f := fleetOf(
		host("a1", with("zone", "a"), func(in *Instance) { in.Status = Draining }),
		host("a2", with("zone", "a")),
		host("b", with("zone", "b")),
		host("c", with("zone", "c"), func(in *Instance) { in.Connected = false }),
	)
	f.AddTask("a1", Use{Group: "g"})
	f.AddTask("a1", Use{Group: "g"})
	f.AddTask("b", Use{Group: "g"})
	got := placedOn(Place(f, Request{Count: 1, Group: "g", Strategies: []Strategy{SpreadAttribute("zone")}}))
	if !slices.Equal(got, []string{"a2"}) {
		t.Errorf("placed on %v, want a2", got)
	}
}

func TestPlace_EachStrategyBreaksTheTiesOfTheOneBefore(t *testing.T) {
	f := fleetOf(
		host("a1", with("zone", "a")), host("a2", with("zone", "a")),
		host("b1", with("zone", "b")), host("b2", with("zone", "b")),
	)
	f.AddTask("a2", Use{MemoryMiB: 500, Group: "other"})
	f.AddTask("b1", Use{MemoryMiB: 256, Group: "other"})
	f.AddTask("b2", Use{MemoryMiB: 768, Group: "g"})
	got := placedOn(Place(f, Request{Count: 3, MemoryMiB: 256, Group: "g", Rand: seeded(1),
		Strategies: []Strategy{SpreadAttribute("zone"), BinpackMemory()}}))
	// Zone a has none; then both have one, and b2 is the fullest of all; then a again.
	if want := []string{"a2", "b2", "a2"}; !slices.Equal(got, want) {
		t.Errorf("placed on %v, want %v", got, want)
	}
}

func TestParseStrategy(t *testing.T) {
	for _, test := range []struct {
		kind, field string
		want        Strategy
		text        string
	}{
		{"random", "", Random(), "random"},
		{"random", "ignored by ECS", Random(), "random"},
		{"binpack", "cpu", BinpackCPU(), "binpack(cpu)"},
		{"binpack", "MEMORY", BinpackMemory(), "binpack(memory)"},
		{"spread", "instanceId", SpreadInstances(), "spread(instanceId)"},
		{"spread", "INSTANCEID", SpreadInstances(), "spread(instanceId)"},
		{"spread", "host", SpreadInstances(), "spread(instanceId)"},
		{"spread", "attribute:Rack", SpreadAttribute("Rack"), "spread(attribute:Rack)"},
		{"spread", "Attribute:ecs.availability-zone", SpreadAttribute("ecs.availability-zone"), "spread(attribute:ecs.availability-zone)"},
	} {
		got, err := ParseStrategy(test.kind, test.field)
		if err != nil || got != test.want || got.String() != test.text {
			t.Errorf("%s by %q is %v, %v; want %v", test.kind, test.field, got, err, test.want)
		}
	}
	for _, bad := range [][2]string{{"", ""}, {"pack", "cpu"}, {"binpack", ""}, {"binpack", "instanceId"}, {"spread", ""}, {"spread", "cpu"}, {"spread", "attribute:"}, {"spread", "ecs.availability-zone"}} {
		_, err := ParseStrategy(bad[0], bad[1])
		if !errors.Is(err, ErrInvalidStrategy) || !strings.Contains(err.Error(), strconv.Quote(bad[1])) && !strings.Contains(err.Error(), strconv.Quote(bad[0])) {
			t.Errorf("%s by %q: %v", bad[0], bad[1], err)
		}
	}
}
