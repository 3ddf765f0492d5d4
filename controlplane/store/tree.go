package store

import (
	"time"

	"github.com/tidwall/btree"

	"github.com/longshore/longshore/controlplane/model"
)

// tree is an ordered set that is copied on write: freeze is cheap, and what was frozen is
// never touched again.
type tree[I any] struct {
	*btree.BTreeG[I]
	frozen *btree.BTreeG[I] // the last frozen copy; nil once something changed since
}

// treeDegree bounds what a change after a freeze copies: nodes of up to twice as many items.
const treeDegree = 16

func newTree[I any](less func(a, b I) bool) tree[I] {
	return tree[I]{BTreeG: btree.NewBTreeGOptions(less, btree.Options{NoLocks: true, Degree: treeDegree})}
}

// put makes or replaces an item, and returns what was there.
func (t *tree[I]) put(item I) (old I, replaced bool) {
	t.frozen = nil
	return t.Set(item)
}

// remove returns what was there.
func (t *tree[I]) remove(item I) (old I, removed bool) {
	if old, removed = t.Get(item); removed { // Delete copies nodes even if there is nothing to delete
		t.frozen = nil
		t.Delete(item)
	}
	return old, removed
}

func (t *tree[I]) freeze() tree[I] {
	if t.frozen == nil {
		t.frozen = t.Copy()
	}
	return tree[I]{BTreeG: t.frozen}
}

// idBits are the part of an item's number that is of an id. The other half is of the hash
// of something.
const idBits = 1<<32 - 1

func numberOf(hash uint64, id model.TaskID) uint64 { return hash&^idBits | uint64(idNumber(id)) }

// idNumber is a number by which ids can be compared: that of the lesser id is less or
// equal. Ids begin with eight hexadecimal digits, which are the number. Any other string
// has the number of the greatest such digits that are not after it, or of the least if
// there are none.
func idNumber(id model.TaskID) uint32 {
	const digits = 8
	var n uint32
	for i := range digits {
		shift := uint(4 * (digits - i))
		if i == len(id) {
			return n << shift
		}
		switch c := id[i]; {
		case c < '0':
			return n << shift
		case c <= '9':
			n = n<<4 | uint32(c-'0')
		case c < 'a':
			return (n<<4|9)<<(shift-4) | (1<<(shift-4) - 1)
		case c <= 'f':
			n = n<<4 | uint32(c-'a'+10)
		default:
			return n<<shift | (1<<shift - 1)
		}
	}
	return n
}

// timeNumber is to times what idNumber is to ids. It is exact from 1970 to 2514.
func timeNumber(t time.Time) uint64 {
	const (
		nanoBits = 30
		last     = 1<<(64-nanoBits) - 1
	)
	switch s := t.Unix(); {
	case s < 0:
		return 0
	case s > last:
		return 1<<64 - 1
	default:
		return uint64(s)<<nanoBits | uint64(t.Nanosecond())
	}
}
