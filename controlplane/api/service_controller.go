package api

import (
	"regexp"
	"strings"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// controllerOf is the deployment controller that a new service asks for.
func controllerOf(in *ecs.DeploymentController) ecs.DeploymentControllerType {
	if in == nil || in.Type == "" {
		return ecs.DeploymentControllerTypeECS
	}
	return in.Type
}

// controllerShown is the deployment controller of a service.
func controllerShown(s *model.Service) ecs.DeploymentControllerType {
	if s.Controller == "" {
		return ecs.DeploymentControllerTypeECS
	}
	return s.Controller
}

// checkController checks what a new service's deployment controller allows and
// needs (CreateService, seed 000).
func checkController(in *ecs.CreateServiceRequest) error {
	controller := controllerOf(in.DeploymentController)
	if controller == ecs.DeploymentControllerTypeECS {
		return checkDefinitionGiven(in)
	}
	if in.SchedulingStrategy == ecs.SchedulingStrategyDAEMON {
		return invalid("The DAEMON scheduling strategy is not supported with the %s deployment controller.", controller)
	}
	if controller == ecs.DeploymentControllerTypeCODEDEPLOY {
		if len(in.LoadBalancers) == 0 {
			return invalid("A service that uses the CODE_DEPLOY deployment controller must be configured to use a load balancer.")
		}
		return checkDefinitionGiven(in)
	}
	for _, m := range []struct {
		name  string
		given bool
	}{
		{"TaskDefinition", in.TaskDefinition != ""},
		{"LoadBalancers", len(in.LoadBalancers) > 0},
		{"ServiceRegistries", len(in.ServiceRegistries) > 0},
		{"LaunchType", in.LaunchType != ""},
		{"CapacityProviderStrategy", len(in.CapacityProviderStrategy) > 0},
		{"PlatformVersion", in.PlatformVersion != ""},
		{"NetworkConfiguration", in.NetworkConfiguration != nil},
		{"Role", in.Role != ""},
	} {
		if m.given {
			return invalid("%s must be empty or null.", m.name)
		}
	}
	return nil
}

func checkDefinitionGiven(in *ecs.CreateServiceRequest) error {
	if in.TaskDefinition == "" {
		return invalid("TaskDefinition can not be blank.")
	}
	return nil
}

// mostTargetGroups is how many a service, or each of its task sets, may have.
// Several need rolling updates (registering multiple target groups, ECS guide).
func mostTargetGroups(s *model.Service) int {
	if s.HasTaskSets() {
		return 1
	}
	return maxTargetGroups
}

// checkUpdatable refuses the members of an UpdateService request that the service's
// deployment controller does not allow (UpdateService, seed 000).
func checkUpdatable(s *model.Service, in *ecs.UpdateServiceRequest) error {
	if in.DeploymentController != nil && in.DeploymentController.Type != "" && in.DeploymentController.Type != controllerShown(s) {
		return unsupported("changing the deployment controller of a service")
	}
	if !s.HasTaskSets() {
		return nil
	}
	instead := "Use AWS CodeDeploy to trigger a new deployment."
	if s.Controller == ecs.DeploymentControllerTypeEXTERNAL {
		instead = "Create a new task set."
	}
	for _, m := range []struct {
		name  string
		given bool
	}{
		{"task definition", in.TaskDefinition != nil && *in.TaskDefinition != ""},
		{"network parameters", in.NetworkConfiguration != nil},
		{"load balancers", in.LoadBalancers != nil},
		{"service registries", in.ServiceRegistries != nil},
		{"platform version", in.PlatformVersion != ""},
		{"capacity provider strategy", in.CapacityProviderStrategy != nil},
		{"deployment configuration", in.DeploymentConfiguration != nil && s.Controller == ecs.DeploymentControllerTypeEXTERNAL},
	} {
		if m.given {
			return invalid("Unable to update %s on services with a %s deployment controller. %s", m.name, s.Controller, instead)
		}
	}
	if in.ForceNewDeployment {
		return invalid("Cannot force a new deployment on services with a %s deployment controller. %s", s.Controller, instead)
	}
	return nil
}

// checkBalanced refuses what only services behind a load balancer have. The load
// balancers of an EXTERNAL service come with its task sets.
func checkBalanced(s *model.Service, grace *int32) error {
	if grace == nil {
		return nil
	}
	if *grace < 0 {
		return invalid("healthCheckGracePeriodSeconds must not be negative.")
	}
	if *grace != 0 && len(s.LoadBalancers) == 0 && s.Controller != ecs.DeploymentControllerTypeEXTERNAL {
		return invalid("Health check grace period is only valid for services configured to use load balancers")
	}
	return nil
}

// setRole checks and notes the role that manages a service's load balancer.
func (h *Handler) setRole(s *model.Service, role string, d *ecs.TaskDefinition) error {
	switch {
	case role == "":
		return nil
	case len(s.LoadBalancers) == 0:
		return invalid("A role is only valid for services configured to use load balancers.")
	case d.NetworkMode == ecs.NetworkModeAwsvpc:
		return invalid("A role can not be specified for services that require a service linked role: the task definition uses the network mode awsvpc.")
	case len(s.LoadBalancers) > 1 || len(s.ServiceRegistries) > 0:
		return invalid("A role can not be specified for services that require a service linked role: those with several target groups or with service registries.")
	}
	arn, ok := h.roleARN(role)
	if !ok {
		return invalid("The role %q is neither the name nor the ARN of a role of the account %s.", clip(role), h.Owner.Account)
	}
	s.RoleARN = arn
	return nil
}

// roleName is the name of a role, with its path if it has one.
var roleName = regexp.MustCompile(`^/?([!-.0-~]+/)*[A-Za-z0-9_+=,.@-]{1,64}$`)

// roleARN reads the name or ARN of a role of this account.
func (h *Handler) roleARN(role string) (string, bool) {
	prefix := "arn:aws:iam::" + h.Owner.Account + ":role/"
	name := strings.TrimPrefix(role, prefix)
	return prefix + strings.TrimPrefix(name, "/"), roleName.MatchString(name) && !strings.HasPrefix(name, "arn:")
}

// rescaled notes which task sets of a service have to have other numbers of tasks
// than before.
func (h *Handler) rescaled(before, s *model.Service) {
	for i := range s.TaskSets {
		set := &s.TaskSets[i]
		if old, ok := before.TaskSet(set.ID); ok && before.ComputedCount(old) != s.ComputedCount(set) {
			h.unsettle(set)
		}
	}
}

// unsettle says that a task set is not as it should be. The service loop takes that
// back.
func (h *Handler) unsettle(set *model.TaskSet) {
	if set.Stability != ecs.StabilityStatusSTABILIZING {
		set.Stability, set.StabilityAt = ecs.StabilityStatusSTABILIZING, h.Clock()
	}
}

// deletableService tells what keeps a service from being deleted without force.
func deletableService(s *model.Service) error {
	if s.Controller != ecs.DeploymentControllerTypeEXTERNAL {
		if !isDaemon(s) && s.DesiredCount > 0 {
			return invalid("The service cannot be stopped while it is scaled above 0.")
		}
		return nil
	}
	for i := range s.TaskSets {
		if s.TaskSets[i].Status != model.TaskSetDraining {
			return invalid("The service cannot be stopped while it has task sets: %s.", s.TaskSets[i].ID)
		}
	}
	return nil
}

// begun is how a service of its kind starts: a rolling one with a deployment, one of
// CODE_DEPLOY with a task set, an EXTERNAL one with nothing.
func (h *Handler) begun(tx *store.Tx, c *model.Cluster, s *model.Service, in *ecs.CreateServiceRequest) error {
	if s.Controller == ecs.DeploymentControllerTypeEXTERNAL {
		s.HealthCheckGracePeriod = in.HealthCheckGracePeriodSeconds
		return checkBalanced(s, in.HealthCheckGracePeriodSeconds)
	}
	d, err := h.runnable(tx.Tables, in.TaskDefinition)
	if err != nil {
		return err
	}
	if err := h.equip(tx.Tables, c, s, in, d); err != nil {
		return err
	}
	if s.Controller != ecs.DeploymentControllerTypeCODEDEPLOY {
		s.Deployments = []model.Deployment{newDeployment(s, d.Ref, s.CreatedAt)}
		return nil
	}
	s.TaskSets = []model.TaskSet{{
		ID: model.NewDeploymentID(), Status: model.DeploymentPrimary, Definition: d.Ref, Scale: maxScale,
		LaunchType: s.LaunchType, CapacityProviderStrategy: s.CapacityProviderStrategy, Wiring: s.Wiring,
		CreatedAt: s.CreatedAt, UpdatedAt: s.CreatedAt, Stability: ecs.StabilityStatusSTABILIZING, StabilityAt: s.CreatedAt,
	}}
	return nil
}

// equip says where a new service's tasks come from and how they are reached.
func (h *Handler) equip(t *store.Tables, c *model.Cluster, s *model.Service, in *ecs.CreateServiceRequest, d *model.Definition) error {
	if err := checkConstraintsOfTask(d, s.PlacementConstraints); err != nil {
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
	s.Wiring, err = h.wire(t, s, &d.Shape, from, model.Wiring{
		NetworkConfiguration: in.NetworkConfiguration, PlatformVersion: in.PlatformVersion,
		LoadBalancers: in.LoadBalancers, ServiceRegistries: in.ServiceRegistries,
	})
	if err != nil {
		return err
	}
	if err := h.setRole(s, in.Role, &d.Shape); err != nil {
		return err
	}
	s.HealthCheckGracePeriod = in.HealthCheckGracePeriodSeconds
	if s.HealthCheckGracePeriod == nil && len(s.LoadBalancers) > 0 {
		s.HealthCheckGracePeriod = pointer[int32](0)
	}
	return checkBalanced(s, in.HealthCheckGracePeriodSeconds)
}
