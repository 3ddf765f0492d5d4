package placement

import (
	"bytes"
	"math"
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

// block holds the instances of 64 slots. What they have left stands in columns, and beside
// each column the lanes in order of it.
type block struct {
	owner mark
	// What has pointers comes first: the collector looks no further.
	nodes [wordBits / nodeLanes]*nodes
	free  [resources][wordBits]int32
	// order has all lanes, those with the least left first, and the lower one of two that
	// have the same.
	order [resources][wordBits]uint8
}

const nodeLanes = 8

// nodes are the nodes of some lanes; copy-on-write, as blocks are.
type nodes struct {
	owner mark
	lanes [nodeLanes]*node
}

func newBlock(owner mark) *block {
	b := &block{owner: owner}
	for r := range b.order {
		for lane := range b.order[r] {
			b.order[r][lane] = uint8(lane)
		}
	}
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

// setFree makes what a lane has left another amount.
func (b *block) setFree(lane int, free amounts) {
	for r, is := range free.room() {
		b.free[r][lane] = is
		b.reorder(r, lane)
	}
}

// reorder puts a lane where it belongs in the order by a resource.
func (b *block) reorder(r, lane int) {
	order, column := &b.order[r], &b.free[r]
	rank := func(lane uint8) int64 { return int64(column[lane])<<wordShift | int64(lane) }
	at, own := bytes.IndexByte(order[:], uint8(lane)), rank(uint8(lane))
	for ; at > 0 && rank(order[at-1]) > own; at-- {
		order[at] = order[at-1]
	}
	for ; at < wordMask && rank(order[at+1]) < own; at++ {
		order[at] = order[at+1]
	}
	order[at] = uint8(lane)
}

// fitting is the set of lanes that have what is needed.
func (b *block) fitting(need room) uint64 {
	var short uint64
	for r := range need {
		for _, lane := range b.order[r] {
			if b.free[r][lane&wordMask] >= need[r] {
				break
			}
			short |= 1 << (lane & wordMask)
		}
	}
	return ^short
}

// tightest is the lane among some that has the least left of a resource, the first of
// several, and what it has.
func (b *block) tightest(r int, lanes uint64) (lane int, free int32) {
	for _, next := range b.order[r] {
		if next &= wordMask; lanes>>next&1 != 0 {
			return int(next), b.free[r][next]
		}
	}
	return 0, nothingFree
}

// having is the set of lanes that have just so much left of a resource.
func (b *block) having(r int, free int32) uint64 {
	var lanes uint64
	for lane, is := range b.free[r] {
		lanes |= bit(is == free) << lane
	}
	return lanes
}

// bit is 1 for true; the compiler makes it one instruction.
func bit(condition bool) uint64 {
	if condition {
		return 1
	}
	return 0
}
