package placement

import (
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/longshore/longshore/controlplane/query"
)

// Draws lean towards what is first or least, so that what makes a task fit comes first:
// a test in which nearly nothing fits would test nearly nothing.

var drawStrategy = rapid.SampledFrom([]Strategy{
	SpreadInstances(), SpreadAttribute("zone"), BinpackCPU(), BinpackMemory(), SpreadAttribute("rack"), Random(),
})

func drawPorts(t *rapid.T, label string) []uint16 {
	return rapid.SliceOfNDistinct(rapid.Uint16Range(80, 83), 0, 2, rapid.ID[uint16]).Draw(t, label)
}

func drawInstance(t *rapid.T, id string) Instance {
	in := Instance{
		ID:          id,
		Attributes:  map[string]string{},
		CPU:         rapid.SampledFrom([]int64{2048, 1024, 512, 0}).Draw(t, "cpu"),
		MemoryMiB:   rapid.SampledFrom([]int64{2048, 1024, 1500, 512, 0}).Draw(t, "memory"),
		Connected:   rapid.IntRange(0, 9).Draw(t, "disconnected") < 9,
		ReservedTCP: rapid.SampledFrom([][]uint16{nil, {22}, {80, 22}}).Draw(t, "reserved"),
		ReservedUDP: rapid.SampledFrom([][]uint16{nil, {81}}).Draw(t, "reservedUDP"),
		GPUs:        rapid.SampledFrom([][]string{nil, nil, {"gpu-1"}, {"gpu-2", "gpu-0", "gpu-1"}}).Draw(t, "gpus"),
		Status:      rapid.SampledFrom([]Status{Active, Active, Active, Active, Draining, Inactive}).Draw(t, "status"),
	}
	if zone := rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "zone"); zone != "" {
		in.Attributes["zone"] = zone
	}
	if rack := rapid.IntRange(-1, 5).Draw(t, "rack"); rack == 0 {
		in.Attributes["rack"] = ""
	} else if rack > 0 {
		in.Attributes["rack"] = strconv.Itoa(rack)
	}
	return in
}

func drawUse(t *rapid.T) Use {
	return Use{
		CPU:       rapid.SampledFrom([]int64{0, 100, 128, 256}).Draw(t, "taskCPU"),
		MemoryMiB: rapid.SampledFrom([]int64{0, 100, 128, 256}).Draw(t, "taskMemory"),
		TCP:       drawPorts(t, "tcp"),
		UDP:       drawPorts(t, "udp"),
		GPUs:      rapid.SampledFrom([][]string{nil, nil, nil, {"gpu-1"}}).Draw(t, "taskGPUs"),
		Group:     "g" + strconv.Itoa(rapid.IntRange(0, 3).Draw(t, "group")),
		Stopping:  rapid.IntRange(0, 3).Draw(t, "stopping") == 3,
	}
}

func drawNaive(t *rapid.T) *naive {
	m := newNaive()
	// More than two words of slots in some runs, so that sets and blocks are several.
	n := rapid.OneOf(rapid.IntRange(2, 20), rapid.IntRange(0, 8), rapid.IntRange(60, 140)).Draw(t, "instances")
	kinds := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Instance { return drawInstance(t, "") }), 1, 8).Draw(t, "kinds")
	fills := rapid.SliceOfN(rapid.SliceOfN(rapid.Custom(drawUse), 0, 4), 1, 8).Draw(t, "fills")
	rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "mix"), 0))
	for i := range n {
		in := kinds[rng.IntN(len(kinds))]
		in.ID = "i" + strconv.Itoa(i)
		in.EC2InstanceID = in.ID
		m.put(in)
		for _, u := range fills[rng.IntN(len(fills))] {
			m.add(in.ID, u)
		}
	}
	return m
}

