package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// definitionCase is a change of a small definition and what registering it must
// answer: the whole message, or, behind a tilde, a part of it.
type definitionCase struct {
	change func(*registering)
	want   string
}

func (f *fixture) wantRefusals(t *testing.T, cases map[string]definitionCase) {
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			in := &registering{Family: aws.String("refused"), ContainerDefinitions: []types.ContainerDefinition{container("main", nil)}}
			c.change(in)
			_, err := f.RegisterTaskDefinition(f.ctx, in)
			if part, ok := strings.CutPrefix(c.want, "~"); ok {
				wantError(t, err, "ClientException", "")
				if err != nil && !strings.Contains(err.Error(), part) {
					t.Errorf("got %v, want it to say %q", err, part)
				}
				return
			}
			wantError(t, err, "ClientException", c.want)
		})
	}
}

// onFargate makes a definition one that Fargate takes.
func onFargate(in *registering) {
	in.RequiresCompatibilities = []types.Compatibility{types.CompatibilityFargate}
	in.NetworkMode = types.NetworkModeAwsvpc
	in.Cpu, in.Memory = aws.String("256"), aws.String("512")
}

func sized(cpu, memory string) func(*registering) {
	return func(in *registering) { in.Cpu, in.Memory = aws.String(cpu), aws.String(memory) }
}

func withRole(in *registering) {
	in.ExecutionRoleArn = aws.String("arn:aws:iam::123456789012:role/exec")
}

func linux(l types.LinuxParameters) func(*registering) {
	return of(func(c *types.ContainerDefinition) { c.LinuxParameters = &l })
}

func volume(v types.Volume) func(*registering) {
	return func(in *registering) { v.Name = aws.String("v"); in.Volumes = append(in.Volumes, v) }
}

func logsTo(driver types.LogDriver, options ...string) func(*types.ContainerDefinition) {
	return func(c *types.ContainerDefinition) {
		c.LogConfiguration = &types.LogConfiguration{LogDriver: driver, Options: map[string]string{}}
		for _, o := range options {
			c.LogConfiguration.Options[o] = "x"
		}
	}
}

func routes(options map[string]string) func(*types.ContainerDefinition) {
	return func(c *types.ContainerDefinition) {
		c.FirelensConfiguration = &types.FirelensConfiguration{Type: types.FirelensConfigurationTypeFluentbit, Options: options}
	}
}

func maps(mappings ...types.PortMapping) func(*registering) {
	return of(func(c *types.ContainerDefinition) { c.PortMappings = mappings })
}

func TestRegisterTaskDefinition_RefusesWrongSizes(t *testing.T) {
	f := newFixture(t)
	f.wantRefusals(t, map[string]definitionCase{
		"no number":              {sized("lots", "512"), "~Invalid 'cpu' setting for task"},
		"a broken unit":          {sized("256", "1 TB"), "~Invalid 'memory' setting for task"},
		"part of a CPU unit":     {sized("0.0001 vCPU", "512"), "~Invalid 'cpu' setting for task"},
		"little cpu":             {sized("127", "512"), "~from 128 to 10240 CPU units, not 127"},
		"much cpu":               {sized("11 vCPU", "512"), "~from 128 to 10240 CPU units, not 11264"},
		"no pair of Fargate":     {both(onFargate, sized("256", "4096")), "No Fargate configuration exists for given values: CPU 256, memory 4096."},
		"Fargate between sizes":  {both(onFargate, sized("4 vCPU", "8.5 GB")), "No Fargate configuration exists for given values: CPU 4096, memory 8704."},
		"more cpu than the task": {both(sized("128", "512"), of(func(c *types.ContainerDefinition) { c.Cpu = 129 })), "~reserve 129 CPU units together"},
		"more memory together":   {both(sized("256", "100"), add("b", nil)), "~reserve 128 MiB of memory together"},
		"a limit above the task": {both(sized("256", "512"), of(func(c *types.ContainerDefinition) {
			c.Memory, c.MemoryReservation = aws.Int32(513), aws.Int32(64)
		})), "~'memory' is 513 MiB"},
		"storage without Fargate": {func(in *registering) { in.EphemeralStorage = &types.EphemeralStorage{SizeInGiB: 21} }, "~only supported for tasks on Fargate"},
		"little storage":          {both(onFargate, func(in *registering) { in.EphemeralStorage = &types.EphemeralStorage{SizeInGiB: 20} }), "~from 21 to 200 GiB, not 20"},
		"a strange role":          {func(in *registering) { in.TaskRoleArn = aws.String("a b") }, "~Role is not valid"},
	})
}

