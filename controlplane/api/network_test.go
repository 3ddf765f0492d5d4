package api_test

import (
	"strconv"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/longshore/longshore/controlplane/model"
)

// offers are attributes that an agent registers.
func offers(names ...string) []types.Attribute {
	var out []types.Attribute
	for _, n := range names {
		out = append(out, types.Attribute{Name: aws.String(n)})
	}
	return out
}

var allOffers = offers("ecs.capability.task-eni", "ecs.capability.task-cpu-mem-limit", "longshore.fargate", "longshore.subnet.subnet-default", "longshore.subnet.subnet-lan")

func network(subnets ...string) *types.NetworkConfiguration {
	return &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{Subnets: subnets, SecurityGroups: []string{"sg-1"}}}
}

// connected registers a definition in awsvpc mode, and fargate one for FARGATE.
func (f *fixture) connected(family string) {
	f.t.Helper()
	must(f.RegisterTaskDefinition(f.ctx, &awsecs.RegisterTaskDefinitionInput{
		Family: &family, NetworkMode: types.NetworkModeAwsvpc,
		ContainerDefinitions: []types.ContainerDefinition{container("main", func(c *types.ContainerDefinition) {
			c.PortMappings = []types.PortMapping{{ContainerPort: aws.Int32(80)}}
		}), container("side", nil)},
	}))(f.t)
}

func (f *fixture) fargate(family string) {
	f.t.Helper()
	must(f.RegisterTaskDefinition(f.ctx, &awsecs.RegisterTaskDefinitionInput{
		Family: &family, NetworkMode: types.NetworkModeAwsvpc, Cpu: aws.String("0.25 vCPU"), Memory: aws.String("512"),
		RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
		ContainerDefinitions:    []types.ContainerDefinition{{Name: aws.String("main"), Image: aws.String("busybox")}},
	}))(f.t)
}

func details(a types.Attachment) map[string]string {
	out := map[string]string{}
	for _, d := range a.Details {
		out[*d.Name] = *d.Value
	}
	return out
}

func TestRunTask_InAwsvpcModeShowsItsInterface(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.host(c, 1024, 1024, allOffers...)
	f.connected("web")
	// Host ports are of the tasks' own interfaces, so that there is room for both.
	out := must(f.RunTask(f.ctx, &awsecs.RunTaskInput{Cluster: &c, TaskDefinition: aws.String("web"), Count: aws.Int32(2), NetworkConfiguration: network("subnet-lan")}))(t)
	if len(out.Tasks) != 2 || len(out.Failures) != 0 {
		t.Fatalf("started %d, %+v", len(out.Tasks), out.Failures)
	}
	task := out.Tasks[0]
	if *task.LastStatus != "PROVISIONING" || len(task.Attachments) != 1 || len(task.Containers[0].NetworkInterfaces) != 0 {
		t.Fatalf("task %+v", task)
	}
	a := task.Attachments[0]
	if d := details(a); *a.Type != "ElasticNetworkInterface" || *a.Status != "PRECREATED" || d["subnetId"] != "subnet-lan" || len(d["networkInterfaceId"]) != 21 || d["macAddress"] != "" {
		t.Errorf("attachment %+v", a)
	}
	arn := *task.TaskArn
	f.reported(arn, model.TaskReport{Status: model.TaskProvisioning})
	if a := f.describeTask(c, arn).Attachments[0]; *a.Status != "ATTACHING" {
		t.Errorf("attachment %s", *a.Status)
	}
	f.reported(arn, model.TaskReport{Status: model.TaskPending, Interface: model.InterfaceReport{Subnet: "subnet-lan", MACAddress: "02:42:0a:00:00:02", IPv4Address: "10.0.0.2"}})
	task = f.describeTask(c, arn)
	a = task.Attachments[0]
	if d := details(a); *a.Status != "ATTACHED" || d["privateIPv4Address"] != "10.0.0.2" || d["macAddress"] != "02:42:0a:00:00:02" {
		t.Errorf("attachment %+v", a)
	}
	for _, c := range task.Containers {
		if len(c.NetworkInterfaces) != 1 || *c.NetworkInterfaces[0].AttachmentId != *a.Id || *c.NetworkInterfaces[0].PrivateIpv4Address != "10.0.0.2" {
			t.Errorf("container %s: %+v", *c.Name, c.NetworkInterfaces)
		}
	}
	f.running(arn)
	f.reported(arn, model.TaskReport{Status: model.TaskDeprovisioning})
	if a := f.describeTask(c, arn).Attachments[0]; *a.Status != "DETACHING" {
		t.Errorf("attachment %s", *a.Status)
	}
	f.stopNow(arn)
	if a := f.describeTask(c, arn).Attachments[0]; *a.Status != "DELETED" || details(a)["privateIPv4Address"] != "10.0.0.2" {
		t.Errorf("attachment %+v", a)
	}
}

