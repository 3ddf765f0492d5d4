package launch

import (
	"fmt"

	"github.com/longshore/longshore/controlplane/placement"
	"github.com/longshore/longshore/controlplane/query"
	"github.com/longshore/longshore/proto/ecs"
)

// Constraints are placement constraints, read and compiled once for many placements.
type Constraints struct {
	distinct bool
	memberOf []placement.Predicate
	byTasks  bool
}

// ParseConstraints compiles the constraints of a request or a service. The error says
// what is wrong with which expression.
func ParseConstraints(in []ecs.PlacementConstraint) (Constraints, error) {
	var c Constraints
	for _, each := range in {
		if each.Type == ecs.PlacementConstraintTypeDistinctInstance {
			c.distinct = true
		} else if err := c.addMemberOf(each.Expression); err != nil {
			return Constraints{}, err
		}
	}
	return c, nil
}

func (c *Constraints) addMemberOf(expression string) error {
	e, err := query.Parse(expression)
	if err != nil {
		const shown = 100
		return fmt.Errorf("expression %.*q: %w", shown, expression, err)
	}
	// Grows a list of its own: the constraints of a request serve several orders.
	c.memberOf = append(c.memberOf[:len(c.memberOf):len(c.memberOf)], placement.MemberOf(e))
	c.byTasks = c.byTasks || e.DependsOnTasks()
	return nil
}

// constrain sets the constraints of an order: the given ones, and those of its definition.
func (o *Order) constrain(given Constraints) error {
	for _, each := range o.Definition.Shape.PlacementConstraints {
		if err := given.addMemberOf(each.Expression); err != nil {
			return fmt.Errorf("placement constraint of task definition %s: %w", o.Definition.Ref, err)
		}
	}
	o.constraints = given
	return nil
}

// DependsOnTasks tells whether an instance can come to match the constraints of the order,
// or no longer match them, by the tasks on it.
func (o *Order) DependsOnTasks() bool { return o.constraints.byTasks }

// Standalone returns the order for tasks that a caller starts, made of what is given and
// the constraints of its definition.
func Standalone(o Order, given Constraints) (*Order, error) {
	return &o, o.constrain(given)
}