func TestRegisterTaskDefinition_RefusesWhatNetworkModesForbid(t *testing.T) {
	f := newFixture(t)
	awsvpc := func(in *registering) { in.NetworkMode = types.NetworkModeAwsvpc }
	f.wantRefusals(t, map[string]definitionCase{
		"links in awsvpc":      {both(awsvpc, of(func(c *types.ContainerDefinition) { c.Links = []string{"b"} }), add("b", nil)), "~Links are not supported when networkMode=awsvpc"},
		"a hostname in awsvpc": {both(awsvpc, of(func(c *types.ContainerDefinition) { c.Hostname = aws.String("h") })), "hostname is not supported on container when networkMode=awsvpc"},
		"hosts in awsvpc": {both(awsvpc, of(func(c *types.ContainerDefinition) {
			c.ExtraHosts = []types.HostEntry{{Hostname: aws.String("h"), IpAddress: aws.String("1.2.3.4")}}
		})), "Extra hosts are not supported on container when networkMode=awsvpc"},
		"no network in awsvpc": {both(awsvpc, of(func(c *types.ContainerDefinition) { c.DisableNetworking = aws.Bool(true) })), "Disable Networking is not supported on container when networkMode=awsvpc"},
		"another port":         {both(awsvpc, maps(types.PortMapping{ContainerPort: aws.Int32(80), HostPort: aws.Int32(81)})), "~When networkMode=awsvpc, the host ports and container ports"},
		"the same port": {both(awsvpc, maps(types.PortMapping{ContainerPort: aws.Int32(80)}), add("b", func(c *types.ContainerDefinition) {
			c.PortMappings = []types.PortMapping{{ContainerPort: aws.Int32(80)}}
		})), "~both map tcp host port 80"},
		"a port of two":          {maps(types.PortMapping{ContainerPort: aws.Int32(53)}, types.PortMapping{ContainerPort: aws.Int32(53), Protocol: types.TransportProtocolUdp}), "~port 53 cannot be exposed for several protocols"},
		"a name twice":           {maps(types.PortMapping{ContainerPort: aws.Int32(1), Name: aws.String("n")}, types.PortMapping{ContainerPort: aws.Int32(2), Name: aws.String("n")}), "~name 'n' is given twice"},
		"a name of capitals":     {maps(types.PortMapping{ContainerPort: aws.Int32(1), Name: aws.String("N")}), "~lowercase letters"},
		"a range and a port":     {maps(types.PortMapping{ContainerPort: aws.Int32(1), ContainerPortRange: aws.String("1-2")}), "~not both"},
		"a range backwards":      {maps(types.PortMapping{ContainerPortRange: aws.String("2-1")}), "~two ports from 1 to 65535"},
		"a range in host mode":   {both(func(in *registering) { in.NetworkMode = types.NetworkModeHost }, maps(types.PortMapping{ContainerPortRange: aws.String("1-2")})), "~only for the network modes bridge and awsvpc"},
		"ranges over each other": {maps(types.PortMapping{ContainerPortRange: aws.String("1-5")}, types.PortMapping{ContainerPortRange: aws.String("5-9")}), "~1-5 and 5-9 overlap"},
		"a proxy in bridge mode": {func(in *registering) {
			in.ProxyConfiguration = &types.ProxyConfiguration{ContainerName: aws.String("main")}
		}, "~only supported when networkMode=awsvpc"},
		"an unknown proxy": {both(awsvpc, func(in *registering) {
			in.ProxyConfiguration = &types.ProxyConfiguration{ContainerName: aws.String("x")}
		}), "~names the container 'x'"},
		"a proxy without ports": {both(awsvpc, func(in *registering) {
			in.ProxyConfiguration = &types.ProxyConfiguration{ContainerName: aws.String("main")}
		}), "~needs the property AppPorts"},
		"EXTERNAL with awsvpc": {both(awsvpc, func(in *registering) { in.RequiresCompatibilities = []types.Compatibility{types.CompatibilityExternal} }), "~EXTERNAL does not support the network mode awsvpc"},
	})
}

