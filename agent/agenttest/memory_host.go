package agenttest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/longshore/longshore/agent/runtime"
)

// Dynamic host ports come from Linux's own range for them.
const (
	firstDynamicPort = 32768
	lastDynamicPort  = 60999
)

const localDriver = "local" // of volumes

type hostPort struct {
	protocol string
	number   uint16
}

// hasAddress tells whether a container in the mode gets an interface of its own.
func hasAddress(networkMode string) bool {
	return networkMode != "host" && networkMode != "none" && !strings.HasPrefix(networkMode, sharedPrefix)
}

// isNamed tells whether a network mode is the name of a network that somebody made.
func isNamed(networkMode string) bool {
	return hasAddress(networkMode) && networkMode != "" && networkMode != "bridge" && networkMode != "default"
}

// macOf is Docker's way to make an address of the link from one of the network.
func macOf(address string) string {
	ip := netip.MustParseAddr(address).As4()
	return fmt.Sprintf("02:42:%02x:%02x:%02x:%02x", ip[0], ip[1], ip[2], ip[3])
}

// EnsureNetwork makes a network, unless there is one of that name.
func (m *Memory) EnsureNetwork(ctx context.Context, wanted runtime.Network) error {
	if err := m.enter(ctx, "EnsureNetwork"); err != nil {
		return err
	}
	defer m.mu.Unlock()
	if _, there := m.networks[wanted.Name]; !there {
		m.networks[wanted.Name] = runtime.Network{Name: wanted.Name, Driver: "bridge", Labels: maps.Clone(wanted.Labels)}
	}
	return nil
}

// Network looks a network up by its name.
func (m *Memory) Network(ctx context.Context, name string) (runtime.Network, error) {
	if err := m.enter(ctx, "Network"); err != nil {
		return runtime.Network{}, err
	}
	defer m.mu.Unlock()
	found, ok := m.networks[name]
	if !ok {
		return runtime.Network{}, notFound("network %s not found", name)
	}
	return found, nil
}

// RemoveNetwork deletes a network, for tests that made one.
func (m *Memory) RemoveNetwork(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.networks, name)
}

// allocateAddress gives each container of a bridge another address, over and
// over through 172.16.0.0/12.
func (m *Memory) allocateAddress() string {
	const first, count = 172<<24 | 17<<16 | 2, 1<<19 - 2
	n := uint32(first) + m.nextAddr%count
	m.nextAddr++
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}).String()
}

// allocatePorts publishes the ports of a container. What it took when it
// fails is for releasePorts.
func (m *Memory) allocatePorts(b *box) error {
	var bindings []runtime.PortBinding
	for _, mapping := range b.spec.Ports {
		wanted := hostPort{mapping.Protocol, mapping.HostPort}
		if mapping.HostPort == 0 {
			free, ok := m.freePort(mapping.Protocol)
			if !ok {
				return portRefusal(b, "all ports are allocated")
			}
			wanted.number = free
		} else if m.ports[wanted] != nil {
			return portRefusal(b, "Bind for "+netip.AddrPortFrom(netip.IPv4Unspecified(), mapping.HostPort).String()+
				" failed: port is already allocated")
		}
		m.ports[wanted] = b
		b.held = append(b.held, wanted)
		bindings = append(bindings, runtime.PortBinding{
			BindIP:        "0.0.0.0",
			ContainerPort: mapping.ContainerPort,
			HostPort:      wanted.number,
			Protocol:      mapping.Protocol,
		})
	}
	for _, r := range b.spec.PortRanges {
		n := r.To - r.From + 1
		first, ok := m.freePorts(r.Protocol, n)
		if !ok {
			return portRefusal(b, "there are not as many consecutive ports free")
		}
		for i := range n {
			port := hostPort{r.Protocol, first + i}
			m.ports[port] = b
			b.held = append(b.held, port)
			bindings = append(bindings, runtime.PortBinding{BindIP: "0.0.0.0", ContainerPort: r.From + i, HostPort: first + i, Protocol: r.Protocol})
		}
	}
	slices.SortFunc(bindings, func(x, y runtime.PortBinding) int {
		return cmp.Or(
			cmp.Compare(x.ContainerPort, y.ContainerPort),
			cmp.Compare(x.Protocol, y.Protocol),
			cmp.Compare(x.HostPort, y.HostPort),
		)
	})
	b.seen.Ports = bindings
	return nil
}

func portRefusal(b *box, why string) error {
	return refuse("driver failed programming external connectivity on endpoint %s (%s): %s", b.spec.Name, b.seen.ID, why)
}

