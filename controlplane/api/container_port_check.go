package api

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/longshore/longshore/proto/ecs"
)

const (
	maxPort       = 65535
	maxPortRanges = 100 // of a container
)

// portNameForm is what a port mapping may be called (PortMapping, API documentation).
var portNameForm = regexp.MustCompile(`^[a-z0-9_][a-z0-9_-]{0,63}$`)

func checkPorts(c *ecs.ContainerDefinition, mode ecs.NetworkMode) error {
	if len(c.PortMappings) > 0 && mode == ecs.NetworkModeNone {
		return wrong(c, "Port mappings are not supported when networkMode=none.")
	}
	var used []portRange
	protocols, ranges := map[int32]ecs.TransportProtocol{}, 0
	for i := range c.PortMappings {
		p := &c.PortMappings[i]
		if p.Name != "" && !portNameForm.MatchString(p.Name) {
			return wrong(c, "A port mapping's name is up to 64 lowercase letters, digits, underscores and hyphens and begins with no hyphen, not %q.", clip(p.Name))
		}
		if p.ContainerPortRange == "" {
			if err := checkPort(c, p, mode); err != nil {
				return err
			}
			if other, twice := protocols[*p.ContainerPort]; twice && other != protocolOf(p) {
				return wrong(c, "The container port %d cannot be exposed for several protocols.", *p.ContainerPort)
			}
			protocols[*p.ContainerPort] = protocolOf(p)
			continue
		}
		r, err := checkPortRange(c, p, mode)
		if err != nil {
			return err
		}
		for _, u := range used {
			if r.from <= u.to && u.from <= r.to {
				return wrong(c, "The container port ranges %s and %s overlap.", u, r)
			}
		}
		if used, ranges = append(used, r), ranges+1; ranges > maxPortRanges {
			return wrong(c, "There are at most %d container port ranges.", maxPortRanges)
		}
	}
	return nil
}

func checkPort(c *ecs.ContainerDefinition, p *ecs.PortMapping, mode ecs.NetworkMode) error {
	fixed := mode == ecs.NetworkModeHost || mode == ecs.NetworkModeAwsvpc
	switch {
	case p.ContainerPort == nil || *p.ContainerPort < 1 || *p.ContainerPort > maxPort:
		return wrong(c, "A port mapping needs a 'containerPort' from 1 to %d.", maxPort)
	case p.HostPort != nil && (*p.HostPort < 0 || *p.HostPort > maxPort):
		return wrong(c, "A port mapping's 'hostPort' must be from 0 to %d.", maxPort)
	case fixed && hostPortOf(p, mode) != *p.ContainerPort:
		return wrong(c, "When networkMode=%s, the host ports and container ports in port mappings must match.", mode)
	}
	return nil
}

type portRange struct{ from, to int32 }

func (r portRange) String() string {
	return strconv.Itoa(int(r.from)) + "-" + strconv.Itoa(int(r.to))
}

func checkPortRange(c *ecs.ContainerDefinition, p *ecs.PortMapping, mode ecs.NetworkMode) (portRange, error) {
	switch {
	case p.ContainerPort != nil || p.HostPort != nil:
		return portRange{}, wrong(c, "A port mapping has a 'containerPortRange' or ports, not both.")
	case mode == ecs.NetworkModeHost:
		return portRange{}, wrong(c, "A 'containerPortRange' is only for the network modes bridge and awsvpc.")
	}
	first, last, _ := strings.Cut(p.ContainerPortRange, "-")
	from, err1 := strconv.ParseInt(first, 10, 32)
	to, err2 := strconv.ParseInt(last, 10, 32)
	if err1 != nil || err2 != nil || from < 1 || to > maxPort || from > to {
		return portRange{}, wrong(c, "A 'containerPortRange' is two ports from 1 to %d with a hyphen between them, not %q.", maxPort, clip(p.ContainerPortRange))
	}
	return portRange{int32(from), int32(to)}, nil
}

// hostPortOf is the host port that a mapping fixes; 0 if the engine chooses, or
// if it is of a range. In host mode the host's port is the container's, and in
// awsvpc mode that of the task's own interface is.
func hostPortOf(p *ecs.PortMapping, mode ecs.NetworkMode) int32 {
	switch {
	case p.HostPort != nil && *p.HostPort != 0:
		return *p.HostPort
	case p.ContainerPort != nil && (mode == ecs.NetworkModeHost || mode == ecs.NetworkModeAwsvpc):
		return *p.ContainerPort
	}
	return 0
}

func protocolOf(p *ecs.PortMapping) ecs.TransportProtocol {
	if p.Protocol == "" {
		return ecs.TransportProtocolTcp
	}
	return p.Protocol
}
