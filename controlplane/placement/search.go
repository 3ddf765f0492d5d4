package placement

import "math/bits"

// search is the work on one request. Its candidates only ever become fewer: while
// a request is placed nothing but its own tasks is added, and that changes only the
// instances they go to, so that what does not pass once will not pass later.
type search struct {
	request  Request
	need     amounts
	room     room // the need, for columns
	fleet    *Fleet
	ownFleet bool // the fleet is a clone that may be changed

	// candidates are the slots that are not yet known not to pass: all that the
	// index can tell is applied from the start, the rest when an instance is tried.
	candidates []uint64
	// passed are those that are known to pass.
	passed []uint64
	// awaited are the slots of the tasks that wait; see occupy.
	awaited []uint64
	// asked are the predicates that the index could not answer as a whole.
	asked []*Predicate
	// oneByOne tells that there are checks which only the instance itself can answer.
	oneByOne bool

	survey *survey // nil if not asked for yet

	scratch *scratch
}

// The first masks of a scratch are those of the whole search, then come two for each
// strategy.
const (
	candidatesMask = iota
	passedMask
	awaitedMask
	strategyMasks
)

func newSearch(f *Fleet, r *Request, scratch *scratch) *search {
	scratch.words = f.rows.size
	s := &scratch.search
	*s = search{
		request:    *r,
		need:       r.needs(),
		room:       r.needs().room(),
		fleet:      f,
		candidates: scratch.mask(candidatesMask),
		passed:     scratch.mask(passedMask),
		awaited:    scratch.mask(awaitedMask),
		scratch:    scratch,
	}
	clear(s.passed)
	s.startCandidates()
	s.require(r.RequiredAttributes)
	for i := range r.MemberOf {
		if p := &r.MemberOf[i]; !s.narrow(&p.Within, strategyMasks) {
			s.asked = append(s.asked, p)
		}
	}
	s.oneByOne = r.GPUCount > 0 || len(s.asked) > 0 || s.need.beyond()
	for _, p := range hostPorts(r.TCP, r.UDP) {
		f.ports.get(p).dropFrom(s.candidates)
	}
	if g := f.groups.get(groupName(r.Group)); r.DistinctInstance && g != nil {
		s.keepApart(g)
	}
	if r.GPUCount > 0 {
		f.hosts.gpus.keepIn(s.candidates)
	}
	return s
}

// startCandidates begins with the eligible instances, or those of them that the
// request names.
func (s *search) startCandidates() {
	if s.request.Candidates == nil {
		copy(s.candidates, s.fleet.hosts.eligible)
		return
	}
	clear(s.candidates)
	for _, id := range s.request.Candidates {
		if slot, ok := s.fleet.hosts.slots.get(id); ok && s.fleet.eligible(slot) {
			set(s.candidates, slot, true)
		}
	}
}

func (s *search) require(attributes []Attribute) {
	for _, a := range attributes {
		var holders *bitset
		if a.AnyValue {
			holders = s.fleet.hosts.carriersOf(a.Name)
		} else {
			holders = s.fleet.hosts.valueOf(a.Name, a.Value)
		}
		// Most of what definitions require every instance can do.
		if holders.len() < s.fleet.Len() {
			holders.keepIn(s.candidates)
		}
	}
}

// keepApart leaves the candidates without a task of the group that is to go on.
func (s *search) keepApart(g *group) {
	leaving := s.scratch.mask(strategyMasks)
	clear(leaving)
	g.leaving.addTo(leaving, s.candidates)
	for _, digit := range g.digits {
		digit.dropFrom(s.candidates)
	}
	for i, w := range leaving {
		s.candidates[i] |= w
	}
}

// passes tells whether a slot takes a task of the request, and remembers it.
func (s *search) passes(slot int) bool {
	if !has(s.candidates, slot) || has(s.passed, slot) {
		return has(s.candidates, slot)
	}
	if len(s.scratch.waiting) > 0 && has(s.awaited, slot) {
		s.waitNoMore()
		if !has(s.candidates, slot) {
			return false
		}
	}
	v := s.fleet.view(slot)
	if !s.passesOneByOne(v) {
		set(s.candidates, slot, false)
		return false
	}
	set(s.passed, slot, true)
	return true
}

func (s *search) passesOneByOne(v View) bool {
	if free := v.node.free; free[cpu] < s.need[cpu] || free[memory] < s.need[memory] {
		return false
	}
	if s.request.GPUCount > 0 && s.request.GPUCount > v.node.freeGPUs() {
		return false
	}
	for _, p := range s.asked {
		if !p.Match(v) {
			return false
		}
	}
	return true
}

// settle leaves in the scope exactly the slots that pass.
func (s *search) settle(scope []uint64) {
	s.waitNoMore()
	v := s.surveyed()
	for i := range scope {
		scope[i] &= s.candidates[i]
		open := scope[i] &^ s.passed[i]
		if open == 0 {
			continue
		}
		good := open & v.row(s.fleet, i/rowBlocks).fitting[i%rowBlocks]
		if s.oneByOne {
			for lanes := good; lanes != 0; lanes &= lanes - 1 {
				if !s.passesOneByOne(s.fleet.view(i<<wordShift + bits.TrailingZeros64(lanes))) {
					good &^= lanes & -lanes
				}
			}
		}
		s.passed[i] |= good
		s.candidates[i] &^= open &^ good
		scope[i] &= s.candidates[i]
	}
}

// reject is called with slots that were found not to pass.
func (s *search) reject(slots []uint64) {
	for i, w := range slots {
		s.candidates[i] &^= w
	}
}

// dropRejected takes out of the scope what was found not to pass.
func (s *search) dropRejected(scope []uint64) {
	for i := range scope {
		scope[i] &= s.candidates[i]
	}
}

// reconsider is called when a task of the request was added to a slot: if the slot
// takes no other, it is no candidate any more.
func (s *search) reconsider(slot int) {
	set(s.passed, slot, false)
	r := &s.request
	free := s.fleet.node(slot).free
	if r.DistinctInstance || len(r.TCP)+len(r.UDP) > 0 || free[cpu] < s.need[cpu] || free[memory] < s.need[memory] {
		set(s.candidates, slot, false)
	}
}

// masks are two scratch masks for the use of a strategy.
func (s *search) masks(strategy int) (a, b []uint64) {
	first := strategyMasks + 2*strategy
	return s.scratch.mask(first), s.scratch.mask(first + 1)
}

// scratch is masks to work with, which hold whatever they held before. The clones of a
// fleet share a pool of them.
type scratch struct {
	search  search
	words   int
	all     [][]uint64
	tallies []tally // by strategy
	waiting []waiting
}

func (s *scratch) mask(i int) []uint64 {
	for len(s.all) <= i {
		s.all = append(s.all, nil)
	}
	if cap(s.all[i]) < s.words {
		s.all[i] = make([]uint64, s.words)
	}
	return s.all[i][:s.words]
}
