package launch

import (
	"github.com/longshore/longshore/controlplane/placement"
	"github.com/longshore/longshore/proto/ecs"
)

// Attributes of hosts that give tasks the credentials of their role.
const (
	roleAttribute     = "com.amazonaws.ecs.capability.task-iam-role"
	hostRoleAttribute = "com.amazonaws.ecs.capability.task-iam-role-network-host"
)

// roleAttributes are what a task needs whose role is in the overrides alone: a
// definition with a role requires them itself.
func roleAttributes(d *ecs.TaskDefinition, o *ecs.TaskOverride) []placement.Attribute {
	if o == nil || o.TaskRoleArn == "" || d.TaskRoleArn != "" {
		return nil
	}
	out := []placement.Attribute{{Name: roleAttribute, AnyValue: true}}
	if d.NetworkMode == ecs.NetworkModeHost {
		out = append(out, placement.Attribute{Name: hostRoleAttribute, AnyValue: true})
	}
	return out
}
