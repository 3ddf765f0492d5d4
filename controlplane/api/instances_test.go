package api_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/longshore/longshore/controlplane/model"
)

func resource(in []types.Resource, name string) types.Resource {
	for _, r := range in {
		if *r.Name == name {
			return r
		}
	}
	return types.Resource{}
}

func TestRegisterContainerInstance_MakesTheDefaultClusterOnly(t *testing.T) {
	f := newFixture(t)
	in := registration("", 1024, 512, types.Attribute{Name: aws.String("stack"), Value: aws.String("test")})
	in.Cluster = nil
	in.InstanceIdentityDocument = aws.String(`{"instanceId":"host-7","region":"x"}`)
	in.VersionInfo = &types.VersionInfo{AgentVersion: aws.String("1.0")}
	i := must(f.RegisterContainerInstance(f.ctx, in))(t).ContainerInstance
	if !strings.HasPrefix(*i.ContainerInstanceArn, "arn:aws:ecs:us-east-1:123456789012:container-instance/default/") ||
		*i.Status != "ACTIVE" || *i.Ec2InstanceId != "host-7" || i.Version != 1 || i.RegisteredAt == nil || *i.VersionInfo.AgentVersion != "1.0" {
		t.Errorf("got %+v", i)
	}
	if i.AgentConnected {
		t.Error("an agent that has not opened its session is not connected")
	}
	if c := must(f.ListClusters(f.ctx, &awsecs.ListClustersInput{}))(t).ClusterArns; len(c) != 1 {
		t.Errorf("clusters %v", c)
	}
	_, err := f.RegisterContainerInstance(f.ctx, registration("other", 1, 1))
	wantError(t, err, "ClusterNotFoundException", "Cluster not found.")
}

func TestRegisterContainerInstance_AgainBringsTheSameInstanceUpToDate(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	attribute := func(name, value string) types.Attribute {
		return types.Attribute{Name: &name, Value: &value}
	}
	arn := f.host(c, 1024, 512, attribute("ecs.os-type", "linux"), attribute("ecs.capability.old", "x"), attribute("rack", "1"))
	in := registration(c, 2048, 512, attribute("ecs.os-type", "linux"))
	in.ContainerInstanceArn = &arn
	i := must(f.RegisterContainerInstance(f.ctx, in))(t).ContainerInstance
	if *i.ContainerInstanceArn != arn || resource(i.RegisteredResources, "CPU").IntegerValue != 2048 || !i.AgentConnected {
		t.Errorf("got %+v", i)
	}
	var names []string
	for _, a := range i.Attributes {
		names = append(names, *a.Name)
	}
	if !slices.Equal(names, []string{"ecs.os-type", "rack"}) {
		t.Errorf("built-in attributes are replaced and custom ones kept, got %v", names)
	}
	in.ContainerInstanceArn = aws.String(owner.InstanceARN("c", "00000000000000000000000000000000"))
	_, err := f.RegisterContainerInstance(f.ctx, in)
	wantError(t, err, "ClientException", "")
	f.dropInstanceRecord(arn)
	in.ContainerInstanceArn = &arn
	_, err = f.RegisterContainerInstance(f.ctx, in)
	wantError(t, err, "ClientException", "")
}