func TestRegisterTaskDefinition_RefusesWhatFargateDoesNotTake(t *testing.T) {
	f := newFixture(t)
	cases := map[string]definitionCase{
		"privileged containers": {of(func(c *types.ContainerDefinition) { c.Privileged = aws.Bool(true) }), ""},
		"dockerSecurityOptions": {of(func(c *types.ContainerDefinition) { c.DockerSecurityOptions = []string{"no-new-privileges"} }), ""},
		"GPUs": {of(func(c *types.ContainerDefinition) {
			c.ResourceRequirements = []types.ResourceRequirement{{Type: types.ResourceTypeGpu, Value: aws.String("1")}}
		}), ""},
		"devices":          {linux(types.LinuxParameters{Devices: []types.Device{{HostPath: aws.String("/dev/x")}}}), ""},
		"sharedMemorySize": {linux(types.LinuxParameters{SharedMemorySize: aws.Int32(1)}), ""},
		"tmpfs":            {linux(types.LinuxParameters{Tmpfs: []types.Tmpfs{{ContainerPath: aws.String("/t"), Size: 1}}}), ""},
		"maxSwap":          {linux(types.LinuxParameters{MaxSwap: aws.Int32(0)}), ""},
		"swappiness":       {linux(types.LinuxParameters{Swappiness: aws.Int32(0)}), ""},
		"adding kernel capabilities other than SYS_PTRACE": {linux(types.LinuxParameters{Capabilities: &types.KernelCapabilities{Add: []string{"NET_ADMIN"}}}), ""},
		"the log driver json-file":                         {of(logsTo(types.LogDriverJsonFile)), ""},
		"the FireLens configuration file type s3": {both(of(logsTo(types.LogDriverAwsfirelens)),
			add("r", routes(map[string]string{"config-file-type": "s3", "config-file-value": "arn:aws:s3:::b/k"}))), ""},
		"sourcePath of a volume":                {volume(types.Volume{Host: &types.HostVolumeProperties{SourcePath: aws.String("/d")}}), ""},
		"dockerVolumeConfiguration of a volume": {volume(types.Volume{DockerVolumeConfiguration: &types.DockerVolumeConfiguration{}}), ""},
		"pidMode":                               {func(in *registering) { in.PidMode = types.PidModeTask }, ""},
		"ipcMode":                               {func(in *registering) { in.IpcMode = types.IpcModeTask }, ""},
		"placementConstraints": {func(in *registering) {
			in.PlacementConstraints = []types.TaskDefinitionPlacementConstraint{{Type: "memberOf", Expression: aws.String("attribute:a exists")}}
		}, ""},
	}
	for name, c := range cases {
		cases[name] = definitionCase{both(onFargate, sized("256", "1024"), c.change), "Fargate compatible task definitions do not support " + name + "."}
	}
	cases["awslogs without a role"] = definitionCase{both(onFargate, of(logsTo(types.LogDriverAwslogs, "awslogs-group", "awslogs-region"))),
		"Fargate requires task definition to have execution role ARN to support log driver awslogs."}
	cases["a long stop"] = definitionCase{both(onFargate, of(func(c *types.ContainerDefinition) { c.StopTimeout = aws.Int32(121) })), "~'stopTimeout' is at most 120 seconds"}
	f.wantRefusals(t, cases)
}

