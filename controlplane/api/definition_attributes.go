package api

import (
	"slices"
	"strings"

	"github.com/longshore/longshore/proto/ecs"
)

// Prefixes of the attributes by which a definition asks for hosts that can do what
// it uses: ECS's first capabilities have the longer one. Agents register what
// their host can do.
const (
	capability    = "com.amazonaws.ecs.capability."
	newCapability = "ecs.capability."
	dockerAPI     = capability + "docker-remote-api."

	attributeArchitecture = "ecs.cpu-architecture"
	attributeOS           = "ecs.os-type"
)

// A taskRule is an attribute that a definition requires if it uses something.
type taskRule struct {
	attribute string
	used      func(*ecs.TaskDefinition) bool
}

// A containerRule is that for something that any of the containers uses.
type containerRule struct {
	attribute string
	used      func(*ecs.ContainerDefinition) bool
}

var taskRules = []taskRule{
	{capability + "task-iam-role", func(d *ecs.TaskDefinition) bool { return d.TaskRoleArn != "" }},
	{capability + "task-iam-role-network-host", func(d *ecs.TaskDefinition) bool { return d.TaskRoleArn != "" && d.NetworkMode == ecs.NetworkModeHost }},
	{newCapability + "task-eni", func(d *ecs.TaskDefinition) bool { return d.NetworkMode == ecs.NetworkModeAwsvpc }},
	{newCapability + "task-cpu-mem-limit", func(d *ecs.TaskDefinition) bool {
		return (d.Cpu != "" || d.Memory != "") && !slices.Contains(d.RequiresCompatibilities, ecs.CompatibilityFARGATE)
	}},
	{newCapability + "pid-ipc-namespace-sharing", func(d *ecs.TaskDefinition) bool { return d.PidMode != "" || d.IpcMode != "" }},
	{newCapability + "aws-appmesh", func(d *ecs.TaskDefinition) bool { return d.ProxyConfiguration != nil }},
	{newCapability + "task-eia", func(d *ecs.TaskDefinition) bool { return len(d.InferenceAccelerators) > 0 }},
	{newCapability + "fault-injection", func(d *ecs.TaskDefinition) bool { return isTrue(d.EnableFaultInjection) }},
	{newCapability + "efs", anyVolume(func(v *ecs.Volume) bool { return v.EfsVolumeConfiguration != nil })},
	{newCapability + "efsAuth", anyVolume(func(v *ecs.Volume) bool {
		return v.EfsVolumeConfiguration != nil && v.EfsVolumeConfiguration.AuthorizationConfig != nil
	})},
	{newCapability + "fsxWindowsFileServer", anyVolume(func(v *ecs.Volume) bool { return v.FsxWindowsFileServerVolumeConfiguration != nil })},
	{newCapability + "storage.ebs-task-volume-attach", anyVolume(func(v *ecs.Volume) bool { return isTrue(v.ConfiguredAtLaunch) })},
	{newCapability + "execution-role-awslogs", func(d *ecs.TaskDefinition) bool {
		return d.ExecutionRoleArn != "" && slices.ContainsFunc(d.ContainerDefinitions, func(c ecs.ContainerDefinition) bool { return logsTo(&c, ecs.LogDriverAwslogs) })
	}},
}

