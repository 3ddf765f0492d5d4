package api

import (
	"slices"
	"strings"

	"github.com/longshore/longshore/proto/ecs"
)

// Attributes by which a definition asks for hosts that can do what it uses. An
// agent registers those that its host has. ECS also asks for versions of the
// Docker API; every engine that an agent runs on has those that are needed here.
const (
	attributeArchitecture  = "ecs.cpu-architecture"
	attributeOS            = "ecs.os-type"
	capabilityPrivileged   = "com.amazonaws.ecs.capability.privileged-container"
	capabilityOrdering     = "ecs.capability.container-ordering"
	capabilityHealthChecks = "ecs.capability.container-health-check"
)

// newDefinition is a definition that passed its check, with everything filled in
// that ECS fills in. Its revision is still to be given.
func (h *Handler) newDefinition(in *ecs.RegisterTaskDefinitionRequest) ecs.TaskDefinition {
	d := ecs.TaskDefinition{
		ContainerDefinitions:    slices.Clone(in.ContainerDefinitions),
		Family:                  in.Family,
		ExecutionRoleArn:        in.ExecutionRoleArn,
		NetworkMode:             in.NetworkMode,
		Volumes:                 fillVolumes(in.Volumes),
		Status:                  ecs.TaskDefinitionStatusACTIVE,
		PlacementConstraints:    []ecs.TaskDefinitionPlacementConstraint{},
		Compatibilities:         []ecs.Compatibility{ecs.CompatibilityEXTERNAL, ecs.CompatibilityEC2},
		RuntimePlatform:         in.RuntimePlatform,
		RequiresCompatibilities: in.RequiresCompatibilities,
		RegisteredAt:            ecs.At(h.Clock()),
		RegisteredBy:            h.principal(),
	}
	for i := range d.ContainerDefinitions {
		fillContainer(&d.ContainerDefinitions[i], in.NetworkMode)
	}
	d.RequiresAttributes = requirements(&d)
	return d
}

// principal is who made something. Whoever has a key acts for the whole account.
func (h *Handler) principal() string { return "arn:aws:iam::" + h.Owner.Account + ":root" }

func fillVolumes(in []ecs.Volume) []ecs.Volume {
	out := orEmpty(slices.Clone(in))
	for i := range out {
		if out[i].Host == nil {
			out[i].Host = &ecs.HostVolumeProperties{}
		}
	}
	return out
}

// fillContainer gives a container the defaults that ECS answers.
func fillContainer(c *ecs.ContainerDefinition, mode ecs.NetworkMode) {
	if c.Essential == nil {
		c.Essential = pointer(true)
	}
	c.Environment = orEmpty(c.Environment)
	c.MountPoints = orEmpty(c.MountPoints)
	c.VolumesFrom = orEmpty(c.VolumesFrom)
	c.PortMappings = orEmpty(slices.Clone(c.PortMappings))
	for i := range c.PortMappings {
		p := &c.PortMappings[i]
		p.HostPort = pointer(hostPortOf(p, mode))
		p.Protocol = protocolOf(p)
	}
	if c.HealthCheck != nil {
		hc := *c.HealthCheck
		hc.Interval = orDefault(hc.Interval, 30)
		hc.Timeout = orDefault(hc.Timeout, 5)
		hc.Retries = orDefault(hc.Retries, 3)
		c.HealthCheck = &hc
	}
}

func pointer[T any](v T) *T { return &v }

func orDefault[T any](v *T, standard T) *T {
	if v == nil {
		return &standard
	}
	return v
}

// requirements works out which attributes an instance must have, in order of name.
func requirements(d *ecs.TaskDefinition) []ecs.Attribute {
	needs := map[string]*string{}
	for i := range d.ContainerDefinitions {
		c := &d.ContainerDefinitions[i]
		for _, r := range []struct {
			used bool
			name string
		}{
			{c.Privileged != nil && *c.Privileged, capabilityPrivileged},
			{len(c.DependsOn) > 0, capabilityOrdering},
			{c.HealthCheck != nil, capabilityHealthChecks},
		} {
			if r.used {
				needs[r.name] = nil
			}
		}
	}
	if p := d.RuntimePlatform; p != nil {
		if p.CpuArchitecture != "" {
			needs[attributeArchitecture] = pointer(strings.ToLower(string(p.CpuArchitecture)))
		}
		if p.OperatingSystemFamily != "" {
			needs[attributeOS] = pointer(strings.ToLower(string(p.OperatingSystemFamily)))
		}
	}
	out := make([]ecs.Attribute, 0, len(needs))
	for name, value := range needs {
		out = append(out, ecs.Attribute{Name: name, Value: value})
	}
	slices.SortFunc(out, func(a, b ecs.Attribute) int { return strings.Compare(a.Name, b.Name) })
	return out
}
