package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/docker/docker/api/types/container"
)

// everything is a definition with all that shows in a container on Docker and can
// be asked for together: main with a network, side without, and privileged.
func everything(image, folder string) *awsecs.RegisterTaskDefinitionInput {
	yes := aws.Bool(true)
	main := types.ContainerDefinition{
		Name: aws.String("main"), Image: &image, Essential: yes, Cpu: 256, Memory: aws.Int32(64), MemoryReservation: aws.Int32(32),
		EntryPoint: []string{"/program"}, Command: []string{"serve"},
		Environment:      []types.KeyValuePair{{Name: aws.String("PLAIN"), Value: aws.String("plain")}},
		EnvironmentFiles: []types.EnvironmentFile{{Type: "s3", Value: aws.String("arn:aws:s3:::bucket/app.env")}},
		Secrets:          []types.Secret{{Name: aws.String("SECRET"), ValueFrom: aws.String("/everything/secret")}},
		PortMappings:     []types.PortMapping{{ContainerPort: aws.Int32(8080), Protocol: "tcp"}},
		Links:            []string{"linked:alias"},
		MountPoints: []types.MountPoint{
			{SourceVolume: aws.String("folder"), ContainerPath: aws.String("/folder"), ReadOnly: yes},
			{SourceVolume: aws.String("driven"), ContainerPath: aws.String("/driven")},
		},
		VolumesFrom: []types.VolumeFrom{{SourceContainer: aws.String("linked"), ReadOnly: yes}},
		DependsOn:   []types.ContainerDependency{{ContainerName: aws.String("linked"), Condition: "START"}},
		User:        aws.String("1000:1000"), WorkingDirectory: aws.String("/folder"), Hostname: aws.String("host-of-main"),
		DnsServers: []string{"192.0.2.53"}, DnsSearchDomains: []string{"example.test"},
		ExtraHosts:             []types.HostEntry{{Hostname: aws.String("extra"), IpAddress: aws.String("192.0.2.9")}},
		ReadonlyRootFilesystem: yes, DockerSecurityOptions: []string{"no-new-privileges"}, Interactive: yes, PseudoTerminal: yes,
		DockerLabels:   map[string]string{"own": "label"},
		Ulimits:        []types.Ulimit{{Name: "nofile", SoftLimit: 512, HardLimit: 1024}},
		HealthCheck:    &types.HealthCheck{Command: []string{"CMD", "/program", "ask"}, Interval: aws.Int32(7), Timeout: aws.Int32(4), Retries: aws.Int32(2), StartPeriod: aws.Int32(9)},
		SystemControls: []types.SystemControl{{Namespace: aws.String("net.core.somaxconn"), Value: aws.String("77")}},
		LogConfiguration: &types.LogConfiguration{LogDriver: "json-file", Options: map[string]string{"max-size": "1m"},
			SecretOptions: []types.Secret{{Name: aws.String("tag"), ValueFrom: aws.String("/everything/secret")}}},
		LinuxParameters: &types.LinuxParameters{
			InitProcessEnabled: yes, Capabilities: &types.KernelCapabilities{Add: []string{"SYS_PTRACE"}, Drop: []string{"MKNOD"}},
			Devices:          []types.Device{{HostPath: aws.String("/dev/null"), ContainerPath: aws.String("/dev/nothing"), Permissions: []types.DeviceCgroupPermission{"read"}}},
			SharedMemorySize: aws.Int32(8), MaxSwap: aws.Int32(16), Swappiness: aws.Int32(33),
			Tmpfs: []types.Tmpfs{{ContainerPath: aws.String("/scratch"), Size: 3, MountOptions: []string{"noexec"}}},
		},
	}
	linked := types.ContainerDefinition{Name: aws.String("linked"), Image: &image, Memory: aws.Int32(16), Essential: aws.Bool(false),
		MountPoints: []types.MountPoint{{SourceVolume: aws.String("own"), ContainerPath: aws.String("/own")}}}
	side := types.ContainerDefinition{Name: aws.String("side"), Image: &image, Memory: aws.Int32(16), Privileged: yes, DisableNetworking: yes, Essential: aws.Bool(false)}
	return &awsecs.RegisterTaskDefinitionInput{
		Family: aws.String("everything"), NetworkMode: "bridge", PidMode: "host", IpcMode: "host", Cpu: aws.String("512"), Memory: aws.String("256"),
		ExecutionRoleArn: aws.String("arn:aws:iam::000000000000:role/x"), RequiresCompatibilities: []types.Compatibility{"EC2"},
		RuntimePlatform: &types.RuntimePlatform{OperatingSystemFamily: "LINUX"},
		Volumes: []types.Volume{
			{Name: aws.String("folder"), Host: &types.HostVolumeProperties{SourcePath: &folder}}, {Name: aws.String("own")},
			{Name: aws.String("driven"), DockerVolumeConfiguration: &types.DockerVolumeConfiguration{
				Scope: "task", Driver: aws.String("local"), DriverOpts: map[string]string{"type": "tmpfs", "device": "tmpfs"}, Labels: map[string]string{"of": "the test"},
			}},
		},
		ContainerDefinitions: []types.ContainerDefinition{main, linked, side},
	}
}

