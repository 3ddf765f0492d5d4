package rollout

import (
	"slices"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

// Deploy returns the service with a new PRIMARY deployment of a definition: what
// CreateService, UpdateService and a rollback have in common. The older
// deployments become ACTIVE and are emptied by the plans that follow. Where its tasks
// run (the launch type, or the capacity provider strategy in its place) and how they
// are wired is the service's.
func Deploy(s model.Service, id model.DeploymentID, def model.DefinitionRef, now time.Time) model.Service {
	deployments := make([]model.Deployment, 0, len(s.Deployments)+1)
	deployments = append(deployments, model.Deployment{
		ID:         id,
		Status:     model.DeploymentPrimary,
		Definition: def,
		LaunchType: s.LaunchType,

		CapacityProviderStrategy: s.CapacityProviderStrategy,
		Wiring:                   s.Wiring,

		DesiredCount:       s.DesiredCount,
		CreatedAt:          now,
		UpdatedAt:          now,
		RolloutState:       ecs.DeploymentRolloutStateINPROGRESS,
		RolloutStateReason: reasonInProgress(id),
	})
	for _, d := range s.Deployments {
		if d.Status != model.DeploymentActive {
			d.Status, d.UpdatedAt = model.DeploymentActive, now
		}
		deployments = append(deployments, d)
	}
	s.Deployments = deployments
	return Renewed(s)
}

// Renewed returns the service without the memory of what went wrong and of what
// was already said, as after any change by UpdateService.
func Renewed(s model.Service) model.Service {
	s.FailedStarts, s.PauseUntil = 0, time.Time{}
	s.LastPlacement, s.SteadyReported, s.Rebalancing = "", false, false
	s.TaskSets = slices.Clone(s.TaskSets)
	for i := range s.TaskSets {
		set := &s.TaskSets[i]
		set.FailedStarts, set.PauseUntil, set.LastPlacement = 0, time.Time{}, ""
	}
	return s
}
