package api

import (
	"regexp"
	"slices"
	"strings"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

const (
	maxImage = 255 // characters
	// minMemory in MiB is what Docker takes from 20.10 on; ECS takes 4, with which
	// no task would start (task definition parameters, ECS guide).
	minMemory = 6

	minStartTimeout = 2 // seconds
)

var (
	imageForm = regexp.MustCompile(`^[A-Za-z0-9_:./#@-]+$`)
	// userForm is a name or id of a user, and perhaps of a group. Ids are not negative.
	userForm = regexp.MustCompile(`^[^:\s-][^:\s]*(:[^:\s-][^:\s]*)?$`)
)

// checkContainer checks one container of a task definition by itself.
func checkContainer(c *ecs.ContainerDefinition, d *ecs.RegisterTaskDefinitionRequest, volumes map[string]bool) error {
	switch {
	case c.Name == "":
		return refused("Container.name should not be null or empty.")
	case !model.ValidName(c.Name):
		return refused("Container name must be 1 to 255 letters, digits, hyphens and underscores, not %q.", clip(c.Name))
	case c.Image == "":
		return refused("Container.image should not be null or empty.")
	case len(c.Image) > maxImage:
		return wrong(c, "'image' is longer than %d characters.", maxImage)
	case !imageForm.MatchString(c.Image):
		return refused("Container.image contains invalid characters.")
	case c.Memory == nil && c.MemoryReservation == nil && d.Memory == "":
		return wrong(c, "At least one of 'memory' or 'memoryReservation' must be specified.")
	}
	for _, check := range []func() error{
		func() error { return checkAmounts(c) },
		func() error { return checkLinks(c, d.NetworkMode) },
		func() error { return checkNames(c, d.NetworkMode) },
		func() error { return checkPorts(c, d.NetworkMode) },
		func() error { return checkEnvironment(c) },
		func() error { return checkEnvironmentFiles(c) },
		func() error { return checkSecrets(c, d) },
		func() error { return checkMounts(c, volumes) },
		func() error { return checkHealthCheck(c) },
		func() error { return checkTimes(c) },
		func() error { return checkUlimits(c) },
		func() error { return checkLinux(c, d.Memory) },
		func() error { return checkSystemControls(c, d.NetworkMode, d.IpcMode) },
		func() error { return checkSecurity(c) },
		func() error { return checkRequirements(c) },
		func() error { return checkRestarts(c) },
		func() error { return checkLog(c) },
		func() error { return checkFirelens(c) },
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// wrong is ECS's way of naming the container whose setting is invalid.
func wrong(c *ecs.ContainerDefinition, format string, args ...any) error {
	return refused("Invalid setting for container '"+c.Name+"'. "+format, args...)
}

// checkAmounts holds for a definition and for one with overrides. ECS's text asks
// for more memory than memoryReservation; ECS itself takes as much, too.
func checkAmounts(c *ecs.ContainerDefinition) error {
	switch {
	case c.Cpu < 0:
		return wrong(c, "'cpu' must not be negative.")
	case c.Memory != nil && *c.Memory < minMemory:
		return wrong(c, "'memory' must be at least %d MiB.", minMemory)
	case c.MemoryReservation != nil && *c.MemoryReservation < minMemory:
		return wrong(c, "'memoryReservation' must be at least %d MiB.", minMemory)
	case c.Memory != nil && c.MemoryReservation != nil && *c.Memory < *c.MemoryReservation:
		return wrong(c, "The 'memory' must be greater than or equal to the 'memoryReservation'.")
	}
	return nil
}

func checkLinks(c *ecs.ContainerDefinition, mode ecs.NetworkMode) error {
	if len(c.Links) > 0 && mode != "" && mode != ecs.NetworkModeBridge {
		return wrong(c, "Links are not supported when networkMode=%s.", mode)
	}
	for _, l := range c.Links {
		name, alias, named := strings.Cut(l, ":")
		if !model.ValidName(name) || named && !model.ValidName(alias) {
			return wrong(c, "A link has the form 'container' or 'container:alias', not %q.", clip(l))
		}
	}
	return nil
}

// checkNames checks by which names a container knows itself and others, and as whom it runs.
func checkNames(c *ecs.ContainerDefinition, mode ecs.NetworkMode) error {
	awsvpc := mode == ecs.NetworkModeAwsvpc
	switch {
	case awsvpc && c.Hostname != "":
		return refused("hostname is not supported on container when networkMode=awsvpc")
	case awsvpc && len(c.ExtraHosts) > 0:
		return refused("Extra hosts are not supported on container when networkMode=awsvpc")
	case awsvpc && isTrue(c.DisableNetworking):
		return refused("Disable Networking is not supported on container when networkMode=awsvpc")
	case c.User != "" && !userForm.MatchString(c.User):
		return wrong(c, "'user' has the form user, uid, user:group or uid:gid, not %q.", clip(c.User))
	case c.RepositoryCredentials != nil && c.RepositoryCredentials.CredentialsParameter == "":
		return wrong(c, "'repositoryCredentials' needs a credentialsParameter.")
	case c.RepositoryCredentials != nil && !credentialsReference(c.RepositoryCredentials.CredentialsParameter):
		return wrong(c, "A credentialsParameter is the ARN or the name of a secret, not %q.", clip(c.RepositoryCredentials.CredentialsParameter))
	}
	for _, e := range c.ExtraHosts {
		if e.Hostname == "" || e.IpAddress == "" || strings.ContainsAny(e.Hostname, ": ") {
			return wrong(c, "An extra host needs a hostname and an ipAddress.")
		}
	}
	return nil
}

func checkEnvironment(c *ecs.ContainerDefinition) error {
	for _, e := range c.Environment {
		if !variableName(e.Name) {
			return wrong(c, "An environment variable needs a name without '=', not %q.", clip(e.Name))
		}
	}
	return nil
}

func variableName(s string) bool { return s != "" && !strings.ContainsAny(s, "=\x00") }

func checkMounts(c *ecs.ContainerDefinition, volumes map[string]bool) error {
	taken := map[string]bool{}
	for _, m := range c.MountPoints {
		switch {
		case !volumes[m.SourceVolume]:
			return refused("Unknown volume '%s' in the mountPoints of container '%s'.", clip(m.SourceVolume), c.Name)
		case !absolute(m.ContainerPath):
			return wrong(c, "The 'containerPath' of a mount point must begin with /, not %q.", clip(m.ContainerPath))
		case taken[m.ContainerPath]:
			return wrong(c, "Two volumes are mounted at %q.", clip(m.ContainerPath))
		}
		taken[m.ContainerPath] = true
	}
	return nil
}

func checkHealthCheck(c *ecs.ContainerDefinition) error {
	hc := c.HealthCheck
	if hc == nil {
		return nil
	}
	if len(hc.Command) < 2 || !slices.Contains([]string{"CMD", "CMD-SHELL"}, hc.Command[0]) {
		return wrong(c, "A health check's command must be CMD or CMD-SHELL and what to run.")
	}
	for _, n := range []struct {
		name     string
		value    *int32
		from, to int32
	}{
		{"interval", hc.Interval, 5, 300}, {"timeout", hc.Timeout, 2, 60},
		{"retries", hc.Retries, 1, 10}, {"startPeriod", hc.StartPeriod, 0, 300},
	} {
		if n.value != nil && (*n.value < n.from || *n.value > n.to) {
			return wrong(c, "A health check's %s must be from %d to %d, not %d.", n.name, n.from, n.to, *n.value)
		}
	}
	return nil
}

func checkTimes(c *ecs.ContainerDefinition) error {
	if c.StartTimeout != nil && *c.StartTimeout < minStartTimeout {
		return wrong(c, "'startTimeout' must be at least %d seconds.", minStartTimeout)
	}
	if c.StopTimeout != nil && *c.StopTimeout < 0 {
		return wrong(c, "'stopTimeout' must not be negative.")
	}
	return nil
}
