package api

import (
	"regexp"
	"strings"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/query"
	"github.com/longshore/longshore/proto/ecs"
)

const (
	maxContainers            = 10 // of a task definition (ECS quotas)
	maxDefinitionConstraints = 10 // of a task, those given at run time included (RegisterTaskDefinition, seed 000)
)

// checkDefinition refuses a task definition that ECS would refuse, and then one
// that asks for what Longshore does not do yet: whoever reads the refusal is to
// know whether the definition is wrong or ahead of its time. All refusals are
// ClientExceptions, as RegisterTaskDefinition's are. The task's cpu and memory
// are rewritten in place to the plain numbers that ECS answers.
func checkDefinition(in *ecs.RegisterTaskDefinitionRequest) error {
	for _, check := range []func(*ecs.RegisterTaskDefinitionRequest) error{
		checkFamily,
		normaliseSize,
		checkPlatforms,
		checkVolumes,
		checkContainers,
		checkSums,
		checkConstraintsOfDefinition,
		checkProxy,
		checkAccelerators,
		checkUnsupported,
	} {
		if err := check(in); err != nil {
			return err
		}
	}
	return nil
}

func checkFamily(in *ecs.RegisterTaskDefinitionRequest) error {
	if !model.ValidName(in.Family) {
		return refused("Family must be 1 to 255 letters, digits, hyphens and underscores, not %q.", clip(in.Family))
	}
	for _, role := range []string{in.TaskRoleArn, in.ExecutionRoleArn} {
		if role != "" && !roleForm.MatchString(role) {
			return refused("Role is not valid: %s", clip(role))
		}
	}
	return nil
}

// roleForm is the name of an IAM role or its ARN, perhaps with a path.
var roleForm = regexp.MustCompile(`^(arn:aws[a-z-]*:iam::[0-9]{12}:role/([!-~]+/)?)?[A-Za-z0-9_+=,.@-]{1,64}$`)

func checkContainers(in *ecs.RegisterTaskDefinitionRequest) error {
	if len(in.ContainerDefinitions) == 0 || len(in.ContainerDefinitions) > maxContainers {
		return refused("A task definition has 1 to %d containers, not %d.", maxContainers, len(in.ContainerDefinitions))
	}
	volumes := make(map[string]bool, len(in.Volumes))
	for i := range in.Volumes {
		volumes[in.Volumes[i].Name] = true
	}
	for i := range in.ContainerDefinitions {
		if err := checkContainer(&in.ContainerDefinitions[i], in, volumes); err != nil {
			return err
		}
	}
	return checkTogether(in.ContainerDefinitions, in.NetworkMode)
}

func checkConstraintsOfDefinition(in *ecs.RegisterTaskDefinitionRequest) error {
	if len(in.PlacementConstraints) > maxDefinitionConstraints {
		return refused("A task definition has at most %d placement constraints, not %d.", maxDefinitionConstraints, len(in.PlacementConstraints))
	}
	for _, c := range in.PlacementConstraints {
		switch {
		case c.Type != ecs.TaskDefinitionPlacementConstraintTypeMemberOf:
			return refused("A placement constraint of a task definition needs the type memberOf.")
		case strings.TrimSpace(c.Expression) == "":
			return refused("The placement constraint memberOf needs an expression.")
		}
		if _, err := query.Parse(c.Expression); err != nil {
			return refused("Invalid placement constraint: expression %q: %s.", clip(c.Expression), err)
		}
	}
	return nil
}

// Properties of an App Mesh proxy (proxyConfiguration, seed 000). One of the two
// that name the proxy's own user is enough.
var (
	proxyNeeds = []string{"AppPorts", "ProxyIngressPort", "ProxyEgressPort"}
	proxyUsers = []string{"IgnoredUID", "IgnoredGID"}
	proxyMay   = []string{"EgressIgnoredPorts", "EgressIgnoredIPs"}
)

func checkProxy(in *ecs.RegisterTaskDefinitionRequest) error {
	p := in.ProxyConfiguration
	if p == nil {
		return nil
	}
	if in.NetworkMode != ecs.NetworkModeAwsvpc {
		return refused("A proxyConfiguration is only supported when networkMode=awsvpc.")
	}
	found := false
	for i := range in.ContainerDefinitions {
		found = found || in.ContainerDefinitions[i].Name == p.ContainerName
	}
	if !found {
		return refused("The proxyConfiguration names the container '%s', which is not in the task definition.", clip(p.ContainerName))
	}
	given := map[string]string{}
	for _, kv := range p.Properties {
		if !oneOf(kv.Name, proxyNeeds, proxyUsers, proxyMay) {
			return refused("The proxyConfiguration has no property %q.", clip(kv.Name))
		}
		if kv.Value != nil {
			given[kv.Name] = *kv.Value
		}
	}
	for _, name := range proxyNeeds {
		if given[name] == "" {
			return refused("The proxyConfiguration needs the property %s.", name)
		}
	}
	if given[proxyUsers[0]] == "" && given[proxyUsers[1]] == "" {
		return refused("The proxyConfiguration needs the property %s or %s.", proxyUsers[0], proxyUsers[1])
	}
	return nil
}

func oneOf(s string, lists ...[]string) bool {
	for _, list := range lists {
		for _, l := range list {
			if l == s {
				return true
			}
		}
	}
	return false
}

// checkAccelerators checks that accelerators and the containers that want them
// name each other.
func checkAccelerators(in *ecs.RegisterTaskDefinitionRequest) error {
	wanted := map[string]bool{}
	for _, a := range in.InferenceAccelerators {
		if _, twice := wanted[a.DeviceName]; twice {
			return refused("Duplicate inference accelerator '%s'.", clip(a.DeviceName))
		}
		wanted[a.DeviceName] = false
	}
	for i := range in.ContainerDefinitions {
		c := &in.ContainerDefinitions[i]
		for _, r := range c.ResourceRequirements {
			if r.Type != ecs.ResourceTypeInferenceAccelerator {
				continue
			}
			if _, known := wanted[r.Value]; !known {
				return wrong(c, "The inference accelerator '%s' is not in the task definition.", clip(r.Value))
			}
			wanted[r.Value] = true
		}
	}
	for _, a := range in.InferenceAccelerators {
		if !wanted[a.DeviceName] {
			return refused("No container requires the inference accelerator '%s'.", clip(a.DeviceName))
		}
	}
	return nil
}
