package api

import (
	"github.com/longshore/longshore/controlplane/launch"
	"github.com/longshore/longshore/controlplane/placement"
	"github.com/longshore/longshore/proto/ecs"
)

const (
	maxConstraints = 10 // of a task
	maxStrategies  = 5
)

// checkConstraints checks placement constraints. memberOf needs the cluster query
// language, which is still to come.
func checkConstraints(in []ecs.PlacementConstraint) error {
	if len(in) > maxConstraints {
		return invalid("At most %d placement constraints can be given, not %d.", maxConstraints, len(in))
	}
	for _, c := range in {
		switch {
		case c.Type == ecs.PlacementConstraintTypeMemberOf:
			return unsupported("the placement constraint memberOf")
		case c.Type != ecs.PlacementConstraintTypeDistinctInstance:
			return invalid("A placement constraint needs a type: distinctInstance or memberOf.")
		case c.Expression != "":
			return invalid("The placement constraint distinctInstance takes no expression.")
		}
	}
	return nil
}

// checkStrategies reads placement strategies.
func checkStrategies(in []ecs.PlacementStrategy) ([]placement.Strategy, error) {
	if len(in) > maxStrategies {
		return nil, invalid("At most %d placement strategies can be given, not %d.", maxStrategies, len(in))
	}
	for _, s := range in {
		if s.Type == ecs.PlacementStrategyTypeRandom && s.Field != "" {
			return nil, invalid("The placement strategy random takes no field.")
		}
	}
	strategies, err := launch.Strategies(in)
	if err != nil {
		return nil, invalid("%s", clip(err.Error()))
	}
	return strategies, nil
}

// checkLaunchType returns the launch type of new tasks of a definition.
func checkLaunchType(asked ecs.LaunchType, d *ecs.TaskDefinition) (ecs.LaunchType, error) {
	if asked == "" {
		asked = ecs.LaunchTypeEC2
	}
	for _, c := range d.Compatibilities {
		if string(c) == string(asked) {
			return asked, nil
		}
	}
	return "", refused("Task definition does not support launch_type %s.", asked)
}
