package placement

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// checkFleet compares everything that a fleet keeps incrementally with what the naive
// fleet works out.
func checkFleet(t interface {
	Helper()
	Fatalf(string, ...any)
}, f *Fleet, m *naive) {
	t.Helper()
	if f.Len() != len(m.instances) {
		t.Fatalf("%d instances, want %d", f.Len(), len(m.instances))
	}
	seen := 0
	for v := range f.All() {
		seen++
		if got, ok := f.Instance(v.ID()); !ok || got != v {
			t.Fatalf("Instance(%s) is %v, %v", v.ID(), got, ok)
		}
		if err := compareView(v, m); err != nil {
			t.Fatalf("%s: %v", v.ID(), err)
		}
	}
	if seen != f.Len() {
		t.Fatalf("All gave %d of %d instances", seen, f.Len())
	}
	if err := compareIndex(f); err != nil {
		t.Fatalf("%v", err)
	}
}

func compareView(v View, m *naive) error {
	id := v.ID()
	in, ok := m.instances[id]
	if !ok {
		return fmt.Errorf("should not be there")
	}
	if !reflect.DeepEqual(*v.Instance(), in) {
		return fmt.Errorf("is %+v, want %+v", *v.Instance(), in)
	}
	if cpus, mem := m.free(id); v.FreeCPU() != cpus || v.FreeMemoryMiB() != mem {
		return fmt.Errorf("has %d CPU and %d MiB left, want %d and %d", v.FreeCPU(), v.FreeMemoryMiB(), cpus, mem)
	}
	if v.Tasks() != len(m.tasks[id]) {
		return fmt.Errorf("has %d tasks, want %d", v.Tasks(), len(m.tasks[id]))
	}
	groups, tcp, udps := map[string]int{}, []uint16(nil), []uint16(nil)
	for _, u := range m.tasks[id] {
		groups[u.Group]++
		tcp, udps = append(tcp, u.TCP...), append(udps, u.UDP...)
	}
	slices.Sort(tcp)
	slices.Sort(udps)
	if got := v.UsedTCP(); !slices.Equal(got, slices.Compact(tcp)) {
		return fmt.Errorf("uses TCP ports %v, want %v", got, tcp)
	}
	if got := v.UsedUDP(); !slices.Equal(got, slices.Compact(udps)) {
		return fmt.Errorf("uses UDP ports %v, want %v", got, udps)
	}
	if got, want := v.FreeGPUs(), m.freeGPUs(id); !slices.Equal(got, want) || v.node.freeGPUs() != len(want) {
		return fmt.Errorf("has devices %v left, want %v", got, want)
	}
	for group, tasks := range v.Groups() {
		if groups[group] != tasks || v.GroupTasks(group) != tasks {
			return fmt.Errorf("has %d tasks of %s, want %d", tasks, group, groups[group])
		}
		delete(groups, group)
	}
	if len(groups) > 0 {
		return fmt.Errorf("lacks the groups %v", groups)
	}
	return nil
}

// indexed is the content of an index in comparable form. In a fleet that was built in
// another order slots are others, so that everything is by instance.
type indexed struct {
	Carriers, Values, Ports, Groups map[string][]string
	GPUs                            []string
}

func contentOf(f *Fleet) indexed {
	ids := func(s *bitset) []string {
		if s == nil {
			return nil
		}
		var names []string
		mask := make([]uint64, f.rows.size)
		s.addTo(mask, everySlot(f))
		for slot := range members(mask) {
			names = append(names, f.node(slot).instance.ID)
		}
		slices.Sort(names)
		return names
	}
	c := indexed{map[string][]string{}, map[string][]string{}, map[string][]string{}, map[string][]string{}, ids(f.hosts.gpus)}
	f.hosts.carriers.Scan(func(k string, s *bitset) bool { c.Carriers[k] = ids(s); return true })
	f.hosts.values.Scan(func(v valueSlots) bool { c.Values[v.name+"="+v.value] = ids(v.slots); return true })
	f.ports.all(func(p hostPort, s *bitset) { c.Ports[strconv.Itoa(int(p))] = ids(s) })
	f.groups.all(func(k groupName, g *group) {
		for j, s := range g.digits {
			c.Groups[string(k)+"/"+strconv.Itoa(j)] = ids(s)
		}
		c.Groups[string(k)+"/leaving"] = ids(g.leaving)
	})
	return c
}

// everySlot is a mask of all slots, of instances or not.
func everySlot(f *Fleet) []uint64 {
	return slices.Repeat([]uint64{math.MaxUint64}, f.rows.size)
}

