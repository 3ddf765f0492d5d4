package placement

import "sync"

// mostMemos bounds the conditions that are remembered.
const mostMemos = 64

// memo remembers which slots meet a condition. That depends on nothing but what the
// instances are: it makes answers faster and never different. The clones of a fleet share
// one; any number of goroutines may use it at once.
type memo struct {
	mu    sync.Mutex
	known map[string]*remembered
}

// remembered is what is known of a condition. It is never changed.
type remembered struct {
	// stamps are those of the hosts when they were asked: what is known of 64 slots holds
	// as long as these have the same stamp. Of a condition that was only noted there is none.
	stamps []mark
	meets  []uint64
}

// find is what is known of a condition, given as text; nil if it is a new one.
func (m *memo) find(condition string) *remembered {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known[condition]
}

// keep remembers something of a condition. It makes room by forgetting everything: what is
// in use soon comes again.
func (m *memo) keep(condition string, r *remembered) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, replaces := m.known[condition]; m.known == nil || !replaces && len(m.known) == mostMemos {
		m.known = make(map[string]*remembered, mostMemos)
	}
	m.known[condition] = r
}
