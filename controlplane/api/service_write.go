package api

import (
	"context"
	"reflect"
	"slices"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/rollout"
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
		switch {
		case exists && have.Status == model.StatusActive:
			service = have
			return sameCreation(have, wanted)
		case exists && have.Status == model.StatusDraining:
			return invalid("Unable to Start a service that is still Draining.")
		case exists:
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

// begin records a new service.
func (h *Handler) begin(tx *store.Tx, c *model.Cluster, s *model.Service, in *ecs.CreateServiceRequest) error {
	s.CreatedAt = h.Clock()
	if err := h.begun(tx, c, s, in); err != nil {
		return err
	}
	if err := checkRebalancing(s); err != nil {
		return err
	}
	tx.PutService(s)
	return nil
}

func (h *Handler) updateService(ctx context.Context, in *ecs.UpdateServiceRequest) (*ecs.UpdateServiceResponse, error) {
	if err := checkServiceUpdate(in); err != nil {
		return nil, err
	}
	var service *model.Service
	err := h.store.Update(ctx, func(tx *store.Tx) (err error) {
		_, service, err = h.changeService(tx, in)
		return err
	})
	if err != nil {
		return nil, err
	}
	shape := h.serviceShape(h.store.View(), service, true)
	return &ecs.UpdateServiceResponse{Service: &shape}, nil
}

// changeService records what a request that was checked changes of a service, and returns
// the service as it was and as it is.
func (h *Handler) changeService(tx *store.Tx, in *ecs.UpdateServiceRequest) (have, next *model.Service, err error) {
	c, err := h.cluster(tx.Tables, in.Cluster)
	if err != nil {
		return nil, nil, err
	}
	have, err = h.service(tx.Tables, c.Name, in.Service)
	if err != nil {
		return nil, nil, err
	}
	if have.Status != model.StatusActive {
		return nil, nil, ecs.Errorf(ecs.CodeServiceNotActive, "Service was not ACTIVE.")
	}
	if err := checkUpdatable(have, in); err != nil {
		return nil, nil, err
	}
	// Whatever was wrong before may be mended now.
	changed := rollout.Renewed(*have)
	next = &changed
	next.Deployments = slices.Clone(have.Deployments)
	if err := applySettings(next, in); err != nil {
		return nil, nil, err
	}
	if next.HasTaskSets() {
		h.rescaled(have, next)
	} else if err := h.redeploy(tx.Tables, c, next, in); err != nil {
		return nil, nil, err
	}
	if err := checkBalanced(next, in.HealthCheckGracePeriodSeconds); err != nil {
		return nil, nil, err
	}
	if err := checkRebalancing(next); err != nil {
		return nil, nil, err
	}
	tx.PutService(next)
	return have, next, nil
}

// applySettings changes what needs no new deployment.
func applySettings(s *model.Service, in *ecs.UpdateServiceRequest) error {
	if in.DesiredCount != nil && isDaemon(s) {
		return errDaemonCount()
	}
	if in.DesiredCount != nil && s.HasTaskSets() {
		s.DesiredCount = *in.DesiredCount
	}
	if in.HealthCheckGracePeriodSeconds != nil {
		s.HealthCheckGracePeriod = in.HealthCheckGracePeriodSeconds
	}
	if in.DeploymentConfiguration != nil {
		merged := mergeDeployment(s.DeploymentConfiguration, in.DeploymentConfiguration)
		if err := checkDeployment(&merged, s); err != nil {
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
	if in.AvailabilityZoneRebalancing != "" {
		s.AvailabilityZoneRebalancing = in.AvailabilityZoneRebalancing
	}
	return nil
}

// redeploy changes what may need a new deployment.
func (h *Handler) redeploy(t *store.Tables, c *model.Cluster, s *model.Service, in *ecs.UpdateServiceRequest) error {
	if err := h.applyStrategy(t, c, s, in); err != nil {
		return err
	}
	return h.applyRollout(t, s, in)
}

// applyRollout changes the number of tasks, and begins a new deployment for
// another definition or wiring, or if the caller insists.
func (h *Handler) applyRollout(t *store.Tables, s *model.Service, in *ecs.UpdateServiceRequest) error {
	ref := s.Primary().Definition
	if in.TaskDefinition != nil && *in.TaskDefinition != "" {
		d, err := h.runnable(t, *in.TaskDefinition)
		if err != nil {
			return err
		}
		if _, err := checkLaunchType(capacity{s.LaunchType, s.CapacityProviderStrategy}.launchTypeOfTasks(), &d.Shape); err != nil {
			return err
		}
		ref = d.Ref
	}
	if d, ok := t.Definition(ref); ok {
		if err := checkConstraintsOfTask(d, s.PlacementConstraints); err != nil {
			return err
		}
	}
	rewired, err := h.rewire(t, s, ref, in)
	if err != nil {
		return err
	}
	now := h.Clock()
	if in.DesiredCount != nil && *in.DesiredCount != s.DesiredCount {
		s.DesiredCount = *in.DesiredCount
		s.Primary().DesiredCount, s.Primary().UpdatedAt = s.DesiredCount, now
	}
	if ref == s.Primary().Definition && !rewired && !in.ForceNewDeployment {
		return nil
	}
	*s = rollout.Deploy(*s, model.NewDeploymentID(), ref, now)
	return nil
}

// rewire changes how the tasks of a service are reached, and tells whether that is
// another way than before. What the request does not name stays, as far as the
// definition allows.
func (h *Handler) rewire(t *store.Tables, s *model.Service, ref model.DefinitionRef, in *ecs.UpdateServiceRequest) (bool, error) {
	d, ok := t.Definition(ref)
	same := ref == s.Primary().Definition && in.CapacityProviderStrategy == nil && in.PlatformVersion == "" &&
		in.PlacementConstraints == nil && in.PlacementStrategy == nil
	if !ok || same && in.LoadBalancers == nil && in.ServiceRegistries == nil && in.NetworkConfiguration == nil {
		return false, nil
	}
	from := capacity{s.LaunchType, s.CapacityProviderStrategy}
	wanted := s.Wiring
	if in.LoadBalancers != nil {
		wanted.LoadBalancers = in.LoadBalancers
	}
	if in.ServiceRegistries != nil {
		wanted.ServiceRegistries = in.ServiceRegistries
	}
	if in.NetworkConfiguration != nil {
		wanted.NetworkConfiguration = in.NetworkConfiguration
	} else if d.Shape.NetworkMode != ecs.NetworkModeAwsvpc {
		wanted.NetworkConfiguration = nil
	}
	if in.PlatformVersion != "" || from.launchTypeOfTasks() != ecs.LaunchTypeFARGATE {
		wanted.PlatformVersion = in.PlatformVersion
	}
	wired, err := h.wire(t, s, &d.Shape, from, wanted)
	if err != nil {
		return false, err
	}
	changed := !reflect.DeepEqual(wired, s.Wiring)
	s.Wiring = wired
	if changed {
		s.RoleARN = "" // only the service linked role may do that
	}
	if len(wired.LoadBalancers) == 0 {
		if in.HealthCheckGracePeriodSeconds == nil {
			s.HealthCheckGracePeriod = nil
		}
	} else if s.HealthCheckGracePeriod == nil {
		s.HealthCheckGracePeriod = pointer[int32](0)
	}
	return changed, nil
}
