package api

import (
	"strings"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

// What managed scaling is where a request does not say (ManagedScaling, seed 000).
const (
	standardTargetCapacity = 100
	standardMinimumStep    = 1
	standardMaximumStep    = 10000
	standardWarmup         = 300 // seconds
)

// checkProviderName checks the name of a new capacity provider.
func checkProviderName(name string) error {
	if !model.ValidName(name) {
		return invalid("A capacity provider's name is 1 to 255 letters, digits, hyphens and underscores, not %q.", clip(name))
	}
	for _, prefix := range []string{"aws", "ecs", "fargate"} {
		if len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
			return invalid("The name of a capacity provider cannot be prefixed with aws, ecs or fargate, as %q is.", clip(name))
		}
	}
	return nil
}

// newGroup is the group of hosts that a request asks for, with its defaults.
func (h *Handler) newGroup(in *ecs.AutoScalingGroupProvider) (ecs.AutoScalingGroupProvider, error) {
	group := ecs.AutoScalingGroupProvider{
		ManagedScaling: &ecs.ManagedScaling{
			Status:                 ecs.ManagedScalingStatusDISABLED,
			TargetCapacity:         pointer[int32](standardTargetCapacity),
			MinimumScalingStepSize: pointer[int32](standardMinimumStep),
			MaximumScalingStepSize: pointer[int32](standardMaximumStep),
			InstanceWarmupPeriod:   pointer[int32](standardWarmup),
		},
		ManagedTerminationProtection: ecs.ManagedTerminationProtectionDISABLED,
		ManagedDraining:              ecs.ManagedDrainingENABLED,
	}
	if in == nil {
		return group, invalid("autoScalingGroupProvider is required.")
	}
	if err := h.checkGroupARN(in.AutoScalingGroupArn); err != nil {
		return group, err
	}
	group.AutoScalingGroupArn = in.AutoScalingGroupArn
	return updatedGroup(group, &ecs.AutoScalingGroupProviderUpdate{
		ManagedScaling:               in.ManagedScaling,
		ManagedTerminationProtection: in.ManagedTerminationProtection,
		ManagedDraining:              in.ManagedDraining,
	})
}

// checkGroupARN checks the form of the ARN. That there is such a group nobody can
// say: it is a pool of hosts, which may all be still to come.
func (h *Handler) checkGroupARN(arn string) error {
	parts := strings.SplitN(arn, ":", 8)
	if len(parts) != 8 || parts[0] != "arn" || parts[2] != "autoscaling" || parts[5] != "autoScalingGroup" || parts[6] == "" {
		return invalid("The specified Auto Scaling group ARN is not valid. Specify a valid ARN and try again.")
	}
	if parts[3] != h.Owner.Region || parts[4] != h.Owner.Account {
		return invalid("The Auto Scaling group must be of the account %s in the region %s, but its ARN is %s.", h.Owner.Account, h.Owner.Region, clip(arn))
	}
	pool := model.PoolOf(arn)
	if pool == "" || !attributeValue.MatchString(pool) || strings.TrimSpace(pool) != pool {
		return invalid("The name of the Auto Scaling group must be a legal value of the attribute %s, which %q is not.", model.PoolAttribute, clip(pool))
	}
	return nil
}

// updatedGroup is a group with what a request changes of it; what the request does
// not name stays.
func updatedGroup(have ecs.AutoScalingGroupProvider, in *ecs.AutoScalingGroupProviderUpdate) (ecs.AutoScalingGroupProvider, error) {
	scaling := *have.ManagedScaling
	if s := in.ManagedScaling; s != nil {
		replace(&scaling.Status, s.Status)
		replace(&scaling.TargetCapacity, s.TargetCapacity)
		replace(&scaling.MinimumScalingStepSize, s.MinimumScalingStepSize)
		replace(&scaling.MaximumScalingStepSize, s.MaximumScalingStepSize)
		replace(&scaling.InstanceWarmupPeriod, s.InstanceWarmupPeriod)
	}
	have.ManagedScaling = &scaling
	replace(&have.ManagedTerminationProtection, in.ManagedTerminationProtection)
	replace(&have.ManagedDraining, in.ManagedDraining)
	switch {
	case *scaling.MinimumScalingStepSize > *scaling.MaximumScalingStepSize:
		return have, invalid("minimumScalingStepSize must not be above maximumScalingStepSize: %d is above %d.",
			*scaling.MinimumScalingStepSize, *scaling.MaximumScalingStepSize)
	case have.ManagedTerminationProtection == ecs.ManagedTerminationProtectionENABLED && scaling.Status != ecs.ManagedScalingStatusENABLED:
		return have, invalid("The managed termination protection setting for the capacity provider is invalid. To enable managed termination protection, managed scaling must be enabled.")
	}
	return have, nil
}

// replace puts a value in the place of another, unless it says nothing.
func replace[T comparable](have *T, next T) {
	var nothing T
	if next != nothing {
		*have = next
	}
}
