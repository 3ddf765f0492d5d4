package api

import (
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

const maxTargetGroups = 5 // of a service that rolls (registering multiple target groups, ECS guide)

var (
	targetGroup = regexp.MustCompile(`^targetgroup/[A-Za-z0-9-]{1,32}/[A-Za-z0-9]{1,32}$`)
	registry    = regexp.MustCompile(`^service/[A-Za-z0-9_-]{1,64}$`)
)

// wiringCheck checks how the tasks of a definition are to be reached.
type wiringCheck struct {
	owner        model.Owner
	tables       *store.Tables
	cluster      model.ClusterName
	definition   *ecs.TaskDefinition
	launchType   ecs.LaunchType
	targetGroups int // that may be given
}

// wire checks how a service's tasks of a definition are to be reached, and where they
// come from, and returns what to store of it.
func (h *Handler) wire(t *store.Tables, s *model.Service, d *ecs.TaskDefinition, from capacity, w model.Wiring) (model.Wiring, error) {
	l := from.launchTypeOfTasks()
	if l == ecs.LaunchTypeFARGATE && isDaemon(s) {
		return w, invalid("The daemon scheduling strategy is not supported for the FARGATE launch type.")
	}
	if err := checkFargate(l, s.PlacementConstraints, s.PlacementStrategy); err != nil {
		return w, err
	}
	wired, err := wiringCheck{h.Owner, t, s.Cluster, d, l, mostTargetGroups(s)}.wiring(w)
	if err != nil {
		return wired, err
	}
	return wired, h.checkRegistry(t, s, d, wired.ServiceRegistries)
}

// wiring checks a request's members and returns what to store of them.
func (c wiringCheck) wiring(w model.Wiring) (model.Wiring, error) {
	if err := c.loadBalancers(w.LoadBalancers); err != nil {
		return w, err
	}
	if err := c.registries(w.ServiceRegistries); err != nil {
		return w, err
	}
	var err error
	if w.NetworkConfiguration, err = c.network(w.NetworkConfiguration); err != nil {
		return w, err
	}
	w.PlatformVersion, err = c.platform(w.PlatformVersion)
	if len(w.LoadBalancers) == 0 {
		w.LoadBalancers = nil
	}
	if len(w.ServiceRegistries) == 0 {
		w.ServiceRegistries = nil
	}
	return w, err
}

func (c wiringCheck) mode() ecs.NetworkMode {
	if c.definition.NetworkMode == "" {
		return ecs.NetworkModeBridge
	}
	return c.definition.NetworkMode
}

func (c wiringCheck) loadBalancers(in []ecs.LoadBalancer) error {
	if len(in) > c.targetGroups {
		return invalid("At most %d load balancer target groups can be given here, not %d.", c.targetGroups, len(in))
	}
	for i, b := range in {
		switch {
		case b.LoadBalancerName != "" && b.TargetGroupArn != "":
			return invalid("A load balancer is named by targetGroupArn or by loadBalancerName, not by both.")
		case b.LoadBalancerName != "":
			return unsupported("loadBalancerName (Classic Load Balancers)")
		case b.AdvancedConfiguration != nil && !saysNothing(reflect.ValueOf(b.AdvancedConfiguration)):
			return unsupported("advancedConfiguration of a load balancer")
		case !c.owns("elasticloadbalancing", b.TargetGroupArn, targetGroup):
			return invalid("The target group ARN %q is not valid: it must be arn:aws:elasticloadbalancing:%s:%s:targetgroup/NAME/ID.", clip(b.TargetGroupArn), c.owner.Region, c.owner.Account)
		case b.ContainerName == "":
			return invalid("Container Name can not be blank.")
		case b.ContainerPort == nil:
			return invalid("Container Port can not be blank.")
		}
		if err := c.port(b.ContainerName, *b.ContainerPort); err != nil {
			return err
		}
		if err := c.group(model.TargetGroupARN(b.TargetGroupArn)); err != nil {
			return err
		}
		if slices.ContainsFunc(in[:i], func(o ecs.LoadBalancer) bool { return reflect.DeepEqual(o, b) }) {
			return invalid("The target group %s is given twice for the same container and port.", clip(b.TargetGroupArn))
		}
	}
	return nil
}

// group checks that a target group is there, and that tasks can be its targets.
func (c wiringCheck) group(arn model.TargetGroupARN) error {
	g, ok := c.tables.TargetGroupByARN(arn)
	if !ok {
		return invalid("The target group %s does not exist.", arn)
	}
	if (g.TargetType == model.TargetTypeIP) != (c.mode() == ecs.NetworkModeAwsvpc) || c.mode() == ecs.NetworkModeNone {
		return invalid("The provided target group %s has target type %s, which is incompatible with the %s network mode specified in the task definition.", arn, g.TargetType, c.mode())
	}
	return nil
}

// registries checks the service registry by the rules of ServiceRegistry, seed 000.
func (c wiringCheck) registries(in []ecs.ServiceRegistry) error {
	if len(in) > 1 {
		return invalid("Multiple service registries for each service aren't supported.")
	}
	for _, r := range in {
		named := r.ContainerName != "" || r.ContainerPort != nil
		switch {
		case !c.owns("servicediscovery", r.RegistryArn, registry):
			return invalid("The service registry ARN %q is not valid: it must be arn:aws:servicediscovery:%s:%s:service/ID.", clip(r.RegistryArn), c.owner.Region, c.owner.Account)
		case c.mode() == ecs.NetworkModeNone:
			return invalid("Service registries can not be used with the network mode none.")
		case r.Port != nil && c.mode() != ecs.NetworkModeAwsvpc:
			return invalid("The port of a service registry can only be given for task definitions of the network mode awsvpc. Give containerName and containerPort.")
		case r.Port != nil && named:
			return invalid("A service registry takes either a port or containerName and containerPort, not both.")
		case r.Port != nil && (*r.Port < 1 || *r.Port > maxPort):
			return invalid("The port of a service registry must be between 1 and %d, not %d.", maxPort, *r.Port)
		case !named && c.mode() == ecs.NetworkModeAwsvpc:
			continue // an address alone, or the port
		case r.ContainerName == "" || r.ContainerPort == nil:
			if c.mode() == ecs.NetworkModeAwsvpc {
				return invalid("A service registry needs both containerName and containerPort, or neither.")
			}
			return invalid("When specifying 'host' or 'bridge' for networkMode, values for 'containerName' and 'containerPort' must be specified from the task definition. Registry: %s", clip(r.RegistryArn))
		}
		if err := c.port(r.ContainerName, *r.ContainerPort); err != nil {
			return err
		}
	}
	return nil
}

// owns tells whether an ARN is one of a service in this account and region.
func (c wiringCheck) owns(service, arn string, resource *regexp.Regexp) bool {
	parts := strings.SplitN(arn, ":", 6)
	return len(parts) == 6 && parts[0] == "arn" && parts[1] == "aws" && parts[2] == service &&
		parts[3] == c.owner.Region && parts[4] == c.owner.Account && resource.MatchString(parts[5])
}

// port finds a port of a container in the definition.
func (c wiringCheck) port(container string, port int32) error {
	i := slices.IndexFunc(c.definition.ContainerDefinitions, func(d ecs.ContainerDefinition) bool { return d.Name == container })
	if i < 0 {
		return invalid("The container %s does not exist in the task definition.", clip(container))
	}
	has := func(p ecs.PortMapping) bool { return p.ContainerPort != nil && *p.ContainerPort == port }
	if !slices.ContainsFunc(c.definition.ContainerDefinitions[i].PortMappings, has) {
		return invalid("The container %s did not have a container port %d defined.", clip(container), port)
	}
	return nil
}

// network checks a network configuration against the definition and what the hosts
// offer, and fills in its defaults.
func (c wiringCheck) network(in *ecs.NetworkConfiguration) (*ecs.NetworkConfiguration, error) {
	if err := checkNetwork(in); err != nil {
		return nil, err
	}
	if err := checkNetworkOf(c.tables, c.cluster, in, c.definition, c.launchType); err != nil || in == nil {
		return nil, err
	}
	v := *in.AwsvpcConfiguration
	v.SecurityGroups = orEmpty(v.SecurityGroups)
	if v.AssignPublicIp == "" {
		v.AssignPublicIp = ecs.AssignPublicIpDISABLED
	}
	return &ecs.NetworkConfiguration{AwsvpcConfiguration: &v}, nil
}

// platform checks the platform version, and fills in its default.
func (c wiringCheck) platform(version string) (string, error) {
	if version == "" && c.launchType == ecs.LaunchTypeFARGATE {
		version = latestPlatform
	}
	return version, checkPlatformVersion(version, c.launchType)
}