func TestTaskDefinition_ShowsInDockerInspectMemberByMember(t *testing.T) {
	s := newSite(t)
	files, folder := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(files, "bucket"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(files, "bucket", "app.env"), []byte("FILED=filed\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := s.dev("--env-files-dir", files, "--log-level", "debug")
	const secret = "value-of-everything-53"
	s.putParameter("/everything/secret", secret)
	registered, err := s.ecs.RegisterTaskDefinition(t.Context(), everything(s.images.Serve, folder))
	if err != nil {
		t.Fatal(err)
	}
	task := s.awaitTask(*s.run(*registered.TaskDefinition.TaskDefinitionArn, 1)[0].TaskArn, "RUNNING")
	main, side := s.inspectNamed(task, "main"), s.inspectNamed(task, "side")
	config, host, id := main.Config, main.HostConfig, (*task.TaskArn)[strings.LastIndex(*task.TaskArn, "/")+1:]
	mounts := map[string]container.MountPoint{}
	for _, m := range main.Mounts {
		mounts[m.Destination] = m
	}
	driven, err := dockerClient(t).VolumeInspect(t.Context(), mounts["/driven"].Name)
	if err != nil {
		t.Fatal(err)
	}
	for member, c := range map[string]struct{ got, want any }{
		"image":                              {config.Image, s.images.Serve},
		"cpu":                                {host.CPUShares, 256},
		"memory":                             {host.Memory, 64 << 20},
		"memoryReservation":                  {host.MemoryReservation, 32 << 20},
		"entryPoint":                         {config.Entrypoint, []string{"/program"}},
		"command":                            {config.Cmd, []string{"serve"}},
		"environment":                        {slices.Contains(config.Env, "PLAIN=plain"), true},
		"environmentFiles":                   {slices.Contains(config.Env, "FILED=filed"), true},
		"secrets":                            {slices.Contains(config.Env, "SECRET="+secret), true},
		"portMappings":                       {len(host.PortBindings["8080/tcp"]), 1},
		"links":                              {len(host.Links) == 1 && strings.HasSuffix(host.Links[0], "/alias"), true},
		"mountPoints, volumes.host":          {[]any{mounts["/folder"].Source, mounts["/folder"].RW}, []any{folder, false}},
		"volumesFrom":                        {[]any{mounts["/own"].Type, mounts["/own"].RW}, []any{"volume", false}},
		"volumes.dockerVolumeConfiguration":  {[]any{driven.Driver, driven.Options["type"], driven.Labels["of"]}, []any{"local", "tmpfs", "the test"}},
		"user":                               {config.User, "1000:1000"},
		"workingDirectory":                   {config.WorkingDir, "/folder"},
		"hostname":                           {config.Hostname, "host-of-main"},
		"dnsServers":                         {host.DNS, []string{"192.0.2.53"}},
		"dnsSearchDomains":                   {host.DNSSearch, []string{"example.test"}},
		"extraHosts":                         {host.ExtraHosts, []string{"extra:192.0.2.9"}},
		"readonlyRootFilesystem":             {host.ReadonlyRootfs, true},
		"dockerSecurityOptions":              {slices.Contains(host.SecurityOpt, "no-new-privileges"), true},
		"interactive":                        {config.OpenStdin, true},
		"pseudoTerminal":                     {config.Tty, true},
		"dockerLabels":                       {config.Labels["own"], "label"},
		"ulimits":                            {fmt.Sprint(host.Ulimits[0]), "nofile=512:1024"},
		"healthCheck":                        {config.Healthcheck, map[string]any{"Test": []string{"CMD", "/program", "ask"}, "Interval": int64(7e9), "Timeout": int64(4e9), "StartPeriod": int64(9e9), "Retries": 2}},
		"systemControls":                     {host.Sysctls, map[string]string{"net.core.somaxconn": "77"}},
		"logConfiguration":                   {[]any{host.LogConfig.Type, host.LogConfig.Config["max-size"]}, []any{"json-file", "1m"}},
		"logConfiguration.secretOptions":     {host.LogConfig.Config["tag"], secret},
		"linuxParameters.initProcessEnabled": {host.Init, true},
		"linuxParameters.capabilities":       {[]any{trimmed(host.CapAdd), trimmed(host.CapDrop)}, []any{[]string{"SYS_PTRACE"}, []string{"MKNOD"}}},
		"linuxParameters.devices":            {host.Devices, []map[string]string{{"PathOnHost": "/dev/null", "PathInContainer": "/dev/nothing", "CgroupPermissions": "r"}}},
		"linuxParameters.sharedMemorySize":   {host.ShmSize, 8 << 20},
		"linuxParameters.maxSwap":            {host.MemorySwap, (64 + 16) << 20},
		"linuxParameters.swappiness":         {host.MemorySwappiness, 33},
		"linuxParameters.tmpfs":              {strings.Contains(host.Tmpfs["/scratch"], "size=3m") && strings.Contains(host.Tmpfs["/scratch"], "noexec"), true},
		"networkMode":                        {slices.Contains([]string{"default", "bridge"}, string(host.NetworkMode)), true},
		"pidMode":                            {host.PidMode, "host"},
		"ipcMode":                            {host.IpcMode, "host"},
		"cpu, memory (of the task)":          {strings.HasPrefix(host.CgroupParent, "/longshore") && strings.Contains(host.CgroupParent, id), true},
		"privileged":                         {side.HostConfig.Privileged, true},
		"disableNetworking":                  {side.Config.NetworkDisabled, true},
	} {
		if got, want := asJSON(t, c.got), asJSON(t, c.want); got != want {
			t.Errorf("%s: Docker shows %s, want %s", member, got, want)
		}
	}
	for name, value := range config.Labels {
		if strings.Contains(value, secret) {
			t.Errorf("label %s shows the secret", name)
		}
	}
	s.nowhere(*task.TaskArn, []string{p.Log()}, secret)
}

// trimmed takes the prefix off capabilities, which newer engines put before them.
func trimmed(names []string) []string {
	out := make([]string, 0, len(names))
	for _, n := range names {
		out = append(out, strings.TrimPrefix(n, "CAP_"))
	}
	return out
}

// asJSON compares what is a number here and a larger one there. Objects are in the order of their members.
func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err == nil {
		var plain any
		if err = json.Unmarshal(text, &plain); err == nil {
			text, err = json.Marshal(plain)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
