package placement

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/query"
)

const zoneAttribute = "ecs.availability-zone"

// capabilities are what most task definitions require and all instances have.
var capabilities = []Attribute{
	{Name: "com.amazonaws.ecs.capability.docker-remote-api.1.18", AnyValue: true},
	{Name: "com.amazonaws.ecs.capability.logging-driver.json-file", AnyValue: true},
	{Name: "ecs.capability.task-eni", AnyValue: true},
}

func benchID(i int) string { return fmt.Sprintf("%08x%08x%016x", uint32(i)*2654435761, i, i) }

// benchInstance is one of a mixed fleet: four sizes, three zones, forty racks.
func benchInstance(i int) Instance {
	size := int64(4 << (i * 7 % 4))
	attributes := map[string]string{
		zoneAttribute:          "zone-" + string(rune('a'+i%3)),
		"ecs.instance-type":    "metal." + strconv.FormatInt(size, 10),
		"ecs.os-type":          "linux",
		"ecs.cpu-architecture": "x86_64",
		"rack":                 strconv.Itoa(i % 40),
		"id":                   strconv.Itoa(i),
	}
	for _, c := range capabilities {
		attributes[c.Name] = ""
	}
	return Instance{ID: benchID(i), Attributes: attributes, CPU: size * 1024, MemoryMiB: size * 4096 / int64(1+i%2),
		ReservedTCP: []uint16{22, 2375, 2376, 51678, 51679, 51680}, Connected: true}
}

// benchFleet is empty but for what it runs if it is filled: on each instance a random
// part, up to all of it, in tasks of 200 services.
func benchFleet(n int, filled bool) *Fleet {
	f := NewFleet()
	rng := rand.New(rand.NewPCG(uint64(n), 3))
	for i := range n {
		in := benchInstance(i)
		f.PutInstance(in)
		if !filled {
			continue
		}
		for range rng.IntN(int(in.CPU/1024) + 1) {
			f.AddTask(in.ID, Use{CPU: 512 + int64(rng.IntN(9))*64, MemoryMiB: 512 + int64(rng.IntN(13))*128,
				Group: "service:" + strconv.Itoa(rng.IntN(200))})
		}
	}
	return f
}

var benchChains = []struct {
	name       string
	strategies []Strategy
}{
	{"random", []Strategy{Random()}},
	{"binpackCPU", []Strategy{BinpackCPU()}},
	{"binpackMemory", []Strategy{BinpackMemory()}},
	{"spreadInstances", []Strategy{SpreadInstances()}},
	{"spreadZones+Instances", []Strategy{SpreadAttribute(zoneAttribute), SpreadInstances()}},
	{"spreadZones+binpackMemory", []Strategy{SpreadAttribute(zoneAttribute), BinpackMemory()}},
	{"spreadInstances+binpackCPU", []Strategy{SpreadInstances(), BinpackCPU()}},
}

const benchTasks = 10_000

func benchRequest(strategies []Strategy) Request {
	return Request{CPU: 256, MemoryMiB: 384, Group: "service:new", RequiredAttributes: capabilities,
		Strategies: strategies, Rand: rand.New(rand.NewPCG(1, 2))}
}

// The ways in which the tasks of a benchmark come.
const (
	atOnce     = "at-once"    // one request for all
	oneByOne   = "one-by-one" // requests of one, each task added to the fleet
	withClones = "cloned"     // so, and the fleet is cloned before each, as for snapshots
	tens       = "tens"       // requests of ten, and the fleet is cloned before each
)

// place puts the tasks of a benchmark on a clone of the fleet.
func place(b *testing.B, f *Fleet, r Request, way string) {
	if way == atOnce {
		r.Count = benchTasks
		if got := len(Place(f, r).Assignments); got != benchTasks {
			b.Fatalf("placed %d", got)
		}
		return
	}
	r.Count = 1
	if way == tens {
		r.Count = 10
	}
	f = f.Clone()
	for range benchTasks / r.Count {
		if way != oneByOne {
			f = f.Clone()
		}
		result := Place(f, r)
		if len(result.Assignments) != r.Count {
			b.Fatal("not placed")
		}
		for _, a := range result.Assignments {
			f.AddTask(a.InstanceID, r.use(nil))
		}
	}
}

