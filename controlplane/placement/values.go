package placement

// ValuesWithin lists the values of an attribute, in order, that instances have which pass
// all of a request's checks but those of what is left on them: resources, ports, devices
// and DistinctInstance.
func ValuesWithin(f *Fleet, r Request, attribute string) []string {
	r.CPU, r.MemoryMiB, r.TCP, r.UDP, r.GPUCount, r.DistinctInstance = 0, 0, nil, nil, 0, false
	s := startSearch(f, &r)
	defer s.end()
	scope, passing := s.masks(0)
	copy(scope, s.candidates)
	if s.oneByOne {
		s.settleChecks(scope)
	}
	var values []string
	for _, v := range f.hosts.valuesOf(attribute) {
		if clear(passing); v.slots.addTo(passing, scope) {
			values = append(values, v.value)
		}
	}
	return values
}

// settleChecks leaves in the scope the slots whose instances meet the predicates that the
// index could not answer.
func (s *search) settleChecks(scope []uint64) {
	for slot := range members(scope) {
		v := s.fleet.view(slot)
		for _, p := range s.asked {
			if !p.Match(v) {
				set(scope, slot, false)
				break
			}
		}
	}
}

// Fitting lists the ids of the instances that would take a task of a request: those of
// which [Explain] says true, in the order of their slots.
func Fitting(f *Fleet, r Request) []string {
	s := startSearch(f, &r)
	defer s.end()
	scope, _ := s.masks(0)
	copy(scope, s.candidates)
	s.settle(scope)
	ids := make([]string, 0, f.Len())
	for slot := range members(scope) {
		ids = append(ids, s.fleet.view(slot).ID())
	}
	return ids
}
