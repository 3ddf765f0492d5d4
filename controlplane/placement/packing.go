package placement

import (
	"math"
	"math/bits"
	"sync"
)

// packing is what the blocks of a fleet answered when they were asked for their tightest
// lane. An answer depends on the block and the lanes that were allowed and on nothing
// else, so a pick asks only the blocks that changed since: what is left to do per block is
// to compare a version. One search at a time has a packing.
type packing struct {
	need   need
	blocks []answers
}

// need is what a packing is about.
type need struct {
	resource int
	room     room
}

// sides is how many answers are known of a block: requests that spread over zones allow
// one set of lanes after the other.
const sides = 8

type answers struct {
	version mark // of the block; all answers are given up when it changes
	next    uint8
	known   [sides]answer
}

// answer is the tightest of the lanes.
type answer struct {
	lanes uint64
	lane  int32
	free  int32 // what it has left; nothingFree if no lane will do
}

const nothingFree = math.MaxInt32 // more than any column tells

// about tells whether the answer is also that for other lanes: if they are some of those
// it was asked for and the tightest is among them.
func (a *answer) about(lanes uint64) bool {
	return lanes&^a.lanes == 0 && (a.free == nothingFree || lanes>>a.lane&1 != 0)
}

// answer is what the block with the number says for lanes, of which there are some.
func (p *packing) answer(f *Fleet, i int, lanes uint64) answer {
	at, version := &p.blocks[i], f.rows.version(i)
	if at.version == version {
		for side := range at.known {
			if a := &at.known[side]; a.about(lanes) {
				return *a
			}
		}
	} else {
		*at = answers{version: version}
	}
	a := answer{lanes: lanes, free: nothingFree}
	if lane, free, ok := f.rows.of(i).tightest(p.need.resource, p.need.room, lanes); ok {
		a.lane, a.free = int32(lane), free
	}
	at.known[at.next%sides] = a
	at.next++
	return a
}

// packingBy is the packing of the search by a resource.
func (s *search) packingBy(resource int) *packing {
	if s.packings[resource] == nil {
		s.packings[resource] = s.fleet.kin.packings.take(need{resource, s.room}, s.fleet.rows.size)
	}
	return s.packings[resource]
}

// tightest is the slot of the scope that has what is needed and the least left of the
// resource, the lowest of several.
func (s *search) tightest(scope []uint64, resource int) (slot int, free int32, ok bool) {
	p, free := s.packingBy(resource), int32(nothingFree)
	for i, lanes := range scope {
		if lanes == 0 {
			continue
		}
		if a := p.answer(s.fleet, i, lanes); a.free < free {
			slot, free = i<<wordShift+int(a.lane), a.free
			if free == s.room[resource] {
				break // less would not do
			}
		}
	}
	return slot, free, free < nothingFree
}

// asTight fills a mask with the slots of the scope that have so much left, which is what
// the tightest has.
func (s *search) asTight(mask, scope []uint64, resource int, free int32) {
	p := s.packingBy(resource)
	for i, lanes := range scope {
		mask[i] = 0
		if lanes == 0 || p.answer(s.fleet, i, lanes).free != free {
			continue
		}
		column := &s.fleet.rows.of(i).free[resource]
		for ; lanes != 0; lanes &= lanes - 1 {
			lane := bits.TrailingZeros64(lanes)
			mask[i] |= bit(column[lane] == free) << lane
		}
	}
}

// mostPackings bounds those that are kept.
const mostPackings = 32

// packings are those that no search has, for the next with the same need. The clones of a
// fleet share them; any number of goroutines may use them at once.
type packings struct {
	mu   sync.Mutex
	idle map[need]*packing
}

// take gives the packing for a need, with room for so many blocks, to the caller alone.
func (k *packings) take(n need, blocks int) *packing {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.idle[n]
	if p == nil {
		p = &packing{need: n}
	}
	delete(k.idle, n)
	if missing := blocks - len(p.blocks); missing > 0 {
		p.blocks = append(p.blocks, make([]answers, missing)...)
	}
	return p
}

// give takes a packing back. It makes room by forgetting everything: what is in use soon
// comes again.
func (k *packings) give(p *packing) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.idle == nil || len(k.idle) == mostPackings {
		k.idle = make(map[need]*packing, mostPackings)
	}
	k.idle[p.need] = p
}
