package placement

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Status is the state of a container instance as far as placement cares.
type Status uint8

// An instance that is not Active takes no tasks. The tasks of one that is Draining
// or Inactive are on their way out, and spread does not count them.
const (
	Active Status = iota
	Draining
	Inactive
)

func (s Status) String() string {
	switch s {
	case Active:
		return "ACTIVE"
	case Draining:
		return "DRAINING"
	case Inactive:
		return "INACTIVE"
	default:
		return "Status(" + strconv.Itoa(int(s)) + ")"
	}
}

// Instance is what a container instance offers. Its maps and slices belong to the
// fleet once it is put there and must not be changed any more.
type Instance struct {
	ID string
	// Attributes maps names to values; a value may be empty.
	Attributes map[string]string
	// CPU is in units, 1024 for a core.
	CPU       int64
	MemoryMiB int64
	// ReservedTCP and ReservedUDP are host ports that no task gets.
	ReservedTCP []uint16
	ReservedUDP []uint16
	// GPUs are the ids of its devices.
	GPUs      []string
	Status    Status
	Connected bool

	// These are for expressions alone; see [Facts].
	EC2InstanceID string
	AgentVersion  string
	RegisteredAt  time.Time
}

func (i *Instance) offers() amounts { return amounts{i.CPU, i.MemoryMiB} }

// eligible tells whether the instance takes tasks at all.
func (i *Instance) eligible() bool { return i.Status == Active && i.Connected }

// looksLike tells whether no condition can tell the two apart but by their attributes; see
// [Facts].
func (i *Instance) looksLike(other *Instance) bool {
	return i.Connected == other.Connected && i.EC2InstanceID == other.EC2InstanceID && i.AgentVersion == other.AgentVersion &&
		i.RegisteredAt.Equal(other.RegisteredAt)
}

// Use is what one task takes of the instance that it is on.
type Use struct {
	CPU       int64
	MemoryMiB int64
	// TCP and UDP are the host ports that its definition fixes.
	TCP []uint16
	UDP []uint16
	// GPUs are the ids that it was assigned; see [Assignment].
	GPUs  []string
	Group string
	// Stopping is of a task whose desired status is STOPPED: it takes what it took until
	// it has ended, but does not keep others of its group away (ECS guide,
	// distinctInstance).
	Stopping bool
}

func (u *Use) takes() amounts { return amounts{u.CPU, u.MemoryMiB} }

// hostPort is a port and its protocol in one number.
type hostPort uint32

const udp hostPort = 1 << 16

func (p hostPort) number() int64 { return int64(p &^ udp) }

func (p hostPort) protocol() string {
	if p&udp != 0 {
		return "UDP"
	}
	return "TCP"
}

// hostPorts lists the ports of both protocols, in order, each as often as given.
func hostPorts(tcp, udps []uint16) []hostPort {
	if len(tcp)+len(udps) == 0 {
		return nil
	}
	ports := make([]hostPort, 0, len(tcp)+len(udps))
	for _, p := range tcp {
		ports = append(ports, hostPort(p))
	}
	for _, p := range udps {
		ports = append(ports, udp|hostPort(p))
	}
	slices.Sort(ports)
	return ports
}

// node is an instance and the tasks on it. It is copy-on-write.
type node struct {
	owner    mark
	instance *Instance
	reserved []hostPort // of the instance; in order, never changed in place
	ports    []hostPort // of the tasks; in order, twice if two tasks have it
	gpus     []string   // of the tasks; as ports
	groups   []groupCount
	tasks    int
	free     amounts // what the tasks left
}

// groupCount is the number of tasks of a group on one instance.
type groupCount struct {
	group    string
	tasks    int32
	stopping int32 // of those
}

// staying is the number of tasks that are to go on.
func (c groupCount) staying() int32 { return c.tasks - c.stopping }

// writable is the node itself if the owner made it, else a copy of the owner's.
func (n *node) writable(owner mark) *node {
	if n.owner == owner {
		return n
	}
	c := *n
	c.owner = owner
	c.ports = slices.Clone(n.ports)
	c.gpus = slices.Clone(n.gpus)
	c.groups = append(make([]groupCount, 0, len(n.groups)+1), n.groups...) // for one more
	return &c
}

// includes tells whether a task like the given one is among them.
func (c groupCount) includes(u *Use) bool {
	if u.Stopping {
		return c.stopping > 0
	}
	return c.staying() > 0
}

// group is how many tasks of a group are on the instance.
func (n *node) group(name string) groupCount {
	_, c := n.findGroup(name)
	return c
}

// findGroup is where a group is or would be, and how many tasks of it are on the instance.
func (n *node) findGroup(name string) (int, groupCount) {
	i, ok := slices.BinarySearchFunc(n.groups, name, func(c groupCount, name string) int { return strings.Compare(c.group, name) })
	if !ok {
		return i, groupCount{group: name}
	}
	return i, n.groups[i]
}

// setGroup makes the number of tasks of a group another, given where findGroup found it.
func (n *node) setGroup(i int, from, to groupCount) {
	switch {
	case from.tasks == 0:
		n.groups = slices.Insert(n.groups, i, to)
	case to.tasks == 0:
		n.groups = slices.Delete(n.groups, i, i+1)
	default:
		n.groups[i] = to
	}
}

// portTaken tells whether a task has the port or the instance keeps it back.
func (n *node) portTaken(p hostPort) bool { return contains(n.ports, p) || contains(n.reserved, p) }

func (n *node) freeGPUs() int {
	free := 0
	for _, id := range n.instance.GPUs {
		if !contains(n.gpus, id) {
			free++
		}
	}
	return free
}

// pickGPUs lists up to count devices that no task has, in the instance's order.
func (n *node) pickGPUs(count int) []string {
	if count <= 0 {
		return nil
	}
	picked := make([]string, 0, count)
	for _, id := range n.instance.GPUs {
		if len(picked) == count {
			break
		}
		if !contains(n.gpus, id) {
			picked = append(picked, id)
		}
	}
	return picked
}

func contains[T hostPort | string](ordered []T, v T) bool {
	_, ok := slices.BinarySearch(ordered, v)
	return ok
}

func insert[T hostPort | string](ordered []T, v T) []T {
	i, _ := slices.BinarySearch(ordered, v)
	return slices.Insert(ordered, i, v)
}

func remove[T hostPort | string](ordered []T, v T) []T {
	i, ok := slices.BinarySearch(ordered, v)
	if !ok {
		return ordered
	}
	return slices.Delete(ordered, i, i+1)
}
