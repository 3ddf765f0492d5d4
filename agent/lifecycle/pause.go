package lifecycle

import (
	"maps"
	"slices"

	"github.com/longshore/longshore/proto/ecs"

	"github.com/longshore/longshore/agent/runtime"
)

// PauseName is what the pause container of a task is called where containers are
// told apart by their names, as in the ECS agent. No container of a definition
// can be called so.
const PauseName = "~internal~ecs~pause"

// pauseHash: all that a pause container is made from follows from its task.
const pauseHash = "pause"

func (b *builder) sharesPID() bool { return b.Definition.PidMode == ecs.PidModeTask }
func (b *builder) sharesIPC() bool { return b.Definition.IpcMode == ecs.IpcModeTask }

// pause is the container that holds the namespaces which the containers of the
// task share: the network in awsvpc mode, and those of processes and of IPC where
// they are the task's. It starts first and ends last, so that no container's end
// takes them away from the others.
func (b *builder) pause() (Unit, bool) {
	if b.subnet == "" && !b.sharesPID() && !b.sharesIPC() {
		return Unit{}, false
	}
	spec := runtime.Spec{
		Name:        b.pauseName(),
		Image:       b.Host.PauseImage,
		Hash:        pauseHash,
		Labels:      maps.Clone(b.labels()),
		CPUShares:   minCPUShares,
		NetworkMode: string(ecs.NetworkModeNone),
	}
	spec.Labels[LabelContainer] = PauseName
	if b.subnet != "" {
		spec.NetworkMode = b.network
		for i := range b.Definition.ContainerDefinitions {
			c := &b.Definition.ContainerDefinitions[i]
			spec.DNSServers = union(spec.DNSServers, c.DnsServers)
			spec.DNSSearch = union(spec.DNSSearch, c.DnsSearchDomains)
			spec.Sysctls = merged(spec.Sysctls, networkSysctls(c.SystemControls))
		}
	}
	if b.sharesIPC() {
		spec.IPCMode = "shareable"
	}
	// It has nothing to do at its end, so it is killed without a grace.
	return Unit{Name: PauseName, Essential: true, Internal: true, Spec: spec}, true
}

func (b *builder) pauseName() string {
	return engineName(b.ARN, b.Definition.Family, b.Definition.Revision, "pause", "pause")
}

// withPause puts the pause container behind the units, all of which then need it.
func withPause(units []Unit, pause Unit) []Unit {
	at := len(units)
	for i := range units {
		units[i].Needs = append(units[i].Needs, at)
		units[i].After = append(units[i].After, Dependency{Unit: at, Condition: ecs.ContainerConditionSTART})
	}
	return append(units, pause)
}

// join puts a unit into the task's namespaces and its group.
func (b *builder) join(u *Unit, groups []Group) {
	for _, g := range groups {
		u.Spec.CgroupParent = b.Host.GroupParent(g.Name)
		u.NeedsSetup = true
	}
	if u.Internal {
		return
	}
	shared := "container:" + b.pauseName()
	if b.subnet != "" {
		// The engine takes none of these for a container in another one's network.
		u.Spec.NetworkMode, u.Spec.Hostname = shared, ""
		u.Spec.DNSServers, u.Spec.DNSSearch = nil, nil
		maps.DeleteFunc(u.Spec.Sysctls, func(name, _ string) bool { return ofNetwork(name) }) // the pause container's
	}
	switch b.Definition.PidMode {
	case ecs.PidModeHost:
		u.Spec.PIDMode = "host"
	case ecs.PidModeTask:
		u.Spec.PIDMode = shared
	}
	switch b.Definition.IpcMode {
	case ecs.IpcModeHost:
		u.Spec.IPCMode = "host"
	case ecs.IpcModeNone:
		u.Spec.IPCMode = "none"
	case ecs.IpcModeTask:
		u.Spec.IPCMode = shared
	}
}

// pauseUnit is the index of the pause container, or -1.
func (t Task) pauseUnit() int {
	return slices.IndexFunc(t.Units, func(u Unit) bool { return u.Internal })
}

func merged(into, more map[string]string) map[string]string {
	if into == nil {
		return more
	}
	maps.Copy(into, more)
	return into
}

func union(list, more []string) []string {
	for _, s := range more {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}
