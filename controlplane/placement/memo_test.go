package placement

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/query"
)

// A condition on an attribute of which every instance has a value of its own is answered
// from memory when it comes again, and must be answered as if it were not.
func TestPlace_ConditionThatComesAgainIsAnsweredAnew(t *testing.T) {
	const hosts = 3 * fewValues
	f := NewFleet()
	put := func(i int, name string, status Status) {
		f.PutInstance(Instance{ID: benchID(i), CPU: 64, MemoryMiB: 64, Connected: true, Status: status,
			Attributes: map[string]string{"name": name, "short": name[:6]}, EC2InstanceID: name, AgentVersion: "1.7." + strconv.Itoa(i)})
	}
	expressions := []string{"attribute:name =~ '.*7'", "not (attribute:name =~ '.*7')", "attribute:short =~ '.*7'",
		"ec2InstanceId =~ '.*7'", "agentVersion > 1.7.20", "registeredAt < 2020-01-01"}
	for i := range hosts {
		put(i, "host-"+strconv.Itoa(i), Active)
	}
	for step, change := range []func(){
		func() {}, func() {}, func() {}, // noted, worked out, remembered
		func() { put(1, "other-1", Active) },
		func() { f = f.Clone(); put(2, "host-7", Active) },
		func() { f.RemoveInstance(benchID(17)) },
		func() { f.PutInstance(Instance{ID: benchID(27), CPU: 64, MemoryMiB: 64, Connected: true}) },
		func() { put(hosts, "host-"+strconv.Itoa(hosts*10+7), Active) },
		func() { put(4*wordBits, "host-77", Draining) },
		func() { put(4*wordBits, "host-77", Active) },
		func() {
			v, _ := f.Instance(benchID(30))
			in := *v.Instance()
			in.AgentVersion, in.RegisteredAt = "1.7.3", time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
			f.PutInstance(in)
		},
	} {
		change()
		for _, expression := range expressions {
			remembered := compiled(t, expression)
			asked := remembered
			asked.Within.Where = nil
			place := func(p Predicate) []string {
				var ids []string
				for _, a := range Place(f, Request{Count: hosts + 1, CPU: 64, MemoryMiB: 64, Group: "g", MemberOf: []Predicate{p}}).Assignments {
					ids = append(ids, a.InstanceID)
				}
				slices.Sort(ids)
				return ids
			}
			asked.Within.Whole = false
			if got, want := place(remembered), place(asked); !slices.Equal(got, want) || len(want) == 0 {
				t.Errorf("step %d, %s: %s", step, expression, fmt.Sprintf("placed on %d hosts, want %d", len(got), len(want)))
			}
		}
	}
	for _, expression := range expressions {
		if known := f.kin.memo.find(compiled(t, expression).Within.Where[0].Text); known == nil || !slices.Equal(known.stamps, f.hosts.stamps) {
			t.Errorf("%s is not remembered", expression)
		}
	}
}

func TestMemo_KeepsABoundedNumberOfConditions(t *testing.T) {
	var m memo
	for i := range 10 * mostMemos {
		m.keep(strconv.Itoa(i), new(remembered))
	}
	if n := len(m.known); n > mostMemos {
		t.Errorf("remembers %d conditions", n)
	}
}

func TestPlace_AsksOnlyNeighboursOfInstancesThatChanged(t *testing.T) {
	const hosts = 10 * wordBits
	f := NewFleet()
	named := func(i int, name string) Instance {
		return host(benchID(i), with("name", name), func(in *Instance) { in.EC2InstanceID = name })
	}
	for i := range hosts {
		f.PutInstance(named(i, "host-"+strconv.Itoa(i)))
	}
	for _, expression := range []string{"attribute:name =~ '.*7'", "ec2InstanceId =~ '.*7'"} {
		asked := 0
		p := compiled(t, expression)
		c := &p.Within.Where[0]
		match, holds := c.Match, c.Holds
		c.Match = func(i query.Instance) bool { asked++; return match(i) }
		if holds != nil {
			c.Holds = func(value string, present bool) bool { asked++; return holds(value, present) }
		}
		place := func() {
			if got := Place(f, Request{Count: 1, CPU: 1, MemberOf: []Predicate{p}}); len(got.Assignments) != 1 {
				t.Fatalf("placed %v", got)
			}
		}
		for _, step := range []struct {
			change func()
			most   int
		}{
			{func() {}, 0}, // noted
			{func() {}, hosts + 1},
			{func() {}, 0},
			{func() { f = f.Clone(); f.AddTask(benchID(3), Use{CPU: 1, Group: "g"}) }, 0},
			{func() {
				f.PutInstance(host(benchID(9), with("name", "host-9"), func(in *Instance) { in.EC2InstanceID, in.CPU = "host-9", 4096 }))
			}, 0},
			{func() { f = f.Clone(); f.PutInstance(named(100, expression)) }, wordBits},
			{func() { f.RemoveInstance(benchID(200)) }, wordBits},
			{func() { f.PutInstance(named(hosts, "host-7")) }, wordBits},
		} {
			step.change()
			asked = 0
			if place(); asked > step.most {
				t.Errorf("%s: %d were asked, want at most %d", expression, asked, step.most)
			}
		}
	}
}

func TestFleet_StampsWhatConditionsCanSee(t *testing.T) {
	f := NewFleet()
	for i := range wordBits + 2 {
		f.PutInstance(host(strconv.Itoa(i), with("a", "b")))
	}
	changed := func(change func(*Instance)) func() {
		return func() { f.PutInstance(host("5", with("a", "b"), change)) }
	}
	for _, test := range []struct {
		what   string
		change func()
		seen   bool
	}{
		{"attribute", changed(with("a", "c")), true},
		{"nothing but the attribute back", changed(func(*Instance) {}), true},
		{"nothing", changed(func(*Instance) {}), false},
		{"resources", changed(func(in *Instance) { in.CPU++ }), false},
		{"task", func() { f.AddTask("5", Use{CPU: 1, Group: "g"}) }, false},
		{"agent", changed(func(in *Instance) { in.Connected = false }), true},
		{"agent version", changed(func(in *Instance) { in.Connected, in.AgentVersion = false, "1.2.3" }), true},
		{"host's id", changed(func(in *Instance) { in.Connected, in.AgentVersion, in.EC2InstanceID = false, "1.2.3", "x" }), true},
		{"time", changed(func(in *Instance) {
			in.Connected, in.AgentVersion, in.EC2InstanceID, in.RegisteredAt = false, "1.2.3", "x", time.Unix(9, 0)
		}), true},
		{"removal", func() { f.RemoveInstance("5") }, true},
		{"arrival", func() { f.PutInstance(Instance{ID: "5"}) }, true},
	} {
		before := slices.Clone(f.hosts.stamps)
		test.change()
		if seen := f.hosts.stamps[0] != before[0]; seen != test.seen {
			t.Errorf("%s: stamped is %t", test.what, seen)
		}
		if f.hosts.stamps[1] != before[1] {
			t.Errorf("%s: others were stamped", test.what)
		}
	}
}
