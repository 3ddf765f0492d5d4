package api

import (
	"slices"
	"strings"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

// Members of task definitions that are honoured. The others are refused by name:
// none is accepted and ignored. docs/compatibility.md has a row for each.
var (
	honouredOfTask = []string{
		"family", "networkMode", "containerDefinitions", "volumes", "requiresCompatibilities",
		"executionRoleArn", "runtimePlatform", "tags",
	}
	honouredOfContainer = []string{
		"name", "image", "cpu", "memory", "memoryReservation", "links", "portMappings", "essential",
		"entryPoint", "command", "environment", "mountPoints", "volumesFrom", "dependsOn", "startTimeout",
		"stopTimeout", "hostname", "user", "workingDirectory", "privileged", "readonlyRootFilesystem",
		"dnsServers", "dnsSearchDomains", "extraHosts", "dockerSecurityOptions", "interactive",
		"pseudoTerminal", "dockerLabels", "ulimits", "healthCheck", "linuxParameters",
	}
	honouredOfPort   = []string{"containerPort", "hostPort", "protocol", "name"}
	honouredOfVolume = []string{"name", "host"}
	honouredOfLinux  = []string{"initProcessEnabled"}
)

const maxContainers = 10 // of a task definition (ECS quotas)

// checkDefinition refuses a task definition that could not run as it says. All
// refusals are ClientExceptions, as RegisterTaskDefinition's are.
func checkDefinition(in *ecs.RegisterTaskDefinitionRequest) error {
	if !model.ValidName(in.Family) {
		return refused("Family must be 1 to 255 letters, digits, hyphens and underscores, not %q.", clip(in.Family))
	}
	if err := checkFargate(in); err != nil {
		return err
	}
	if names := unhonoured(in, honouredOfTask...); len(names) > 0 {
		return refused("Longshore does not support %s of a task definition yet.", strings.Join(names, ", "))
	}
	if in.NetworkMode == ecs.NetworkModeAwsvpc {
		return refused("Longshore does not support the network mode awsvpc yet.")
	}
	if err := checkPlatform(in.RuntimePlatform); err != nil {
		return err
	}
	volumes, err := checkVolumes(in.Volumes)
	if err != nil {
		return err
	}
	if len(in.ContainerDefinitions) == 0 || len(in.ContainerDefinitions) > maxContainers {
		return refused("A task definition has 1 to %d containers, not %d.", maxContainers, len(in.ContainerDefinitions))
	}
	for i := range in.ContainerDefinitions {
		if err := checkContainer(&in.ContainerDefinitions[i], in.NetworkMode, volumes); err != nil {
			return err
		}
	}
	return checkTogether(in.ContainerDefinitions, in.NetworkMode)
}

// checkFargate gives the reasons that ECS gives, before the one that is ours.
func checkFargate(in *ecs.RegisterTaskDefinitionRequest) error {
	if slices.Contains(in.RequiresCompatibilities, ecs.CompatibilityMANAGEDINSTANCES) {
		return refused("Longshore does not support the compatibility MANAGED_INSTANCES yet.")
	}
	if !slices.Contains(in.RequiresCompatibilities, ecs.CompatibilityFARGATE) {
		return nil
	}
	switch {
	case in.Cpu == "":
		return refused("Fargate requires that 'cpu' be defined at the task level.")
	case in.Memory == "":
		return refused("Fargate requires that 'memory' be defined at the task level.")
	case in.NetworkMode != ecs.NetworkModeAwsvpc:
		return refused("Fargate only supports network mode 'awsvpc'.")
	}
	return refused("Longshore does not support the compatibility FARGATE yet.")
}

func checkPlatform(p *ecs.RuntimePlatform) error {
	if p == nil || p.OperatingSystemFamily == "" || p.OperatingSystemFamily == ecs.OSFamilyLINUX {
		return nil
	}
	return refused("Longshore runs tasks on LINUX only, not on %s.", p.OperatingSystemFamily)
}

// checkVolumes returns the names of the task's volumes.
func checkVolumes(in []ecs.Volume) (map[string]bool, error) {
	names := map[string]bool{}
	for i := range in {
		v := &in[i]
		if !model.ValidName(v.Name) {
			return nil, refused("Volume name must be 1 to 255 letters, digits, hyphens and underscores, not %q.", clip(v.Name))
		}
		if names[v.Name] {
			return nil, refused("Duplicate volume name '%s'.", v.Name)
		}
		names[v.Name] = true
		if unknown := unhonoured(v, honouredOfVolume...); len(unknown) > 0 {
			return nil, refused("Longshore does not support %s of volume '%s' yet.", strings.Join(unknown, ", "), v.Name)
		}
		if v.Host != nil && v.Host.SourcePath != "" && !strings.HasPrefix(v.Host.SourcePath, "/") {
			return nil, refused("The host path of volume '%s' must begin with /.", v.Name)
		}
	}
	return names, nil
}

// checkTogether checks what concerns the containers of a task with one another.
func checkTogether(containers []ecs.ContainerDefinition, mode ecs.NetworkMode) error {
	byName := make(map[string]*ecs.ContainerDefinition, len(containers))
	essential := false
	for i := range containers {
		c := &containers[i]
		if byName[c.Name] != nil {
			return refused("Duplicate container name '%s' in the task definition.", c.Name)
		}
		byName[c.Name] = c
		essential = essential || isEssential(c)
	}
	if !essential {
		return refused("At least one container of the task definition must be essential.")
	}
	for i := range containers {
		if err := checkReferences(&containers[i], byName); err != nil {
			return err
		}
	}
	if err := checkCircles(containers); err != nil {
		return err
	}
	return checkHostPorts(containers, mode)
}

func isEssential(c *ecs.ContainerDefinition) bool { return c.Essential == nil || *c.Essential }

// checkReferences checks that what a container names is there.
func checkReferences(c *ecs.ContainerDefinition, byName map[string]*ecs.ContainerDefinition) error {
	for _, l := range c.Links {
		if name, _, _ := strings.Cut(l, ":"); byName[name] == nil {
			return refused("Container '%s' links to '%s', which is not in the task definition.", c.Name, clip(name))
		}
	}
	for _, v := range c.VolumesFrom {
		if byName[v.SourceContainer] == nil {
			return refused("Container '%s' mounts volumes from '%s', which is not in the task definition.", c.Name, clip(v.SourceContainer))
		}
	}
	for _, d := range c.DependsOn {
		on := byName[d.ContainerName]
		switch {
		case on == nil:
			return refused("Cannot depend on container + '%s' because it does not exist", clip(d.ContainerName))
		case d.Condition == ecs.ContainerConditionHEALTHY && on.HealthCheck == nil:
			return refused("Container '%s' waits until '%s' is HEALTHY, which has no health check.", c.Name, on.Name)
		case (d.Condition == ecs.ContainerConditionSUCCESS || d.Condition == ecs.ContainerConditionCOMPLETE) && isEssential(on):
			return refused("A dependency container with SUCCESS or COMPLETE condition cannot be an essential container")
		}
	}
	return nil
}

// checkCircles refuses containers that wait for one another: by a link, by
// volumesFrom or by dependsOn, which all order the start.
func checkCircles(containers []ecs.ContainerDefinition) error {
	waits := make(map[string][]string, len(containers))
	for i := range containers {
		c := &containers[i]
		for _, l := range c.Links {
			name, _, _ := strings.Cut(l, ":")
			waits[c.Name] = append(waits[c.Name], name)
		}
		for _, v := range c.VolumesFrom {
			waits[c.Name] = append(waits[c.Name], v.SourceContainer)
		}
		for _, d := range c.DependsOn {
			waits[c.Name] = append(waits[c.Name], d.ContainerName)
		}
	}
	const onPath, done = 1, 2
	state := map[string]int{}
	var circle func(name string) bool
	circle = func(name string) bool {
		switch state[name] {
		case onPath:
			return true
		case done:
			return false
		}
		state[name] = onPath
		if slices.ContainsFunc(waits[name], circle) {
			return true
		}
		state[name] = done
		return false
	}
	for i := range containers {
		if circle(containers[i].Name) {
			return refused("Container links, volumesFrom and dependsOn should not have a cycle; there is one through '%s'.", containers[i].Name)
		}
	}
	return nil
}

// checkHostPorts refuses two containers that want the same port of the host.
func checkHostPorts(containers []ecs.ContainerDefinition, mode ecs.NetworkMode) error {
	type binding struct {
		protocol ecs.TransportProtocol
		port     int32
	}
	taken := map[binding]string{}
	for i := range containers {
		for _, p := range containers[i].PortMappings {
			b := binding{protocolOf(&p), hostPortOf(&p, mode)}
			if b.port == 0 {
				continue
			}
			if by, twice := taken[b]; twice {
				return refused("Containers '%s' and '%s' both map %s host port %d.", by, containers[i].Name, b.protocol, b.port)
			}
			taken[b] = containers[i].Name
		}
	}
	return nil
}