func TestRunTask_RefusesNetworksAsECSDoes(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	host := f.host(c, 1024, 1024, allOffers...)
	f.connected("web")
	f.definition("plain")
	var subnets []string
	for i := range 17 {
		subnets = append(subnets, "subnet-"+strconv.Itoa(i))
	}
	public := network("subnet-lan")
	public.AwsvpcConfiguration.AssignPublicIp = types.AssignPublicIpEnabled
	groups := network("subnet-lan")
	groups.AwsvpcConfiguration.SecurityGroups = []string{"1", "2", "3", "4", "5", "6"}
	for name, r := range map[string]struct {
		definition string
		network    *types.NetworkConfiguration
		message    string
	}{
		"none":             {"web", nil, "Network Configuration must be provided when networkMode 'awsvpc' is specified."},
		"for bridge mode":  {"plain", network("subnet-lan"), "Network Configuration is not valid for the given networkMode of this task definition."},
		"nothing in it":    {"web", &types.NetworkConfiguration{}, "awsvpcConfiguration can not be empty."},
		"no subnet":        {"web", network([]string{}...), ""},
		"too many":         {"web", network(subnets...), "subnets can have at most 16 items."},
		"too many groups":  {"web", groups, "securityGroups can have at most 5 items."},
		"an unknown one":   {"web", network("subnet-lan", "subnet-x"), "Error retrieving subnet information for [subnet-x]: The subnet ID 'subnet-x' does not exist (ErrorCode: InvalidSubnetID.NotFound)"},
		"a public address": {"web", public, "Assign public IP is not supported for this launch type."},
	} {
		t.Run(name, func(t *testing.T) {
			if r.network != nil && r.network.AwsvpcConfiguration != nil && r.network.AwsvpcConfiguration.Subnets == nil {
				r.network.AwsvpcConfiguration.Subnets = []string{}
			}
			_, err := f.RunTask(f.ctx, &awsecs.RunTaskInput{Cluster: &c, TaskDefinition: &r.definition, NetworkConfiguration: r.network})
			wantError(t, err, "InvalidParameterException", r.message)
			_, err = f.StartTask(f.ctx, &awsecs.StartTaskInput{Cluster: &c, TaskDefinition: &r.definition, NetworkConfiguration: r.network, ContainerInstances: []string{host}})
			wantError(t, err, "InvalidParameterException", r.message)
			_, err = f.CreateService(f.ctx, &awsecs.CreateServiceInput{
				Cluster: &c, ServiceName: aws.String("s"), TaskDefinition: &r.definition, DesiredCount: aws.Int32(1), NetworkConfiguration: r.network,
			})
			wantError(t, err, "InvalidParameterException", r.message)
		})
	}
}

