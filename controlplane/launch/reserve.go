package launch

import (
	"strconv"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

// Reserve returns what a task of the definition takes of its instance: its own cpu
// and memory if given, else the sum over its containers of cpu and of
// memoryReservation (else memory), and the host ports that it fixes (ECS guide,
// task definition parameters). In awsvpc mode the ports are of the task's own
// interface and take nothing of the instance.
func Reserve(d *ecs.TaskDefinition, o *ecs.TaskOverride) model.Reservation {
	var r model.Reservation
	for i := range d.ContainerDefinitions {
		c := Effective(&d.ContainerDefinitions[i], o)
		r.CPU += int64(c.Cpu)
		switch {
		case c.MemoryReservation != nil:
			r.MemoryMiB += int64(*c.MemoryReservation)
		case c.Memory != nil:
			r.MemoryMiB += int64(*c.Memory)
		}
		for _, p := range c.PortMappings {
			if d.NetworkMode == ecs.NetworkModeAwsvpc {
				break
			}
			if p.HostPort == nil || *p.HostPort == 0 {
				continue // the engine chooses one when the container starts
			}
			port := uint16(*p.HostPort) // registration has checked its range
			if p.Protocol == ecs.TransportProtocolUdp {
				r.UDP = append(r.UDP, port)
			} else {
				r.TCP = append(r.TCP, port)
			}
		}
	}
	cpu, memory := Size(d, o)
	if cpu > 0 {
		r.CPU = cpu
	}
	if memory > 0 {
		r.MemoryMiB = memory
	}
	return r
}

// Size returns a task's own cpu in CPU units and memory in MiB, each 0 if neither
// the definition nor an override gives it. Both are plain numbers by the time that
// they are stored.
func Size(d *ecs.TaskDefinition, o *ecs.TaskOverride) (cpu, memory int64) {
	cpu, memory = number(d.Cpu), number(d.Memory)
	if o != nil && o.Cpu != "" {
		cpu = number(o.Cpu)
	}
	if o != nil && o.Memory != "" {
		memory = number(o.Memory)
	}
	return cpu, memory
}

func number(s string) int64 {
	if s == "" {
		return 0 // which ParseInt would make an error of, for nobody to read
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0 // not given
	}
	return n
}

// gpuCount is how many GPUs a task of the definition needs.
func gpuCount(d *ecs.TaskDefinition, o *ecs.TaskOverride) int {
	n := 0
	for i := range d.ContainerDefinitions {
		n += gpusOf(&d.ContainerDefinitions[i], o)
	}
	return n
}

// gpusOf is how many of them are one container's. Registration and the checks of
// overrides have seen to it that the value is a number.
func gpusOf(c *ecs.ContainerDefinition, o *ecs.TaskOverride) int {
	requirements := c.ResourceRequirements
	if co := overrideOf(c, o); co != nil && len(co.ResourceRequirements) > 0 {
		requirements = co.ResourceRequirements
	}
	for _, r := range requirements {
		if n, err := strconv.Atoi(r.Value); err == nil && r.Type == ecs.ResourceTypeGPU {
			return n
		}
	}
	return 0
}

// overrideOf is what a task's overrides say of a container; nil for nothing.
func overrideOf(c *ecs.ContainerDefinition, o *ecs.TaskOverride) *ecs.ContainerOverride {
	if o == nil {
		return nil
	}
	for i := range o.ContainerOverrides {
		if o.ContainerOverrides[i].Name == c.Name {
			return &o.ContainerOverrides[i]
		}
	}
	return nil
}

// Effective returns a container of the definition with the task's overrides of
// its numbers applied. Its environment and command are the agent's to override.
func Effective(c *ecs.ContainerDefinition, o *ecs.TaskOverride) ecs.ContainerDefinition {
	out := *c
	co := overrideOf(c, o)
	if co == nil {
		return out
	}
	if co.Cpu != nil {
		out.Cpu = *co.Cpu
	}
	if co.Memory != nil {
		out.Memory = co.Memory
	}
	if co.MemoryReservation != nil {
		out.MemoryReservation = co.MemoryReservation
	}
	if len(co.ResourceRequirements) > 0 {
		out.ResourceRequirements = co.ResourceRequirements
	}
	return out
}
