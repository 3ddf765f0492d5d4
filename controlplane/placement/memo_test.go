package placement

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
)

// A condition on an attribute of which every instance has a value of its own is answered
// from memory when it comes again, and must be answered as if it were not.
func TestPlace_ConditionThatComesAgainIsAnsweredAnew(t *testing.T) {
	const hosts = 3 * fewValues
	f := NewFleet()
	put := func(i int, name string, status Status) {
		f.PutInstance(Instance{ID: benchID(i), CPU: 64, MemoryMiB: 64, Connected: true, Status: status, Attributes: map[string]string{"name": name}})
	}
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
	} {
		change()
		for _, expression := range []string{"attribute:name =~ '.*7'", "not (attribute:name =~ '.*7')"} {
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
	if meets, _ := f.kin.memo.find(compiled(t, "attribute:name =~ '.*7'").Within.Where[0].Text, f.hosts.version); meets == nil {
		t.Error("nothing is remembered")
	}
}

func TestMemo_KeepsABoundedNumberOfConditions(t *testing.T) {
	var m memo
	for i := range 10 * mostMemos {
		m.keep(strconv.Itoa(i), 1, nil)
	}
	if n := len(m.known); n > mostMemos {
		t.Errorf("remembers %d conditions", n)
	}
}