func TestRegisterTaskDefinition_RefusesWrongContainers(t *testing.T) {
	f := newFixture(t)
	f.wantRefusals(t, map[string]definitionCase{
		"a strange image": {of(func(c *types.ContainerDefinition) { c.Image = aws.String("a b") }), "Container.image contains invalid characters."},
		"a strange user":  {of(func(c *types.ContainerDefinition) { c.User = aws.String("-1") }), "~'user' has the form"},
		"two mounts at a path": {both(volume(types.Volume{}), of(func(c *types.ContainerDefinition) {
			c.MountPoints = []types.MountPoint{{SourceVolume: aws.String("v"), ContainerPath: aws.String("/d")}, {SourceVolume: aws.String("v"), ContainerPath: aws.String("/d")}}
		})), "~Two volumes are mounted at"},
		"an unknown capability": {linux(types.LinuxParameters{Capabilities: &types.KernelCapabilities{Drop: []string{"CAP_CHOWN"}}}), "~no kernel capability"},
		"a device that is none": {linux(types.LinuxParameters{Devices: []types.Device{{HostPath: aws.String("dev")}}}), "~paths of a device"},
		"a tmpfs of nothing":    {linux(types.LinuxParameters{Tmpfs: []types.Tmpfs{{ContainerPath: aws.String("/t")}}}), "~'size' of a tmpfs"},
		"a tmpfs option":        {linux(types.LinuxParameters{Tmpfs: []types.Tmpfs{{ContainerPath: aws.String("/t"), Size: 1, MountOptions: []string{"quick"}}}}), "~no mount option"},
		"swappiness 101":        {linux(types.LinuxParameters{Swappiness: aws.Int32(101)}), "~'swappiness' must be from 0 to 100"},
		"negative swap":         {linux(types.LinuxParameters{MaxSwap: aws.Int32(-1)}), "~'maxSwap' must be"},
		"a ulimit of -2": {of(func(c *types.ContainerDefinition) {
			c.Ulimits = []types.Ulimit{{Name: types.UlimitNameCore, SoftLimit: -2, HardLimit: 1}}
		}), "~must not be negative"},
		"a control twice": {of(func(c *types.ContainerDefinition) {
			c.SystemControls = []types.SystemControl{{Namespace: aws.String("a"), Value: aws.String("1")}, {Namespace: aws.String("a"), Value: aws.String("2")}}
		}), "~given twice"},
		"an IPC control of the host": {both(func(in *registering) { in.IpcMode = types.IpcModeHost }, of(func(c *types.ContainerDefinition) {
			c.SystemControls = []types.SystemControl{{Namespace: aws.String("kernel.msgmax"), Value: aws.String("1")}}
		})), "~not supported when ipcMode=host"},
		"a control of no namespace": {of(func(c *types.ContainerDefinition) {
			c.SystemControls = []types.SystemControl{{Namespace: aws.String("vm.swappiness"), Value: aws.String("1")}}
		}), "~not one of a namespace"},
		"a network control of the host": {both(func(in *registering) { in.NetworkMode = types.NetworkModeHost }, of(func(c *types.ContainerDefinition) {
			c.SystemControls = []types.SystemControl{{Namespace: aws.String("net.core.somaxconn"), Value: aws.String("1")}}
		})), "~when networkMode=host"},
		"swap without memory": {both(linux(types.LinuxParameters{MaxSwap: aws.Int32(1)}), of(func(c *types.ContainerDefinition) {
			c.Memory, c.MemoryReservation = nil, aws.Int32(64)
		})), "~'maxSwap' needs a limit on memory"},
		"an awslogs option":       {of(logsTo(types.LogDriverAwslogs, "awslogs-group", "awslogs-region", "awslogs-datetime-format")), "~does not support the option awslogs-datetime-format"},
		"awslogs without a group": {of(logsTo(types.LogDriverAwslogs, "awslogs-region")), "Log driver awslogs requires options: awslogs-group"},
		"an unknown log mode":     {of(logsTo(types.LogDriverAwslogs, "awslogs-group", "awslogs-region", "mode")), "~blocking or non-blocking"},
		"a spec of Windows":       {of(func(c *types.ContainerDefinition) { c.DockerSecurityOptions = []string{"credentialspec:file://x"} }), "~for Windows"},
		"a security option":       {of(func(c *types.ContainerDefinition) { c.DockerSecurityOptions = []string{"seccomp:none"} }), "~Docker security option"},
		"no GPUs": {of(func(c *types.ContainerDefinition) {
			c.ResourceRequirements = []types.ResourceRequirement{{Type: types.ResourceTypeGpu, Value: aws.String("0")}}
		}), "~positive whole number"},
		"an unknown accelerator": {of(func(c *types.ContainerDefinition) {
			c.ResourceRequirements = []types.ResourceRequirement{{Type: types.ResourceTypeInferenceAccelerator, Value: aws.String("a")}}
		}), "~accelerator 'a' is not in the task definition"},
		"a quick restart": {of(func(c *types.ContainerDefinition) {
			c.RestartPolicy = &types.ContainerRestartPolicy{Enabled: aws.Bool(true), RestartAttemptPeriod: aws.Int32(59)}
		}), "~from 60 to 1800"},
		"a slow answer": {of(func(c *types.ContainerDefinition) {
			c.HealthCheck = &types.HealthCheck{Command: []string{"CMD", "x"}, Timeout: aws.Int32(61)}
		}), "~timeout must be from 2 to 60"},
		"an environment file": {of(func(c *types.ContainerDefinition) {
			c.EnvironmentFiles = []types.EnvironmentFile{{Type: "s3", Value: aws.String("arn:aws:s3:::b/k.txt")}}
		}), "~ends in .env"},
		"a secret of a variable": {both(withRole, of(func(c *types.ContainerDefinition) {
			c.Environment = []types.KeyValuePair{{Name: aws.String("A"), Value: aws.String("1")}}
			c.Secrets = []types.Secret{{Name: aws.String("A"), ValueFrom: aws.String("p")}}
		})), "The secret name must be unique and not shared with any new or existing environment variables set on the container, such as 'A'."},
		"awslogs without options": {of(logsTo(types.LogDriverAwslogs, "awslogs-group")), "Log driver awslogs requires options: awslogs-region"},
		"splunk without options":  {of(logsTo(types.LogDriverSplunk)), "Log driver splunk requires options: splunk-token, splunk-url"},
		"a router for nobody":     {of(routes(nil)), "When a firelensConfiguration object is specified, at least one container has to be configured with the awsfirelens log driver."},
		"no router":               {of(logsTo(types.LogDriverAwsfirelens)), "~no container has a firelensConfiguration"},
		"two routers":             {both(of(routes(nil)), add("b", routes(nil)), add("c", logsTo(types.LogDriverAwsfirelens))), "~Only one container"},
		"a router's option":       {both(of(routes(map[string]string{"speed": "1"})), add("c", logsTo(types.LogDriverAwsfirelens))), "~no option \"speed\""},
		"half a router's file":    {both(of(routes(map[string]string{"config-file-type": "file"})), add("c", logsTo(types.LogDriverAwsfirelens))), "~needs both"},
	})
}