func TestRunTask_AnySubnetWillDoOnAHostThatSaysSo(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.host(c, 1024, 1024, append(offers("longshore.any-subnet"), allOffers...)...)
	f.connected("web")
	out := must(f.RunTask(f.ctx, &awsecs.RunTaskInput{Cluster: &c, TaskDefinition: aws.String("web"), NetworkConfiguration: network("subnet-0abc", "subnet-0def")}))(t)
	if len(out.Tasks) != 1 {
		t.Errorf("failures %+v", out.Failures)
	}
}

func TestRunTask_OnFargateHidesTheHost(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.host(c, 1024, 1024, offers("ecs.capability.task-eni", "ecs.capability.task-cpu-mem-limit", "longshore.subnet.subnet-default")...)
	f.fargate("job")
	run := func(change func(*awsecs.RunTaskInput)) (*awsecs.RunTaskOutput, error) {
		in := &awsecs.RunTaskInput{Cluster: &c, TaskDefinition: aws.String("job"), LaunchType: types.LaunchTypeFargate, NetworkConfiguration: network("subnet-default")}
		in.NetworkConfiguration.AwsvpcConfiguration.AssignPublicIp = types.AssignPublicIpEnabled
		change(in)
		return f.RunTask(f.ctx, in)
	}
	// A host that takes none of these tasks is not asked.
	out := must(run(func(*awsecs.RunTaskInput) {}))(t)
	if len(out.Tasks) != 0 || len(out.Failures) != 1 || *out.Failures[0].Reason != "ATTRIBUTE" {
		t.Fatalf("started %+v, failures %+v", out.Tasks, out.Failures)
	}
	f.host(c, 4096, 4096, allOffers...)
	task := must(run(func(in *awsecs.RunTaskInput) { in.PlatformVersion = aws.String("LATEST") }))(t).Tasks[0]
	if task.ContainerInstanceArn != nil || task.LaunchType != types.LaunchTypeFargate || *task.PlatformVersion != "1.4.0" || *task.PlatformFamily != "Linux" ||
		*task.Cpu != "256" || *task.Memory != "512" {
		t.Errorf("task %+v", task)
	}
	bigger := must(run(func(in *awsecs.RunTaskInput) {
		in.Overrides = &types.TaskOverride{Cpu: aws.String("512"), Memory: aws.String("1 GB")}
	}))(t)
	if len(bigger.Tasks) != 1 || *bigger.Tasks[0].Cpu != "512" || *bigger.Tasks[0].Memory != "1024" || *bigger.Tasks[0].Overrides.Memory != "1024" {
		t.Errorf("overridden: %+v", bigger)
	}
	for name, r := range map[string]struct {
		change  func(*awsecs.RunTaskInput)
		message string
	}{
		"no such size": {func(in *awsecs.RunTaskInput) { in.Overrides = &types.TaskOverride{Memory: aws.String("4 GB")} }, "No Fargate configuration exists for given values: CPU 256, memory 4096."},
		"a strategy": {func(in *awsecs.RunTaskInput) {
			in.PlacementStrategy = []types.PlacementStrategy{{Type: types.PlacementStrategyTypeRandom}}
		}, "Placement strategies are not supported with FARGATE launch type."},
		"a constraint": {func(in *awsecs.RunTaskInput) {
			in.PlacementConstraints = []types.PlacementConstraint{{Type: types.PlacementConstraintTypeDistinctInstance}}
		}, "Placement constraints are not supported with FARGATE launch type."},
		"a platform of EC2": {func(in *awsecs.RunTaskInput) {
			in.LaunchType, in.PlatformVersion = types.LaunchTypeEc2, aws.String("LATEST")
		}, "The platform version must be null when specifying an EC2 or EXTERNAL launch type."},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := run(r.change)
			wantError(t, err, "InvalidParameterException", r.message)
		})
	}
}

