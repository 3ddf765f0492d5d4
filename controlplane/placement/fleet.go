package placement

import (
	"iter"
	"maps"
	"math/bits"
	"slices"
	"sync"

	"github.com/tidwall/btree"
)

// Fleet is the instances of one cluster and what is used of them.
//
// Any number of goroutines may read one Fleet, place on it and clone it at once. Who
// changes it must have it alone; clones of it are others and are not disturbed.
//
// Instances are put in numbered slots, the lowest free one first. Which of several
// equally good instances is chosen depends on the slots, hence on the order in which
// they were put.
type Fleet struct {
	// cloning orders the Clones of one Fleet: a clone takes away the right to change
	// shared parts in place from both sides, which is a write that readers do not see.
	cloning sync.Mutex
	owner   *mark

	slots       *btree.Map[string, int]
	blocks      []*block
	blocksOwner *mark
	masks       *masks
	index       index
	scratches   *sync.Pool // of *scratch
}

// masks are the sets that hold most instances of any fleet, as dense words.
type masks struct {
	owner    *mark
	present  []uint64
	eligible []uint64 // active, and the agent is connected
	active   []uint64
}

// NewFleet is a cluster without instances.
func NewFleet() *Fleet {
	owner := new(mark)
	return &Fleet{
		owner:       owner,
		slots:       btree.NewMap[string, int](treeDegree),
		blocksOwner: owner,
		masks:       &masks{owner: owner},
		index:       newIndex(),
		scratches:   new(sync.Pool),
	}
}

// Clone is a second fleet with the same content, in constant time. Each of the two
// can be changed without the other seeing it.
func (f *Fleet) Clone() *Fleet {
	f.cloning.Lock()
	defer f.cloning.Unlock()
	f.owner = new(mark)
	return &Fleet{
		owner:       new(mark),
		slots:       f.slots.Copy(),
		blocks:      f.blocks,
		blocksOwner: f.blocksOwner,
		masks:       f.masks,
		index:       f.index.clone(),
		scratches:   f.scratches,
	}
}

// Len is the number of instances, of whatever status.
func (f *Fleet) Len() int { return f.slots.Len() }

// Instance is the instance with the id, and whether there is one.
func (f *Fleet) Instance(id string) (View, bool) {
	slot, ok := f.slots.Get(id)
	if !ok {
		return View{}, false
	}
	return f.view(slot), true
}

// All goes through the instances in the order of their slots.
func (f *Fleet) All() iter.Seq[View] {
	return func(yield func(View) bool) {
		for slot := range members(f.masks.present) {
			if !yield(f.view(slot)) {
				return
			}
		}
	}
}

// PutInstance adds an instance, or replaces what is known of the one with the same
// id; the tasks on it stay.
func (f *Fleet) PutInstance(in Instance) {
	next := &in
	reserved := slices.Compact(hostPorts(in.ReservedTCP, in.ReservedUDP))
	slot, known := f.slots.Get(in.ID)
	if !known {
		slot = f.freeSlot()
		f.slots.Set(in.ID, slot)
		f.writableBlock(slot).nodes[slot&wordMask] = &node{owner: f.owner, instance: &Instance{ID: in.ID}}
	}
	b, n := f.writableNode(slot)
	old, oldReserved := n.instance, n.reserved
	n.instance, n.reserved = next, reserved

	lane := slot & wordMask
	if f.eligible(slot) {
		b.leave(lane)
	}
	for r, offered := range next.offers() {
		b.free[r][lane] += offered - old.offers()[r]
	}
	if next.eligible() {
		b.enter(lane)
	}
	f.setMasks(slot, next)

	if !maps.Equal(old.Attributes, next.Attributes) {
		f.index.removeAttributes(f.owner, slot, old.Attributes)
		f.index.addAttributes(f.owner, slot, next.Attributes)
	}
	for _, p := range oldReserved {
		if !n.portTaken(p) {
			f.index.freePort(f.owner, slot, p)
		}
	}
	for _, p := range reserved {
		f.index.takePort(f.owner, slot, p)
	}
	if len(next.GPUs) > 0 {
		f.index.gpus = f.index.gpus.with(f.owner, slot)
	} else {
		f.index.gpus = f.index.gpus.without(f.owner, slot)
	}
}

// RemoveInstance takes an instance out, with what is used of it, and tells whether
// there was one.
func (f *Fleet) RemoveInstance(id string) bool {
	slot, ok := f.slots.Delete(id)
	if !ok {
		return false
	}
	b, n := f.writableNode(slot)
	lane := slot & wordMask
	if f.eligible(slot) {
		b.leave(lane)
	}
	f.unsetMasks(slot)
	f.index.removeAttributes(f.owner, slot, n.instance.Attributes)
	for _, p := range n.reserved {
		f.index.freePort(f.owner, slot, p)
	}
	for _, p := range n.ports {
		f.index.freePort(f.owner, slot, p)
	}
	for _, c := range n.groups {
		f.index.setTasks(f.owner, slot, c.group, c.tasks, 0)
	}
	f.index.gpus = f.index.gpus.without(f.owner, slot)
	b.nodes[lane] = nil
	for r := range b.free {
		b.free[r][lane] = 0
	}
	return true
}

