package api

import (
	"slices"
	"strings"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

const (
	maxImage  = 255 // characters
	minMemory = 4   // MiB, below which Docker starts no container
	maxPort   = 65535
)

// checkContainer checks one container of a task definition by itself.
func checkContainer(c *ecs.ContainerDefinition, mode ecs.NetworkMode, volumes map[string]bool) error {
	switch {
	case c.Name == "":
		return refused("Container.name should not be null or empty.")
	case !model.ValidName(c.Name):
		return refused("Container name must be 1 to 255 letters, digits, hyphens and underscores, not %q.", clip(c.Name))
	case c.Image == "":
		return refused("Container.image should not be null or empty.")
	case len(c.Image) > maxImage:
		return wrong(c, "'image' is longer than %d characters.", maxImage)
	}
	if names := unhonoured(c, honouredOfContainer...); len(names) > 0 {
		return refused("Longshore does not support %s of container '%s' yet.", strings.Join(names, ", "), c.Name)
	}
	if c.LinuxParameters != nil {
		if names := unhonoured(c.LinuxParameters, honouredOfLinux...); len(names) > 0 {
			return refused("Longshore does not support linuxParameters.%s of container '%s' yet.", strings.Join(names, ", linuxParameters."), c.Name)
		}
	}
	for _, check := range []func() error{
		func() error { return checkAmounts(c) },
		func() error { return checkLinks(c, mode) },
		func() error { return checkPorts(c, mode) },
		func() error { return checkEnvironment(c) },
		func() error { return checkMounts(c, volumes) },
		func() error { return checkHealthCheck(c) },
		func() error { return checkTimesAndLimits(c) },
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// wrong is ECS's way of naming the container whose setting is invalid.
func wrong(c *ecs.ContainerDefinition, format string, args ...any) error {
	return refused("Invalid setting for container '"+c.Name+"'. "+format, args...)
}

// checkAmounts holds for a definition and for one with overrides.
func checkAmounts(c *ecs.ContainerDefinition) error {
	switch {
	case c.Cpu < 0:
		return wrong(c, "'cpu' must not be negative.")
	case c.Memory == nil && c.MemoryReservation == nil:
		return wrong(c, "At least one of 'memory' or 'memoryReservation' must be specified.")
	case c.Memory != nil && *c.Memory < minMemory:
		return wrong(c, "'memory' must be at least %d MiB.", minMemory)
	case c.MemoryReservation != nil && *c.MemoryReservation < minMemory:
		return wrong(c, "'memoryReservation' must be at least %d MiB.", minMemory)
	case c.Memory != nil && c.MemoryReservation != nil && *c.Memory < *c.MemoryReservation:
		return wrong(c, "The 'memory' must be greater than or equal to the 'memoryReservation'.")
	}
	return nil
}

func checkLinks(c *ecs.ContainerDefinition, mode ecs.NetworkMode) error {
	if len(c.Links) > 0 && mode != "" && mode != ecs.NetworkModeBridge {
		return wrong(c, "Links are not supported when networkMode=%s.", mode)
	}
	for _, l := range c.Links {
		name, alias, named := strings.Cut(l, ":")
		if !model.ValidName(name) || named && !model.ValidName(alias) {
			return wrong(c, "A link has the form 'container' or 'container:alias', not %q.", clip(l))
		}
	}
	return nil
}

func checkPorts(c *ecs.ContainerDefinition, mode ecs.NetworkMode) error {
	if len(c.PortMappings) > 0 && mode == ecs.NetworkModeNone {
		return wrong(c, "Port mappings are not supported when networkMode=none.")
	}
	for i := range c.PortMappings {
		p := &c.PortMappings[i]
		if names := unhonoured(p, honouredOfPort...); len(names) > 0 {
			return refused("Longshore does not support %s in a port mapping of container '%s' yet.", strings.Join(names, ", "), c.Name)
		}
		switch {
		case p.ContainerPort == nil || *p.ContainerPort < 1 || *p.ContainerPort > maxPort:
			return wrong(c, "A port mapping needs a 'containerPort' from 1 to %d.", maxPort)
		case p.HostPort != nil && (*p.HostPort < 0 || *p.HostPort > maxPort):
			return wrong(c, "A port mapping's 'hostPort' must be from 0 to %d.", maxPort)
		case mode == ecs.NetworkModeHost && hostPortOf(p, mode) != *p.ContainerPort:
			return wrong(c, "When networkMode=host, the host ports and container ports in port mappings must match.")
		}
	}
	return nil
}

// hostPortOf is the host port that a mapping fixes; 0 if the engine chooses.
func hostPortOf(p *ecs.PortMapping, mode ecs.NetworkMode) int32 {
	switch {
	case p.HostPort != nil && *p.HostPort != 0:
		return *p.HostPort
	case mode == ecs.NetworkModeHost:
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

func checkEnvironment(c *ecs.ContainerDefinition) error {
	for _, e := range c.Environment {
		if e.Name == "" || strings.ContainsAny(e.Name, "=\x00") {
			return wrong(c, "An environment variable needs a name without '=', not %q.", clip(e.Name))
		}
	}
	return nil
}

func checkMounts(c *ecs.ContainerDefinition, volumes map[string]bool) error {
	for _, m := range c.MountPoints {
		switch {
		case !volumes[m.SourceVolume]:
			return refused("Unknown volume '%s' in the mountPoints of container '%s'.", clip(m.SourceVolume), c.Name)
		case !strings.HasPrefix(m.ContainerPath, "/"):
			return wrong(c, "The 'containerPath' of a mount point must begin with /, not %q.", clip(m.ContainerPath))
		}
	}
	return nil
}

func checkHealthCheck(c *ecs.ContainerDefinition) error {
	hc := c.HealthCheck
	if hc == nil {
		return nil
	}
	if len(hc.Command) < 2 || !slices.Contains([]string{"CMD", "CMD-SHELL"}, hc.Command[0]) {
		return wrong(c, "A health check's command must be CMD or CMD-SHELL and what to run.")
	}
	for _, n := range []struct {
		name     string
		value    *int32
		from, to int32
	}{
		{"interval", hc.Interval, 5, 300}, {"timeout", hc.Timeout, 2, 60},
		{"retries", hc.Retries, 1, 10}, {"startPeriod", hc.StartPeriod, 0, 300},
	} {
		if n.value != nil && (*n.value < n.from || *n.value > n.to) {
			return wrong(c, "A health check's %s must be from %d to %d, not %d.", n.name, n.from, n.to, *n.value)
		}
	}
	return nil
}

func checkTimesAndLimits(c *ecs.ContainerDefinition) error {
	if c.StartTimeout != nil && *c.StartTimeout < 2 {
		return wrong(c, "'startTimeout' must be at least 2 seconds.")
	}
	if c.StopTimeout != nil && *c.StopTimeout < 0 {
		return wrong(c, "'stopTimeout' must not be negative.")
	}
	seen := map[ecs.UlimitName]bool{}
	for _, u := range c.Ulimits {
		switch {
		case u.SoftLimit > u.HardLimit && u.HardLimit != -1, u.SoftLimit == -1 && u.HardLimit != -1:
			return wrong(c, "The soft limit of ulimit %s must not be above the hard one.", u.Name)
		case seen[u.Name]:
			return wrong(c, "The ulimit %s is given twice.", u.Name)
		}
		seen[u.Name] = true
	}
	for _, e := range c.ExtraHosts {
		if e.Hostname == "" || e.IpAddress == "" || strings.ContainsAny(e.Hostname, ": ") {
			return wrong(c, "An extra host needs a hostname and an ipAddress.")
		}
	}
	return nil
}
