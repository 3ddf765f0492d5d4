package placement

import "math/bits"

const (
	// luck is how often chance is tried before the instances are settled one by one.
	// It suffices where at least every eighth slot will do.
	luck = 24
	// patience is how often binpack looks for the next best when the best one does not
	// pass, before it settles the instances one by one.
	patience = 8
)

// byChance tells whether chance alone chooses among the slots that pass.
func (s *search) byChance() bool {
	return len(s.request.Strategies) == 0 || s.request.Strategies[0].kind == random
}

// next chooses the slot of the next task, if any passes.
func (s *search) next() (int, bool) { return s.pick(s.candidates, 0) }

// pick chooses the best slot of a scope by the strategies from the given one on. Each
// strategy goes through the subsets that it finds equally good, the best first, and
// leaves the choice within a subset to the next; the first subset in which an
// instance passes decides. So the choice is the least in the order of the whole
// chain. The scope is used up.
func (s *search) pick(scope []uint64, strategy int) (int, bool) {
	if strategy == len(s.request.Strategies) {
		return s.pickAny(scope)
	}
	switch how := s.request.Strategies[strategy]; how.kind {
	case pack:
		return s.pickPacked(scope, strategy, how.resource)
	case spreadInstances:
		return s.pickFewest(scope, strategy)
	case spreadAttribute:
		return s.pickValue(scope, strategy, how.attribute)
	default:
		return s.pickAny(scope)
	}
}

// pickAny chooses among the slots that pass, each with the same chance.
func (s *search) pickAny(scope []uint64) (int, bool) {
	if s.request.Rand != nil && len(scope) > 0 {
		for range luck {
			slot := s.request.intN(len(scope) << wordShift)
			if has(scope, slot) && s.passes(slot) {
				return slot, true
			}
		}
	}
	s.settle(scope)
	n := 0
	for _, w := range scope {
		n += bits.OnesCount64(w)
	}
	if n == 0 {
		return 0, false
	}
	return nth(scope, s.request.intN(n)), true
}

// nth is the slot with n slots of the mask before it.
func nth(mask []uint64, n int) int {
	for i, w := range mask {
		if here := bits.OnesCount64(w); n >= here {
			n -= here
			continue
		}
		for ; n > 0; n-- {
			w &= w - 1
		}
		return i<<wordShift + bits.TrailingZeros64(w)
	}
	panic("placement: fewer slots than counted")
}

// pickFewest prefers the slots with the fewest tasks of the group.
func (s *search) pickFewest(scope []uint64, strategy int) (int, bool) {
	digits := s.fleet.digitsOf(s.request.Group)
	fewest, _ := s.masks(strategy)
	for anyOf(scope) {
		copy(fewest, scope)
		for j := len(digits) - 1; j >= 0; j-- {
			// A number without the digit is less than any with it, if the higher ones
			// are the same.
			if digits[j].leavesAny(fewest) {
				digits[j].dropFrom(fewest)
			}
		}
		if slot, ok := s.pick(fewest, strategy+1); ok {
			return slot, true
		}
		s.dropRejected(scope)
	}
	return 0, false
}

// pickValue prefers the slots whose value of the attribute has the fewest tasks of
// the group.
func (s *search) pickValue(scope []uint64, strategy int, attribute string) (int, bool) {
	values := s.tallyOf(strategy, attribute).order
	same, _ := s.masks(strategy)
	for from := 0; from < len(values); {
		clear(same)
		found, tasks := false, values[from].tasks
		for from < len(values) && values[from].tasks == tasks {
			found = values[from].addTo(same, scope) || found
			from++
		}
		if found {
			if slot, ok := s.pick(same, strategy+1); ok {
				return slot, true
			}
		}
	}
	return 0, false
}

// pickPacked prefers the slots with the least left of the resource.
func (s *search) pickPacked(scope []uint64, strategy, resource int) (int, bool) {
	last := strategy+1 == len(s.request.Strategies)
	for try := 0; ; try++ {
		if try == patience {
			s.settle(scope)
		}
		slot, free, ok := s.tightest(scope, resource)
		if !ok {
			s.reject(scope)
			return 0, false
		}
		if last {
			if s.passes(slot) {
				return slot, true
			}
			set(scope, slot, false) // rejected
			continue
		}
		same, _ := s.masks(strategy)
		s.asTight(same, scope, resource, free)
		if slot, ok := s.pick(same, strategy+1); ok {
			return slot, true
		}
		s.dropRejected(scope)
	}
}

func anyOf(mask []uint64) bool {
	for _, w := range mask {
		if w != 0 {
			return true
		}
	}
	return false
}
