package store

import (
	"strconv"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/placement"
)

// derived is what follows from the records of one cluster and is kept up to date
// with every change, so that nobody has to count: what its instances have left,
// and how many tasks, instances and services there are. It is not stored.
type derived struct {
	cluster model.ClusterName
	epoch   uint64 // of the tables when this copy was made; an older one is frozen
	fleet   *placement.Fleet
	counts  ClusterCounts
	upsets  Upsets
}

// ClusterCounts are the numbers that DescribeClusters shows.
type ClusterCounts struct {
	Instances        int32 // ACTIVE or DRAINING
	RunningTasks     ByLaunchType
	PendingTasks     ByLaunchType
	ActiveServices   ByLaunchType
	DrainingServices ByLaunchType
}

// Counts returns the numbers of a cluster.
func (t *Tables) Counts(c model.ClusterName) ClusterCounts {
	if d, ok := t.derivedNow(c); ok {
		return d.counts
	}
	return ClusterCounts{}
}

// Fleet returns the live instances of a cluster and what is used of them. It
// must not be changed; Clone it for a what-if.
func (t *Tables) Fleet(c model.ClusterName) *placement.Fleet {
	if d, ok := t.derivedNow(c); ok {
		return d.fleet
	}
	return placement.NewFleet()
}

// derivedNow returns the derived data of a cluster, not to be changed.
func (t *Tables) derivedNow(c model.ClusterName) (*derived, bool) {
	pivot := t.derived.pivot()
	defer t.derived.release(pivot)
	pivot.cluster = c
	return t.derived.get(pivot)
}

// derivedOf returns the derived data of a cluster, for changing.
func (t *Tables) derivedOf(c model.ClusterName) *derived {
	d, ok := t.derivedNow(c)
	switch {
	case !ok:
		d = &derived{cluster: c, epoch: t.epoch, fleet: placement.NewFleet()}
	case d.epoch != t.epoch:
		d = &derived{cluster: c, epoch: t.epoch, fleet: d.fleet.Clone(), counts: d.counts, upsets: d.upsets}
	default:
		return d
	}
	t.derived.replace(nil, d)
	return d
}

func (t *Tables) deriveService(old, next *model.Service) {
	count := func(s *model.Service, by int32) {
		if s == nil {
			return
		}
		switch s.Status {
		case model.StatusActive:
			*t.derivedOf(s.Cluster).counts.ActiveServices.of(launchTypeOf(s)) += by
		case model.StatusDraining:
			*t.derivedOf(s.Cluster).counts.DrainingServices.of(launchTypeOf(s)) += by
		}
	}
	count(old, -1)
	count(next, 1)
	t.deriveServiceUses(old, next)
	t.deriveDefinitionUses(old, next)
	t.deriveGroupUses(old, next)
	t.deriveServiceMembers(old, next)
}

func (t *Tables) deriveInstance(old, next *model.Instance) {
	t.deriveAttributes(old, next)
	t.deriveInstanceMembers(old, next)
	t.deriveInstanceUpset(old, next)
	wasLive, isLive := old != nil && InstanceLive(old), next != nil && InstanceLive(next)
	switch {
	case isLive:
		d := t.derivedOf(next.Cluster)
		d.fleet.PutInstance(Placeable(next))
		if !wasLive {
			d.counts.Instances++
			// Tasks that were there before, as when a deregistration is taken back.
			for t := range t.LiveTasksOnInstance(next.Cluster, next.ID) {
				d.fleet.AddTask(string(next.ID), use(t))
			}
		}
	case wasLive:
		d := t.derivedOf(old.Cluster)
		d.fleet.RemoveInstance(string(old.ID))
		d.counts.Instances--
	}
}

func (t *Tables) deriveTask(old, next *model.Task) {
	t.deriveTaskUses(old, next)
	t.deriveMemberships(old, next)
	t.deriveTaskMember(old, next)
	t.deriveTaskUpset(old, next)
	if old != nil && next != nil && TaskLive(old) && TaskLive(next) && old.Instance == next.Instance && stopping(old) == stopping(next) {
		// The usual change: it holds what it held.
		if old.LastStatus != next.LastStatus {
			d := t.derivedOf(next.Cluster)
			d.counts.add(old, -1)
			d.counts.add(next, 1)
		}
		return
	}
	if old != nil && TaskLive(old) {
		d := t.derivedOf(old.Cluster)
		d.fleet.RemoveTask(string(old.Instance), use(old))
		d.counts.add(old, -1)
	}
	if next != nil && TaskLive(next) {
		d := t.derivedOf(next.Cluster)
		d.fleet.AddTask(string(next.Instance), use(next))
		d.counts.add(next, 1)
	}
}

func (c *ClusterCounts) add(t *model.Task, by int32) {
	if running(t) {
		*c.RunningTasks.of(t.LaunchType) += by
	} else if t.LastStatus.Starting() {
		*c.PendingTasks.of(t.LaunchType) += by
	}
}

func running(t *model.Task) bool { return t.LastStatus == model.TaskRunning }

// stopping tells whether a task is not to go on.
func stopping(t *model.Task) bool { return t.DesiredStatus == model.TaskStopped }

func use(t *model.Task) placement.Use {
	r := t.Reserved
	u := placement.Use{CPU: r.CPU, MemoryMiB: r.MemoryMiB, TCP: r.TCP, UDP: r.UDP, Group: t.Group, Stopping: stopping(t)}
	for i := range t.Containers {
		u.GPUs = append(u.GPUs, t.Containers[i].GPUs...)
	}
	return u
}

// Placeable is a container instance as placement sees it.
func Placeable(i *model.Instance) placement.Instance {
	p := placement.Instance{
		ID:         string(i.ID),
		Attributes: make(map[string]string, len(i.Attributes)),
		Connected:  i.AgentConnected,
		Status:     placement.Active,

		EC2InstanceID: i.EC2InstanceID,
		RegisteredAt:  i.RegisteredAt,
	}
	if i.VersionInfo != nil {
		p.AgentVersion = i.VersionInfo.AgentVersion
	}
	if i.Status != model.StatusActive {
		p.Status = placement.Draining
	}
	for _, a := range i.Attributes {
		value := ""
		if a.Value != nil {
			value = *a.Value
		}
		p.Attributes[a.Name] = value
	}
	for _, r := range i.Resources {
		switch r.Name {
		case "CPU":
			p.CPU = int64(r.IntegerValue)
		case "MEMORY":
			p.MemoryMiB = int64(r.IntegerValue)
		case "PORTS":
			p.ReservedTCP = ports(r.StringSetValue)
		case "PORTS_UDP":
			p.ReservedUDP = ports(r.StringSetValue)
		case "GPU":
			p.GPUs = r.StringSetValue
		}
	}
	return p
}

// ports reads a port set; RegisterContainerInstance has refused what is no port.
func ports(set []string) []uint16 {
	out := make([]uint16, 0, len(set))
	for _, s := range set {
		if n, err := strconv.ParseUint(s, 10, 16); err == nil {
			out = append(out, uint16(n))
		}
	}
	return out
}
