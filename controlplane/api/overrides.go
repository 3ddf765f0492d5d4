package api

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/longshore/longshore/controlplane/launch"
	"github.com/longshore/longshore/proto/ecs"
)

const maxOverrides = 8192 // characters of a task's overrides as JSON (RunTask, seed 000)

var honouredOfOverride = []string{"name", "command", "environment", "cpu", "memory", "memoryReservation", "environmentFiles", "resourceRequirements"}

// checkOverrides checks a task's overrides against its definition, and returns them
// with the task's cpu and memory as plain numbers.
func checkOverrides(o *ecs.TaskOverride, d *ecs.TaskDefinition, l ecs.LaunchType) (*ecs.TaskOverride, error) {
	if o == nil {
		return nil, nil
	}
	encoded, err := encode(nil, o)
	if err != nil {
		return nil, fmt.Errorf("measuring overrides: %w", err)
	}
	if n := utf8.RuneCount(encoded); n > maxOverrides {
		return nil, invalid("The overrides are %d characters long; at most %d are allowed.", n, maxOverrides)
	}
	if err := refuseUnhonoured(o, "containerOverrides", "cpu", "memory", "executionRoleArn", "taskRoleArn"); err != nil {
		return nil, err
	}
	if o.TaskRoleArn != "" && !roleForm.MatchString(o.TaskRoleArn) {
		return nil, invalid("Role is not valid: %s", clip(o.TaskRoleArn))
	}
	out := *o
	if err := checkSizeOverride(&out, d, l); err != nil {
		return nil, err
	}
	return &out, checkContainerOverrides(o, d)
}

// checkSizeOverride checks the cpu and memory that a task is to have instead of its
// definition's, and rewrites them to plain numbers.
func checkSizeOverride(o *ecs.TaskOverride, d *ecs.TaskDefinition, l ecs.LaunchType) error {
	if o.Cpu == "" && o.Memory == "" {
		return nil
	}
	size := ecs.RegisterTaskDefinitionRequest{Cpu: o.Cpu, Memory: o.Memory}
	if err := normaliseSize(&size); err != nil {
		return invalid("Override of the task: %s", messageOf(err))
	}
	o.Cpu, o.Memory = size.Cpu, size.Memory
	cpu, memory := launch.Size(d, o)
	switch {
	case l == ecs.LaunchTypeFARGATE && !fargateOffers(cpu, memory):
		return invalid("No Fargate configuration exists for given values: CPU %d, memory %d.", cpu, memory)
	case l != ecs.LaunchTypeFARGATE && cpu != 0 && (cpu < minTaskCPU || cpu > maxTaskCPU):
		return invalid("Override of the task: on instances its cpu is from %d to %d CPU units, not %d.", minTaskCPU, maxTaskCPU, cpu)
	}
	return nil
}

func checkContainerOverrides(o *ecs.TaskOverride, d *ecs.TaskDefinition) error {
	containers := make(map[string]*ecs.ContainerDefinition, len(d.ContainerDefinitions))
	for i := range d.ContainerDefinitions {
		containers[d.ContainerDefinitions[i].Name] = &d.ContainerDefinitions[i]
	}
	seen := map[string]bool{}
	for i := range o.ContainerOverrides {
		co := &o.ContainerOverrides[i]
		c := containers[co.Name]
		switch {
		case co.Name == "":
			return invalid("Override for container needs the container's name.")
		case c == nil:
			return invalid("Override for container named %s is not a container in the TaskDefinition.", clip(co.Name))
		case seen[co.Name]:
			return invalid("Container %s is overridden twice.", co.Name)
		}
		seen[co.Name] = true
		if names := unhonoured(co, honouredOfOverride...); len(names) > 0 {
			return unsupported(strings.Join(names, ", ") + " of a container override")
		}
		effective := launch.Effective(c, o)
		effective.Environment = co.Environment
		effective.EnvironmentFiles = co.EnvironmentFiles // instead of the definition's
		for _, check := range []func(*ecs.ContainerDefinition) error{checkAmounts, checkEnvironment, checkEnvironmentFiles, checkRequirements, refuseAccelerators} {
			if err := check(&effective); err != nil {
				return invalid("Override for container %s: %s", co.Name, messageOf(err))
			}
		}
	}
	return nil
}

// refuseAccelerators: a definition's are refused as a whole; an override can only
// name them anew.
func refuseAccelerators(c *ecs.ContainerDefinition) error {
	for _, r := range c.ResourceRequirements {
		if r.Type != ecs.ResourceTypeGPU {
			return refused("Longshore does not support the resource requirement %s.", clip(string(r.Type)))
		}
	}
	return nil
}

// messageOf is the text of a refusal without its code.
func messageOf(err error) string {
	e, _ := refusal(err)
	return e.Message
}
