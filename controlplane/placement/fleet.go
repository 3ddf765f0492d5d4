package placement

import (
	"iter"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
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
	owner   mark

	hosts *hosts
	rows  rows
	// ports are the slots where a host port is reserved or used.
	ports *keyed[hostPort, *bitset]
	// groups are the slots that have tasks of a group.
	groups *keyed[groupName, *group]
	kin    *kin
}

// kin is what a fleet and all of its clones have in common.
type kin struct {
	marks     atomic.Uint64 // given out so far
	scratches sync.Pool     // of *scratch
	memo      memo
	surveys   surveys
}

// mark is one that nothing carries yet.
func (k *kin) mark() mark { return mark(k.marks.Add(1)) }

// NewFleet is a cluster without instances.
func NewFleet() *Fleet {
	k := new(kin)
	owner := k.mark()
	return &Fleet{owner: owner, hosts: newHosts(owner), kin: k}
}

// Clone is a second fleet with the same content, in constant time. Each of the two
// can be changed without the other seeing it.
func (f *Fleet) Clone() *Fleet {
	f.cloning.Lock()
	defer f.cloning.Unlock()
	f.owner = f.kin.mark()
	return &Fleet{owner: f.kin.mark(), hosts: f.hosts, rows: f.rows, ports: f.ports, groups: f.groups, kin: f.kin}
}

// Len is the number of instances, of whatever status.
func (f *Fleet) Len() int { return f.hosts.slots.size }

// Instance is the instance with the id, and whether there is one.
func (f *Fleet) Instance(id string) (View, bool) {
	slot, ok := f.hosts.slots.get(id)
	if !ok {
		return View{}, false
	}
	return f.view(slot), true
}