// compareIndex compares the index with that of a fleet which is built anew from the
// nodes, and the orders of the blocks with their columns.
func compareIndex(f *Fleet) error {
	anew := NewFleet()
	for v := range f.All() {
		anew.PutInstance(*v.Instance())
		for group, tasks := range v.Groups() {
			for i := range tasks {
				anew.AddTask(v.ID(), Use{Group: group, Stopping: i < int(v.node.group(group).stopping)})
			}
		}
		// All amounts and ports at once, on a task that is then made to be none.
		rest := Use{CPU: v.Instance().CPU - v.FreeCPU(), MemoryMiB: v.Instance().MemoryMiB - v.FreeMemoryMiB(), TCP: v.UsedTCP(), UDP: v.UsedUDP(), Group: "rest"}
		anew.AddTask(v.ID(), rest)
		anew.RemoveTask(v.ID(), Use{Group: "rest"})
	}
	if got, want := contentOf(f), contentOf(anew); !reflect.DeepEqual(got, want) {
		return fmt.Errorf("index is %v, want %v", got, want)
	}
	return compareBlocks(f)
}

// compareBlocks compares the orders of each block with what its columns have.
func compareBlocks(f *Fleet) error {
	for i := range f.rows.size {
		if err := compareBlock(f.rows.of(i)); err != nil {
			return fmt.Errorf("block %d: %w", i, err)
		}
	}
	return nil
}

func compareBlock(b *block) error {
	for r := range resources {
		want := b.order[r]
		slices.SortFunc(want[:], func(one, other uint8) int {
			return cmp.Or(cmp.Compare(b.free[r][one], b.free[r][other]), cmp.Compare(one, other))
		})
		if lanes := want; b.order[r] != want || len(slices.Compact(lanes[:])) != wordBits {
			return fmt.Errorf("the order by resource %d is %v, want %v", r, b.order[r], want)
		}
	}
	return nil
}

// change makes one change of a random kind to both.
func change(t *rapid.T, f *Fleet, m *naive) {
	id := "i" + strconv.Itoa(rapid.IntRange(0, 80).Draw(t, "id"))
	_, known := m.instances[id]
	switch rapid.IntRange(0, 6).Draw(t, "kind") {
	case 0, 1:
		in := drawInstance(t, id)
		f.PutInstance(in)
		m.put(in)
	case 2:
		if f.RemoveInstance(id) != known {
			t.Fatalf("removing %s: known should be %v", id, known)
		}
		m.remove(id)
	case 3:
		tasks := m.tasks[id]
		if len(tasks) == 0 {
			if f.RemoveTask(id, Use{CPU: 1, Group: "g0"}) {
				t.Fatalf("removed a task that was not there from %s", id)
			}
			return
		}
		i := rapid.IntRange(0, len(tasks)-1).Draw(t, "task")
		if !f.RemoveTask(id, tasks[i]) {
			t.Fatalf("could not remove a task from %s", id)
		}
		m.tasks[id] = slices.Delete(tasks, i, i+1)
	default:
		u := drawUse(t)
		if f.AddTask(id, u) != known {
			t.Fatalf("adding to %s: known should be %v", id, known)
		}
		if known {
			m.add(id, u)
		}
	}
}

func TestFleet_NumbersEqualThoseWorkedOutAnew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, m := NewFleet(), newNaive()
		for range 70 {
			in := drawInstance(t, "i"+strconv.Itoa(len(m.instances)))
			f.PutInstance(in)
			m.put(in)
		}
		for range rapid.IntRange(0, 60).Draw(t, "changes") {
			change(t, f, m)
		}
		checkFleet(t, f, m)
	})
}

func TestClone_DoesNotSeeChangesOfTheOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fleets := []*Fleet{NewFleet()}
		models := []*naive{newNaive()}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			i := rapid.IntRange(0, len(fleets)-1).Draw(t, "which")
			if len(fleets) < 4 && rapid.IntRange(0, 9).Draw(t, "clone") == 0 {
				fleets = append(fleets, fleets[i].Clone())
				models = append(models, models[i].clone())
			} else {
				change(t, fleets[i], models[i])
			}
		}
		for i, f := range fleets {
			checkFleet(t, f, models[i])
		}
	})
}

func TestClone_HasDevicesAndPortsOfItsOwn(t *testing.T) {
	f := fleetOf(host("a", func(in *Instance) { in.GPUs = []string{"x", "y", "z"} }))
	first := Use{GPUs: []string{"x"}, TCP: []uint16{80}, Group: "g"}
	f.AddTask("a", first)
	f.AddTask("a", Use{GPUs: []string{"y"}, TCP: []uint16{81}, Group: "h"})
	clone := f.Clone()
	clone.RemoveTask("a", first)
	clone.AddTask("a", Use{GPUs: []string{"z"}, TCP: []uint16{82}, Group: "i"})
	for _, test := range []struct {
		fleet *Fleet
		gpus  []string
		ports []uint16
	}{
		{f, []string{"z"}, []uint16{80, 81}},
		{clone, []string{"x"}, []uint16{81, 82}},
	} {
		v, _ := test.fleet.Instance("a")
		if !slices.Equal(v.FreeGPUs(), test.gpus) || !slices.Equal(v.UsedTCP(), test.ports) {
			t.Errorf("left are the devices %v, used the ports %v; want %v and %v", v.FreeGPUs(), v.UsedTCP(), test.gpus, test.ports)
		}
	}
}

