package placement

import "github.com/longshore/longshore/controlplane/query"

// fewValues is the number of values that a condition is asked of in any case; of more
// only if the instances are several times as many.
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
	values, all := s.fleet.hosts.firstValuesOf(c.Attribute, max(fewValues, s.fleet.Len()/8))
	if !all {
		return false
	}
	meets := s.scratch.mask(free)
	clear(meets)
	for _, v := range values {
		if c.Holds(v.value, true) {
			v.slots.addTo(meets, s.candidates)
		}
	}
	if c.Holds("", false) {
		carriers := s.fleet.hosts.carriersOf(c.Attribute)
		carriers.addRest(meets, s.candidates)
	}
	copy(s.candidates, meets)
	return true
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
