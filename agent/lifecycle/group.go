package lifecycle

import (
	"fmt"
	"strconv"
	"strings"
)

// Group is a control group that all containers of a task are in.
type Group struct {
	Name string // GroupName
	// CPU is the most that the task gets, in CPU units of 1/1024 processor, and 0
	// for no bound; Shares is its weight against other tasks.
	CPU, Shares int64
	MemoryBytes int64 // 0: no bound
}

// GroupName is the name of a task's group: the id of the container instance, so
// that agents on one host tell theirs apart, and that of the task.
func GroupName(instanceARN, taskARN string) string {
	return strings.TrimSuffix(GroupOwner(instanceARN), "_") + GroupSuffix(taskARN)
}

// GroupSuffix is what the names of a task's groups end with.
func GroupSuffix(taskARN string) string { return "_" + groupPart(taskARN) }

// GroupOwner is what the names of an instance's groups begin with.
func GroupOwner(instanceARN string) string { return groupPart(instanceARN) + "_" }

// groupPart is the id at the end of an ARN. A hyphen has a meaning in the names
// of slices.
func groupPart(arn string) string {
	return strings.ReplaceAll(arn[strings.LastIndexByte(arn, '/')+1:], "-", "_")
}

// SetupError is why a task's surroundings could not be made, but for its volumes.
type SetupError struct{ Err error }

func (e *SetupError) Error() string { return e.Err.Error() }
func (e *SetupError) Unwrap() error { return e.Err }

// size is the cpu and memory of the task as a whole; 0 is none.
type size struct {
	cpu    int64 // CPU units
	memory int64 // bytes
}

func (b *builder) prepareSize() error {
	cpu, memory := b.Definition.Cpu, b.Definition.Memory
	if o := b.Overrides; o != nil {
		if o.Cpu != "" {
			cpu = o.Cpu
		}
		if o.Memory != "" {
			memory = o.Memory
		}
	}
	for _, s := range []struct {
		what, text string
		n          *int64
		unit       int64
	}{{"cpu", cpu, &b.size.cpu, 1}, {"memory", memory, &b.size.memory, mebibyte}} {
		if s.text == "" {
			continue
		}
		n, err := strconv.ParseInt(s.text, 10, 64)
		if err != nil || n <= 0 {
			return fmt.Errorf("%s of the task is %q, which is no number above 0", s.what, s.text)
		}
		*s.n = n * s.unit
	}
	if b.size != (size{}) && b.Host.GroupParent == nil {
		return fmt.Errorf("this host cannot limit the cpu and memory of a task")
	}
	return nil
}

// groups are the control groups of the task: one if it has a size. Without a cpu
// of its own it weighs as much as its containers together, as in the ECS agent.
func (b *builder) groups() []Group {
	if b.size == (size{}) {
		return nil
	}
	shares := b.size.cpu
	if shares == 0 {
		for i := range b.Definition.ContainerDefinitions {
			c := &b.Definition.ContainerDefinitions[i]
			cpu := int64(c.Cpu)
			if o := b.override(c.Name); o != nil {
				cpu = override(cpu, o.Cpu)
			}
			shares += max(cpu, minCPUShares)
		}
	}
	return []Group{{Name: GroupName(b.Instance, b.ARN), CPU: b.size.cpu, Shares: shares, MemoryBytes: b.size.memory}}
}
