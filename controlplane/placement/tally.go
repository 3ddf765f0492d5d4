package placement

import (
	"cmp"
	"slices"
	"sort"
)

// tally is how many tasks of the request's group there are per value of an attribute,
// those of the request included. A scratch keeps its slices for the next search.
type tally struct {
	counted *census // what it began with; nil if it has not begun
	entries []tallied
	order   []*tallied // the entries, those with the fewest tasks first
}

// tallied is one value of a tally, or the lack of one.
type tallied struct {
	at    int // where it is in the order
	tasks int
	slots *bitset // who has the value; of the lack, who has any
	lack  bool    // it stands for the instances without the attribute
}

// addTo adds to the mask the slots of the scope with the value, and tells whether
// there was any.
func (t *tallied) addTo(mask, scope []uint64) bool {
	if !t.lack {
		return t.slots.addTo(mask, scope)
	}
	return t.slots.addRest(mask, scope)
}

// tallyOf is the tally of a strategy, begun when it is first asked for.
func (s *search) tallyOf(strategy int, attribute string) *tally {
	for len(s.scratch.tallies) <= strategy {
		s.scratch.tallies = append(s.scratch.tallies, tally{})
	}
	t := &s.scratch.tallies[strategy]
	if t.counted == nil {
		t.begin(s.fleet, s.request.Group, attribute)
	}
	return t
}

func (t *tally) begin(f *Fleet, group, attribute string) {
	c := f.censusOf(f.groups.get(groupName(group)), attribute)
	t.counted = c
	for i, v := range c.values {
		t.entries = append(t.entries, tallied{slots: v.slots, tasks: c.tasks[i]})
	}
	if carriers := f.hosts.carriersOf(attribute); carriers.len() < f.Len() {
		t.entries = append(t.entries, tallied{slots: carriers, lack: true, tasks: c.tasks[len(c.values)]})
	}
	for i := range t.entries {
		t.order = append(t.order, &t.entries[i])
	}
	slices.SortStableFunc(t.order, func(a, b *tallied) int { return cmp.Compare(a.tasks, b.tasks) })
	for i, v := range t.order {
		v.at = i
	}
}

// add counts one more task of the group, on the instance.
func (t *tally) add(in *Instance) {
	v := &t.entries[t.counted.of(in)]
	// It changes places with the last that has as many, and all stay in order.
	last := sort.Search(len(t.order), func(i int) bool { return t.order[i].tasks > v.tasks }) - 1
	other := t.order[last]
	t.order[v.at], t.order[last] = other, v
	v.at, other.at = other.at, v.at
	v.tasks++
}

// end forgets all but the room.
func (t *tally) end() {
	clear(t.entries)
	clear(t.order)
	*t = tally{entries: t.entries[:0], order: t.order[:0]}
}
