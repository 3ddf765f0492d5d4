package placement

import (
	"cmp"
	"slices"
	"sort"
)

// tally is how many tasks of the request's group there are per value of an attribute.
type tally struct {
	attribute string
	values    []*tallied // those with the fewest tasks first
	byValue   map[string]*tallied
	absent    *tallied // of the instances without the attribute
}

// tallied is one value of a tally, or the lack of one.
type tallied struct {
	value string
	at    int // where it is in the tally's values
	tasks int
	slots *bitset // who has the value; for the absent, who has any
	lack  bool    // it stands for the absent
}

// addTo adds to the mask the slots of the scope with the value, and tells whether
// there was any.
func (t *tallied) addTo(mask, scope []uint64) bool {
	if !t.lack {
		return t.slots.addTo(mask, scope)
	}
	return t.slots.addRest(mask, scope)
}

// tallyOf is the tally of a strategy, made when it is first asked for.
func (s *search) tallyOf(strategy int, attribute string) *tally {
	if s.tallies == nil {
		s.tallies = make([]*tally, len(s.request.Strategies))
	}
	if s.tallies[strategy] == nil {
		s.tallies[strategy] = newTally(s.fleet, s.request.Group, attribute)
	}
	return s.tallies[strategy]
}

func newTally(f *Fleet, group, attribute string) *tally {
	counted := f.censusOf(f.groups.get(groupName(group)), attribute)
	values := counted.values
	entries := make([]tallied, len(values)+1)
	for i, v := range values {
		entries[i] = tallied{value: v.value, slots: v.slots, tasks: counted.tasks[i]}
	}
	entries[len(values)] = tallied{slots: f.hosts.carriersOf(attribute), lack: true, tasks: counted.tasks[len(values)]}

	t := &tally{attribute: attribute, values: make([]*tallied, len(entries)), absent: &entries[len(values)]}
	for i := range entries {
		t.values[i] = &entries[i]
	}
	slices.SortStableFunc(t.values, func(a, b *tallied) int { return cmp.Compare(a.tasks, b.tasks) })
	for i, v := range t.values {
		v.at = i
	}
	return t
}

// add counts one more task of the group, on the instance.
func (t *tally) add(in *Instance) {
	v := t.of(in)
	// It changes places with the last that has as many, and all stay in order.
	last := sort.Search(len(t.values), func(i int) bool { return t.values[i].tasks > v.tasks }) - 1
	other := t.values[last]
	t.values[v.at], t.values[last] = other, v
	v.at, other.at = other.at, v.at
	v.tasks++
}

// of is the entry of the instance's value.
func (t *tally) of(in *Instance) *tallied {
	value, ok := in.Attributes[t.attribute]
	if !ok {
		return t.absent
	}
	if t.byValue == nil {
		t.byValue = make(map[string]*tallied, len(t.values))
		for _, v := range t.values {
			if !v.lack {
				t.byValue[v.value] = v
			}
		}
	}
	return t.byValue[value]
}
