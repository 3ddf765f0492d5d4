package placement

import (
	"math/bits"
	"slices"
)

const (
	wordBits  = 64
	wordShift = 6
	wordMask  = wordBits - 1
)

// mark is the identity of a writer. What carries a fleet's own mark was made since
// the fleet was last cloned and can be changed in place; everything else is shared
// and must be copied first.
type mark uint64

// chunkWords is how many words a chunk of a set has.
const chunkWords = 8

// chunk is the part of a set that covers the words [at*chunkWords, (at+1)*chunkWords)
// of a mask.
type chunk struct {
	owner mark
	at    int
	words [chunkWords]uint64
}

// bitset is a set of slots, sparse by chunk and copy-on-write by chunk: to change a
// shared set of a whole fleet copies 8 bytes per 512 instances and one chunk. A nil set
// is empty, and no set that is stored anywhere is empty without being nil.
type bitset struct {
	owner  mark
	size   int      // slots in the set
	chunks []*chunk // in order, none empty
}

// find gives the position of the chunk with a word, or where it would go.
func (s *bitset) find(index int) (int, bool) {
	at := index / chunkWords
	// In a set that has something of every chunk up to this one it is just there.
	if at < len(s.chunks) && s.chunks[at].at == at {
		return at, true
	}
	low, high := 0, len(s.chunks)
	for low < high {
		middle := int(uint(low+high) >> 1)
		if s.chunks[middle].at < at {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, low < len(s.chunks) && s.chunks[low].at == at
}

// parts are the chunks of a set, of none if it is nil.
func (s *bitset) parts() []*chunk {
	if s == nil {
		return nil
	}
	return s.chunks
}

// of is the part of a mask that the chunk covers.
func (p *chunk) of(mask []uint64) []uint64 {
	from := p.at * chunkWords
	return mask[from:min(from+chunkWords, len(mask))]
}

func (s *bitset) has(slot int) bool {
	if s == nil {
		return false
	}
	i, ok := s.find(slot >> wordShift)
	return ok && s.chunks[i].words[slot>>wordShift%chunkWords]>>(slot&wordMask)&1 != 0
}

// writable is the set itself if the owner made it, else a copy of the owner's, which
// shares its chunks.
func (s *bitset) writable(owner mark) *bitset {
	if s == nil {
		return &bitset{owner: owner}
	}
	if s.owner == owner {
		return s
	}
	return &bitset{owner: owner, size: s.size, chunks: slices.Clone(s.chunks)}
}

// word is the word of a slot, to be changed. The set must be the owner's and have the
// chunk at the position.
func (s *bitset) word(position, slot int) *uint64 {
	c := s.chunks[position]
	if c.owner != s.owner {
		c = &chunk{owner: s.owner, at: c.at, words: c.words}
		s.chunks[position] = c
	}
	return &c.words[slot>>wordShift%chunkWords]
}

// with is the set and the slot; the receiver is changed only if the owner made it.
func (s *bitset) with(owner mark, slot int) *bitset {
	if s.has(slot) {
		return s
	}
	s = s.writable(owner)
	s.size++
	i, ok := s.find(slot >> wordShift)
	if !ok {
		s.chunks = slices.Insert(s.chunks, i, &chunk{owner: owner, at: slot >> wordShift / chunkWords})
	}
	*s.word(i, slot) |= 1 << (slot & wordMask)
	return s
}

// without is the set less the slot, nil when nothing is left.
func (s *bitset) without(owner mark, slot int) *bitset {
	if !s.has(slot) {
		return s
	}
	if s.size == 1 {
		return nil
	}
	s = s.writable(owner)
	s.size--
	i, _ := s.find(slot >> wordShift)
	*s.word(i, slot) &^= 1 << (slot & wordMask)
	if s.chunks[i].words == [chunkWords]uint64{} {
		s.chunks = slices.Delete(s.chunks, i, i+1)
	}
	return s
}

// keepIn leaves in the mask only what is in the set.
func (s *bitset) keepIn(mask []uint64) {
	done := 0
	for _, p := range s.parts() {
		clear(mask[done : p.at*chunkWords])
		part := p.of(mask)
		for j := range part {
			part[j] &= p.words[j]
		}
		done = p.at*chunkWords + len(part)
	}
	clear(mask[done:])
}

// dropFrom takes what is in the set out of the mask.
func (s *bitset) dropFrom(mask []uint64) {
	for _, p := range s.parts() {
		part := p.of(mask)
		for j := range part {
			part[j] &^= p.words[j]
		}
	}
}

// leavesAny tells whether anything in the mask is not in the set.
func (s *bitset) leavesAny(mask []uint64) bool {
	done := 0
	for _, p := range s.parts() {
		if anyOf(mask[done : p.at*chunkWords]) {
			return true
		}
		part := p.of(mask)
		for j, w := range part {
			if w&^p.words[j] != 0 {
				return true
			}
		}
		done = p.at*chunkWords + len(part)
	}
	return anyOf(mask[done:])
}

// addTo adds to the mask what is both in the set and in the scope, and tells
// whether that was anything.
func (s *bitset) addTo(mask, scope []uint64) bool {
	var found uint64
	for _, p := range s.parts() {
		part := p.of(mask)
		within, words := p.of(scope)[:len(part)], p.words[:len(part)] // one check of bounds for all
		for j := range part {
			both := words[j] & within[j]
			part[j] |= both
			found |= both
		}
	}
	return found != 0
}

// addRest adds to the mask what is in the scope and not in the set, and tells whether
// that was anything.
func (s *bitset) addRest(mask, scope []uint64) bool {
	var found uint64
	done := 0
	add := func(to int) {
		for ; done < to; done++ {
			mask[done] |= scope[done]
			found |= scope[done]
		}
	}
	for _, p := range s.parts() {
		add(p.at * chunkWords)
		for j := range p.of(mask) {
			w := scope[done] &^ p.words[j]
			mask[done] |= w
			found |= w
			done++
		}
	}
	add(len(scope))
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
	for _, p := range s.parts() {
		for j, w := range p.of(mask) {
			n += bits.OnesCount64(w & p.words[j])
		}
	}
	return n
}

// countShared is how many slots are in both sets and in the mask. It looks up the
// chunks of the smaller set in the larger one.
func (s *bitset) countShared(other *bitset, mask []uint64) int {
	if s == nil || other == nil {
		return 0
	}
	if len(s.chunks) > len(other.chunks) {
		s, other = other, s
	}
	n := 0
	for _, p := range s.chunks {
		i, ok := other.find(p.at * chunkWords)
		if !ok {
			continue
		}
		also := other.chunks[i]
		for j, w := range p.of(mask) {
			n += bits.OnesCount64(w & p.words[j] & also.words[j])
		}
	}
	return n
}