// The race detector makes this a test: a clone is read, placed on and cloned by
// several goroutines while the fleet that it was made of, and a clone of the clone,
// are changed.
func TestClone_CanBeReadWhileTheOtherIsChanged(t *testing.T) {
	f := benchFleet(300, true)
	notLast := compiled(t, "attribute:id !~ '.*9'") // is remembered
	for round := range 8 {
		snapshot := f.Clone()
		before := contentOf(snapshot)
		var readers sync.WaitGroup
		for seed := range 2 {
			readers.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(round), uint64(seed)))
				r := Request{Count: 20, CPU: 64, MemoryMiB: 64, Group: "service:" + strconv.Itoa(round), Rand: rng,
					MemberOf:   []Predicate{notLast},
					Strategies: []Strategy{SpreadAttribute(zoneAttribute), SpreadInstances(), BinpackMemory()}}
				if got := len(Place(snapshot, r).Assignments); got != 20 {
					t.Errorf("placed %d of 20", got)
				}
				if after := contentOf(snapshot); !reflect.DeepEqual(before, after) {
					t.Error("a clone changed under its readers")
				}
			})
		}
		readers.Go(func() { churn(snapshot.Clone(), uint64(round)) })
		churn(f, uint64(round)+100)
		readers.Wait()
	}
}

// churn makes changes of every kind.
func churn(f *Fleet, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 7))
	for i := range 200 {
		id := benchID(rng.IntN(300))
		u := Use{CPU: 32, MemoryMiB: 32, TCP: []uint16{uint16(8000 + i)}, Group: "family:" + strconv.Itoa(i%7)}
		f.AddTask(id, u)
		if i%3 == 0 {
			f.RemoveTask(id, u)
		}
		if i%10 == 0 {
			f.PutInstance(benchInstance(300 + rng.IntN(100)))
			f.RemoveInstance(benchID(rng.IntN(400)))
		}
	}
}

func TestFleet_TakesMoreThanThereIs(t *testing.T) {
	f := NewFleet()
	f.PutInstance(Instance{ID: "a", CPU: 100, MemoryMiB: 100, GPUs: []string{"g"}, Connected: true})
	u := Use{CPU: 80, MemoryMiB: 90, TCP: []uint16{80}, GPUs: []string{"g"}, Group: "x"}
	f.AddTask("a", u)
	f.AddTask("a", u)
	v, _ := f.Instance("a")
	if v.FreeCPU() != -60 || v.FreeMemoryMiB() != -80 {
		t.Errorf("left %d CPU, %d MiB; want -60, -80", v.FreeCPU(), v.FreeMemoryMiB())
	}
	f.RemoveTask("a", u)
	if why, ok := Explain(f, Request{TCP: []uint16{80}}, "a"); ok || why.Reason != ReasonPorts {
		t.Errorf("the port of the second task: %v, %v; want it taken", why, ok)
	}
	if why, ok := Explain(f, Request{GPUCount: 1}, "a"); ok || why.Reason != ReasonGPU {
		t.Errorf("the device of the second task: %v, %v; want it taken", why, ok)
	}
	f.RemoveTask("a", u)
	if why, ok := Explain(f, Request{CPU: 100, MemoryMiB: 100, TCP: []uint16{80}, GPUCount: 1}, "a"); !ok {
		t.Errorf("after both are gone: %v", why)
	}
}

func TestFleet_InstanceThatShrinksKeepsItsTasks(t *testing.T) {
	f := NewFleet()
	f.PutInstance(Instance{ID: "a", CPU: 1024, MemoryMiB: 1024, Connected: true})
	f.AddTask("a", Use{CPU: 1000, MemoryMiB: 10, Group: "x"})
	f.PutInstance(Instance{ID: "a", CPU: 512, MemoryMiB: 2048, Connected: true})
	v, _ := f.Instance("a")
	if v.FreeCPU() != -488 || v.FreeMemoryMiB() != 2038 || v.Tasks() != 1 {
		t.Errorf("left %d CPU, %d MiB, %d tasks; want -488, 2038, 1", v.FreeCPU(), v.FreeMemoryMiB(), v.Tasks())
	}
}

func TestFleet_UnknownInstanceIsReported(t *testing.T) {
	f := NewFleet()
	if f.AddTask("a", Use{}) || f.RemoveTask("a", Use{}) || f.RemoveInstance("a") {
		t.Error("something was done to an instance that is not there")
	}
	if _, ok := f.Instance("a"); ok || f.Len() != 0 {
		t.Error("an instance came from nowhere")
	}
}