// cpuTime is what the process has had of the processors, the collector's part included.
// Unlike the time on the clock it says the same on a machine that has other work.
func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatalf("reading the processor time: %v", err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkPlace puts 10,000 tasks on fleets of several sizes.
func BenchmarkPlace(b *testing.B) {
	for _, fleet := range []string{"empty", "filled"} {
		for _, n := range []int{1_000, 5_000, 10_000, 20_000} {
			base := benchFleet(n, fleet == "filled")
			for _, chain := range benchChains {
				for _, way := range []string{atOnce, oneByOne, withClones, tens} {
					b.Run(fmt.Sprintf("fleet=%s/instances=%d/%s/%s", fleet, n, chain.name, way), func(b *testing.B) {
						measure(b, func() { place(b, base, benchRequest(chain.strategies), way) })
					})
				}
			}
		}
	}
}

// BenchmarkPlaceConstrained puts 10,000 tasks where a fortieth of the instances have a
// required attribute, where a third match an expression, and where they match it but it
// says nothing of what it implies, which is the worst case of all.
func BenchmarkPlaceConstrained(b *testing.B) {
	opaque := compiled(b, "attribute:ecs.availability-zone =~ '.*-b'")
	opaque.Within = query.Narrowing{}
	constraints := []struct {
		name       string
		attributes []Attribute
		memberOf   []Predicate
	}{
		{name: "attribute", attributes: []Attribute{{Name: "rack", Value: "7"}}},
		{name: "memberOf-equals", memberOf: []Predicate{compiled(b, "attribute:ecs.availability-zone == zone-b")}},
		{name: "memberOf-pattern", memberOf: []Predicate{compiled(b, "attribute:ecs.availability-zone =~ '.*-b'")}},
		{name: "memberOf-either", memberOf: []Predicate{compiled(b, "attribute:ecs.availability-zone == zone-b or attribute:rack == 7")}},
		{name: "memberOf-group", memberOf: []Predicate{compiled(b, "task:group != service:other")}},
		{name: "memberOf-id", memberOf: []Predicate{compiled(b, "attribute:ecs.availability-zone == zone-b && attribute:id !~ '.*0'")}},
		{name: "memberOf-opaque", memberOf: []Predicate{opaque}},
	}
	for _, n := range []int{1_000, 5_000} {
		base := benchFleet(n, false)
		for _, c := range constraints {
			b.Run(fmt.Sprintf("instances=%d/%s/%s", n, c.name, oneByOne), func(b *testing.B) {
				measure(b, func() {
					r := benchRequest([]Strategy{SpreadInstances()})
					r.CPU, r.MemoryMiB = 16, 16
					r.RequiredAttributes = append(r.RequiredAttributes[:3:3], c.attributes...)
					r.MemberOf = c.memberOf
					place(b, base, r, oneByOne)
				})
			})
		}
	}
}

// BenchmarkPlace_ConditionAfterChange places a task where a condition holds of a tenth of the
// instances, of which each has a value of its own, after an instance's attributes changed.
func BenchmarkPlace_ConditionAfterChange(b *testing.B) {
	for _, n := range []int{1_000, 5_000, 10_000} {
		for _, expression := range []string{"attribute:id =~ '.*0'", "ec2InstanceId =~ '.*0'"} {
			b.Run(fmt.Sprintf("instances=%d/%s", n, expression[:10]), func(b *testing.B) {
				f := NewFleet()
				for i := range n {
					in := benchInstance(i)
					in.EC2InstanceID = "i-" + in.Attributes["id"]
					f.PutInstance(in)
				}
				r := benchRequest([]Strategy{SpreadInstances()})
				r.Count, r.MemberOf = 1, []Predicate{compiled(b, expression)}
				changed, used := 0, cpuTime(b)
				for b.Loop() {
					f = f.Clone()
					in := benchInstance(changed % n)
					in.Attributes["changed"] = strconv.Itoa(changed)
					f.PutInstance(in)
					if changed++; len(Place(f, r).Assignments) != 1 {
						b.Fatal("not placed")
					}
				}
				b.ReportMetric(float64((cpuTime(b)-used).Microseconds())/float64(b.N), "cpu-µs/op")
			})
		}
	}
}

// measure reports how many tasks are placed in a second on the clock and in one of the
// processor's, given what places all.
func measure(b *testing.B, placeAll func()) {
	used := cpuTime(b)
	for b.Loop() {
		placeAll()
	}
	used = cpuTime(b) - used
	b.ReportMetric(float64(b.N*benchTasks)/b.Elapsed().Seconds(), "tasks/s")
	b.ReportMetric(float64(b.N*benchTasks)/used.Seconds(), "tasks/cpu-s")
}

// BenchmarkFleet_Memory is what 10,000 instances and 100,000 tasks of 1,000 groups
// take, the strings of ids and attributes not counted.
func BenchmarkFleet_Memory(b *testing.B) {
	const instances, tasks, groups = 10_000, 100_000, 1_000
	list := make([]Instance, instances)
	for i := range list {
		list[i] = benchInstance(i)
	}
	names := make([]string, groups)
	for i := range names {
		names[i] = "service:" + strconv.Itoa(i)
	}
	for b.Loop() {
		before := heap()
		f := NewFleet()
		for _, in := range list {
			f.PutInstance(in)
		}
		empty := heap()
		rng := rand.New(rand.NewPCG(1, 1))
		for range tasks {
			f.AddTask(list[rng.IntN(instances)].ID, Use{CPU: 64, MemoryMiB: 64, Group: names[rng.IntN(groups)]})
		}
		full := heap()
		b.ReportMetric(float64(empty-before)/instances, "B/instance")
		b.ReportMetric(float64(full-empty)/tasks, "B/task")
		runtime.KeepAlive(f)
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
