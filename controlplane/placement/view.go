package placement

import (
	"iter"
	"slices"
)

// View is an instance and what is used of it. It is good until the fleet that it
// came from is next changed; a predicate must not keep it.
type View struct {
	node *node
}

// Instance is what was put; it must not be changed.
func (v View) Instance() *Instance { return v.node.instance }

// ID is the instance's id.
func (v View) ID() string { return v.node.instance.ID }

// Attribute is the value of an attribute, and whether the instance has it.
func (v View) Attribute(name string) (string, bool) {
	value, ok := v.node.instance.Attributes[name]
	return value, ok
}

// FreeCPU is the CPU that is left in units, below zero if too much was added.
func (v View) FreeCPU() int64 { return v.node.free[cpu] }

// FreeMemoryMiB is the memory that is left, below zero if too much was added.
func (v View) FreeMemoryMiB() int64 { return v.node.free[memory] }

// UsedTCP lists the TCP host ports of its tasks, without the reserved ones.
func (v View) UsedTCP() []uint16 { return v.used(0) }

// UsedUDP lists the UDP host ports of its tasks, without the reserved ones.
func (v View) UsedUDP() []uint16 { return v.used(udp) }

func (v View) used(protocol hostPort) []uint16 {
	var ports []uint16
	for _, p := range v.node.ports {
		if p&udp == protocol {
			ports = append(ports, uint16(p))
		}
	}
	return slices.Compact(ports)
}

// FreeGPUs lists the devices that no task has.
func (v View) FreeGPUs() []string { return v.node.pickGPUs(len(v.node.instance.GPUs)) }

// Tasks is the number of tasks on the instance.
func (v View) Tasks() int { return v.node.tasks }

// GroupTasks is the number of tasks of one group on the instance.
func (v View) GroupTasks(group string) int { return int(v.node.group(group).tasks) }

// Groups lists the groups with tasks on the instance and how many, in order of name.
func (v View) Groups() iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		for _, c := range v.node.groups {
			if !yield(c.group, int(c.tasks)) {
				return
			}
		}
	}
}