func TestRegisterTaskDefinition_RefusesWrongVolumes(t *testing.T) {
	f := newFixture(t)
	efs := func(change func(*types.EFSVolumeConfiguration)) func(*registering) {
		e := &types.EFSVolumeConfiguration{FileSystemId: aws.String("fs-1")}
		change(e)
		return volume(types.Volume{EfsVolumeConfiguration: e})
	}
	point := &types.EFSAuthorizationConfig{AccessPointId: aws.String("fsap-1")}
	f.wantRefusals(t, map[string]definitionCase{
		"two kinds": {volume(types.Volume{Host: &types.HostVolumeProperties{SourcePath: aws.String("/d")}, EfsVolumeConfiguration: &types.EFSVolumeConfiguration{FileSystemId: aws.String("fs-1")}}),
			"~Only one of host, efsVolumeConfiguration can be given"},
		"a relative path": {volume(types.Volume{Host: &types.HostVolumeProperties{SourcePath: aws.String("d")}}), "~must begin with /"},
		"provisioning":    {volume(types.Volume{DockerVolumeConfiguration: &types.DockerVolumeConfiguration{Scope: types.ScopeTask, Autoprovision: aws.Bool(true)}}), "~only for the scope shared"},
		"a point and a root": {efs(func(e *types.EFSVolumeConfiguration) {
			e.AuthorizationConfig, e.RootDirectory = point, aws.String("/x")
		}), "~must be omitted or /"},
		"a point in clear": {efs(func(e *types.EFSVolumeConfiguration) { e.AuthorizationConfig = point }), "~With an access point, 'transitEncryption' must be ENABLED"},
		"IAM in clear": {efs(func(e *types.EFSVolumeConfiguration) {
			e.AuthorizationConfig = &types.EFSAuthorizationConfig{Iam: types.EFSAuthorizationConfigIAMEnabled}
		}), "~With IAM authorization"},
		"FSx on Linux": {volume(types.Volume{FsxWindowsFileServerVolumeConfiguration: &types.FSxWindowsFileServerVolumeConfiguration{
			FileSystemId: aws.String("fs-1"), RootDirectory: aws.String("/"),
			AuthorizationConfig: &types.FSxWindowsFileServerAuthorizationConfig{CredentialsParameter: aws.String("p"), Domain: aws.String("d")},
		}}), "~only for Windows"},
		"two at launch": {func(in *registering) {
			in.Volumes = []types.Volume{{Name: aws.String("a"), ConfiguredAtLaunch: aws.Bool(true)}, {Name: aws.String("b"), ConfiguredAtLaunch: aws.Bool(true)}}
		}, "~Only one volume can be configured at launch"},
		"eleven constraints": {func(in *registering) {
			for i := range 11 {
				in.PlacementConstraints = append(in.PlacementConstraints, types.TaskDefinitionPlacementConstraint{Type: "memberOf", Expression: aws.String(fmt.Sprintf("attribute:a%d exists", i))})
			}
		}, "~at most 10 placement constraints, not 11"},
		"Windows with links": {both(of(func(c *types.ContainerDefinition) { c.Links = []string{"b"} }), add("b", nil), func(in *registering) {
			in.RuntimePlatform = &types.RuntimePlatform{OperatingSystemFamily: types.OSFamilyWindowsServer2022Core}
		}), "~'links' is not supported for Windows containers"},
	})
}