// All goes through the instances in the order of their slots.
func (f *Fleet) All() iter.Seq[View] {
	return func(yield func(View) bool) {
		for slot := range members(f.hosts.present) {
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
	f.hosts = f.hosts.writable(f.owner)
	slot, known := f.hosts.slots.get(in.ID)
	if !known {
		slot = f.takeSlot(in.ID)
	}
	b, n := f.writableNode(slot)
	old, oldReserved := n.instance, n.reserved
	n.instance, n.reserved = next, reserved

	lane := slot & wordMask
	for r, offered := range next.offers() {
		n.free[r] += offered - old.offers()[r]
	}
	b.setFree(lane, n.free)
	f.hosts.put(slot, old, next, f.kin)
	for _, p := range oldReserved {
		if !n.portTaken(p) {
			f.freePort(slot, p)
		}
	}
	for _, p := range reserved {
		f.takePort(slot, p)
	}
}

// takeSlot gives a new instance a slot.
func (f *Fleet) takeSlot(id string) int {
	slot, ok := f.hosts.freeSlot()
	if !ok {
		slot = f.rows.size << wordShift
		f.rows.add(newBlock(f.owner), f.owner)
		f.hosts.grow()
	}
	f.hosts.slots.add(f.owner, id, slot)
	f.rows.writable(slot>>wordShift, f.owner, f.kin.mark()).setNode(slot&wordMask, &node{owner: f.owner, instance: &Instance{ID: id}})
	return slot
}

// RemoveInstance takes an instance out, with what is used of it, and tells whether
// there was one.
func (f *Fleet) RemoveInstance(id string) bool {
	slot, ok := f.hosts.slots.get(id)
	if !ok {
		return false
	}
	f.hosts = f.hosts.writable(f.owner)
	b, n := f.writableNode(slot)
	for _, p := range n.reserved {
		f.freePort(slot, p)
	}
	for _, p := range n.ports {
		f.freePort(slot, p)
	}
	f.hosts.remove(slot, n.instance, f.kin)
	for _, c := range n.groups {
		f.setTasks(slot, n.instance, c, groupCount{group: c.group})
	}
	lane := slot & wordMask
	b.setNode(lane, nil)
	b.setFree(lane, amounts{})
	return true
}

// AddTask takes from an instance what a task uses. It does not ask whether there is
// enough: what is left goes below zero, and ports and devices are held twice, until
// as much is given back. It reports whether the instance is known; if it is not,
// nothing is changed.
func (f *Fleet) AddTask(instanceID string, u Use) bool {
	slot, ok := f.hosts.slots.get(instanceID)
	if ok {
		f.addTask(slot, &u)
	}
	return ok
}

func (f *Fleet) addTask(slot int, u *Use) {
	b, n := f.writableNode(slot)
	b.take(slot&wordMask, u.takes())
	for _, p := range hostPorts(u.TCP, u.UDP) {
		n.ports = insert(n.ports, p)
		f.takePort(slot, p)
	}
	for _, id := range u.GPUs {
		n.gpus = insert(n.gpus, id)
	}
	n.tasks++
	f.countTask(slot, n, u, 1)
}

// countTask adds to the number of tasks of a group in a slot.
func (f *Fleet) countTask(slot int, n *node, u *Use, tasks int32) {
	i, before := n.findGroup(u.Group)
	after := before
	after.tasks += tasks
	if u.Stopping {
		after.stopping += tasks
	}
	n.setGroup(i, before, after)
	f.setTasks(slot, n.instance, before, after)
}

// RemoveTask gives back to an instance what [Fleet.AddTask] took, with the same Use.
// It reports whether the instance is known and has a task of the group, stopping or not
// as given; if not, nothing is changed.
func (f *Fleet) RemoveTask(instanceID string, u Use) bool {
	slot, ok := f.hosts.slots.get(instanceID)
	if !ok || !f.node(slot).group(u.Group).includes(&u) {
		return false
	}
	b, n := f.writableNode(slot)
	b.take(slot&wordMask, amounts{-u.CPU, -u.MemoryMiB})
	for _, p := range hostPorts(u.TCP, u.UDP) {
		n.ports = remove(n.ports, p)
		if !n.portTaken(p) {
			f.freePort(slot, p)
		}
	}
	for _, id := range u.GPUs {
		n.gpus = remove(n.gpus, id)
	}
	n.tasks--
	f.countTask(slot, n, &u, -1)
	return true
}

// take lowers what is left in a lane.
func (b *block) take(lane int, taken amounts) {
	n := b.node(lane)
	for r := range taken {
		n.free[r] -= taken[r]
	}
	b.setFree(lane, n.free)
}

// setTasks notes that a slot that had so many tasks of a group has another number.
func (f *Fleet) setTasks(slot int, in *Instance, from, to groupCount) {
	name := groupName(from.group)
	old := f.groups.get(name)
	g := old.writable(f.owner)
	g.change(f.hosts, slot, in, from, to)
	switch {
	case len(g.digits) == 0:
		f.groups = f.groups.without(f.owner, name)
	case g != old:
		f.groups = f.groups.with(f.owner, name, g)
	}
}

// digitsOf are the digits of the group, none if it has no tasks.
func (f *Fleet) digitsOf(name string) []*bitset {
	if g := f.groups.get(groupName(name)); g != nil {
		return g.digits
	}
	return nil
}

func (f *Fleet) takePort(slot int, p hostPort) {
	old := f.ports.get(p)
	if s := old.with(f.owner, slot); s != old {
		f.ports = f.ports.with(f.owner, p, s)
	}
}

func (f *Fleet) freePort(slot int, p hostPort) {
	old := f.ports.get(p)
	switch s := old.without(f.owner, slot); s {
	case old:
	case nil:
		f.ports = f.ports.without(f.owner, p)
	default:
		f.ports = f.ports.with(f.owner, p, s)
	}
}

func (f *Fleet) node(slot int) *node { return f.rows.of(slot >> wordShift).node(slot & wordMask) }

func (f *Fleet) view(slot int) View {
	return View{f.node(slot)}
}

func (f *Fleet) eligible(slot int) bool { return has(f.hosts.eligible, slot) }

func (f *Fleet) writableNode(slot int) (*block, *node) {
	b := f.rows.writable(slot>>wordShift, f.owner, f.kin.mark())
	lane := slot & wordMask
	n := b.node(lane)
	if own := n.writable(f.owner); own != n {
		n = own
		b.setNode(lane, n)
	}
	return b, n
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
