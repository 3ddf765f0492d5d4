package api

import (
	"strings"

	"github.com/longshore/longshore/controlplane/launch"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

// rebalancingShown is the availabilityZoneRebalancing of a service. One that never had a
// value is treated as DISABLED (UpdateService, ECS API reference).
func rebalancingShown(s *model.Service) ecs.AvailabilityZoneRebalancing {
	if s.AvailabilityZoneRebalancing == "" {
		return ecs.AvailabilityZoneRebalancingDISABLED
	}
	return s.AvailabilityZoneRebalancing
}

// checkRebalancing refuses to keep a service even over zones that cannot be (ECS guide,
// balancing a service across Availability Zones).
func checkRebalancing(s *model.Service) error {
	if s.AvailabilityZoneRebalancing != ecs.AvailabilityZoneRebalancingENABLED {
		return nil
	}
	why := ""
	switch {
	case isDaemon(s):
		why = "the DAEMON scheduling strategy"
	case s.HasTaskSets():
		return unsupported("availabilityZoneRebalancing with the deployment controller " + string(s.Controller))
	case s.LaunchType == ecs.LaunchTypeEXTERNAL:
		why = "the EXTERNAL launch type"
	case *s.DeploymentConfiguration.MaximumPercent <= 100:
		why = "a maximumPercent of 100"
	case len(s.PlacementStrategy) > 0 && !spreadsOverZones(s.PlacementStrategy[0]):
		why = "a first placement strategy other than spread by attribute:" + launch.ZoneAttribute
	case constrainsZones(s.PlacementConstraints):
		why = "a placement constraint on attribute:" + launch.ZoneAttribute
	default:
		return nil
	}
	return invalid("availabilityZoneRebalancing ENABLED is not supported with %s. Set it to DISABLED, or change that.", why)
}

func spreadsOverZones(s ecs.PlacementStrategy) bool {
	return s.Type == ecs.PlacementStrategyTypeSpread && strings.EqualFold(s.Field, "attribute:"+launch.ZoneAttribute)
}

func constrainsZones(constraints []ecs.PlacementConstraint) bool {
	for _, c := range constraints {
		if strings.Contains(c.Expression, "attribute:"+launch.ZoneAttribute) {
			return true
		}
	}
	return false
}
