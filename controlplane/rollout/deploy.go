package rollout

import (
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

// Deploy returns the service with a new PRIMARY deployment of a definition: what
// CreateService, UpdateService and a rollback have in common. The older
// deployments become ACTIVE and are emptied by the plans that follow. The capacity
// provider strategy, if there is one instead of a launch type, is the service's.
func Deploy(s model.Service, id model.DeploymentID, def model.DefinitionRef, launch ecs.LaunchType, now time.Time) model.Service {
	deployments := make([]model.Deployment, 0, len(s.Deployments)+1)
	deployments = append(deployments, model.Deployment{
		ID:         id,
		Status:     model.DeploymentPrimary,
		Definition: def,
		LaunchType: launch,

		CapacityProviderStrategy: s.CapacityProviderStrategy,
		NetworkConfiguration:     s.NetworkConfiguration,
		PlatformVersion:          s.PlatformVersion,

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
	s.LastPlacement, s.SteadyReported = "", false
	return s
}