// containerRules: the versions of the Docker API are those that ContainerDefinition,
// seed 000, names. ECS adds some that it does not name; no engine of today lacks them.
var containerRules = []containerRule{
	{dockerAPI + "1.18", func(c *ecs.ContainerDefinition) bool {
		return len(c.Ulimits) > 0 || len(c.DockerLabels) > 0 || c.LogConfiguration != nil
	}},
	{dockerAPI + "1.19", func(c *ecs.ContainerDefinition) bool {
		return c.LogConfiguration != nil && len(c.LogConfiguration.Options) > 0
	}},
	{dockerAPI + "1.25", func(c *ecs.ContainerDefinition) bool {
		return c.LinuxParameters != nil && isTrue(c.LinuxParameters.InitProcessEnabled)
	}},
	{capability + "privileged-container", func(c *ecs.ContainerDefinition) bool { return isTrue(c.Privileged) }},
	{capability + "apparmor", secures("apparmor:")},
	{capability + "selinux", secures("label:")},
	{newCapability + "gmsa", func(c *ecs.ContainerDefinition) bool {
		return secures("credentialspec:")(c) || len(c.CredentialSpecs) > 0
	}},
	{newCapability + "container-ordering", func(c *ecs.ContainerDefinition) bool { return len(c.DependsOn) > 0 }},
	{newCapability + "container-health-check", func(c *ecs.ContainerDefinition) bool { return c.HealthCheck != nil }},
	{newCapability + "container-restart-policy", func(c *ecs.ContainerDefinition) bool {
		return c.RestartPolicy != nil && isTrue(c.RestartPolicy.Enabled)
	}},
	{newCapability + "network.container-port-range", func(c *ecs.ContainerDefinition) bool {
		return slices.ContainsFunc(c.PortMappings, func(p ecs.PortMapping) bool { return p.ContainerPortRange != "" })
	}},
	{newCapability + "private-registry-authentication.secretsmanager", func(c *ecs.ContainerDefinition) bool { return c.RepositoryCredentials != nil }},
	{newCapability + "env-files.s3", func(c *ecs.ContainerDefinition) bool { return len(c.EnvironmentFiles) > 0 }},
	{newCapability + "secrets.asm.environment-variables", func(c *ecs.ContainerDefinition) bool { return slices.ContainsFunc(c.Secrets, inSecretsManager) }},
	{newCapability + "secrets.ssm.environment-variables", func(c *ecs.ContainerDefinition) bool { return slices.ContainsFunc(c.Secrets, inParameterStore) }},
	{newCapability + "secrets.asm.bootstrap.log-driver", func(c *ecs.ContainerDefinition) bool {
		return c.LogConfiguration != nil && slices.ContainsFunc(c.LogConfiguration.SecretOptions, inSecretsManager)
	}},
	{newCapability + "secrets.ssm.bootstrap.log-driver", func(c *ecs.ContainerDefinition) bool {
		return c.LogConfiguration != nil && slices.ContainsFunc(c.LogConfiguration.SecretOptions, inParameterStore)
	}},
	{newCapability + "firelens.fluentd", routesBy(ecs.FirelensConfigurationTypeFluentd)},
	{newCapability + "firelens.fluentbit", routesBy(ecs.FirelensConfigurationTypeFluentbit)},
	{newCapability + "firelens.options.config.file", routerReads("file")},
	{newCapability + "firelens.options.config.s3", routerReads("s3")},
}

func anyVolume(is func(*ecs.Volume) bool) func(*ecs.TaskDefinition) bool {
	return func(d *ecs.TaskDefinition) bool {
		return slices.ContainsFunc(d.Volumes, func(v ecs.Volume) bool { return is(&v) })
	}
}

func logsTo(c *ecs.ContainerDefinition, driver ecs.LogDriver) bool {
	return c.LogConfiguration != nil && c.LogConfiguration.LogDriver == driver
}

func secures(prefix string) func(*ecs.ContainerDefinition) bool {
	return func(c *ecs.ContainerDefinition) bool {
		return slices.ContainsFunc(c.DockerSecurityOptions, func(o string) bool { return strings.HasPrefix(o, prefix) })
	}
}

// A secret is in the Parameter Store unless its ARN says otherwise: there, a name is enough.
func inSecretsManager(s ecs.Secret) bool { return strings.Contains(s.ValueFrom, ":secretsmanager:") }
func inParameterStore(s ecs.Secret) bool { return !inSecretsManager(s) }

func routesBy(kind ecs.FirelensConfigurationType) func(*ecs.ContainerDefinition) bool {
	return func(c *ecs.ContainerDefinition) bool {
		return c.FirelensConfiguration != nil && c.FirelensConfiguration.Type == kind
	}
}

func routerReads(kind string) func(*ecs.ContainerDefinition) bool {
	return func(c *ecs.ContainerDefinition) bool {
		return c.FirelensConfiguration != nil && c.FirelensConfiguration.Options["config-file-type"] == kind
	}
}

// requirements works out which attributes an instance must have, in order of name:
// by the two tables above, and those whose name or value the definition gives.
func requirements(d *ecs.TaskDefinition) []ecs.Attribute {
	needs := map[string]*string{}
	for _, r := range taskRules {
		if r.used(d) {
			needs[r.attribute] = nil
		}
	}
	for i := range d.ContainerDefinitions {
		c := &d.ContainerDefinitions[i]
		for _, r := range containerRules {
			if r.used(c) {
				needs[r.attribute] = nil
			}
		}
		if l := c.LogConfiguration; l != nil {
			needs[capability+"logging-driver."+string(l.LogDriver)] = nil
		}
	}
	for i := range d.Volumes {
		if v := d.Volumes[i].DockerVolumeConfiguration; v != nil && v.Driver != "" {
			needs[newCapability+"docker-plugin."+v.Driver] = nil
		}
	}
	if p := d.RuntimePlatform; p != nil {
		if p.CpuArchitecture != "" {
			needs[attributeArchitecture] = pointer(strings.ToLower(string(p.CpuArchitecture)))
		}
		if p.OperatingSystemFamily != "" {
			needs[attributeOS] = pointer(strings.ToLower(string(p.OperatingSystemFamily)))
		}
	}
	out := make([]ecs.Attribute, 0, len(needs))
	for name, value := range needs {
		out = append(out, ecs.Attribute{Name: name, Value: value})
	}
	slices.SortFunc(out, func(a, b ecs.Attribute) int { return strings.Compare(a.Name, b.Name) })
	return out
}