func TestRunTask_WithTheCapacityProvidersOfFargate(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.host(c, 4096, 4096, allOffers...)
	f.fargate("job")
	f.associate(c, nil, "FARGATE", "FARGATE_SPOT")
	out := must(f.RunTask(f.ctx, &awsecs.RunTaskInput{
		Cluster: &c, TaskDefinition: aws.String("job"), Count: aws.Int32(4), NetworkConfiguration: network("subnet-default"),
		CapacityProviderStrategy: strategy{share("FARGATE", 1, 0), share("FARGATE_SPOT", 0, 1)},
	}))(t)
	count := map[string]int{}
	for _, task := range out.Tasks {
		count[*task.CapacityProviderName]++
		if task.LaunchType != types.LaunchTypeFargate || task.ContainerInstanceArn != nil {
			t.Errorf("task %+v", task)
		}
	}
	if count["FARGATE"] != 1 || count["FARGATE_SPOT"] != 3 {
		t.Errorf("tasks by provider %v, failures %+v", count, out.Failures)
	}
}

func TestService_KeepsItsNetworkAndMovesWithADeployment(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.host(c, 1024, 1024, allOffers...)
	f.fargate("job")
	s := must(f.CreateService(f.ctx, &awsecs.CreateServiceInput{
		Cluster: &c, ServiceName: aws.String("s"), TaskDefinition: aws.String("job"), DesiredCount: aws.Int32(0),
		LaunchType: types.LaunchTypeFargate, NetworkConfiguration: network("subnet-lan"),
	}))(t).Service
	if s.NetworkConfiguration == nil || s.NetworkConfiguration.AwsvpcConfiguration.Subnets[0] != "subnet-lan" || s.NetworkConfiguration.AwsvpcConfiguration.SecurityGroups[0] != "sg-1" ||
		*s.PlatformVersion != "LATEST" || *s.PlatformFamily != "Linux" || s.Deployments[0].NetworkConfiguration == nil || *s.Deployments[0].PlatformVersion != "LATEST" {
		t.Fatalf("service %+v", s)
	}
	update := func(n *types.NetworkConfiguration) (*awsecs.UpdateServiceOutput, error) {
		return f.UpdateService(f.ctx, &awsecs.UpdateServiceInput{Cluster: &c, Service: aws.String("s"), NetworkConfiguration: n})
	}
	if s := must(update(network("subnet-lan")))(t).Service; len(s.Deployments) != 1 {
		t.Errorf("the same network needs no deployment, got %+v", s.Deployments)
	}
	s = must(update(network("subnet-default")))(t).Service
	if len(s.Deployments) != 2 || s.Deployments[0].NetworkConfiguration.AwsvpcConfiguration.Subnets[0] != "subnet-default" ||
		s.Deployments[1].NetworkConfiguration.AwsvpcConfiguration.Subnets[0] != "subnet-lan" {
		t.Errorf("deployments %+v", s.Deployments)
	}
	_, err := update(network("subnet-x"))
	wantError(t, err, "InvalidParameterException", "")
	f.definition("plain")
	_, err = f.UpdateService(f.ctx, &awsecs.UpdateServiceInput{Cluster: &c, Service: aws.String("s"), TaskDefinition: aws.String("plain")})
	wantError(t, err, "ClientException", "Task definition does not support launch_type FARGATE.")
	_, err = f.CreateService(f.ctx, &awsecs.CreateServiceInput{
		Cluster: &c, ServiceName: aws.String("d"), TaskDefinition: aws.String("job"), SchedulingStrategy: types.SchedulingStrategyDaemon,
		LaunchType: types.LaunchTypeFargate, NetworkConfiguration: network("subnet-lan"),
	})
	wantError(t, err, "InvalidParameterException", "The daemon scheduling strategy is not supported for the FARGATE launch type.")
}

