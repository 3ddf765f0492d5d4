package placement

import (
	"maps"
	"math"
	"math/bits"
	"slices"
	"sync"

	"github.com/tidwall/btree"
)

// treeDegree is half the number of entries of a tree's node. Small nodes: after each
// Clone the first change copies one node per level.
const treeDegree = 8

// hosts is what a fleet knows of its instances whatever tasks they have: where they
// stand and which slots have what requests ask for. Tasks that come and go do not touch
// it, so that it is copied, a part at a time, only for changes of instances.
type hosts struct {
	owner mark
	// copying orders those who copy it: that writes to what is copied, unseen by readers.
	copying sync.Mutex
	// version is another one after each change of attributes or of who is active.
	version mark

	// stamps are others, one for 64 slots each, after each change of what conditions ask of
	// the instances there; see memo.
	stamps []mark

	slots slots
	// The sets that hold most instances of any fleet, as dense words.
	present  []uint64
	eligible []uint64 // active, and the agent is connected
	active   []uint64

	// carriers are the slots that have an attribute, by name.
	carriers *btree.Map[string, *bitset]
	// values are the slots that have an attribute with a value.
	values *btree.BTreeG[valueSlots]
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

func newHosts(owner mark) *hosts {
	return &hosts{
		owner:    owner,
		carriers: btree.NewMap[string, *bitset](treeDegree),
		values:   btree.NewBTreeGOptions(valueBefore, btree.Options{Degree: treeDegree, NoLocks: true}),
	}
}

// writable is the receiver if the owner made it, else a copy of the owner's.
func (h *hosts) writable(owner mark) *hosts {
	if h.owner == owner {
		return h
	}
	h.copying.Lock()
	defer h.copying.Unlock()
	return &hosts{
		owner:    owner,
		version:  h.version,
		stamps:   slices.Clone(h.stamps),
		slots:    h.slots,
		present:  slices.Clone(h.present),
		eligible: slices.Clone(h.eligible),
		active:   slices.Clone(h.active),
		carriers: h.carriers.Copy(),
		values:   h.values.Copy(),
		gpus:     h.gpus,
	}
}

// freeSlot is the lowest slot that no instance has; ok is false if there is none.
func (h *hosts) freeSlot() (slot int, ok bool) {
	for i, w := range h.present {
		if w != ^uint64(0) {
			return i<<wordShift + bits.TrailingZeros64(^w), true
		}
	}
	return 0, false
}

// grow makes room for 64 more slots.
func (h *hosts) grow() {
	h.present = append(h.present, 0)
	h.eligible = append(h.eligible, 0)
	h.active = append(h.active, 0)
	h.stamps = append(h.stamps, 0)
}

// put notes what is in a slot, given what was.
func (h *hosts) put(slot int, old, next *Instance, k *kin) {
	changed := has(h.active, slot) != (next.Status == Active)
	relabelled := !maps.Equal(old.Attributes, next.Attributes)
	if !has(h.present, slot) || relabelled || !next.looksLike(old) {
		h.stamps[slot>>wordShift] = k.mark()
	}
	set(h.present, slot, true)
	set(h.active, slot, next.Status == Active)
	set(h.eligible, slot, next.eligible())
	if relabelled {
		h.removeAttributes(slot, old.Attributes)
		h.addAttributes(slot, next.Attributes)
		changed = true
	}
	if len(next.GPUs) > 0 {
		h.gpus = h.gpus.with(h.owner, slot)
	} else {
		h.gpus = h.gpus.without(h.owner, slot)
	}
	if changed {
		h.version = k.mark()
	}
}

// remove empties a slot.
func (h *hosts) remove(slot int, in *Instance, k *kin) {
	h.slots.remove(h.owner, in.ID)
	set(h.present, slot, false)
	set(h.active, slot, false)
	set(h.eligible, slot, false)
	h.removeAttributes(slot, in.Attributes)
	h.gpus = h.gpus.without(h.owner, slot)
	h.version = k.mark()
	h.stamps[slot>>wordShift] = k.mark()
}

// carriersOf is the set of slots that have the attribute.
func (h *hosts) carriersOf(name string) *bitset {
	found, _ := h.carriers.Get(name)
	return found
}

// valueOf is the set of slots that have the attribute with the value.
func (h *hosts) valueOf(name, value string) *bitset {
	found, _ := h.values.Get(valueSlots{name: name, value: value})
	return found.slots
}

// valuesOf lists the values of an attribute and who has them, in order.
func (h *hosts) valuesOf(name string) []valueSlots {
	values, _ := h.firstValuesOf(name, math.MaxInt)
	return values
}

// firstValuesOf lists at most as many values, and tells whether these are all.
func (h *hosts) firstValuesOf(name string, most int) (values []valueSlots, all bool) {
	all = true
	h.values.Ascend(valueSlots{name: name}, func(v valueSlots) bool {
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

func (h *hosts) addAttributes(slot int, attributes map[string]string) {
	for name, value := range attributes {
		old, _ := h.carriers.Get(name)
		if s := old.with(h.owner, slot); s != old {
			h.carriers.Set(name, s)
		}
		at := valueSlots{name: name, value: value}
		have, _ := h.values.Get(at)
		if at.slots = have.slots.with(h.owner, slot); at.slots != have.slots {
			h.values.Set(at)
		}
	}
}

func (h *hosts) removeAttributes(slot int, attributes map[string]string) {
	for name, value := range attributes {
		old, _ := h.carriers.Get(name)
		switch s := old.without(h.owner, slot); s {
		case nil:
			h.carriers.Delete(name)
		case old:
		default:
			h.carriers.Set(name, s)
		}
		at := valueSlots{name: name, value: value}
		have, _ := h.values.Get(at)
		if at.slots = have.slots.without(h.owner, slot); at.slots == nil {
			h.values.Delete(at)
		} else if at.slots != have.slots {
			h.values.Set(at)
		}
	}
}
