package placement

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"testing"
)

// host is an instance that takes tasks, with a core and a GiB.
func host(id string, change ...func(*Instance)) Instance {
	in := Instance{ID: id, CPU: 1024, MemoryMiB: 1024, Connected: true, Attributes: map[string]string{}}
	for _, c := range change {
		c(&in)
	}
	return in
}

func with(name, value string) func(*Instance) {
	return func(in *Instance) { in.Attributes[name] = value }
}

func fleetOf(instances ...Instance) *Fleet {
	f := NewFleet()
	for _, in := range instances {
		f.PutInstance(in)
	}
	return f
}

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, seed)) }

func placedOn(r Result) []string {
	var ids []string
	for _, a := range r.Assignments {
		ids = append(ids, a.InstanceID)
	}
	return ids
}

func TestPlace_NothingAskedForIsNothingPlaced(t *testing.T) {
	for _, count := range []int{0, -1} {
		if got := Place(fleetOf(host("a")), Request{Count: count}); !reflect.DeepEqual(got, Result{}) {
			t.Errorf("for %d tasks: %+v", count, got)
		}
	}
}

func TestPlace_NoCandidatesAreNotAllInstances(t *testing.T) {
	if got := placedOn(Place(fleetOf(host("a")), Request{Count: 1, Candidates: []string{}})); len(got) > 0 {
		t.Errorf("placed on %v", got)
	}
}

func TestPlace_FixedPortTakesAnInstanceEach(t *testing.T) {
	f := fleetOf(host("a"), host("b"), host("c"))
	f.AddTask("b", Use{TCP: []uint16{80}, Group: "web"})
	result := Place(f, Request{Count: 3, TCP: []uint16{80}, Group: "web", Rand: seeded(1)})
	if got := placedOn(result); len(got) != 2 || slices.Contains(got, "b") || got[0] == got[1] {
		t.Errorf("placed on %v, want a and c", got)
	}
	for _, why := range result.Failures {
		if why.Reason != ReasonPorts {
			t.Errorf("%s fails for %s", why.InstanceID, why.Reason)
		}
	}
}

func TestPlace_HandsOutDevicesOnce(t *testing.T) {
	f := fleetOf(host("a"), host("b", func(in *Instance) { in.GPUs = []string{"z", "y", "x"} }))
	f.AddTask("b", Use{GPUs: []string{"y"}})
	result := Place(f, Request{Count: 3, GPUCount: 1})
	want := []Assignment{{"b", []string{"z"}}, {"b", []string{"x"}}}
	if !reflect.DeepEqual(result.Assignments, want) {
		t.Errorf("assigned %v, want %v", result.Assignments, want)
	}
}

func TestPlace_RandomGivesEachFittingInstanceTheSameChance(t *testing.T) {
	// Few of many, so that chance alone seldom hits one, and in the second round half.
	for _, fitting := range []int{5, 150} {
		f := NewFleet()
		for i := range 300 {
			in := host(strconv.Itoa(i))
			if i%(300/fitting) != 0 {
				in.CPU = 10
			}
			f.PutInstance(in)
		}
		const rounds = 200
		hits, rng := map[string]int{}, seeded(9)
		for range fitting * rounds {
			hits[Place(f, Request{Count: 1, CPU: 100, Rand: rng}).Assignments[0].InstanceID]++
		}
		if len(hits) != fitting {
			t.Errorf("%d of %d instances were chosen", len(hits), fitting)
		}
		for id, n := range hits {
			if n < rounds*6/10 || n > rounds*14/10 {
				t.Errorf("%s was chosen %d times, others %d on average", id, n, rounds)
			}
		}
	}
}