func TestSubmitAttachmentStateChanges_MovesAnAttachmentForward(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.host(c, 1024, 1024, allOffers...)
	f.connected("web")
	task := must(f.RunTask(f.ctx, &awsecs.RunTaskInput{Cluster: &c, TaskDefinition: aws.String("web"), NetworkConfiguration: network("subnet-lan")}))(t).Tasks[0]
	arn := "arn:aws:ecs:us-east-1:123456789012:attachment/c/" + *task.Attachments[0].Id
	submit := func(arn, status string) error {
		_, err := f.SubmitAttachmentStateChanges(f.ctx, &awsecs.SubmitAttachmentStateChangesInput{
			Cluster: &c, Attachments: []types.AttachmentStateChange{{AttachmentArn: &arn, Status: &status}},
		})
		return err
	}
	for _, status := range []string{"ATTACHED", "ATTACHED", "ATTACHING"} { // the last is old news
		if err := submit(arn, status); err != nil {
			t.Fatal(err)
		}
		if got := f.describeTask(c, *task.TaskArn).Attachments[0]; *got.Status != "ATTACHED" {
			t.Errorf("after %s it is %s", status, *got.Status)
		}
	}
	wantError(t, submit(arn, "AWAY"), "InvalidParameterException", `status "AWAY" is not one of an attachment.`)
	wantError(t, submit(arn[:len(arn)-1]+"x", "ATTACHED"), "InvalidParameterException", "")
}

func TestRegisterContainerInstance_OffersAreTheAgentsAlone(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	host := f.host(c, 1024, 1024, offers("longshore.subnet.subnet-a", "rack")...)
	_, err := f.PutAttributes(f.ctx, &awsecs.PutAttributesInput{Cluster: &c, Attributes: []types.Attribute{{Name: aws.String("longshore.subnet.subnet-b"), TargetId: &host}}})
	wantError(t, err, "InvalidParameterException", "")
	again := registration(c, 1024, 1024, offers("longshore.subnet.subnet-c")...)
	again.ContainerInstanceArn = &host
	got := must(f.RegisterContainerInstance(f.ctx, again))(t).ContainerInstance
	var names []string
	for _, a := range got.Attributes {
		names = append(names, *a.Name)
	}
	if len(names) != 2 || names[0] != "longshore.subnet.subnet-c" || names[1] != "rack" {
		t.Errorf("attributes %v", names)
	}
}

// Another platform version than the one that there is, wherever one can be asked for.
func TestPlatform_AnUnknownVersionIsRefused(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.host(c, 4096, 4096, allOffers...)
	f.fargate("web")
	f.externalService(c, "x", 1)
	old, subnet := aws.String("1.3.0"), network("subnet-lan")
	service := func(name, version string) error {
		_, err := f.CreateService(f.ctx, &awsecs.CreateServiceInput{
			Cluster: &c, ServiceName: &name, TaskDefinition: aws.String("web"), DesiredCount: aws.Int32(1),
			LaunchType: types.LaunchTypeFargate, NetworkConfiguration: subnet, PlatformVersion: &version,
		})
		return err
	}
	if err := service("s", "LATEST"); err != nil {
		t.Fatal(err)
	}
	_, updated := f.UpdateService(f.ctx, &awsecs.UpdateServiceInput{Cluster: &c, Service: aws.String("s"), PlatformVersion: old})
	_, made := f.CreateTaskSet(f.ctx, &awsecs.CreateTaskSetInput{
		Cluster: &c, Service: aws.String("x"), TaskDefinition: aws.String("web"), LaunchType: types.LaunchTypeFargate, NetworkConfiguration: subnet, PlatformVersion: old,
	})
	_, run := f.RunTask(f.ctx, &awsecs.RunTaskInput{
		Cluster: &c, TaskDefinition: aws.String("web"), LaunchType: types.LaunchTypeFargate, NetworkConfiguration: subnet, PlatformVersion: old,
	})
	for operation, err := range map[string]error{"CreateService": service("t", *old), "UpdateService": updated, "CreateTaskSet": made, "RunTask": run} {
		t.Run(operation, func(t *testing.T) {
			wantError(t, err, "PlatformUnknownException", `The specified platform does not exist: there are LATEST and 1.4.0, not "1.3.0".`)
		})
	}
}
