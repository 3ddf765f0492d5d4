package placement

import "maps"

// slots are the numbers of slots by the ids of their instances: a large map that is never
// changed, which all clones share, and what changed since it was made. So a look-up is
// one in a map, or two, and to add an instance to a fleet of any size copies little.
type slots struct {
	owner mark // of since
	all   map[string]int
	since map[string]int // noSlot of an instance that is gone
	size  int
}

const noSlot = -1

// mostSince is how many changes are kept beside the large map, whatever its size.
const mostSince = 64

// get is the slot of an instance, and whether there is one.
func (s *slots) get(id string) (int, bool) {
	if len(s.since) > 0 {
		if slot, ok := s.since[id]; ok {
			return slot, slot != noSlot
		}
	}
	slot, ok := s.all[id]
	return slot, ok
}

// add gives an instance that has none a slot.
func (s *slots) add(owner mark, id string, slot int) {
	s.size++
	s.change(owner, id, slot)
}

// remove takes the slot of an instance away.
func (s *slots) remove(owner mark, id string) {
	s.size--
	s.change(owner, id, noSlot)
}

func (s *slots) change(owner mark, id string, slot int) {
	switch {
	case s.since == nil:
		s.since, s.owner = make(map[string]int), owner
	case s.owner != owner:
		s.since, s.owner = maps.Clone(s.since), owner
	}
	s.since[id] = slot
	// With a part of the large map, so that it is not made anew too often.
	if len(s.since) <= max(mostSince, len(s.all)/16) {
		return
	}
	all := make(map[string]int, s.size)
	for _, from := range []map[string]int{s.all, s.since} {
		maps.Copy(all, from)
	}
	maps.DeleteFunc(all, func(_ string, slot int) bool { return slot == noSlot })
	s.all, s.since = all, nil
}
