package placement

import (
	"bytes"
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

const mostRoom = math.MaxInt32 - 1 // so that there is a limit above it

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
// that a need is compared with 64 of them at a time. The eligible lanes are also kept
// in the order of what they have left, so that the least that suffices is found
// without a look at each; and most blocks are passed over for their ranges.
type block struct {
	owner mark
	// What has pointers comes first: the collector looks no further.
	nodes [wordBits / nodeLanes]*nodes
	// least and most are what the eligible lanes have left.
	least, most room
	// ranked is the number of eligible lanes, and order has them by what they have
	// left, then by number; what is behind them in order is of no meaning.
	ranked int
	order  [resources][wordBits]uint8
	// ranges has a bit for each range of amounts that an eligible lane is in, and richest
	// the highest range by the other resource of any lane in it. They tell of most
	// blocks that no lane will do.
	ranges  [resources]uint64
	richest [resources][wordBits]uint8
	free    [resources][wordBits]int32
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

// setFree writes down what a lane that is not eligible has left.
func (b *block) setFree(lane int, free amounts) {
	for r, amount := range free.room() {
		b.free[r][lane] = amount
	}
}

// enter makes a lane eligible.
func (b *block) enter(lane int) {
	for r := range b.order {
		free := b.free[r][lane]
		at := b.firstWith(r, free, lane)
		order := b.order[r][:b.ranked+1]
		copy(order[at+1:], order[at:])
		order[at] = uint8(lane)

		in := rangeOf(free)
		if b.ranges[r]>>in&1 == 0 {
			b.ranges[r] |= 1 << in
			b.richest[r][in] = 0
		}
		b.richest[r][in] = max(b.richest[r][in], b.otherRange(r, lane))
	}
	b.ranked++
	b.measure()
}

// leave makes a lane not eligible.
func (b *block) leave(lane int) {
	for r := range b.order {
		order := b.order[r][:b.ranked]
		at := bytes.IndexByte(order, uint8(lane))
		copy(order[at:], order[at+1:])
		b.leaveRange(r, lane, order[:at], order[at:b.ranked-1])
	}
	b.ranked--
	b.measure()
}

// leaveRange brings up to date the range that a lane has left, given the lanes before
// and after it in the order: the others in the range are next to where it was.
func (b *block) leaveRange(r, lane int, before, after []uint8) {
	in, gone := rangeOf(b.free[r][lane]), b.otherRange(r, lane)
	richest, found := uint8(0), false
	// note tells whether a further neighbour can change anything.
	note := func(neighbour uint8) bool {
		if rangeOf(b.free[r][neighbour]) != in {
			return false
		}
		richest, found = max(richest, b.otherRange(r, int(neighbour))), true
		return richest < b.richest[r][in] && gone == b.richest[r][in]
	}
	for i := len(before) - 1; i >= 0; i-- {
		if !note(before[i]) {
			break
		}
	}
	for _, neighbour := range after {
		if !note(neighbour) {
			break
		}
	}
	switch {
	case !found:
		b.ranges[r] &^= 1 << in
	case b.richest[r][in] == gone:
		b.richest[r][in] = richest
	}
}

// otherRange is the range that a lane is in by the other resource.
func (b *block) otherRange(r, lane int) uint8 {
	return uint8(rangeOf(b.free[resources-1-r][lane]))
}

// rangeOf is the number, below 64, of the range that an amount is in: four ranges to
// each doubling from 16 to a million, more and less are in the last and the first.
func rangeOf(free int32) int {
	if free < 16 {
		return 0
	}
	digits := bits.Len64(uint64(free))
	return min(wordBits-1, (digits-5)*4+int(free>>(digits-3))&3)
}

// rangesOf are the ranges that amounts from one to another, both included, are in.
func rangesOf(from, to int32) uint64 {
	return ^uint64(0) << rangeOf(from) & (^uint64(0) >> (wordBits - 1 - rangeOf(to)))
}

// firstWith is the first place in an order that has at least so much left and, if it
// has just that, at least the lane's number.
func (b *block) firstWith(r int, free int32, lane int) int {
	low, high := 0, b.ranked
	for low < high {
		middle := int(uint(low+high) >> 1)
		there := int(b.order[r][middle])
		if has := b.free[r][there]; has < free || has == free && there < lane {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

// below is the number of eligible lanes that have less left of a resource. It branches
// on nothing that depends on the amounts, which no processor could foretell.
func (b *block) below(r int, free int32) int {
	order, column := &b.order[r], &b.free[r]
	n := 0
	for half := wordBits / 2; half > 0; half >>= 1 {
		at := (n + half - 1) & wordMask
		n += half * int(bit(at < b.ranked)&bit(column[order[at]&wordMask] < free))
	}
	at := n & wordMask
	return n + int(bit(at < b.ranked)&bit(column[order[at]&wordMask] < free))
}

func (b *block) measure() {
	for r := range b.order {
		b.least[r], b.most[r] = math.MaxInt32, math.MinInt32
		if b.ranked > 0 {
			b.least[r] = b.free[r][b.order[r][0]]
			b.most[r] = b.free[r][b.order[r][b.ranked-1]]
		}
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
	// Without a branch per lane, as in below.
	var short uint64
	cpus, memories := &b.free[cpu], &b.free[memory]
	for lane := range wordBits {
		short |= (bit(cpus[lane] < need[cpu]) | bit(memories[lane] < need[memory])) << lane
	}
	return ^short
}

// fewLanes is a number of lanes that are faster looked at one by one than looked for
// in the order of all.
const fewLanes = 12

// tightest is the lane among the given ones that has what is needed and the least left
// of the resource, if that is below the limit.
func (b *block) tightest(r int, need room, lanes uint64, limit int32) (int, bool) {
	other := resources - 1 - r
	if b.least[r] >= limit || b.most[other] < need[other] || !b.promises(r, need, limit) {
		return 0, false
	}
	if bits.OnesCount64(lanes) <= fewLanes {
		return b.tightestOf(r, need, lanes, limit)
	}
	for _, lane := range b.order[r][b.below(r, need[r]):b.ranked] {
		lane &= wordMask
		if b.free[r][lane] >= limit {
			break
		}
		if lanes>>lane&1 != 0 && b.free[other][lane] >= need[other] {
			return int(lane), true
		}
	}
	return 0, false
}

// promises tells whether there may be a lane with what is needed and less than the
// limit left of the resource.
func (b *block) promises(r int, need room, limit int32) bool {
	least := uint8(rangeOf(need[resources-1-r]))
	for in := b.ranges[r] & rangesOf(need[r], limit-1); in != 0; in &= in - 1 {
		if b.richest[r][bits.TrailingZeros64(in)] >= least {
			return true
		}
	}
	return false
}

func (b *block) tightestOf(r int, need room, lanes uint64, limit int32) (int, bool) {
	best, found := 0, false
	other := resources - 1 - r
	for ; lanes != 0; lanes &= lanes - 1 {
		lane := bits.TrailingZeros64(lanes)
		if free := b.free[r][lane]; free < limit && free >= need[r] && b.free[other][lane] >= need[other] {
			best, limit, found = lane, free, true
		}
	}
	return best, found
}

// bit is 1 for true; the compiler makes it one instruction.
func bit(condition bool) uint64 {
	if condition {
		return 1
	}
	return 0
}
