package api_test

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/longshore/longshore/controlplane/model"
)

// gpuHost is a host with two GPUs.
func (f *fixture) gpuHost(cluster string) string {
	f.t.Helper()
	in := registration(cluster, 4096, 4096)
	for _, id := range []string{"GPU-a", "GPU-b"} {
		in.PlatformDevices = append(in.PlatformDevices, types.PlatformDevice{Id: aws.String(id), Type: types.PlatformDeviceTypeGpu})
	}
	arn := *must(f.RegisterContainerInstance(f.ctx, in))(f.t).ContainerInstance.ContainerInstanceArn
	f.changeInstance(arn, func(i *model.Instance) { i.AgentConnected, i.SilentSince = true, time.Time{} })
	return arn
}

func gpus(n int) []types.ResourceRequirement {
	return []types.ResourceRequirement{{Type: types.ResourceTypeGpu, Value: aws.String(strconv.Itoa(n))}}
}

func needsGPUs(n int) func(*types.ContainerDefinition) {
	return func(c *types.ContainerDefinition) { c.ResourceRequirements = gpus(n) }
}

// gpusLeft are what DescribeContainerInstances shows as registered and as remaining.
func (f *fixture) gpusLeft(cluster, instance string) (registered, remaining []string) {
	f.t.Helper()
	i := must(f.DescribeContainerInstances(f.ctx, &awsecs.DescribeContainerInstancesInput{Cluster: &cluster, ContainerInstances: []string{instance}}))(f.t).ContainerInstances[0]
	of := func(resources []types.Resource) []string {
		for _, r := range resources {
			if *r.Name == "GPU" && *r.Type == "STRINGSET" {
				return r.StringSetValue
			}
		}
		return nil
	}
	return of(i.RegisteredResources), of(i.RemainingResources)
}

func TestRunTask_GivesGPUsByIDUntilThereAreNone(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	host := f.gpuHost(c)
	d := f.definition("train", container("main", needsGPUs(1)), container("side", nil))

	first := f.run(c, d, 1).Tasks[0]
	if got := first.Containers[0].GpuIds; !slices.Equal(got, []string{"GPU-a"}) || len(first.Containers[1].GpuIds) != 0 {
		t.Errorf("gpuIds %v and %v, want GPU-a and none", got, first.Containers[1].GpuIds)
	}
	if registered, remaining := f.gpusLeft(c, host); !slices.Equal(registered, []string{"GPU-a", "GPU-b"}) || !slices.Equal(remaining, []string{"GPU-b"}) {
		t.Errorf("registered %v, remaining %v", registered, remaining)
	}
	out := f.run(c, d, 2)
	if len(out.Tasks) != 1 || !slices.Equal(out.Tasks[0].Containers[0].GpuIds, []string{"GPU-b"}) {
		t.Errorf("started %+v, want one task on GPU-b", out.Tasks)
	}
	if len(out.Failures) != 1 || *out.Failures[0].Reason != "RESOURCE:GPU" || *out.Failures[0].Arn != host {
		t.Errorf("failures %+v, want RESOURCE:GPU of %s", out.Failures, host)
	}
	f.stopNow(*first.TaskArn)
	if got := f.run(c, d, 1).Tasks[0].Containers[0].GpuIds; !slices.Equal(got, []string{"GPU-a"}) {
		t.Errorf("after a task has ended: %v, want its GPU-a again", got)
	}
}

func TestStartTask_GivesGPUsOfTheInstance(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	host := f.gpuHost(c)
	d := f.definition("train", container("a", needsGPUs(1)), container("b", needsGPUs(1)))
	start := func() *awsecs.StartTaskOutput {
		return must(f.StartTask(f.ctx, &awsecs.StartTaskInput{Cluster: &c, TaskDefinition: &d, ContainerInstances: []string{host}}))(t)
	}
	out := start()
	if len(out.Tasks) != 1 || !slices.Equal(out.Tasks[0].Containers[0].GpuIds, []string{"GPU-a"}) || !slices.Equal(out.Tasks[0].Containers[1].GpuIds, []string{"GPU-b"}) {
		t.Fatalf("started %+v", out.Tasks)
	}
	if out := start(); len(out.Tasks) != 0 || len(out.Failures) != 1 || *out.Failures[0].Reason != "RESOURCE:GPU" {
		t.Errorf("without any left: %+v", out)
	}
}

func TestRunTask_OverridesGPUs(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.gpuHost(c)
	d := f.definition("train", container("main", needsGPUs(1)))
	out := must(f.RunTask(f.ctx, &awsecs.RunTaskInput{Cluster: &c, TaskDefinition: &d, Overrides: &types.TaskOverride{
		ExecutionRoleArn:   aws.String("arn:aws:iam::123456789012:role/r"),
		ContainerOverrides: []types.ContainerOverride{{Name: aws.String("main"), ResourceRequirements: gpus(2)}},
	}}))(t)
	task := out.Tasks[0]
	if got := task.Containers[0].GpuIds; !slices.Equal(got, []string{"GPU-a", "GPU-b"}) {
		t.Errorf("gpuIds %v, want both", got)
	}
	if aws.ToString(task.Overrides.ExecutionRoleArn) != "arn:aws:iam::123456789012:role/r" || len(task.Overrides.ContainerOverrides[0].ResourceRequirements) != 1 {
		t.Errorf("overrides %+v", task.Overrides)
	}
}
