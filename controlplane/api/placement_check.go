package api

import (
	"strings"

	"github.com/longshore/longshore/controlplane/launch"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/placement"
	"github.com/longshore/longshore/proto/ecs"
)

const (
	maxConstraints = 10 // of a task
	maxStrategies  = 5
)

// readConstraints checks placement constraints and compiles them.
func readConstraints(in []ecs.PlacementConstraint) (launch.Constraints, error) {
	if len(in) > maxConstraints {
		return launch.Constraints{}, errTooManyConstraints(len(in))
	}
	for _, c := range in {
		switch {
		case c.Type != ecs.PlacementConstraintTypeDistinctInstance && c.Type != ecs.PlacementConstraintTypeMemberOf:
			return launch.Constraints{}, invalid("A placement constraint needs a type: distinctInstance or memberOf.")
		case c.Type == ecs.PlacementConstraintTypeDistinctInstance && c.Expression != "":
			return launch.Constraints{}, invalid("distinctInstance expression should not be specified.")
		case c.Type == ecs.PlacementConstraintTypeMemberOf && strings.TrimSpace(c.Expression) == "":
			return launch.Constraints{}, invalid("The placement constraint memberOf needs an expression.")
		}
	}
	compiled, err := launch.ParseConstraints(in)
	if err != nil {
		return launch.Constraints{}, invalid("Invalid placement constraint: %s.", err)
	}
	return compiled, nil
}

// checkConstraintsOfTask checks the number of constraints that a task has from its
// definition and at run time (RegisterTaskDefinition, seed 000).
func checkConstraintsOfTask(d *model.Definition, given []ecs.PlacementConstraint) error {
	if n := len(d.Shape.PlacementConstraints) + len(given); n > maxConstraints {
		return errTooManyConstraints(n)
	}
	return nil
}

func errTooManyConstraints(n int) error {
	return invalid("A task has at most %d placement constraints, those of its task definition included, not %d.", maxConstraints, n)
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
