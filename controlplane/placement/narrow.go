package placement

import (
	"math/bits"
	"slices"

	"github.com/longshore/longshore/controlplane/query"
)

// fewValues is the number of values that a condition is asked of in any case; of more
// only if the instances are several times as many, or if the condition comes again.
const fewValues = 64

// narrow leaves the candidates that meet a narrowing, and tells whether all of these
// match. Masks from the given one on are free for it to use.
func (s *search) narrow(n *query.Narrowing, free int) (whole bool) {
	whole = n.Whole
	for _, a := range n.Has {
		s.require([]Attribute{Attribute(a)})
	}
	for _, c := range n.Where {
		whole = s.restrict(c, free) && whole
	}
	for _, g := range n.Groups {
		s.keepGroup(g, free)
	}
	for _, alternatives := range n.AnyOf {
		whole = s.narrowToAny(alternatives, free) && whole
	}
	return whole
}

// narrowToAny leaves the candidates that meet at least one of the alternatives.
func (s *search) narrowToAny(alternatives []query.Narrowing, free int) (whole bool) {
	whole = true
	before, met := s.scratch.mask(free), s.scratch.mask(free+1)
	copy(before, s.candidates)
	clear(met)
	for i := range alternatives {
		copy(s.candidates, before)
		whole = s.narrow(&alternatives[i], free+2) && whole
		for w := range met {
			met[w] |= s.candidates[w]
		}
	}
	copy(s.candidates, met)
	return whole
}

// restrict leaves the candidates that meet a condition, unless that is left to Match.
func (s *search) restrict(c query.Condition, free int) bool {
	memo := &s.fleet.kin.memo
	known := memo.find(c.Text)
	if known == nil && !s.fleet.easy(&c) {
		memo.keep(c.Text, new(remembered))
		return false
	}
	if known == nil {
		known = new(remembered)
	}
	now := s.fleet.remember(&c, known, s.scratch.mask(free))
	if now != known {
		memo.keep(c.Text, now)
	}
	for i, w := range now.meets {
		s.candidates[i] &= w
	}
	return true
}

// easy tells whether it takes much less to find out who meets a condition than to ask every
// instance. For one that is not this pays only if it comes again: the first time it is
// noted and left to Match.
func (f *Fleet) easy(c *query.Condition) bool {
	if c.Holds == nil {
		return false
	}
	_, all := f.hosts.firstValuesOf(c.Attribute, max(fewValues, f.Len()/8))
	return all
}

// remember brings up to date what is known of a condition, in a copy if anything changed.
// Only of 64 slots among which one changed the instances are asked. The scope is used up.
func (f *Fleet) remember(c *query.Condition, known *remembered, scope []uint64) *remembered {
	h, outdated := f.hosts, 0
	for i, stamp := range h.stamps {
		scope[i] = 0
		if i >= len(known.stamps) || known.stamps[i] != stamp {
			scope[i] = h.present[i]
			outdated++
		}
	}
	if outdated == 0 && len(known.stamps) == len(h.stamps) {
		return known
	}
	now := &remembered{stamps: slices.Clone(h.stamps), meets: make([]uint64, len(h.stamps))}
	for i := range min(len(known.stamps), len(h.stamps)) {
		if known.stamps[i] == h.stamps[i] {
			now.meets[i] = known.meets[i]
		}
	}
	f.addMeeting(now.meets, scope, c)
	return now
}

// addMeeting adds to the mask the slots of the scope that meet a condition. An attribute
// with fewer values than there are slots is asked about by value.
func (f *Fleet) addMeeting(mask, scope []uint64, c *query.Condition) {
	if c.Holds != nil {
		slots := 0
		for _, w := range scope {
			slots += bits.OnesCount64(w)
		}
		if values, all := f.hosts.firstValuesOf(c.Attribute, slots); all {
			f.hosts.addHolding(mask, scope, c, values)
			return
		}
	}
	for slot := range members(scope) {
		if c.Match(f.view(slot).Facts()) {
			set(mask, slot, true)
		}
	}
}

// addHolding adds to the mask the slots of the scope that meet a condition, given the
// values of its attribute.
func (h *hosts) addHolding(mask, scope []uint64, c *query.Condition, values []valueSlots) {
	for _, v := range values {
		if c.Holds(v.value, true) {
			v.slots.addTo(mask, scope)
		}
	}
	if c.Holds("", false) {
		h.carriersOf(c.Attribute).addRest(mask, scope)
	}
}

// keepGroup leaves the candidates that have tasks of a group, or those that have none.
func (s *search) keepGroup(g query.Group, free int) {
	digits := s.fleet.digitsOf(g.Name)
	if g.Absent {
		for _, digit := range digits {
			digit.dropFrom(s.candidates)
		}
		return
	}
	have := s.scratch.mask(free)
	clear(have)
	for _, digit := range digits {
		digit.addTo(have, s.candidates)
	}
	copy(s.candidates, have)
}
