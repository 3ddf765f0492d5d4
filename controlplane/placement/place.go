package placement

// usualCount is how many assignments a result has room for from the start: as many as the
// callers ask for at once. More make it grow.
const usualCount = 100

// Place finds instances for the tasks of the request, one after the other: the
// second finds what the first left. It does not change the fleet.
//
// The same fleet, built by the same calls, with the same request and the same seed
// gives the same result.
func Place(f *Fleet, r Request) Result {
	result := Result{NoInstances: f.Len() == 0}
	if r.Count <= 0 {
		return result
	}
	result.Assignments = make([]Assignment, 0, min(r.Count, usualCount))
	s := startSearch(f, &r)
	defer s.end()
	for placed := 1; placed <= r.Count; placed++ {
		slot, ok := s.next()
		if !ok {
			result.Failures = s.failures()
			result.Closest = Closest(result.Failures)
			break
		}
		result.Assignments = append(result.Assignments, s.assign(slot))
		if placed < r.Count {
			s.occupy(slot, result.Assignments[placed-1].GPUs)
		}
	}
	return result
}

// startSearch begins a search, which must be ended.
func startSearch(f *Fleet, r *Request) *search {
	buffers, _ := f.kin.scratches.Get().(*scratch)
	if buffers == nil {
		buffers = new(scratch)
	}
	return newSearch(f, r, buffers)
}

// end gives back what the search worked with.
func (s *search) end() {
	pool, buffers := &s.fleet.kin.scratches, s.scratch
	for i := range buffers.tallies {
		buffers.tallies[i].end()
	}
	if s.survey != nil {
		s.fleet.kin.surveys.give(s.survey)
	}
	buffers.forgetWaiting()
	*s = search{} // which must not keep the fleet
	pool.Put(buffers)
}

func (s *search) assign(slot int) Assignment {
	n := s.fleet.node(slot)
	return Assignment{InstanceID: n.instance.ID, GPUs: n.pickGPUs(s.request.GPUCount)}
}

// occupy notes that a task of the request was placed. Chance looks only at the slots that
// it tries, and seldom at the same twice: for it the task waits until its slot, or all
// slots, are looked at.
func (s *search) occupy(slot int, gpus []string) {
	if !s.byChance() {
		s.settleIn(slot, gpus)
		return
	}
	if len(s.scratch.waiting) == 0 {
		clear(s.awaited)
	}
	s.scratch.waiting = append(s.scratch.waiting, waiting{slot, gpus})
	set(s.awaited, slot, true)
	set(s.passed, slot, false)
}

// waiting is a task of the request that is not yet on the search's fleet.
type waiting struct {
	slot int
	gpus []string
}

// waitNoMore puts the tasks that wait on the search's fleet.
func (s *search) waitNoMore() {
	for _, w := range s.scratch.waiting {
		s.settleIn(w.slot, w.gpus)
	}
	s.scratch.forgetWaiting()
}

func (s *scratch) forgetWaiting() {
	clear(s.waiting)
	s.waiting = s.waiting[:0]
}

// settleIn puts a task of the request where it was placed, on a fleet of the search's
// own.
func (s *search) settleIn(slot int, gpus []string) {
	if !s.ownFleet {
		s.fleet, s.ownFleet = s.fleet.Clone(), true
	}
	use := s.request.use(gpus)
	s.fleet.addTask(slot, &use)
	s.reconsider(slot)
	for i := range s.scratch.tallies {
		if t := &s.scratch.tallies[i]; t.counted != nil {
			t.add(s.fleet.node(slot).instance)
		}
	}
}

// failures examines every instance, or every candidate, for the next task.
func (s *search) failures() []Failure {
	r := &s.request
	var all []Failure
	if r.Candidates == nil {
		all = make([]Failure, 0, s.fleet.Len())
		for v := range s.fleet.All() {
			if why, ok := examine(v, r); !ok {
				all = append(all, why)
			}
		}
	} else {
		seen := make(map[string]bool, len(r.Candidates))
		for _, id := range r.Candidates {
			if seen[id] {
				continue
			}
			seen[id] = true
			if why, ok := Explain(s.fleet, *r, id); !ok {
				all = append(all, why)
			}
		}
	}
	return all
}

// Closest is the failure of the instance that came nearest to taking the task; nil
// of none.
func Closest(failures []Failure) *Failure {
	if len(failures) == 0 {
		return nil
	}
	best := failures[0]
	for i := range failures[1:] {
		if f := &failures[i+1]; f.closer(&best) {
			best = *f
		}
	}
	return &best
}