// What is valid ECS gets as far as the refusal by name: nothing before has found
// fault with it.
func TestRegisterTaskDefinition_RefusesByNameWhatIsValidAndNotSupportedYet(t *testing.T) {
	f := newFixture(t)
	unsupported := func(what string) string { return "Longshore does not support " + what + " yet." }
	f.wantRefusals(t, map[string]definitionCase{
		"a proxy": {func(in *registering) {
			in.NetworkMode = types.NetworkModeAwsvpc
			in.ProxyConfiguration = &types.ProxyConfiguration{ContainerName: aws.String("main")}
			for _, p := range []string{"AppPorts", "ProxyIngressPort", "ProxyEgressPort", "IgnoredUID"} {
				in.ProxyConfiguration.Properties = append(in.ProxyConfiguration.Properties, types.KeyValuePair{Name: aws.String(p), Value: aws.String("1")})
			}
		}, "~proxyConfiguration of a task definition"},
		"FireLens":           {both(of(logsTo(types.LogDriverAwsfirelens)), add("r", routes(map[string]string{"enable-ecs-log-metadata": "true"}))), unsupported("logConfiguration.logDriver awsfirelens of container 'main', firelensConfiguration of container 'r'")},
		"EFS":                {volume(types.Volume{EfsVolumeConfiguration: &types.EFSVolumeConfiguration{FileSystemId: aws.String("fs-1"), TransitEncryption: types.EFSTransitEncryptionEnabled, TransitEncryptionPort: aws.Int32(2049), AuthorizationConfig: &types.EFSAuthorizationConfig{AccessPointId: aws.String("p"), Iam: types.EFSAuthorizationConfigIAMEnabled}, RootDirectory: aws.String("/")}}), unsupported("efsVolumeConfiguration.transitEncryption ENABLED of volume 'v', efsVolumeConfiguration.transitEncryptionPort of volume 'v', efsVolumeConfiguration.authorizationConfig of volume 'v'")},
		"a volume at launch": {volume(types.Volume{ConfiguredAtLaunch: aws.Bool(true)}), unsupported("configuredAtLaunch of volume 'v'")},
	})
}

// The example of RegisterTaskDefinition in seed 000.
func TestRegisterTaskDefinition_TakesTheExampleOfTheSeed(t *testing.T) {
	f := newFixture(t)
	d := must(f.RegisterTaskDefinition(f.ctx, &registering{
		Family: aws.String("sleep360"), TaskRoleArn: aws.String(""), Volumes: []types.Volume{},
		ContainerDefinitions: []types.ContainerDefinition{{
			Name: aws.String("sleep"), Image: aws.String("busybox"), Command: []string{"sleep", "360"},
			Cpu: 10, Memory: aws.Int32(10), Essential: aws.Bool(true),
		}},
	}))(t).TaskDefinition
	c := d.ContainerDefinitions[0]
	if *d.Family != "sleep360" || d.Revision != 1 || d.Volumes == nil || c.Environment == nil || c.MountPoints == nil || c.PortMappings == nil || c.VolumesFrom == nil {
		t.Errorf("got %+v", d)
	}
}
