package api

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/longshore/longshore/controlplane/launch"
	"github.com/longshore/longshore/proto/ecs"
)

const maxOverrides = 8192 // characters of a task's overrides as JSON (RunTask, seed 000)

var honouredOfOverride = []string{"name", "command", "environment", "cpu", "memory", "memoryReservation"}

// checkOverrides checks a task's overrides against its definition.
func checkOverrides(o *ecs.TaskOverride, d *ecs.TaskDefinition) error {
	if o == nil {
		return nil
	}
	encoded, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("measuring overrides: %w", err)
	}
	if n := utf8.RuneCount(encoded); n > maxOverrides {
		return invalid("The overrides are %d characters long; at most %d are allowed.", n, maxOverrides)
	}
	if err := refuseUnhonoured(o, "containerOverrides", "taskRoleArn"); err != nil {
		return err
	}
	if o.TaskRoleArn != "" && !roleForm.MatchString(o.TaskRoleArn) {
		return invalid("Role is not valid: %s", clip(o.TaskRoleArn))
	}
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
		for _, check := range []func(*ecs.ContainerDefinition) error{checkAmounts, checkEnvironment} {
			if err := check(&effective); err != nil {
				return invalid("Override for container %s: %s", co.Name, messageOf(err))
			}
		}
	}
	return nil
}

// messageOf is the text of a refusal without its code.
func messageOf(err error) string {
	e, _ := refusal(err)
	return e.Message
}
