package api

import (
	"slices"

	"github.com/longshore/longshore/proto/ecs"
)

// newDefinition is a definition that passed its check, with everything filled in
// that ECS fills in. Its revision is still to be given.
func (h *Handler) newDefinition(in *ecs.RegisterTaskDefinitionRequest) ecs.TaskDefinition {
	d := ecs.TaskDefinition{
		ContainerDefinitions:    slices.Clone(in.ContainerDefinitions),
		Family:                  in.Family,
		TaskRoleArn:             in.TaskRoleArn,
		ExecutionRoleArn:        in.ExecutionRoleArn,
		NetworkMode:             in.NetworkMode,
		Volumes:                 fillVolumes(in.Volumes),
		Status:                  ecs.TaskDefinitionStatusACTIVE,
		PlacementConstraints:    orEmpty(in.PlacementConstraints),
		Compatibilities:         compatibilities(in),
		RuntimePlatform:         in.RuntimePlatform,
		RequiresCompatibilities: in.RequiresCompatibilities,
		Cpu:                     in.Cpu,
		Memory:                  in.Memory,
		InferenceAccelerators:   in.InferenceAccelerators,
		PidMode:                 in.PidMode,
		IpcMode:                 in.IpcMode,
		ProxyConfiguration:      in.ProxyConfiguration,
		RegisteredAt:            ecs.At(h.Clock()),
		RegisteredBy:            h.principal(),
		EphemeralStorage:        in.EphemeralStorage,
		EnableFaultInjection:    in.EnableFaultInjection,
	}
	for i := range d.ContainerDefinitions {
		fillContainer(&d.ContainerDefinitions[i], in.NetworkMode)
	}
	d.RequiresAttributes = requirements(&d)
	return d
}

// principal is who made something. Whoever has a key acts for the whole account.
func (h *Handler) principal() string { return "arn:aws:iam::" + h.Owner.Account + ":root" }

// fillVolumes says of a volume of no other kind that it is the host's.
func fillVolumes(in []ecs.Volume) []ecs.Volume {
	out := orEmpty(slices.Clone(in))
	for i := range out {
		v := &out[i]
		if v.DockerVolumeConfiguration == nil && v.EfsVolumeConfiguration == nil && v.S3filesVolumeConfiguration == nil &&
			v.FsxWindowsFileServerVolumeConfiguration == nil && !isTrue(v.ConfiguredAtLaunch) && v.Host == nil {
			v.Host = &ecs.HostVolumeProperties{}
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
		if p.ContainerPortRange == "" {
			p.HostPort = pointer(hostPortOf(p, mode))
		}
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
