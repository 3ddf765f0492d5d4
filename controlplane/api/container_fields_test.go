package api_test

import (
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func TestRegisterTaskDefinition_KeepsWhatContainersAskFor(t *testing.T) {
	f := newFixture(t)
	yes := aws.Bool(true)
	want := container("main", func(c *types.ContainerDefinition) {
		c.LinuxParameters = &types.LinuxParameters{
			Capabilities:     &types.KernelCapabilities{Add: []string{"SYS_PTRACE"}, Drop: []string{"ALL"}},
			Devices:          []types.Device{{HostPath: aws.String("/dev/null"), ContainerPath: aws.String("/dev/x"), Permissions: []types.DeviceCgroupPermission{types.DeviceCgroupPermissionRead}}},
			SharedMemorySize: aws.Int32(64), MaxSwap: aws.Int32(0), Swappiness: aws.Int32(0), InitProcessEnabled: yes,
			Tmpfs: []types.Tmpfs{{ContainerPath: aws.String("/t"), Size: 5, MountOptions: []string{"noexec"}}},
		}
		c.SystemControls = []types.SystemControl{{Namespace: aws.String("net.core.somaxconn"), Value: aws.String("300")}}
		c.RestartPolicy = &types.ContainerRestartPolicy{Enabled: yes, IgnoredExitCodes: []int32{0}, RestartAttemptPeriod: aws.Int32(60)}
		c.LogConfiguration = &types.LogConfiguration{LogDriver: types.LogDriverAwslogs, Options: map[string]string{
			"awslogs-group": "g", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p", "awslogs-create-group": "true", "max-buffer-size": "1m",
		}}
		c.DisableNetworking, c.VersionConsistency = yes, types.VersionConsistencyEnabled
		c.ResourceRequirements = gpus(1)
		c.PortMappings = []types.PortMapping{
			{ContainerPortRange: aws.String("8000-8003"), Protocol: types.TransportProtocolUdp},
			{ContainerPort: aws.Int32(80), HostPort: aws.Int32(0), Protocol: types.TransportProtocolTcp, Name: aws.String("web"), AppProtocol: types.ApplicationProtocolHttp2},
		}
	})
	arn := f.definition("all", want)
	d := must(f.DescribeTaskDefinition(f.ctx, &awsecs.DescribeTaskDefinitionInput{TaskDefinition: &arn}))(t).TaskDefinition
	got := d.ContainerDefinitions[0]
	for name, pair := range map[string][2]any{
		"linuxParameters": {got.LinuxParameters, want.LinuxParameters}, "systemControls": {got.SystemControls, want.SystemControls},
		"restartPolicy": {got.RestartPolicy, want.RestartPolicy}, "logConfiguration": {got.LogConfiguration, want.LogConfiguration},
		"disableNetworking": {got.DisableNetworking, want.DisableNetworking}, "versionConsistency": {got.VersionConsistency, want.VersionConsistency},
		"resourceRequirements": {got.ResourceRequirements, want.ResourceRequirements}, "portMappings": {got.PortMappings, want.PortMappings},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: got %+v, want %+v", name, pair[0], pair[1])
		}
	}
	needs := map[string]bool{}
	for _, a := range d.RequiresAttributes {
		needs[*a.Name] = true
	}
	for _, name := range []string{
		"com.amazonaws.ecs.capability.logging-driver.awslogs", "ecs.capability.container-restart-policy", "ecs.capability.network.container-port-range",
	} {
		if !needs[name] {
			t.Errorf("it does not require %s: %v", name, needs)
		}
	}
}