func drawRequest(t *rapid.T, m *naive) Request {
	r := Request{
		Count:            rapid.SampledFrom([]int{10, 1, 60, 2, 400}).Draw(t, "count"),
		CPU:              rapid.SampledFrom([]int64{0, 64, 128, 512, 700}).Draw(t, "needCPU"),
		MemoryMiB:        rapid.SampledFrom([]int64{0, 64, 128, 400, 512}).Draw(t, "needMemory"),
		Group:            "g" + strconv.Itoa(rapid.IntRange(0, 4).Draw(t, "needGroup")),
		DistinctInstance: rapid.IntRange(0, 7).Draw(t, "distinct") == 7,
		GPUCount:         rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, "needGPUs"),
		Strategies:       rapid.SliceOfN(drawStrategy, 1, 5).Draw(t, "strategies"),
	}
	if rapid.IntRange(0, 5).Draw(t, "ports?") == 5 {
		r.TCP, r.UDP = drawPorts(t, "needTCP"), drawPorts(t, "needUDP")
	}
	if rapid.IntRange(0, 5).Draw(t, "attributes?") == 5 {
		r.RequiredAttributes = rapid.SampledFrom([][]Attribute{
			{{Name: "zone", Value: "a"}}, {{Name: "rack", AnyValue: true}}, {{Name: "rack"}}, {{Name: "other"}},
		}).Draw(t, "attributes")
	}
	if rapid.IntRange(0, 4).Draw(t, "memberOf?") == 4 {
		texts := rapid.SliceOfNDistinct(rapid.SampledFrom(slices.Sorted(maps.Keys(memberOf))), 1, 2, rapid.ID[string]).Draw(t, "memberOf")
		for _, text := range texts {
			r.MemberOf = append(r.MemberOf, compiled(t, text))
		}
	}
	if rapid.IntRange(0, 9).Draw(t, "candidates?") == 9 {
		r.Candidates = rapid.SliceOfN(rapid.SampledFrom(append(m.ids(), "unknown")), 1, 5).Draw(t, "candidates")
	}
	if rapid.IntRange(0, 5).Draw(t, "seeded") > 0 {
		r.Rand = rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	}
	return r
}

func compiled(t interface{ Fatal(...any) }, text string) Predicate {
	e, err := query.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return MemberOf(e)
}

// Each task must be on an instance that passes and that no other beats, given the
// tasks before it; and what is not placed must fit nowhere.
func TestPlace_ChoosesAsWellAsLookingAtEveryInstance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawNaive(t)
		f := m.fleet()
		for range rapid.IntRange(1, 4).Draw(t, "requests") {
			r := drawRequest(t, m)
			result := Place(f, r)
			for i, a := range result.Assignments {
				checkChoice(t, m, &r, a, i)
				m.add(a.InstanceID, r.use(a.GPUs))
			}
			checkFailures(t, m, &r, &result)
			for _, a := range result.Assignments {
				f.AddTask(a.InstanceID, r.use(a.GPUs))
			}
		}
	})
}

// In fleets of several rows, what was found out about one holds for later requests, whatever
// they allow, until the row changes.
func TestPlace_ChoosesAsWellInFleetsOfSeveralRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawNaive(t)
		m.put(Instance{ID: "i0", EC2InstanceID: "i0", CPU: 1024, MemoryMiB: 1024, Connected: true}) // at least one
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "more"), 0))
		repeatInstances(m, rng, rapid.IntRange(300, 1900).Draw(t, "instances in all"))
		f := m.fleet()
		ids := m.ids()
		requests := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Request { return drawRequest(t, m) }), 1, 3).Draw(t, "requests")
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			r := requests[rng.IntN(len(requests))]
			r.Count = min(r.Count, 3)
			result := Place(f, r)
			for i, a := range result.Assignments {
				checkChoice(t, m, &r, a, i)
				m.add(a.InstanceID, r.use(a.GPUs))
			}
			checkFailures(t, m, &r, &result)
			f = f.Clone()
			for _, a := range result.Assignments {
				f.AddTask(a.InstanceID, r.use(a.GPUs))
			}
			for range rng.IntN(4) {
				changeSome(f, m, ids[rng.IntN(len(ids))], rng)
			}
		}
	})
}

// repeatInstances adds instances like those that there are, with some of the tasks of these,
// until there are so many.
func repeatInstances(m *naive, rng *rand.Rand, n int) {
	ids := m.ids()
	for i := len(ids); i < n; i++ {
		like := ids[rng.IntN(len(ids))]
		in := m.instances[like]
		in.ID = "i" + strconv.Itoa(i)
		in.EC2InstanceID = in.ID
		m.put(in)
		for _, u := range m.tasks[like] {
			if rng.IntN(3) > 0 {
				m.add(in.ID, u)
			}
		}
	}
}

