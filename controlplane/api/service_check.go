package api

import (
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

// Defaults of deployments (CreateService, seed 000), in percent of desiredCount.
const (
	replicaMinimum, replicaMaximum = 100, 200
	daemonMinimum, daemonMaximum   = 0, 100
)

// newService is the service that a request asks for, as far as that can be said
// without its cluster and definition.
func newService(in *ecs.CreateServiceRequest) (*model.Service, error) {
	if err := checkNewService(in); err != nil {
		return nil, err
	}
	s := &model.Service{
		Name:                 model.ServiceName(in.ServiceName),
		Status:               model.StatusActive,
		SchedulingStrategy:   in.SchedulingStrategy,
		PlacementConstraints: in.PlacementConstraints,
		PlacementStrategy:    in.PlacementStrategy,
		EnableECSManagedTags: in.EnableECSManagedTags,
		PropagateTags:        in.PropagateTags,
		Tags:                 in.Tags,
		Controller:           controllerOf(in.DeploymentController),

		AvailabilityZoneRebalancing: in.AvailabilityZoneRebalancing,
	}
	if s.SchedulingStrategy == "" {
		s.SchedulingStrategy = ecs.SchedulingStrategyREPLICA
	}
	if s.PropagateTags == "" {
		s.PropagateTags = ecs.PropagateTagsNONE
	}
	standard := ecs.DeploymentConfiguration{
		DeploymentCircuitBreaker: &ecs.DeploymentCircuitBreaker{},
		MinimumHealthyPercent:    pointer[int32](replicaMinimum),
		MaximumPercent:           pointer[int32](replicaMaximum),
		Strategy:                 ecs.DeploymentStrategyROLLING,
	}
	if s.SchedulingStrategy == ecs.SchedulingStrategyDAEMON {
		standard.MinimumHealthyPercent, standard.MaximumPercent = pointer[int32](daemonMinimum), pointer[int32](daemonMaximum)
		switch {
		case in.DesiredCount != nil:
			return nil, errDaemonCount()
		case len(in.PlacementStrategy) > 0:
			return nil, errDaemonStrategy()
		case len(in.CapacityProviderStrategy) > 0:
			return nil, errDaemonCapacity()
		}
	} else if in.DesiredCount != nil {
		s.DesiredCount = *in.DesiredCount
	} else if s.Controller != ecs.DeploymentControllerTypeEXTERNAL {
		return nil, invalid("desiredCount is required for services of the REPLICA scheduling strategy.")
	}
	s.DeploymentConfiguration = mergeDeployment(standard, in.DeploymentConfiguration)
	return s, checkDeployment(&s.DeploymentConfiguration, s)
}

func errDaemonCount() error {
	return invalid("The daemon scheduling strategy does not support a desired count for services. Remove the desired count value and try again.")
}

func errDaemonStrategy() error {
	return invalid("The daemon scheduling strategy does not support placement strategies. Remove the placement strategy and try again.")
}

// checkNewService checks what does not depend on anything else.
func checkNewService(in *ecs.CreateServiceRequest) error {
	if !model.ValidName(in.ServiceName) {
		return invalid("Service name must be 1 to 255 letters, digits, hyphens and underscores, not %q.", clip(in.ServiceName))
	}
	if err := checkController(in); err != nil {
		return err
	}
	if in.DesiredCount != nil && *in.DesiredCount < 0 {
		return errNegativeCount()
	}
	if err := refuseUnhonoured(in, "cluster", "serviceName", "taskDefinition", "desiredCount", "clientToken", "launchType",
		"deploymentConfiguration", "placementConstraints", "placementStrategy", "schedulingStrategy", "tags",
		"enableECSManagedTags", "propagateTags", "deploymentController",
		// These have checks of their own:
		"availabilityZoneRebalancing", "capacityProviderStrategy", "platformVersion", "networkConfiguration",
		"loadBalancers", "serviceRegistries", "role", "healthCheckGracePeriodSeconds"); err != nil {
		return err
	}
	if err := checkToken(in.ClientToken); err != nil {
		return err
	}
	if err := checkTags(in.Tags); err != nil {
		return err
	}
	return checkSharedOfService(sharedOfService{
		in.CapacityProviderStrategy, in.LaunchType,
		in.PlacementConstraints, in.PlacementStrategy,
	})
}

func errNegativeCount() error { return invalid("desiredCount must not be negative.") }

// checkServiceUpdate checks what does not depend on the service.
func checkServiceUpdate(in *ecs.UpdateServiceRequest) error {
	if in.DesiredCount != nil && *in.DesiredCount < 0 {
		return errNegativeCount()
	}
	if err := refuseUnhonoured(in, "cluster", "service", "desiredCount", "taskDefinition", "deploymentConfiguration",
		"placementConstraints", "placementStrategy", "forceNewDeployment", "enableECSManagedTags", "propagateTags",
		"availabilityZoneRebalancing", "capacityProviderStrategy", "platformVersion", "networkConfiguration", "deploymentController",
		"loadBalancers", "serviceRegistries", "healthCheckGracePeriodSeconds"); err != nil {
		return err
	}
	return checkSharedOfService(sharedOfService{
		in.CapacityProviderStrategy, "",
		in.PlacementConstraints, in.PlacementStrategy,
	})
}

// sharedOfService is what CreateService and UpdateService have in common.
type sharedOfService struct {
	capacity    []ecs.CapacityProviderStrategyItem
	launchType  ecs.LaunchType
	constraints []ecs.PlacementConstraint
	strategies  []ecs.PlacementStrategy
}

func checkSharedOfService(s sharedOfService) error {
	if err := checkCapacity(s.capacity, s.launchType); err != nil {
		return err
	}
	if _, err := readConstraints(s.constraints); err != nil {
		return err
	}
	_, err := checkStrategies(s.strategies)
	return err
}

// mergeDeployment is a deployment configuration with what a request changes of it.
func mergeDeployment(have ecs.DeploymentConfiguration, in *ecs.DeploymentConfiguration) ecs.DeploymentConfiguration {
	if in == nil {
		return have
	}
	out := *in
	if out.DeploymentCircuitBreaker == nil {
		out.DeploymentCircuitBreaker = have.DeploymentCircuitBreaker
	}
	if out.MinimumHealthyPercent == nil {
		out.MinimumHealthyPercent = have.MinimumHealthyPercent
	}
	if out.MaximumPercent == nil {
		out.MaximumPercent = have.MaximumPercent
	}
	if out.Strategy == "" {
		out.Strategy = have.Strategy
	}
	return out
}

// checkDeployment checks a deployment configuration that has its defaults.
func checkDeployment(d *ecs.DeploymentConfiguration, s *model.Service) error {
	if err := refuseUnhonoured(d, "deploymentCircuitBreaker", "maximumPercent", "minimumHealthyPercent", "strategy"); err != nil {
		return err
	}
	d.Alarms, d.BakeTimeInMinutes, d.LifecycleHooks = nil, nil, nil // they asked for nothing
	d.LinearConfiguration, d.CanaryConfiguration = nil, nil
	if d.Strategy != ecs.DeploymentStrategyROLLING {
		return unsupported("the deployment strategy " + string(d.Strategy))
	}
	if t := d.DeploymentCircuitBreaker.ThresholdConfiguration; t != nil && t.Value < 1 {
		return invalid("The value of the thresholdConfiguration of the deployment circuit breaker must be at least 1, not %d.", t.Value)
	}
	minimum, maximum := *d.MinimumHealthyPercent, *d.MaximumPercent
	switch {
	case minimum < 0 || minimum > 100:
		return invalid("minimumHealthyPercent must be between 0 and 100, not %d.", minimum)
	case maximum < 100:
		return invalid("maximumPercent must be at least 100, not %d.", maximum)
	case s.HasTaskSets() && d.DeploymentCircuitBreaker.Enable:
		return invalid("The deployment circuit breaker can only be used with the ECS deployment controller.")
	case s.HasTaskSets() && (minimum != replicaMinimum || maximum != replicaMaximum):
		return invalid("The minimumHealthyPercent and the maximumPercent of a service with the %s deployment controller are %d and %d.", s.Controller, replicaMinimum, replicaMaximum)
	case isDaemon(s) && maximum != daemonMaximum:
		return invalid("maximumPercent must be %d for the DAEMON scheduling strategy.", daemonMaximum)
	case minimum == 100 && maximum == 100:
		return invalid("Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.")
	}
	return nil
}