func TestRegisterContainerInstance_Refuses(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	for name, change := range map[string]func(*awsecs.RegisterContainerInstanceInput){
		"no CPU":              func(in *awsecs.RegisterContainerInstanceInput) { in.TotalResources = in.TotalResources[1:] },
		"no memory":           func(in *awsecs.RegisterContainerInstanceInput) { in.TotalResources[1].IntegerValue = 0 },
		"CPU of another type": func(in *awsecs.RegisterContainerInstanceInput) { in.TotalResources[0].Type = aws.String("DOUBLE") },
		"a resource twice":    func(in *awsecs.RegisterContainerInstanceInput) { in.TotalResources[1].Name = aws.String("CPU") },
		"a strange type": func(in *awsecs.RegisterContainerInstanceInput) {
			in.TotalResources = append(in.TotalResources, types.Resource{Name: aws.String("x"), Type: aws.String("MAP")})
		},
		"no port number": func(in *awsecs.RegisterContainerInstanceInput) { in.TotalResources[2].StringSetValue = []string{"ssh"} },
		"an attribute twice": func(in *awsecs.RegisterContainerInstanceInput) {
			in.Attributes = []types.Attribute{{Name: aws.String("a")}, {Name: aws.String("a")}}
		},
		"a strange attribute": func(in *awsecs.RegisterContainerInstanceInput) {
			in.Attributes = []types.Attribute{{Name: aws.String("a b")}}
		},
		"a padded value": func(in *awsecs.RegisterContainerInstanceInput) {
			in.Attributes = []types.Attribute{{Name: aws.String("a"), Value: aws.String(" b")}}
		},
		"an identity of junk": func(in *awsecs.RegisterContainerInstanceInput) { in.InstanceIdentityDocument = aws.String("junk") },
		"a GPU twice": func(in *awsecs.RegisterContainerInstanceInput) {
			gpu := types.PlatformDevice{Id: aws.String("g"), Type: types.PlatformDeviceTypeGpu}
			in.PlatformDevices = []types.PlatformDevice{gpu, gpu}
		},
		"two GPUs in one": func(in *awsecs.RegisterContainerInstanceInput) {
			in.PlatformDevices = []types.PlatformDevice{{Id: aws.String("g,h"), Type: types.PlatformDeviceTypeGpu}}
		},
		"a GPU as a resource": func(in *awsecs.RegisterContainerInstanceInput) {
			in.TotalResources = append(in.TotalResources, types.Resource{Name: aws.String("GPU"), Type: aws.String("STRINGSET"), StringSetValue: []string{"g"}})
		},
		"another cluster's": func(in *awsecs.RegisterContainerInstanceInput) {
			in.ContainerInstanceArn = aws.String(owner.InstanceARN("d", "x"))
		},
		"another account's": func(in *awsecs.RegisterContainerInstanceInput) {
			in.ContainerInstanceArn = aws.String("arn:aws:ecs:us-east-1:999999999999:container-instance/c/x")
		},
		"the ARN of a service": func(in *awsecs.RegisterContainerInstanceInput) {
			in.ContainerInstanceArn = aws.String("arn:aws:ecs:us-east-1:123456789012:service/c/x")
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := registration(c, 1024, 1024)
			change(in)
			_, err := f.RegisterContainerInstance(f.ctx, in)
			wantError(t, err, "InvalidParameterException", "")
		})
	}
}

func TestDescribeContainerInstances_ShowsWhatIsLeft(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	arn := f.host(c, 1024, 512)
	d := f.definition("web", container("main", func(c *types.ContainerDefinition) {
		c.PortMappings = []types.PortMapping{{ContainerPort: aws.Int32(80), HostPort: aws.Int32(8080)}}
	}))
	task := *f.run(c, d, 1).Tasks[0].TaskArn
	f.run(c, f.definition("other"), 1)
	f.running(task)
	out := must(f.DescribeContainerInstances(f.ctx, &awsecs.DescribeContainerInstancesInput{Cluster: &c, ContainerInstances: []string{arn, "nope"}}))(t)
	i := out.ContainerInstances[0]
	if got := resource(i.RemainingResources, "CPU").IntegerValue; got != 1024-200 {
		t.Errorf("cpu left: %d", got)
	}
	if got := resource(i.RemainingResources, "MEMORY").IntegerValue; got != 512-128 {
		t.Errorf("memory left: %d", got)
	}
	if got := resource(i.RemainingResources, "PORTS").StringSetValue; !slices.Equal(got, []string{"22", "51678", "8080"}) {
		t.Errorf("ports taken: %v", got)
	}
	if got := resource(i.RegisteredResources, "PORTS").StringSetValue; !slices.Equal(got, []string{"22", "51678"}) {
		t.Errorf("ports registered: %v", got)
	}
	if i.RunningTasksCount != 1 || i.PendingTasksCount != 1 {
		t.Errorf("%d running, %d pending", i.RunningTasksCount, i.PendingTasksCount)
	}
	if len(out.Failures) != 1 || *out.Failures[0].Arn != owner.InstanceARN("c", "nope") || *out.Failures[0].Reason != "MISSING" {
		t.Errorf("failures %+v", out.Failures)
	}
	_, err := f.DescribeContainerInstances(f.ctx, &awsecs.DescribeContainerInstancesInput{Cluster: &c, ContainerInstances: []string{arn}, Include: []types.ContainerInstanceField{types.ContainerInstanceFieldContainerInstanceHealth}})
	wantError(t, err, "InvalidParameterException", "")
}

