package api

import (
	"slices"
	"strings"

	"github.com/longshore/longshore/proto/ecs"
)

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
	if err := checkPortsTogether(containers, mode); err != nil {
		return err
	}
	return checkRouter(containers)
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

// checkPortsTogether refuses two containers that want the same port of the host
// (or of the task's own interface), and two mappings of one name.
func checkPortsTogether(containers []ecs.ContainerDefinition, mode ecs.NetworkMode) error {
	type binding struct {
		protocol ecs.TransportProtocol
		port     int32
	}
	taken, named := map[binding]string{}, map[string]bool{}
	for i := range containers {
		for j := range containers[i].PortMappings {
			p := &containers[i].PortMappings[j]
			if p.Name != "" && named[p.Name] {
				return refused("The port mapping name '%s' is given twice in the task definition.", p.Name)
			}
			named[p.Name] = true
			b := binding{protocolOf(p), hostPortOf(p, mode)}
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

// checkRouter holds the containers that log through FireLens and the one that
// routes for them against each other: there is neither without the other.
func checkRouter(containers []ecs.ContainerDefinition) error {
	router, sender := "", ""
	for i := range containers {
		c := &containers[i]
		if c.LogConfiguration != nil && c.LogConfiguration.LogDriver == ecs.LogDriverAwsfirelens {
			sender = c.Name
		}
		if c.FirelensConfiguration == nil {
			continue
		}
		if router != "" {
			return refused("Only one container can have a firelensConfiguration, not '%s' and '%s'.", router, c.Name)
		}
		router = c.Name
	}
	switch {
	case router != "" && sender == "":
		return refused("When a firelensConfiguration object is specified, at least one container has to be configured with the awsfirelens log driver.")
	case sender != "" && router == "":
		return refused("Container '%s' has the log driver awsfirelens, and no container has a firelensConfiguration.", sender)
	}
	return nil
}