// freePort goes on from the port that it gave last, so that a port is not
// given again at once.
func (m *Memory) freePort(protocol string) (uint16, bool) {
	next := m.nextPort[protocol]
	for range lastDynamicPort - firstDynamicPort + 1 {
		if next < firstDynamicPort || next > lastDynamicPort {
			next = firstDynamicPort
		}
		if m.ports[hostPort{protocol, next}] == nil {
			m.nextPort[protocol] = next + 1
			return next, true
		}
		next++
	}
	return 0, false
}

// freePorts finds consecutive ones.
func (m *Memory) freePorts(protocol string, n uint16) (first uint16, ok bool) {
	free := uint16(0)
	for port := uint16(firstDynamicPort); port <= lastDynamicPort; port++ {
		if free++; m.ports[hostPort{protocol, port}] != nil {
			free = 0
		}
		if free == n {
			return port - n + 1, true
		}
	}
	return 0, false
}

func (m *Memory) releasePorts(b *box) {
	for _, port := range b.held {
		delete(m.ports, port)
	}
	b.held, b.seen.Ports, b.seen.IPAddress, b.seen.MACAddress = nil, nil, "", ""
}

// beginHealthChecks shows a container with a health check as starting until
// the first check is due.
func (m *Memory) beginHealthChecks(b *box) {
	check := b.spec.HealthCheck
	if check == nil || len(check.Test) == 0 || check.Test[0] == "NONE" {
		return
	}
	b.seen.Health = "starting"
	if b.program.Health == "" {
		return
	}
	interval := check.Interval
	if interval == 0 {
		interval = 30 * time.Second // Docker's default
	}
	b.check = time.AfterFunc(interval, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.setHealth(b, b.program.Health)
	})
}

// SetHealth says what the health checks of a running container find from now
// on. It tells whether there is such a container.
func (m *Memory) SetHealth(id, health string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.containers[id]
	return ok && m.setHealth(b, health)
}

func (m *Memory) setHealth(b *box, health string) bool {
	if b.seen.State != runtime.Running {
		return false
	}
	if b.check != nil {
		b.check.Stop()
	}
	if b.seen.Health != health {
		b.seen.Health = health
		m.notify(b)
	}
	return true
}

// volume is a named volume of Memory, guarded by Memory.mu.
type volume struct {
	runtime.Volume
	users map[string]struct{} // ids of containers
}

// mountVolumes makes the named volumes of a container that do not exist yet.
func (m *Memory) mountVolumes(b *box) {
	for _, mount := range b.spec.Mounts {
		if path.IsAbs(mount.Source) {
			continue
		}
		if m.volumes[mount.Source] == nil {
			m.addVolume(runtime.Volume{Name: mount.Source})
		}
		m.volumes[mount.Source].users[b.seen.ID] = struct{}{}
	}
}

func (m *Memory) unmountVolumes(b *box) {
	for _, mount := range b.spec.Mounts {
		if v := m.volumes[mount.Source]; v != nil {
			delete(v.users, b.seen.ID)
		}
	}
}

// CreateVolume makes a named volume; one of that name is left as it is.
func (m *Memory) CreateVolume(ctx context.Context, wanted runtime.Volume) error {
	if err := m.enter(ctx, "CreateVolume"); err != nil {
		return err
	}
	defer m.mu.Unlock()
	if m.volumes[wanted.Name] == nil {
		m.addVolume(wanted)
	}
	return nil
}

func (m *Memory) addVolume(wanted runtime.Volume) {
	wanted.Driver = cmp.Or(wanted.Driver, localDriver)
	wanted.Labels, wanted.Options = maps.Clone(wanted.Labels), maps.Clone(wanted.Options)
	m.volumes[wanted.Name] = &volume{Volume: wanted, users: make(map[string]struct{})}
}

// Volume looks a volume up by its name.
func (m *Memory) Volume(ctx context.Context, name string) (runtime.Volume, error) {
	if err := m.enter(ctx, "Volume"); err != nil {
		return runtime.Volume{}, err
	}
	defer m.mu.Unlock()
	found, ok := m.volumes[name]
	if !ok {
		return runtime.Volume{}, notFound("get %s: no such volume", name)
	}
	return found.Volume, nil
}

// RemoveVolume deletes a named volume that no container has.
func (m *Memory) RemoveVolume(ctx context.Context, name string) error {
	if err := m.enter(ctx, "RemoveVolume"); err != nil {
		return err
	}
	defer m.mu.Unlock()
	v, ok := m.volumes[name]
	if !ok {
		return nil
	}
	for user := range v.users {
		return refuse("remove %s: volume is in use - [%s]", name, user)
	}
	delete(m.volumes, name)
	return nil
}

// ListVolumes returns the names of the volumes that carry all the given labels.
func (m *Memory) ListVolumes(ctx context.Context, labels map[string]string) ([]string, error) {
	if err := m.enter(ctx, "ListVolumes"); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	names := []string{}
	for name, v := range m.volumes {
		if carries(v.Labels, labels) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}