func TestListContainerInstances_ByStatus(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	active, draining, gone := f.host(c, 1, 1), f.host(c, 1, 1), f.host(c, 1, 1)
	f.changeInstance(draining, func(i *model.Instance) { i.Status = "DRAINING" })
	f.dropInstanceRecord(gone)
	for status, want := range map[types.ContainerInstanceStatus][]string{
		"":                                       {active, draining},
		types.ContainerInstanceStatusActive:      {active},
		types.ContainerInstanceStatusDraining:    {draining},
		types.ContainerInstanceStatusRegistering: {},
	} {
		got := must(f.ListContainerInstances(f.ctx, &awsecs.ListContainerInstancesInput{Cluster: &c, Status: status}))(t).ContainerInstanceArns
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%q: got %v, want %v", status, got, want)
		}
	}
	_, err := f.ListContainerInstances(f.ctx, &awsecs.ListContainerInstancesInput{Cluster: &c, Filter: aws.String("a==b")})
	wantError(t, err, "InvalidParameterException", "")
	_, err = f.ListContainerInstances(f.ctx, &awsecs.ListContainerInstancesInput{Cluster: &c, Status: "LOST"})
	wantError(t, err, "InvalidParameterException", "")
}

func TestDeregisterContainerInstance_NeedsForceForTasks(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	arn := f.host(c, 30000, 30000)
	d := f.definition("web")
	var task string
	for range 15 { // more than one transaction ends
		task = *f.run(c, d, 10).Tasks[0].TaskArn
	}
	_, err := f.DeregisterContainerInstance(f.ctx, &awsecs.DeregisterContainerInstanceInput{Cluster: &c, ContainerInstance: &arn})
	wantError(t, err, "InvalidParameterException", "Found running tasks on the instance.")
	i := must(f.DeregisterContainerInstance(f.ctx, &awsecs.DeregisterContainerInstanceInput{Cluster: &c, ContainerInstance: &arn, Force: aws.Bool(true)}))(t).ContainerInstance
	if *i.Status != "INACTIVE" || i.AgentConnected || i.RunningTasksCount+i.PendingTasksCount != 0 {
		t.Errorf("got %+v", i)
	}
	if got := f.describeTask(c, task); *got.LastStatus != "STOPPED" || *got.StoppedReason != "Container instance "+arn+" deregistered forcibly by user" {
		t.Errorf("got %+v", got)
	}
	if left := must(f.ListTasks(f.ctx, &awsecs.ListTasksInput{Cluster: &c}))(t).TaskArns; len(left) != 0 {
		t.Errorf("%d tasks are left", len(left))
	}
	described := must(f.DescribeContainerInstances(f.ctx, &awsecs.DescribeContainerInstancesInput{Cluster: &c, ContainerInstances: []string{arn}}))(t)
	if len(described.ContainerInstances) != 1 || *described.ContainerInstances[0].Status != "INACTIVE" {
		t.Errorf("got %+v", described)
	}
	_, err = f.DeregisterContainerInstance(f.ctx, &awsecs.DeregisterContainerInstanceInput{Cluster: &c, ContainerInstance: &arn})
	wantError(t, err, "InvalidParameterException", "")
}
