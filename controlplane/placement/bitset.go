package placement

import "math/bits"

const (
	wordBits  = 64
	wordShift = 6
	wordMask  = wordBits - 1
)

// mark is the identity of a writer. What carries a fleet's own mark was made since
// the fleet was last cloned and can be changed in place; everything else is shared
// and must be copied first. It has a size so that no two have the same address.
type mark struct{ _ byte }

// word is the part of a set that covers the slots [index*64, index*64+64).
type word struct {
	index int
	bits  uint64
}

// bitset is a set of slots, sparse by word and copy-on-write as a whole: a set of a
// whole fleet is 16 bytes per 64 instances. A nil set is empty, and no set that is
// stored anywhere is empty without being nil.
type bitset struct {
	owner *mark
	size  int // slots in the set
	words []word
}

// find gives the position of the word with the index, or where it would go.
func (s *bitset) find(index int) (int, bool) {
	// In a set that has something of every word up to this one it is just there.
	if index < len(s.words) && s.words[index].index == index {
		return index, true
	}
	low, high := 0, len(s.words)
	for low < high {
		middle := int(uint(low+high) >> 1)
		if s.words[middle].index < index {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, low < len(s.words) && s.words[low].index == index
}

// at is the word of the set with the index.
func (s *bitset) at(index int) uint64 {
	if s == nil {
		return 0
	}
	if i, ok := s.find(index); ok {
		return s.words[i].bits
	}
	return 0
}

func (s *bitset) has(slot int) bool {
	return s.at(slot>>wordShift)>>(slot&wordMask)&1 != 0
}

// writable is the set itself if the owner made it, else a copy of the owner's.
func (s *bitset) writable(owner *mark) *bitset {
	if s == nil {
		return &bitset{owner: owner}
	}
	if s.owner == owner {
		return s
	}
	words := make([]word, len(s.words), len(s.words)+1)
	copy(words, s.words)
	return &bitset{owner: owner, size: s.size, words: words}
}

// with is the set and the slot; the receiver is changed only if the owner made it.
func (s *bitset) with(owner *mark, slot int) *bitset {
	if s.has(slot) {
		return s
	}
	s = s.writable(owner)
	s.size++
	i, ok := s.find(slot >> wordShift)
	if !ok {
		s.words = append(s.words, word{})
		copy(s.words[i+1:], s.words[i:])
		s.words[i] = word{index: slot >> wordShift}
	}
	s.words[i].bits |= 1 << (slot & wordMask)
	return s
}

// without is the set less the slot, nil when nothing is left.
func (s *bitset) without(owner *mark, slot int) *bitset {
	if !s.has(slot) {
		return s
	}
	if s.size == 1 {
		return nil
	}
	s = s.writable(owner)
	s.size--
	i, _ := s.find(slot >> wordShift)
	s.words[i].bits &^= 1 << (slot & wordMask)
	if s.words[i].bits == 0 {
		s.words = append(s.words[:i], s.words[i+1:]...)
	}
	return s
}

// keepIn leaves in the mask only what is in the set.
func (s *bitset) keepIn(mask []uint64) {
	var words []word
	if s != nil {
		words = s.words
	}
	for i := range mask {
		if len(words) > 0 && words[0].index == i {
			mask[i] &= words[0].bits
			words = words[1:]
		} else {
			mask[i] = 0
		}
	}
}

// dropFrom takes what is in the set out of the mask.
func (s *bitset) dropFrom(mask []uint64) {
	if s == nil {
		return
	}
	for _, w := range s.words {
		mask[w.index] &^= w.bits
	}
}

// leavesAny tells whether anything in the mask is not in the set.
func (s *bitset) leavesAny(mask []uint64) bool {
	var words []word
	if s != nil {
		words = s.words
	}
	for i, w := range mask {
		if len(words) > 0 && words[0].index == i {
			w &^= words[0].bits
			words = words[1:]
		}
		if w != 0 {
			return true
		}
	}
	return false
}

// addTo adds to the mask what is both in the set and in the scope, and tells
// whether that was anything.
func (s *bitset) addTo(mask, scope []uint64) bool {
	if s == nil {
		return false
	}
	var found uint64
	for _, w := range s.words {
		both := w.bits & scope[w.index]
		mask[w.index] |= both
		found |= both
	}
	return found != 0
}

// addRest adds to the mask what is in the scope and not in the set, and tells whether
// that was anything.
func (s *bitset) addRest(mask, scope []uint64) bool {
	var words []word
	if s != nil {
		words = s.words
	}
	var found uint64
	for i, w := range scope {
		if len(words) > 0 && words[0].index == i {
			w &^= words[0].bits
			words = words[1:]
		}
		mask[i] |= w
		found |= w
	}
	return found != 0
}

// len is the number of slots in the set.
func (s *bitset) len() int {
	if s == nil {
		return 0
	}
	return s.size
}

// count is how many slots are in the set and in the mask.
func (s *bitset) count(mask []uint64) int {
	n := 0
	if s != nil {
		for _, w := range s.words {
			n += bits.OnesCount64(w.bits & mask[w.index])
		}
	}
	return n
}

// countShared is how many slots are in both sets and in the mask. It looks up the words
// of the smaller set in the larger one.
func (s *bitset) countShared(other *bitset, mask []uint64) int {
	if s == nil || other == nil {
		return 0
	}
	if len(s.words) > len(other.words) {
		s, other = other, s
	}
	n := 0
	for _, w := range s.words {
		n += bits.OnesCount64(w.bits & other.at(w.index) & mask[w.index])
	}
	return n
}
