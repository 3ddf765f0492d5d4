package model

import (
	"slices"

	"github.com/longshore/longshore/proto/ecs"
)

// HostPort is the port of the host that leads to a container's; 0 if there is none, or
// none any more: when a container has ended, its ports may be given to another.
func (t *Task) HostPort(container string, port int32) uint16 {
	for i := range t.Containers {
		c := &t.Containers[i]
		if c.Name != container || c.LastStatus == TaskStopped {
			continue
		}
		for _, b := range c.NetworkBindings {
			if b.ContainerPort != nil && *b.ContainerPort == port && b.HostPort != nil && b.Protocol != "udp" {
				return uint16(*b.HostPort)
			}
		}
	}
	return 0
}

// ContainerEnded tells whether a container of the task is known to have ended.
func (t *Task) ContainerEnded(name string) bool {
	return slices.ContainsFunc(t.Containers, func(c Container) bool { return c.Name == name && c.LastStatus == TaskStopped })
}

// HasNewPorts tells whether the task has ports of its host that it did not have before.
func (t *Task) HasNewPorts(old *Task) bool {
	for i := range t.Containers {
		if !slices.EqualFunc(t.Containers[i].NetworkBindings, old.Containers[i].NetworkBindings, sameBinding) {
			return true
		}
	}
	return false
}

// StartsContainer tells whether a container of the task runs now that did not before.
func (t *Task) StartsContainer(old *Task) bool {
	for i := range t.Containers {
		if t.Containers[i].LastStatus == TaskRunning && old.Containers[i].LastStatus.Before(TaskRunning) {
			return true
		}
	}
	return false
}

// WithoutPortsOf returns the task without those ports of its host that another task on
// it has; false if it has none of them.
func (t *Task) WithoutPortsOf(other *Task) (*Task, bool) {
	out := t
	for i := range t.Containers {
		kept := slices.DeleteFunc(slices.Clone(t.Containers[i].NetworkBindings), other.has)
		if len(kept) == len(t.Containers[i].NetworkBindings) {
			continue
		}
		if out == t {
			copied := *t
			copied.Containers = slices.Clone(t.Containers)
			copied.Version++
			out = &copied
		}
		out.Containers[i].NetworkBindings = kept
	}
	return out, out != t
}

// has tells whether a container of the task that runs has the host port of a binding.
func (t *Task) has(b ecs.NetworkBinding) bool {
	if b.HostPort == nil {
		return false
	}
	for i := range t.Containers {
		if t.Containers[i].LastStatus != TaskRunning {
			continue
		}
		for _, own := range t.Containers[i].NetworkBindings {
			if own.HostPort != nil && *own.HostPort == *b.HostPort && own.Protocol == b.Protocol && sameAddress(own.BindIP, b.BindIP) {
				return true
			}
		}
	}
	return false
}

// sameAddress tells whether what is sent to one address may arrive at the other: they
// are the same, or one stands for all of the host.
func sameAddress(a, b string) bool {
	all := func(s string) bool { return s == "" || s == "0.0.0.0" || s == "::" }
	return a == b || all(a) || all(b)
}
