package lifecycle

import (
	"cmp"
	"fmt"
	"strings"

	agentv1 "github.com/longshore/longshore/proto/agent/v1"
	"github.com/longshore/longshore/proto/ecs"

	"github.com/longshore/longshore/agent/runtime"
)

// Host is what a host offers to tasks besides its engine.
type Host struct {
	// PauseImage is the image of the container that holds a task's namespaces.
	PauseImage string
	// Networks are the engine's networks by the subnets that they stand for.
	Networks map[string]string
	// AnySubnet takes a subnet that is not among Networks for DefaultSubnet.
	AnySubnet bool
	// GroupParent is how the engine calls the group of a name. Nil: tasks can have
	// no group of their own here.
	GroupParent func(name string) string
	// FileSystems are the NFS servers by the ids of the EFS file systems that they
	// stand for.
	FileSystems map[string]FileSystem
}

// DefaultSubnet is the subnet that every host offers.
const DefaultSubnet = "subnet-default"

// choose finds the first of the subnets that the host offers, and its network.
func (h *Host) choose(subnets []string) (subnet, network string, ok bool) {
	for _, s := range subnets {
		if n, offered := h.Networks[s]; offered {
			return s, n, true
		}
	}
	n, offered := h.Networks[DefaultSubnet]
	if h.AnySubnet && offered && len(subnets) > 0 {
		return subnets[0], n, true
	}
	return "", "", false
}

// prepareNetwork finds the network of a task that has an interface of its own.
func (b *builder) prepareNetwork() error {
	switch b.Definition.NetworkMode {
	case "", ecs.NetworkModeBridge, ecs.NetworkModeHost, ecs.NetworkModeNone:
		return nil
	case ecs.NetworkModeAwsvpc:
		var ok bool
		if b.subnet, b.network, ok = b.Host.choose(b.Subnets); !ok {
			return fmt.Errorf("this host offers none of the subnets %s", strings.Join(b.Subnets, ", "))
		}
		return nil
	}
	return fmt.Errorf("network mode %q is not supported by this agent", b.Definition.NetworkMode)
}

// ports sets the network mode and what is published of the container.
func (b *builder) ports(u *Unit, c *ecs.ContainerDefinition) error {
	u.Spec.NetworkMode = string(cmp.Or(b.Definition.NetworkMode, ecs.NetworkModeBridge))
	for i := range c.PortMappings {
		p := &c.PortMappings[i]
		if p.ContainerPortRange != "" {
			if b.Definition.NetworkMode == ecs.NetworkModeAwsvpc {
				continue // the ports are the task's own
			}
			if err := u.publishRange(p); err != nil {
				return err
			}
			continue
		}
		protocol := string(cmp.Or(p.Protocol, ecs.TransportProtocolTcp))
		container, host := value(p.ContainerPort), value(p.HostPort)
		if !isPort(container) || !isPort(host) {
			return fmt.Errorf("port mapping %d to %d is out of range", container, host)
		}
		switch b.Definition.NetworkMode {
		case ecs.NetworkModeHost: // there is nothing to map: the port is the host's own
			u.HostPorts = append(u.HostPorts, &agentv1.NetworkBinding{
				BindIp: "0.0.0.0", ContainerPort: uint32(container), HostPort: uint32(container), Protocol: protocol,
			})
		case ecs.NetworkModeNone, ecs.NetworkModeAwsvpc: // or the port is the task's own
		default:
			u.Spec.Ports = append(u.Spec.Ports, runtime.PortMapping{
				ContainerPort: uint16(container), HostPort: uint16(host), Protocol: protocol,
			})
		}
	}
	return nil
}

// networkInterface is what the control plane is told of a task's own interface.
func networkInterface(t Task, s State) *agentv1.NetworkInterface {
	pause := t.pauseUnit()
	if t.Subnet == "" || pause < 0 || s.Containers[pause].Address == "" {
		return nil
	}
	c := &s.Containers[pause]
	return &agentv1.NetworkInterface{Subnet: t.Subnet, MacAddress: c.MAC, Ipv4Address: c.Address}
}

// statusName is the status as it is reported: a task with an interface of its own is
// PROVISIONING before it has one, and DEPROVISIONING when nothing else is left.
func statusName(t Task, s State) string {
	pause := t.pauseUnit()
	if t.Subnet == "" || pause < 0 {
		return s.Status.String()
	}
	switch {
	case s.Status == Pending && !s.Containers[pause].ran():
		return "PROVISIONING"
	case s.Status == Stopping && s.othersSettled(pause):
		return "DEPROVISIONING"
	}
	return s.Status.String()
}

func (s *State) othersSettled(unit int) bool {
	for i := range s.Containers {
		if i != unit && !s.Containers[i].settled() {
			return false
		}
	}
	return true
}
