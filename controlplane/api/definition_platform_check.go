package api

import (
	"slices"
	"strings"

	"github.com/longshore/longshore/proto/ecs"
)

// A platform is a place where tasks can run, with what a definition may not use
// there: each returns why the definition does not fit, or nil.
type platform struct {
	compatibility ecs.Compatibility
	rules         []func(*ecs.RegisterTaskDefinitionRequest) error
}

// platforms are in the order in which ECS lists the compatibilities.
var platforms = []platform{
	{ecs.CompatibilityEXTERNAL, []func(*ecs.RegisterTaskDefinitionRequest) error{fitsInstance, fitsExternal}},
	{ecs.CompatibilityEC2, []func(*ecs.RegisterTaskDefinitionRequest) error{fitsInstance}},
	{ecs.CompatibilityFARGATE, []func(*ecs.RegisterTaskDefinitionRequest) error{fitsFargateSize, fitsFargateTask, fitsFargateContainers}},
}

func (p *platform) misfit(in *ecs.RegisterTaskDefinitionRequest) error {
	for _, rule := range p.rules {
		if err := rule(in); err != nil {
			return err
		}
	}
	return nil
}

// compatibilities lists where a definition can run.
func compatibilities(in *ecs.RegisterTaskDefinitionRequest) []ecs.Compatibility {
	out := []ecs.Compatibility{}
	for i := range platforms {
		if platforms[i].misfit(in) == nil {
			out = append(out, platforms[i].compatibility)
		}
	}
	return out
}

// checkPlatforms refuses a definition that does not fit where it says that it
// does, or that fits nowhere.
func checkPlatforms(in *ecs.RegisterTaskDefinitionRequest) error {
	if err := fitsWindows(in); err != nil {
		return err
	}
	for i := range platforms {
		if slices.Contains(in.RequiresCompatibilities, platforms[i].compatibility) {
			if err := platforms[i].misfit(in); err != nil {
				return err
			}
		}
	}
	if len(in.RequiresCompatibilities) == 0 && len(compatibilities(in)) == 0 {
		return fitsInstance(in)
	}
	return nil
}

func fitsInstance(in *ecs.RegisterTaskDefinitionRequest) error {
	cpu, _ := sizeOf(in)
	switch {
	case in.EphemeralStorage != nil:
		return refused("Ephemeral storage is only supported for tasks on Fargate.")
	case cpu != 0 && (cpu < minTaskCPU || cpu > maxTaskCPU):
		return refused("Invalid 'cpu' setting for task: on instances it is from %d to %d CPU units, not %d.", minTaskCPU, maxTaskCPU, cpu)
	}
	return nil
}

// fitsExternal: what instances outside of EC2 cannot do (ECS guide, external instances).
func fitsExternal(in *ecs.RegisterTaskDefinitionRequest) error {
	switch {
	case in.NetworkMode == ecs.NetworkModeAwsvpc:
		return refused("The compatibility EXTERNAL does not support the network mode awsvpc.")
	case in.ProxyConfiguration != nil:
		return refused("The compatibility EXTERNAL does not support a proxyConfiguration.")
	case len(in.InferenceAccelerators) > 0:
		return refused("The compatibility EXTERNAL does not support inferenceAccelerators.")
	}
	for i := range in.Volumes {
		if v := &in.Volumes[i]; v.EfsVolumeConfiguration != nil || isTrue(v.ConfiguredAtLaunch) {
			return refused("The compatibility EXTERNAL does not support volume '%s': EFS and EBS are only for instances in EC2.", clip(v.Name))
		}
	}
	return nil
}

func fitsFargateSize(in *ecs.RegisterTaskDefinitionRequest) error {
	cpu, memory := sizeOf(in)
	switch {
	case cpu == 0:
		return refused("Fargate requires that 'cpu' be defined at the task level.")
	case memory == 0:
		return refused("Fargate requires that 'memory' be defined at the task level.")
	case in.NetworkMode != ecs.NetworkModeAwsvpc:
		return refused("Fargate only supports network mode 'awsvpc'.")
	case !fargateOffers(cpu, memory):
		return refused("No Fargate configuration exists for given values: CPU %d, memory %d.", cpu, memory)
	}
	return nil
}

// Ephemeral storage of a task on Fargate, in GiB (EphemeralStorage, seed 000).
const (
	minStorage = 21
	maxStorage = 200
)

func notOnFargate(what string) error {
	return refused("Fargate compatible task definitions do not support %s.", what)
}

func fitsFargateTask(in *ecs.RegisterTaskDefinitionRequest) error {
	switch s := in.EphemeralStorage; {
	case s != nil && (s.SizeInGiB < minStorage || s.SizeInGiB > maxStorage):
		return refused("Ephemeral storage is from %d to %d GiB, not %d.", minStorage, maxStorage, s.SizeInGiB)
	case len(in.PlacementConstraints) > 0:
		return notOnFargate("placementConstraints")
	case in.PidMode != "":
		return notOnFargate("pidMode")
	case in.IpcMode != "":
		return notOnFargate("ipcMode")
	case len(in.InferenceAccelerators) > 0:
		return notOnFargate("inferenceAccelerators")
	}
	for i := range in.Volumes {
		switch v := &in.Volumes[i]; {
		case v.Host != nil && v.Host.SourcePath != "":
			return notOnFargate("sourcePath of a volume")
		case v.DockerVolumeConfiguration != nil:
			return notOnFargate("dockerVolumeConfiguration of a volume")
		case v.FsxWindowsFileServerVolumeConfiguration != nil:
			return notOnFargate("fsxWindowsFileServerVolumeConfiguration of a volume")
		}
	}
	return nil
}

