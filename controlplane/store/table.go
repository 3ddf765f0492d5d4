package store

import (
	"iter"
	"sync"

	"github.com/tidwall/btree"
)

// table is one kind of record: a tree ordered by key and further trees, its
// indexes. Records are immutable, so a tree's entry is the pointer alone, and a
// look-up's pivot is a record of which only the ordering fields are set.
//
// Trees are copied on write: freeze is cheap, and what was frozen is never
// touched again.
type table[T any] struct {
	trees   []*btree.BTreeG[*T]
	indexes []index[T]
	frozen  *table[T] // the last frozen copy; nil once something changed since
	pivots  *sync.Pool
}

// index orders records; holds limits it to some of them (nil: all).
type index[T any] struct {
	less  func(a, b *T) bool
	holds func(*T) bool
}

func newTable[T any](indexes ...index[T]) *table[T] {
	t := &table[T]{indexes: indexes, pivots: &sync.Pool{New: func() any { return new(T) }}}
	for _, ix := range indexes {
		t.trees = append(t.trees, btree.NewBTreeGOptions(ix.less, btree.Options{NoLocks: true}))
	}
	return t
}

func (t *table[T]) get(pivot *T) (*T, bool) { return t.trees[0].Get(pivot) }

// pivot returns a record to look another one up with, of which the caller sets what the
// first index orders by; release takes it back. A large record that is made for each
// look-up is what a look-up costs.
func (t *table[T]) pivot() *T { return t.pivots.Get().(*T) }

func (t *table[T]) release(pivot *T) { t.pivots.Put(pivot) }

// replace puts next in the place of old; either may be nil.
func (t *table[T]) replace(old, next *T) {
	t.frozen = nil
	for i, tree := range t.trees {
		ix := &t.indexes[i]
		was, is := ix.has(old), ix.has(next)
		// Most changes leave a record where it is, and Set then takes its place.
		if was && !(is && ix.same(old, next)) {
			tree.Delete(old)
		}
		if is {
			tree.Set(next)
		}
	}
}

func (ix *index[T]) has(r *T) bool { return r != nil && (ix.holds == nil || ix.holds(r)) }

// same tells whether two records have the same place in the order.
func (ix *index[T]) same(a, b *T) bool { return !ix.less(a, b) && !ix.less(b, a) }

// freeze returns a copy that later changes do not reach.
func (t *table[T]) freeze() *table[T] {
	if t.frozen == nil {
		c := &table[T]{indexes: t.indexes, pivots: t.pivots}
		for _, tree := range t.trees {
			c.trees = append(c.trees, tree.Copy())
		}
		t.frozen = c
	}
	return t.frozen
}

// scan walks an index from pivot on, as long as within holds.
func (t *table[T]) scan(indexNumber int, pivot *T, within func(*T) bool) iter.Seq[*T] {
	return func(yield func(*T) bool) {
		t.trees[indexNumber].Ascend(pivot, func(r *T) bool { return within(r) && yield(r) })
	}
}

// all walks the whole table.
func (t *table[T]) all() iter.Seq[*T] {
	return func(yield func(*T) bool) { t.trees[0].Scan(yield) }
}