// AddTask takes from an instance what a task uses. It does not ask whether there is
// enough: what is left goes below zero, and ports and devices are held twice, until
// as much is given back. It reports whether the instance is known; if it is not,
// nothing is changed.
func (f *Fleet) AddTask(instanceID string, u Use) bool {
	slot, ok := f.slots.Get(instanceID)
	if ok {
		f.addTask(slot, &u)
	}
	return ok
}

func (f *Fleet) addTask(slot int, u *Use) {
	b, n := f.writableNode(slot)
	f.take(b, slot, u.takes())
	for _, p := range hostPorts(u.TCP, u.UDP) {
		n.ports = insert(n.ports, p)
		f.index.takePort(f.owner, slot, p)
	}
	for _, id := range u.GPUs {
		n.gpus = insert(n.gpus, id)
	}
	n.tasks++
	before := n.addGroup(u.Group, 1)
	f.index.setTasks(f.owner, slot, u.Group, before, before+1)
}

// RemoveTask gives back to an instance what [Fleet.AddTask] took, with the same Use.
// It reports whether the instance is known and has a task of the group; if not,
// nothing is changed.
func (f *Fleet) RemoveTask(instanceID string, u Use) bool {
	slot, ok := f.slots.Get(instanceID)
	if !ok || f.node(slot).groupTasks(u.Group) == 0 {
		return false
	}
	b, n := f.writableNode(slot)
	f.take(b, slot, amounts{-u.CPU, -u.MemoryMiB})
	for _, p := range hostPorts(u.TCP, u.UDP) {
		n.ports = remove(n.ports, p)
		if !n.portTaken(p) {
			f.index.freePort(f.owner, slot, p)
		}
	}
	for _, id := range u.GPUs {
		n.gpus = remove(n.gpus, id)
	}
	n.tasks--
	before := n.addGroup(u.Group, -1)
	f.index.setTasks(f.owner, slot, u.Group, before, before-1)
	return true
}

// take lowers what is left in a slot.
func (f *Fleet) take(b *block, slot int, taken amounts) {
	if taken == (amounts{}) {
		return
	}
	lane, eligible := slot&wordMask, f.eligible(slot)
	if eligible {
		b.leave(lane)
	}
	for r := range taken {
		b.free[r][lane] -= taken[r]
	}
	if eligible {
		b.enter(lane)
	}
}

func (f *Fleet) node(slot int) *node { return f.blocks[slot>>wordShift].nodes[slot&wordMask] }

func (f *Fleet) view(slot int) View {
	b := f.blocks[slot>>wordShift]
	return View{node: b.nodes[slot&wordMask], free: b.freeAt(slot & wordMask)}
}

func (f *Fleet) eligible(slot int) bool { return has(f.masks.eligible, slot) }

// freeSlot is the lowest slot that no instance has; it makes room if there is none.
func (f *Fleet) freeSlot() int {
	for i, w := range f.masks.present {
		if w != ^uint64(0) {
			return i<<wordShift + bits.TrailingZeros64(^w)
		}
	}
	m := f.writableMasks()
	m.present = append(m.present, 0)
	m.eligible = append(m.eligible, 0)
	m.active = append(m.active, 0)
	f.ownBlocks()
	f.blocks = append(f.blocks, newBlock(f.owner))
	return (len(f.blocks) - 1) << wordShift
}

func (f *Fleet) setMasks(slot int, in *Instance) {
	m := f.writableMasks()
	set(m.present, slot, true)
	set(m.active, slot, in.Status == Active)
	set(m.eligible, slot, in.eligible())
}

func (f *Fleet) unsetMasks(slot int) {
	m := f.writableMasks()
	set(m.present, slot, false)
	set(m.active, slot, false)
	set(m.eligible, slot, false)
}

func (f *Fleet) writableMasks() *masks {
	if m := f.masks; m.owner != f.owner {
		f.masks = &masks{
			owner:    f.owner,
			present:  slices.Clone(m.present),
			eligible: slices.Clone(m.eligible),
			active:   slices.Clone(m.active),
		}
	}
	return f.masks
}

func (f *Fleet) ownBlocks() {
	if f.blocksOwner != f.owner {
		f.blocks = slices.Clone(f.blocks)
		f.blocksOwner = f.owner
	}
}

func (f *Fleet) writableBlock(slot int) *block {
	f.ownBlocks()
	i := slot >> wordShift
	if f.blocks[i].owner != f.owner {
		c := *f.blocks[i]
		c.owner = f.owner
		f.blocks[i] = &c
	}
	return f.blocks[i]
}

func (f *Fleet) writableNode(slot int) (*block, *node) {
	b := f.writableBlock(slot)
	lane := slot & wordMask
	b.nodes[lane] = b.nodes[lane].writable(f.owner)
	return b, b.nodes[lane]
}

func has(mask []uint64, slot int) bool { return mask[slot>>wordShift]>>(slot&wordMask)&1 != 0 }

func set(mask []uint64, slot int, to bool) {
	if to {
		mask[slot>>wordShift] |= 1 << (slot & wordMask)
	} else {
		mask[slot>>wordShift] &^= 1 << (slot & wordMask)
	}
}

// members goes through the slots of a mask in order.
func members(mask []uint64) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, w := range mask {
			for ; w != 0; w &= w - 1 {
				if !yield(i<<wordShift + bits.TrailingZeros64(w)) {
					return
				}
			}
		}
	}
}
