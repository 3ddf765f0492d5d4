package placement

import (
	"math"
	"math/bits"
)

// The two resources that every task takes a part of.
const (
	cpu = iota
	memory
	resources
)

// amounts is so much CPU (units) and so much memory (MiB).
type amounts [resources]int64

// room is amounts in the columns of a block, where 32 bits must do: what is beyond their
// range, which is more than any host offers, counts as the end of it.
type room [resources]int32

const mostRoom = math.MaxInt32 - 1 // so that there is something above it

func (a amounts) room() room {
	var r room
	for i, amount := range a {
		r[i] = int32(min(max(amount, math.MinInt32), mostRoom))
	}
	return r
}

// beyond tells whether amounts are more than a column can tell.
func (a amounts) beyond() bool { return max(a[cpu], a[memory]) > mostRoom }

// block holds the instances of 64 slots. What they have left stands in columns, so
// that a need is compared with 64 of them at a time, and what the eligible ones have at
// least and at most says of many blocks that no look at the columns is needed.
type block struct {
	owner mark
	// What has pointers comes first: the collector looks no further.
	nodes    [wordBits / nodeLanes]*nodes
	eligible uint64 // lanes
	// least and most are what the eligible lanes have left.
	least, most room
	free        [resources][wordBits]int32
}

const nodeLanes = 8

// nodes are the nodes of some lanes; copy-on-write, as blocks are.
type nodes struct {
	owner mark
	lanes [nodeLanes]*node
}

func newBlock(owner mark) *block {
	b := &block{owner: owner}
	b.measure()
	return b
}

// node is the node of a lane, nil if it has no instance.
func (b *block) node(lane int) *node {
	if some := b.nodes[lane/nodeLanes]; some != nil {
		return some.lanes[lane%nodeLanes]
	}
	return nil
}

// setNode makes the node of a lane another.
func (b *block) setNode(lane int, n *node) {
	some := b.nodes[lane/nodeLanes]
	switch {
	case some == nil:
		some = &nodes{owner: b.owner}
	case some.owner != b.owner:
		some = &nodes{owner: b.owner, lanes: some.lanes}
	}
	some.lanes[lane%nodeLanes] = n
	b.nodes[lane/nodeLanes] = some
}

// setEligible makes a lane eligible or not.
func (b *block) setEligible(lane int, to bool) {
	b.eligible = b.eligible&^(1<<lane) | bit(to)<<lane
	b.measure()
}

// setFree makes what a lane has left another amount.
func (b *block) setFree(lane int, free amounts) {
	outdated := false
	for r, is := range free.room() {
		was := b.free[r][lane]
		b.free[r][lane] = is
		if b.eligible>>lane&1 == 0 {
			continue
		}
		// Whoever else has the least or the most is unknown.
		outdated = outdated || was == b.least[r] && is > was || was == b.most[r] && is < was
		b.least[r], b.most[r] = min(b.least[r], is), max(b.most[r], is)
	}
	if outdated {
		b.measure()
	}
}

// measure finds the least and the most anew.
func (b *block) measure() {
	for r := range b.free {
		least, most := int32(math.MaxInt32), int32(math.MinInt32)
		for lanes := b.eligible; lanes != 0; lanes &= lanes - 1 {
			free := b.free[r][bits.TrailingZeros64(lanes)]
			least, most = min(least, free), max(most, free)
		}
		b.least[r], b.most[r] = least, most
	}
}

// fitting is the set of eligible lanes that have what is needed. Lanes that are not
// eligible may be in it or not.
func (b *block) fitting(need room) uint64 {
	if b.least[cpu] >= need[cpu] && b.least[memory] >= need[memory] {
		return math.MaxUint64
	}
	if b.most[cpu] < need[cpu] || b.most[memory] < need[memory] {
		return 0
	}
	// Without a branch per lane, which no processor could foretell.
	var short uint64
	cpus, memories := &b.free[cpu], &b.free[memory]
	for lane := range wordBits {
		short |= (bit(cpus[lane] < need[cpu]) | bit(memories[lane] < need[memory])) << lane
	}
	return ^short
}

// fewLanes is a number of lanes that are faster looked at one by one than with all.
const fewLanes = 16

// tightest is the lane among the given eligible ones that has what is needed and the
// least left of the resource, the first of several, and what it has; ok is false if there
// is none.
func (b *block) tightest(r int, need room, lanes uint64) (lane int, free int32, ok bool) {
	other := resources - 1 - r
	if b.most[r] < need[r] || b.most[other] < need[other] {
		return 0, 0, false
	}
	// An amount and, below it, the lane, make one number to compare; those that will not
	// do get a bit that makes them greater than all that do.
	const no = 62
	best := uint64(1 << no)
	column, others := &b.free[r], &b.free[other]
	look := func(lane int) {
		refused := bit(column[lane] < need[r]) | bit(others[lane] < need[other]) | ^(lanes>>lane)&1
		best = min(best, refused<<no|uint64(uint32(column[lane]))<<wordShift|uint64(lane))
	}
	if bits.OnesCount64(lanes) <= fewLanes {
		for some := lanes; some != 0; some &= some - 1 {
			look(bits.TrailingZeros64(some))
		}
	} else {
		for lane := range wordBits {
			look(lane)
		}
	}
	return int(best & wordMask), int32(best >> wordShift), best>>no == 0
}

// bit is 1 for true; the compiler makes it one instruction.
func bit(condition bool) uint64 {
	if condition {
		return 1
	}
	return 0
}
