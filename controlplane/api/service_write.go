package api

import (
	"context"
	"slices"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

func (h *Handler) createService(ctx context.Context, in *ecs.CreateServiceRequest) (*ecs.CreateServiceResponse, error) {
	wanted, err := newService(in)
	if err != nil {
		return nil, err
	}
	hash, err := requestHash(in, func(r *ecs.CreateServiceRequest) { r.ClientToken = "" })
	if err != nil {
		return nil, err
	}
	wanted.ClientToken, wanted.RequestHash = in.ClientToken, hash
	var service *model.Service
	err = h.store.Update(ctx, func(tx *store.Tx) error {
		c, err := h.cluster(tx.Tables, in.Cluster)
		if err != nil {
			return err
		}
		next := *wanted
		next.Cluster = c.Name
		have, exists := tx.Service(next.Key())
		if exists && store.ServiceLive(have) {
			service = have
			return sameCreation(have, wanted)
		}
		if exists {
			tx.DeleteService(have) // the name is free again, and so is its event stream
		}
		service = &next
		return h.begin(tx, c, service, in)
	})
	if err != nil {
		return nil, err
	}
	shape := h.serviceShape(h.store.View(), service, true)
	return &ecs.CreateServiceResponse{Service: &shape}, nil
}

// sameCreation refuses to create a service that is there, but for a repetition of
// the request that made it.
func sameCreation(have, wanted *model.Service) error {
	if wanted.ClientToken == "" || have.ClientToken != wanted.ClientToken || have.RequestHash != wanted.RequestHash {
		return invalid("Creation of service was not idempotent.")
	}
	return nil
}

// begin records a new service with its first deployment.
func (h *Handler) begin(tx *store.Tx, c *model.Cluster, s *model.Service, in *ecs.CreateServiceRequest) error {
	d, err := h.runnable(tx.Tables, in.TaskDefinition)
	if err != nil {
		return err
	}
	asked := in.LaunchType
	if asked == "" && isDaemon(s) {
		asked = ecs.LaunchTypeEC2 // no strategy divides what is on every host
	}
	from, err := h.capacityOf(c, asked, in.CapacityProviderStrategy, &d.Shape)
	if err != nil {
		return err
	}
	s.LaunchType, s.CapacityProviderStrategy = from.launchType, from.strategy
	if err := setNetwork(tx.Tables, s, in.NetworkConfiguration, in.PlatformVersion, &d.Shape); err != nil {
		return err
	}
	s.CreatedAt = h.Clock()
	s.Deployments = []model.Deployment{newDeployment(s, d.Ref, s.CreatedAt)}
	tx.PutService(s)
	return nil
}

// newDeployment begins a roll-out of a service; the loop carries it through.
func newDeployment(s *model.Service, ref model.DefinitionRef, now time.Time) model.Deployment {
	id := model.NewDeploymentID()
	return model.Deployment{
		ID:         id,
		Status:     model.DeploymentPrimary,
		Definition: ref,
		LaunchType: s.LaunchType,

		CapacityProviderStrategy: s.CapacityProviderStrategy,
		NetworkConfiguration:     s.NetworkConfiguration,
		PlatformVersion:          s.PlatformVersion,

		DesiredCount:       s.DesiredCount,
		CreatedAt:          now,
		UpdatedAt:          now,
		RolloutState:       ecs.DeploymentRolloutStateINPROGRESS,
		RolloutStateReason: "ECS deployment " + string(id) + " in progress.",
	}
}

func (h *Handler) updateService(ctx context.Context, in *ecs.UpdateServiceRequest) (*ecs.UpdateServiceResponse, error) {
	if err := checkServiceUpdate(in); err != nil {
		return nil, err
	}
	var service *model.Service
	err := h.store.Update(ctx, func(tx *store.Tx) error {
		c, err := h.cluster(tx.Tables, in.Cluster)
		if err != nil {
			return err
		}
		have, err := h.service(tx.Tables, c.Name, in.Service)
		if err != nil {
			return err
		}
		if have.Status != model.StatusActive {
			return ecs.Errorf(ecs.CodeServiceNotActive, "Service was not ACTIVE.")
		}
		next := *have
		next.Deployments = slices.Clone(have.Deployments)
		if err := applySettings(&next, in); err != nil {
			return err
		}
		if err := h.applyStrategy(tx.Tables, c, &next, in); err != nil {
			return err
		}
		if err := h.applyRollout(tx.Tables, &next, in); err != nil {
			return err
		}
		service = &next
		tx.PutService(service)
		return nil
	})
	if err != nil {
		return nil, err
	}
	shape := h.serviceShape(h.store.View(), service, true)
	return &ecs.UpdateServiceResponse{Service: &shape}, nil
}

// applySettings changes what needs no new deployment.
func applySettings(s *model.Service, in *ecs.UpdateServiceRequest) error {
	if in.DesiredCount != nil && s.SchedulingStrategy == ecs.SchedulingStrategyDAEMON {
		return errDaemonCount()
	}
	if in.DeploymentConfiguration != nil {
		merged := mergeDeployment(s.DeploymentConfiguration, in.DeploymentConfiguration)
		if err := checkDeployment(&merged, s.SchedulingStrategy); err != nil {
			return err
		}
		s.DeploymentConfiguration = merged
	}
	if in.PlacementStrategy != nil {
		if s.SchedulingStrategy == ecs.SchedulingStrategyDAEMON && len(in.PlacementStrategy) > 0 {
			return errDaemonStrategy()
		}
		s.PlacementStrategy = in.PlacementStrategy
	}
	if in.PlacementConstraints != nil {
		s.PlacementConstraints = in.PlacementConstraints
	}
	if in.EnableECSManagedTags != nil {
		s.EnableECSManagedTags = *in.EnableECSManagedTags
	}
	if in.PropagateTags != "" {
		s.PropagateTags = in.PropagateTags
	}
	// Whatever was wrong before may be mended now.
	s.FailedStarts, s.PauseUntil, s.LastPlacement, s.SteadyReported = 0, time.Time{}, "", false
	return nil
}

// applyRollout changes the number of tasks, and begins a new deployment for
// another definition or if the caller insists.
func (h *Handler) applyRollout(t *store.Tables, s *model.Service, in *ecs.UpdateServiceRequest) error {
	ref := s.Primary().Definition
	if in.TaskDefinition != nil && *in.TaskDefinition != "" {
		d, err := h.runnable(t, *in.TaskDefinition)
		if err != nil {
			return err
		}
		if _, err := checkLaunchType(launchTypeOfService(s), &d.Shape); err != nil {
			return err
		}
		ref = d.Ref
	}
	moved, err := h.applyNetwork(t, s, in, ref)
	if err != nil {
		return err
	}
	now := h.Clock()
	if in.DesiredCount != nil && *in.DesiredCount != s.DesiredCount {
		s.DesiredCount = *in.DesiredCount
		s.Primary().DesiredCount, s.Primary().UpdatedAt = s.DesiredCount, now
	}
	if ref == s.Primary().Definition && !in.ForceNewDeployment && !moved {
		return nil
	}
	s.Primary().Status, s.Primary().UpdatedAt = model.DeploymentActive, now
	s.Deployments = slices.Insert(s.Deployments, 0, newDeployment(s, ref, now))
	return nil
}
