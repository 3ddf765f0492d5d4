package placement

import "sync"

// mostMemos bounds the conditions that are remembered.
const mostMemos = 64

// memo remembers which slots meet a condition on an attribute. That depends on nothing but
// the attributes: it makes answers faster and never different. The clones of a fleet
// share one; any number of goroutines may use it at once.
type memo struct {
	mu    sync.Mutex
	known map[string]remembered
}

type remembered struct {
	version mark     // of the hosts
	meets   []uint64 // nil of a condition that was only noted; never changed
}

// find is what is known of a condition, given as text, and tells whether it was noted.
func (m *memo) find(condition string, version mark) (meets []uint64, noted bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known, noted := m.known[condition]
	if known.version != version {
		return nil, noted
	}
	return known.meets, noted
}

// keep notes a condition and, if that is known, which slots meet it. It makes room by
// forgetting everything: what is in use soon comes again.
func (m *memo) keep(condition string, version mark, meets []uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, replaces := m.known[condition]; m.known == nil || !replaces && len(m.known) == mostMemos {
		m.known = make(map[string]remembered, mostMemos)
	}
	m.known[condition] = remembered{version, meets}
}
