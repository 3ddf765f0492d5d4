package model

import "strings"

// Attributes by which an agent says what its host offers. Like those of ECS, they
// are the agent's alone to give.
const (
	SubnetAttribute     = "longshore.subnet."    // and the subnet's id: tasks in awsvpc mode can be in it
	FileSystemAttribute = "longshore.efs."       // and the id of an EFS file system
	AnySubnetAttribute  = "longshore.any-subnet" // a subnet that is not offered is taken for the default one
	FargateAttribute    = "longshore.fargate"    // the host takes tasks of the launch type FARGATE
	TaskSizeAttribute   = "ecs.capability.task-cpu-mem-limit"
)

// IsOffer tells whether an attribute is one of those.
func IsOffer(attribute string) bool {
	return attribute == FargateAttribute || attribute == AddressAttribute || attribute == AnySubnetAttribute || strings.HasPrefix(attribute, SubnetAttribute) || strings.HasPrefix(attribute, FileSystemAttribute)
}
