package catalog

import (
	"maps"
	"slices"
	"sync"
)

// Subscription collects which groups changed until somebody takes them. Several
// changes of one group are one: only its newest state is of interest.
type Subscription struct {
	catalog *Catalog
	wake    chan struct{}

	mu    sync.Mutex
	full  bool
	dirty map[string]struct{}
}

// Subscribe begins with everything that is there. It has to be closed.
func (c *Catalog) Subscribe() *Subscription {
	s := &Subscription{catalog: c, wake: make(chan struct{}, 1), full: true, dirty: make(map[string]struct{})}
	s.wake <- struct{}{}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.subscribers[s] = struct{}{}
	return s
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.catalog.mu.Lock()
	defer s.catalog.mu.Unlock()
	delete(s.catalog.subscribers, s)
}

// Wake receives something when there is something to take.
func (s *Subscription) Wake() <-chan struct{} { return s.wake }

// note is called with the catalog locked.
func (s *Subscription) note(names []string) {
	s.mu.Lock()
	for _, name := range names {
		s.dirty[name] = struct{}{}
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Take returns what changed since the last time; the first time, everything.
func (s *Subscription) Take() Change {
	s.mu.Lock()
	full, dirty := s.full, s.dirty
	s.full, s.dirty = false, make(map[string]struct{})
	s.mu.Unlock()
	if full {
		groups, _ := s.catalog.All()
		return Change{Full: true, Groups: groups}
	}
	var out Change
	for _, name := range slices.Sorted(maps.Keys(dirty)) {
		if g, ok := s.catalog.Group(name); ok {
			out.Groups = append(out.Groups, g)
		} else {
			out.Gone = append(out.Gone, name)
		}
	}
	return out
}