// changeSome changes an instance of both, or the tasks on it.
func changeSome(f *Fleet, m *naive, id string, rng *rand.Rand) {
	in, known := m.instances[id]
	switch tasks := m.tasks[id]; {
	case !known:
	case rng.IntN(8) == 0:
		f.RemoveInstance(id)
		m.remove(id)
	case rng.IntN(8) == 0:
		in.Status = Status(rng.IntN(3))
		f.PutInstance(in)
		m.put(in)
	case len(tasks) > 0:
		f.RemoveTask(id, tasks[0])
		m.tasks[id] = tasks[1:]
	}
}

func checkChoice(t *rapid.T, m *naive, r *Request, a Assignment, i int) {
	if why := m.reason(a.InstanceID, r); why != "" {
		t.Fatalf("task %d was placed on %s in spite of %s", i, a.InstanceID, why)
	}
	if got, best := m.score(a.InstanceID, r), m.best(r); !slices.Equal(got, best) {
		t.Fatalf("task %d went to %s with score %v, but there is %v; strategies %v", i, a.InstanceID, got, best, r.Strategies)
	}
	if want := m.freeGPUs(a.InstanceID)[:r.GPUCount]; !slices.Equal(a.GPUs, want) {
		t.Fatalf("task %d got devices %v, want %v", i, a.GPUs, want)
	}
}

func checkFailures(t *rapid.T, m *naive, r *Request, result *Result) {
	if result.NoInstances != (len(m.instances) == 0) {
		t.Fatalf("NoInstances is %v with %d instances", result.NoInstances, len(m.instances))
	}
	if len(result.Assignments) == r.Count {
		if len(result.Failures) > 0 || result.Closest != nil {
			t.Fatalf("all were placed, and yet %v", result.Failures)
		}
		return
	}
	if fit := m.fitting(r); len(fit) > 0 {
		t.Fatalf("placed %d of %d, but the next fits on %v", len(result.Assignments), r.Count, fit)
	}
	want := map[string]Reason{}
	for _, id := range append(m.ids(), r.Candidates...) {
		if r.Candidates == nil || slices.Contains(r.Candidates, id) {
			want[id] = m.reason(id, r)
		}
	}
	got := map[string]Reason{}
	for _, f := range result.Failures {
		got[f.InstanceID] = f.Reason
		if f.closer(result.Closest) {
			t.Fatalf("%v is closer than %v", f, *result.Closest)
		}
	}
	if !reflect.DeepEqual(got, want) || len(got) != len(result.Failures) {
		t.Fatalf("failures are %v, want %v", result.Failures, want)
	}
}

func TestPlace_GivesTheSameResultForTheSameSeed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawNaive(t)
		r := drawRequest(t, m)
		seed := rapid.Uint64().Draw(t, "place seed")
		f := m.fleet()
		r.Rand = rand.New(rand.NewPCG(seed, seed))
		first := Place(f, r)
		for _, again := range []*Fleet{f, f.Clone(), m.fleet()} {
			r.Rand = rand.New(rand.NewPCG(seed, seed))
			if second := Place(again, r); !reflect.DeepEqual(first, second) {
				t.Fatalf("first %v, then %v", first, second)
			}
		}
	})
}

func TestPlace_LeavesTheFleetAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawNaive(t)
		r := drawRequest(t, m)
		f := m.fleet()
		Place(f, r)
		checkFleet(t, f, m)
	})
}

// Explain and Place must agree, as they find out by different ways.
func TestExplain_AgreesWithPlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawNaive(t)
		r := drawRequest(t, m)
		r.Count = 1
		f := m.fleet()
		for _, id := range append(m.ids(), "unknown") {
			r.Candidates = []string{id}
			why, ok := Explain(f, r, id)
			result := Place(f, r)
			if ok != (len(result.Assignments) == 1) {
				t.Fatalf("%s: Explain says %v, Place %v", id, ok, result)
			}
			if !ok && (len(result.Failures) != 1 || result.Failures[0] != why) {
				t.Fatalf("%s: Explain says %v, Place %v", id, why, result.Failures)
			}
		}
	})
}

func TestFitting_AgreesWithExplain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawNaive(t)
		r := drawRequest(t, m)
		r.Candidates = nil
		f := m.fleet()
		fitting := Fitting(f, r)
		for _, id := range m.ids() {
			if _, ok := Explain(f, r, id); ok != slices.Contains(fitting, id) {
				t.Fatalf("%s: Explain says %v, and these fit: %v", id, ok, fitting)
			}
		}
		if slices.Sort(fitting); len(slices.Compact(fitting)) != len(fitting) {
			t.Fatalf("an instance is there twice: %v", fitting)
		}
	})
}
