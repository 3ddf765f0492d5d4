package placement

// fan is how many parts each level of a keyed has.
const (
	fanShift = 4
	fan      = 1 << fanShift
)

// key is what a keyed is by. Its spot spreads keys over 256 buckets.
type key interface {
	comparable
	spot() uint8
}

// keyed maps keys to values. It is copy-on-write: to change a shared one copies two
// arrays of 16 pointers and a bucket, which has a 256th of the entries. A nil keyed is
// empty.
type keyed[K key, V any] struct {
	owner   mark
	shelves [fan]*shelf[K, V]
}

type shelf[K key, V any] struct {
	owner   mark
	buckets [fan]*bucket[K, V]
}

type bucket[K key, V any] struct {
	owner   mark
	entries []entry[K, V] // in no order
}

type entry[K key, V any] struct {
	key   K
	value V
}

// get is the value of a key, or a zero one.
func (m *keyed[K, V]) get(k K) (value V) {
	if m == nil {
		return value
	}
	spot := k.spot()
	s := m.shelves[spot>>fanShift]
	if s == nil {
		return value
	}
	b := s.buckets[spot%fan]
	if i := b.find(k); i >= 0 {
		value = b.entries[i].value
	}
	return value
}

// with is the map with a value for a key; the receiver is changed only if the owner made
// it.
func (m *keyed[K, V]) with(owner mark, k K, value V) *keyed[K, V] {
	m = m.writable(owner)
	b := m.bucketOf(k)
	if i := b.find(k); i >= 0 {
		b.entries[i].value = value
	} else {
		b.entries = append(b.entries, entry[K, V]{k, value})
	}
	return m
}

// without is the map without a key; see with.
func (m *keyed[K, V]) without(owner mark, k K) *keyed[K, V] {
	m = m.writable(owner)
	b := m.bucketOf(k)
	if i := b.find(k); i >= 0 {
		last := len(b.entries) - 1
		b.entries[i] = b.entries[last]
		b.entries[last] = entry[K, V]{}
		b.entries = b.entries[:last]
	}
	return m
}

// all calls a function with each entry, in no order.
func (m *keyed[K, V]) all(each func(K, V)) {
	if m == nil {
		return
	}
	for _, s := range m.shelves {
		if s == nil {
			continue
		}
		for _, b := range s.buckets {
			if b == nil {
				continue
			}
			for _, e := range b.entries {
				each(e.key, e.value)
			}
		}
	}
}

func (m *keyed[K, V]) writable(owner mark) *keyed[K, V] {
	switch {
	case m == nil:
		return &keyed[K, V]{owner: owner}
	case m.owner == owner:
		return m
	}
	c := *m
	c.owner = owner
	return &c
}

// bucketOf is the bucket of a key in a map that may be changed, to be changed.
func (m *keyed[K, V]) bucketOf(k K) *bucket[K, V] {
	spot := k.spot()
	s := m.shelves[spot>>fanShift]
	switch {
	case s == nil:
		s = &shelf[K, V]{owner: m.owner}
		m.shelves[spot>>fanShift] = s
	case s.owner != m.owner:
		c := *s
		c.owner = m.owner
		s = &c
		m.shelves[spot>>fanShift] = s
	}
	b := s.buckets[spot%fan]
	switch {
	case b == nil:
		b = &bucket[K, V]{owner: m.owner}
		s.buckets[spot%fan] = b
	case b.owner != m.owner:
		b = &bucket[K, V]{owner: m.owner, entries: append(make([]entry[K, V], 0, len(b.entries)+1), b.entries...)}
		s.buckets[spot%fan] = b
	}
	return b
}

func (b *bucket[K, V]) find(k K) int {
	if b != nil {
		for i := range b.entries {
			if b.entries[i].key == k {
				return i
			}
		}
	}
	return -1
}

func (p hostPort) spot() uint8 { return uint8(p) }

// groupName is the name of a group of tasks.
type groupName string

// spot is FNV-1a, folded.
func (n groupName) spot() uint8 {
	h := uint32(2166136261)
	for i := range len(n) {
		h = (h ^ uint32(n[i])) * 16777619
	}
	h ^= h >> 16
	return uint8(h ^ h>>8)
}
