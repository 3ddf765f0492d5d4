package placement

import "github.com/longshore/longshore/controlplane/query"

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

// restrict leaves the candidates that meet a condition, unless that is left to Match. Of
// an attribute of which nearly every instance has a value of its own, to ask for all of them
// pays only if the condition comes again: the first time it is noted and left to Match.
func (s *search) restrict(c query.Condition, free int) bool {
	h, memo := s.fleet.hosts, &s.fleet.kin.memo
	meets, noted := memo.find(c.Text, h.version)
	switch {
	case meets != nil:
	case noted:
		meets = make([]uint64, len(s.candidates))
		h.addMeeting(meets, h.present, c, h.valuesOf(c.Attribute))
		memo.keep(c.Text, h.version, meets)
	default:
		values, all := h.firstValuesOf(c.Attribute, max(fewValues, s.fleet.Len()/8))
		if !all {
			memo.keep(c.Text, h.version, nil)
			return false
		}
		meets = s.scratch.mask(free)
		clear(meets)
		h.addMeeting(meets, s.candidates, c, values)
	}
	for i := range s.candidates {
		s.candidates[i] &= meets[i]
	}
	return true
}

// addMeeting adds to the mask the slots of the scope that meet a condition, given the
// values of its attribute.
func (h *hosts) addMeeting(mask, scope []uint64, c query.Condition, values []valueSlots) {
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
