package api

import (
	"slices"

	"github.com/longshore/longshore/controlplane/launch"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

func isDaemon(s *model.Service) bool { return s.SchedulingStrategy == ecs.SchedulingStrategyDAEMON }

func errDaemonCapacity() error {
	return invalid("Specifying a capacity provider strategy is not supported when you create a service using the DAEMON scheduling strategy.")
}

// applyStrategy changes where a service takes its capacity from. That needs a new
// deployment, which the caller must ask for (UpdateService).
func (h *Handler) applyStrategy(t *store.Tables, c *model.Cluster, s *model.Service, in *ecs.UpdateServiceRequest) error {
	switch {
	case in.CapacityProviderStrategy == nil:
		return nil
	case len(in.CapacityProviderStrategy) == 0 && len(s.CapacityProviderStrategy) > 0:
		return invalid("A service that uses a capacity provider strategy cannot be updated to use the default strategy of its cluster or a launch type.")
	case len(in.CapacityProviderStrategy) == 0:
		return nil
	case isDaemon(s):
		return errDaemonCapacity()
	}
	strategy, err := h.strategyFor(c.CapacityProviders, in.CapacityProviderStrategy)
	if err != nil {
		return err
	}
	if err := usable(strategy); err != nil {
		return err
	}
	if slices.Equal(strategy, s.CapacityProviderStrategy) {
		return nil
	}
	if !in.ForceNewDeployment {
		return invalid("When switching from launch type to capacity provider strategy on an existing service, or making a change to a capacity provider strategy on a service that is already using one, you must force a new deployment.")
	}
	s.LaunchType, s.CapacityProviderStrategy = "", strategy
	if d, ok := t.Definition(s.Primary().Definition); ok && in.TaskDefinition == nil {
		_, err = checkLaunchType(launch.LaunchTypeOf(strategy), &d.Shape)
	}
	return err
}
