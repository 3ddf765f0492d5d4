package placement

import (
	"cmp"
	"math"
	"math/bits"
	"slices"

	"github.com/tidwall/btree"
)

// treeDegree is half the number of entries of a tree's node. Small nodes: after each
// Clone the first change copies one node per level.
const treeDegree = 8

// index finds slots by what requests ask for. All of it can be worked out from the
// blocks; it is kept up to date by whoever changes them.
type index struct {
	// carriers are the slots that have an attribute, by name.
	carriers *btree.Map[string, *bitset]
	// values are the slots that have an attribute with a value.
	values *btree.BTreeG[valueSlots]
	// ports are the slots where a host port is reserved or used.
	ports *btree.Map[hostPort, *bitset]
	// groups are the slots that have tasks of a group.
	groups *btree.Map[string, *group]
	// gpus are the slots with devices, free or not.
	gpus *bitset
}

type valueSlots struct {
	name, value string
	slots       *bitset
}

func valueBefore(a, b valueSlots) bool {
	if a.name != b.name {
		return a.name < b.name
	}
	return a.value < b.value
}

// group is how many tasks of a group each slot has, as binary digits: the set at j has
// the slots whose number has the digit of worth 2^j. So a task that comes or goes
// changes two sets on average, sums over a set of slots and the slots with the fewest
// tasks take one step per digit, and even a group with a hundred tasks on an instance
// has but seven. No set above the highest digit in use is kept.
type group struct {
	owner  *mark
	digits []*bitset
}

// digitsOf are the digits of the group, none if it has no tasks.
func (x *index) digitsOf(name string) []*bitset {
	g, _ := x.groups.Get(name)
	if g == nil {
		return nil
	}
	return g.digits
}

// change makes the number of tasks of a slot another.
func (g *group) change(slot, from, to int) {
	for j := range bits.Len(uint(from | to)) {
		if j == len(g.digits) {
			g.digits = append(g.digits, nil)
		}
		switch was, is := from>>j&1, to>>j&1; {
		case was < is:
			g.digits[j] = g.digits[j].with(g.owner, slot)
		case was > is:
			g.digits[j] = g.digits[j].without(g.owner, slot)
		}
	}
	for n := len(g.digits); n > 0 && g.digits[n-1] == nil; n-- {
		g.digits = g.digits[:n-1]
	}
}

func newIndex() index {
	return index{
		carriers: btree.NewMap[string, *bitset](treeDegree),
		values:   btree.NewBTreeGOptions(valueBefore, btree.Options{Degree: treeDegree, NoLocks: true}),
		ports:    btree.NewMap[hostPort, *bitset](treeDegree),
		groups:   btree.NewMap[string, *group](treeDegree),
	}
}

func (x *index) clone() index {
	return index{
		carriers: x.carriers.Copy(),
		values:   x.values.Copy(),
		ports:    x.ports.Copy(),
		groups:   x.groups.Copy(),
		gpus:     x.gpus,
	}
}

// valueOf is the set of slots that have the attribute with the value.
func (x *index) valueOf(name, value string) *bitset {
	found, _ := x.values.Get(valueSlots{name: name, value: value})
	return found.slots
}

// valuesOf lists the values of an attribute and who has them, in order.
func (x *index) valuesOf(name string) []valueSlots {
	values, _ := x.firstValuesOf(name, math.MaxInt)
	return values
}

// firstValuesOf lists at most as many values, and tells whether these are all.
func (x *index) firstValuesOf(name string, most int) (values []valueSlots, all bool) {
	all = true
	x.values.Ascend(valueSlots{name: name}, func(v valueSlots) bool {
		if v.name != name {
			return false
		}
		if all = len(values) < most; all {
			values = append(values, v)
		}
		return all
	})
	return values, all
}

func (x *index) addAttributes(owner *mark, slot int, attributes map[string]string) {
	for name, value := range attributes {
		addSlot(x.carriers, owner, name, slot)
		at := valueSlots{name: name, value: value}
		old, _ := x.values.Get(at)
		if at.slots = old.slots.with(owner, slot); at.slots != old.slots {
			x.values.Set(at)
		}
	}
}

func (x *index) removeAttributes(owner *mark, slot int, attributes map[string]string) {
	for name, value := range attributes {
		removeSlot(x.carriers, owner, name, slot)
		at := valueSlots{name: name, value: value}
		old, _ := x.values.Get(at)
		if at.slots = old.slots.without(owner, slot); at.slots == nil {
			x.values.Delete(at)
		} else if at.slots != old.slots {
			x.values.Set(at)
		}
	}
}

func (x *index) takePort(owner *mark, slot int, p hostPort) { addSlot(x.ports, owner, p, slot) }

func (x *index) freePort(owner *mark, slot int, p hostPort) { removeSlot(x.ports, owner, p, slot) }

// setTasks notes that a slot that had so many tasks of a group has another number.
func (x *index) setTasks(owner *mark, slot int, name string, from, to int) {
	g := x.writableGroup(owner, name)
	g.change(slot, from, to)
	if len(g.digits) == 0 {
		x.groups.Delete(name)
	}
}

func (x *index) writableGroup(owner *mark, name string) *group {
	old, _ := x.groups.Get(name)
	if old != nil && old.owner == owner {
		return old
	}
	g := &group{owner: owner}
	if old != nil {
		g.digits = slices.Clone(old.digits)
	}
	x.groups.Set(name, g)
	return g
}

// addSlot puts a slot in the set of a key.
func addSlot[K cmp.Ordered](sets *btree.Map[K, *bitset], owner *mark, key K, slot int) {
	old, _ := sets.Get(key)
	if s := old.with(owner, slot); s != old {
		sets.Set(key, s)
	}
}

// removeSlot takes a slot out of the set of a key.
func removeSlot[K cmp.Ordered](sets *btree.Map[K, *bitset], owner *mark, key K, slot int) {
	old, ok := sets.Get(key)
	if !ok {
		return
	}
	switch s := old.without(owner, slot); s {
	case nil:
		sets.Delete(key)
	case old:
	default:
		sets.Set(key, s)
	}
}