const maxFargateTimeout = 120 // seconds, of startTimeout and stopTimeout

func fitsFargateContainers(in *ecs.RegisterTaskDefinitionRequest) error {
	for i := range in.ContainerDefinitions {
		c := &in.ContainerDefinitions[i]
		for _, fits := range []error{fitsFargateKernel(c), fitsFargateLog(c, in.ExecutionRoleArn)} {
			if fits != nil {
				return fits
			}
		}
		switch {
		case isTrue(c.Privileged):
			return notOnFargate("privileged containers")
		case len(c.DockerSecurityOptions) > 0:
			return notOnFargate("dockerSecurityOptions")
		case slices.ContainsFunc(c.ResourceRequirements, func(r ecs.ResourceRequirement) bool { return r.Type == ecs.ResourceTypeGPU }):
			return notOnFargate("GPUs")
		case c.StopTimeout != nil && *c.StopTimeout > maxFargateTimeout:
			return wrong(c, "'stopTimeout' is at most %d seconds on Fargate.", maxFargateTimeout)
		case c.StartTimeout != nil && *c.StartTimeout > maxFargateTimeout:
			return wrong(c, "'startTimeout' is at most %d seconds on Fargate.", maxFargateTimeout)
		}
	}
	return nil
}

// fitsFargateKernel: LinuxParameters, seed 000.
func fitsFargateKernel(c *ecs.ContainerDefinition) error {
	l := c.LinuxParameters
	if l == nil {
		return nil
	}
	for _, f := range []struct {
		name  string
		given bool
	}{
		{"devices", len(l.Devices) > 0},
		{"sharedMemorySize", l.SharedMemorySize != nil},
		{"tmpfs", len(l.Tmpfs) > 0},
		{"maxSwap", l.MaxSwap != nil},
		{"swappiness", l.Swappiness != nil},
	} {
		if f.given {
			return notOnFargate(f.name)
		}
	}
	if l.Capabilities != nil {
		for _, name := range l.Capabilities.Add {
			if name != "SYS_PTRACE" {
				return notOnFargate("adding kernel capabilities other than SYS_PTRACE")
			}
		}
	}
	return nil
}

func fitsFargateLog(c *ecs.ContainerDefinition, role string) error {
	if f := c.FirelensConfiguration; f != nil && f.Options["config-file-type"] == "s3" {
		return notOnFargate("the FireLens configuration file type s3")
	}
	l := c.LogConfiguration
	if l == nil {
		return nil
	}
	switch l.LogDriver {
	case ecs.LogDriverAwslogs:
		if role == "" {
			return refused("Fargate requires task definition to have execution role ARN to support log driver awslogs.")
		}
		if l.Options["awslogs-stream-prefix"] == "" {
			return refused("Log driver awslogs requires options: awslogs-stream-prefix")
		}
	case ecs.LogDriverSplunk, ecs.LogDriverAwsfirelens:
	default:
		return notOnFargate("the log driver " + string(l.LogDriver))
	}
	return nil
}

func onWindows(p *ecs.RuntimePlatform) bool {
	return p != nil && strings.HasPrefix(string(p.OperatingSystemFamily), "WINDOWS_")
}

// fitsWindows: each member of ContainerDefinition that seed 000 notes as not
// supported for Windows containers.
func fitsWindows(in *ecs.RegisterTaskDefinitionRequest) error {
	if !onWindows(in.RuntimePlatform) {
		for i := range in.Volumes {
			if v := &in.Volumes[i]; v.FsxWindowsFileServerVolumeConfiguration != nil {
				return wrongVolume(v, "'fsxWindowsFileServerVolumeConfiguration' is only for Windows.")
			}
		}
		return nil
	}
	switch {
	case in.NetworkMode != "" && in.NetworkMode != ecs.NetworkModeAwsvpc:
		return refused("On Windows the network mode is awsvpc or none is given.")
	case in.PidMode != "" || in.IpcMode != "":
		return refused("Windows containers do not support pidMode and ipcMode.")
	}
	for i := range in.ContainerDefinitions {
		c := &in.ContainerDefinitions[i]
		for _, m := range []struct {
			name  string
			given bool
		}{
			{"linuxParameters", c.LinuxParameters != nil}, {"links", len(c.Links) > 0}, {"user", c.User != ""},
			{"disableNetworking", isTrue(c.DisableNetworking)}, {"privileged", isTrue(c.Privileged)},
			{"readonlyRootFilesystem", isTrue(c.ReadonlyRootFilesystem)}, {"dnsServers", len(c.DnsServers) > 0},
			{"dnsSearchDomains", len(c.DnsSearchDomains) > 0}, {"extraHosts", len(c.ExtraHosts) > 0},
			{"ulimits", len(c.Ulimits) > 0},
		} {
			if m.given {
				return wrong(c, "'%s' is not supported for Windows containers.", m.name)
			}
		}
	}
	return nil
}