func TestPlace_SinglesOfManyGroupsDoNotPileUp(t *testing.T) {
	f, rng := fleetOf(host("a"), host("b"), host("c"), host("d")), seeded(4)
	hits := map[string]int{}
	for i := range 400 {
		r := Request{Count: 1, Group: strconv.Itoa(i), Rand: rng, Strategies: []Strategy{SpreadAttribute("zone"), SpreadInstances()}}
		hits[placedOn(Place(f, r))[0]]++
	}
	for id, n := range hits {
		if n < 60 || n > 140 {
			t.Errorf("%s has %d of 400", id, n)
		}
	}
}

func TestPlace_AsksAPredicateOncePerInstanceAndTask(t *testing.T) {
	f := NewFleet()
	for i := range 500 {
		f.PutInstance(host(strconv.Itoa(i), func(in *Instance) { in.CPU = 1024 + int64(i) }))
	}
	for _, strategies := range [][]Strategy{nil, {BinpackCPU()}, {SpreadInstances(), BinpackMemory()}, {BinpackMemory(), SpreadInstances()}} {
		asked := 0
		only := Predicate{Text: "one of them", Match: func(v View) bool { asked++; return v.ID() == "499" }}
		result := Place(f, Request{Count: 4, CPU: 64, MemoryMiB: 64, MemberOf: []Predicate{only}, Strategies: strategies, Rand: seeded(2)})
		if got := placedOn(result); !slices.Equal(got, []string{"499", "499", "499", "499"}) {
			t.Errorf("%v: placed on %v", strategies, got)
		}
		if asked > 500+4 {
			t.Errorf("%v: asked %d times for 500 instances and 4 tasks", strategies, asked)
		}
	}
}

func TestPlace_AsksAnExpressionOnlyWhatTheIndexCannotTell(t *testing.T) {
	f := NewFleet()
	for i := range 500 {
		f.PutInstance(host(strconv.Itoa(i), with("rack", strconv.Itoa(i/10)), with("id", strconv.Itoa(i))))
	}
	f.AddTask("70", Use{Group: "service:log"})
	f.AddTask("71", Use{Group: "service:log"})
	for expression, most := range map[string]int{
		"attribute:rack == 7":       0,
		"attribute:rack =~ 7":       0,
		"task:group == service:log": 0,
		"attribute:rack == 7 && (attribute:rack == 8 || task:group == service:log)":                                               0,
		"attribute:rack == 7 && (task:group == service:log || attribute:rack == 8)":                                               0,
		"attribute:rack == 8 && task:group == service:log || attribute:rack == 7 && !attribute:id == 70 || attribute:gone exists": 10,
		"attribute:rack == 7 && attribute:id =~ '7.'":                                                                             10,
		"attribute:rack in [6, 7] && !attribute:rack == 6 && task:group != x":                                                     10,
	} {
		p, asked := compiled(t, expression), 0
		match := p.Match
		p.Match = func(v View) bool { asked++; return match(v) }
		result := Place(f, Request{Count: 1, MemberOf: []Predicate{p}, Rand: seeded(2)})
		if got := placedOn(result); len(got) != 1 || got[0][0] != '7' {
			t.Errorf("%s: placed on %v", expression, got)
		}
		if asked > most {
			t.Errorf("%s: asked %d times, want at most %d", expression, asked, most)
		}
	}
}

// ECS guide, distinctInstance: tasks that are to stop do not count.
func TestPlace_DistinctInstanceLooksOnlyAtTasksThatGoOn(t *testing.T) {
	f := fleetOf(host("going on"), host("leaving"), host("both"), host("other"))
	f.AddTask("going on", Use{Group: "g"})
	f.AddTask("leaving", Use{Group: "g", Stopping: true})
	f.AddTask("both", Use{Group: "g", Stopping: true})
	f.AddTask("both", Use{Group: "g"})
	f.AddTask("other", Use{Group: "h"})
	got := placedOn(Place(f, Request{Count: 5, Group: "g", DistinctInstance: true}))
	if slices.Sort(got); !slices.Equal(got, []string{"leaving", "other"}) {
		t.Errorf("placed on %v", got)
	}
}
