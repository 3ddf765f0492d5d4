package placement

import (
	"slices"
	"testing"
)

func TestValuesWithin_AreThoseOfInstancesThatMayTakeTasks(t *testing.T) {
	f := NewFleet()
	put := func(id, zone string, in Instance) {
		in.ID, in.CPU, in.Attributes = id, 100, map[string]string{"zone": zone, "name": id}
		if zone == "" {
			delete(in.Attributes, "zone")
		}
		f.PutInstance(in)
	}
	put("a1", "a", Instance{Connected: true})
	put("b1", "b", Instance{Connected: true})
	put("c1", "c", Instance{})
	put("d1", "d", Instance{Connected: true, Status: Draining})
	put("e1", "", Instance{Connected: true})
	f.AddTask("b1", Use{CPU: 100, Group: "g"})
	// There is no room on b1, and its group is there; that may change.
	r := Request{CPU: 100, Group: "g", DistinctInstance: true}
	if got := ValuesWithin(f, r, "zone"); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("zones %v", got)
	}
	opaque := compiled(t, "attribute:name == b1 or agentConnected == false")
	opaque.Within.AnyOf, opaque.Within.Whole = nil, false
	for _, p := range []Predicate{compiled(t, "attribute:name == b1"), opaque} {
		r.MemberOf = []Predicate{p}
		if got := ValuesWithin(f, r, "zone"); !slices.Equal(got, []string{"b"}) {
			t.Errorf("with %s: zones %v", p.Text, got)
		}
	}
}
