package api_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/longshore/longshore/controlplane/model"
)

func TestRunTask_AnswersTheWholeTask(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	host := f.host(c, 2048, 2048, types.Attribute{Name: aws.String("ecs.availability-zone"), Value: aws.String("local-1a")},
		types.Attribute{Name: aws.String("ecs.cpu-architecture"), Value: aws.String("x86_64")})
	d := f.definition("web", container("main", nil), container("side", func(c *types.ContainerDefinition) { c.MemoryReservation = aws.Int32(32) }))
	out := must(f.RunTask(f.ctx, &awsecs.RunTaskInput{
		Cluster: &c, TaskDefinition: aws.String("web"), StartedBy: aws.String("me"), Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}},
		EnableECSManagedTags: true,
		Overrides: &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{
			Name: aws.String("side"), Command: []string{"ls"}, Cpu: aws.Int32(300), Environment: []types.KeyValuePair{{Name: aws.String("A"), Value: aws.String("b")}},
		}}},
	}))(t)
	if len(out.Failures) != 0 || len(out.Tasks) != 1 {
		t.Fatalf("got %+v", out)
	}
	task := out.Tasks[0]
	id := strings.TrimPrefix(*task.TaskArn, "arn:aws:ecs:us-east-1:123456789012:task/c/")
	if len(id) != 32 {
		t.Errorf("task ARN %s", *task.TaskArn)
	}
	for what, c := range map[string]struct{ got, want string }{
		"instance":       {*task.ContainerInstanceArn, host},
		"definition":     {*task.TaskDefinitionArn, d},
		"last status":    {*task.LastStatus, "PENDING"},
		"desired status": {*task.DesiredStatus, "RUNNING"},
		"group":          {*task.Group, "family:web"},
		"started by":     {*task.StartedBy, "me"},
		"cpu":            {*task.Cpu, "400"},
		"memory":         {*task.Memory, "96"},
		"zone":           {*task.AvailabilityZone, "local-1a"},
		"launch type":    {string(task.LaunchType), "EC2"},
		"connectivity":   {string(task.Connectivity), ""}, // the agent has not been heard of it
		"health":         {string(task.HealthStatus), "UNKNOWN"},
		"side's cpu":     {*task.Containers[1].Cpu, "300"},
		"side's soft":    {*task.Containers[1].MemoryReservation, "32"},
		"main's status":  {*task.Containers[0].LastStatus, "PENDING"},
		"override":       {task.Overrides.ContainerOverrides[1].Command[0], "ls"},
		"architecture":   {*task.Attributes[0].Value, "x86_64"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", what, c.got, c.want)
		}
	}
	if task.Version != 1 || len(task.Tags) != 2 || len(task.Overrides.ContainerOverrides) != 2 {
		t.Errorf("got %+v", task)
	}
	if described := f.describeTask(c, *task.TaskArn); len(described.Tags) != 0 || *described.TaskArn != *task.TaskArn {
		t.Errorf("described %+v", described)
	}
}

func TestRunTask_ReportsMemoryShortageOfEveryInstance(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	hosts := map[string]string{f.host(c, 1024, 100): "RESOURCE:MEMORY", f.host(c, 50, 1024): "RESOURCE:CPU"}
	away := f.host(c, 1024, 1024)
	f.changeInstance(away, func(i *model.Instance) { i.AgentConnected = false })
	draining := f.host(c, 1024, 1024)
	f.changeInstance(draining, func(i *model.Instance) { i.Status = "DRAINING" })
	hosts[away], hosts[draining] = "AGENT", "INACTIVE"

	out := f.run(c, f.definition("big"), 3)
	if len(out.Tasks) != 1 {
		t.Errorf("one fits, got %d", len(out.Tasks))
	}
	if len(out.Failures) != len(hosts) {
		t.Errorf("got %d failures", len(out.Failures))
	}
	for _, failure := range out.Failures {
		if hosts[*failure.Arn] != *failure.Reason {
			t.Errorf("%s: got %s, want %s", *failure.Arn, *failure.Reason, hosts[*failure.Arn])
		}
	}
}

func TestRunTask_FixedHostPortsAndAttributesDecideToo(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.host(c, 4096, 4096)
	port := func(host int32, protocol types.TransportProtocol) string {
		return f.definition("p", container("main", func(c *types.ContainerDefinition) {
			c.PortMappings = []types.PortMapping{{ContainerPort: aws.Int32(80), HostPort: &host, Protocol: protocol}}
		}))
	}
	if out := f.run(c, port(8080, "tcp"), 2); len(out.Tasks) != 1 || *out.Failures[0].Reason != "RESOURCE:PORTS" {
		t.Errorf("got %+v", out)
	}
	if out := f.run(c, port(22, "tcp"), 1); len(out.Tasks) != 0 || *out.Failures[0].Reason != "RESOURCE:PORTS" {
		t.Errorf("a reserved port was given: %+v", out)
	}
	if out := f.run(c, port(8080, "udp"), 1); len(out.Tasks) != 1 {
		t.Errorf("the same number of another protocol is another port: %+v", out)
	}
	if out := f.run(c, f.definition("a", container("main", func(c *types.ContainerDefinition) { c.Privileged = aws.Bool(true) })), 1); len(out.Tasks) != 0 || *out.Failures[0].Reason != "ATTRIBUTE" {
		t.Errorf("got %+v", out)
	}
}

func TestRunTask_WithARoleNeedsAHostThatGivesRoles(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.host(c, 4096, 4096)
	withRole := must(f.RegisterTaskDefinition(f.ctx, &awsecs.RegisterTaskDefinitionInput{
		Family: aws.String("role"), TaskRoleArn: aws.String("reader"), ContainerDefinitions: []types.ContainerDefinition{container("main", nil)},
	}))(t).TaskDefinition
	if *withRole.TaskRoleArn != "reader" {
		t.Errorf("definition %+v", withRole)
	}
	plain := f.definition("plain", container("main", nil))
	run := func(definition string, overrides *types.TaskOverride) *awsecs.RunTaskOutput {
		t.Helper()
		return must(f.RunTask(f.ctx, &awsecs.RunTaskInput{Cluster: &c, TaskDefinition: &definition, Overrides: overrides}))(t)
	}
	override := &types.TaskOverride{TaskRoleArn: aws.String("writer")}
	for _, out := range []*awsecs.RunTaskOutput{run(*withRole.TaskDefinitionArn, nil), run(*withRole.TaskDefinitionArn, override), run(plain, override)} {
		if len(out.Tasks) != 0 || len(out.Failures) != 1 || *out.Failures[0].Reason != "ATTRIBUTE" {
			t.Errorf("on a host without roles: %+v", out)
		}
	}
	giving := f.host(c, 4096, 4096, types.Attribute{Name: aws.String("com.amazonaws.ecs.capability.task-iam-role")})
	for _, out := range []*awsecs.RunTaskOutput{run(*withRole.TaskDefinitionArn, nil), run(plain, override)} {
		if len(out.Tasks) != 1 || *out.Tasks[0].ContainerInstanceArn != giving {
			t.Errorf("beside a host with roles: %+v", out)
		}
	}
	if out := run(plain, override); *out.Tasks[0].Overrides.TaskRoleArn != "writer" {
		t.Errorf("overrides are shown as %+v", out.Tasks[0].Overrides)
	}
}

func TestRunTask_PlacesByConstraintsAndStrategies(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	for range 3 {
		f.host(c, 4096, 4096)
	}
	d := f.definition("web")
	distinct := must(f.RunTask(f.ctx, &awsecs.RunTaskInput{
		Cluster: &c, TaskDefinition: &d, Count: aws.Int32(5), Group: aws.String("g"),
		PlacementConstraints: []types.PlacementConstraint{{Type: types.PlacementConstraintTypeDistinctInstance}},
	}))(t)
	if len(distinct.Tasks) != 3 || *distinct.Failures[0].Reason != "DistinctInstance placement constraint unsatisfied." {
		t.Errorf("got %d tasks, %+v", len(distinct.Tasks), distinct.Failures)
	}
	// Only tasks that are to go on keep others away, though the first one has not ended.
	must(f.StopTask(f.ctx, &awsecs.StopTaskInput{Cluster: &c, Task: distinct.Tasks[0].TaskArn}))(t)
	again := must(f.RunTask(f.ctx, &awsecs.RunTaskInput{
		Cluster: &c, TaskDefinition: &d, Count: aws.Int32(2), Group: aws.String("g"),
		PlacementConstraints: []types.PlacementConstraint{{Type: types.PlacementConstraintTypeDistinctInstance}},
	}))(t)
	if len(again.Tasks) != 1 || *again.Tasks[0].ContainerInstanceArn != *distinct.Tasks[0].ContainerInstanceArn {
		t.Errorf("after one was told to stop: got %d tasks, %+v", len(again.Tasks), again.Failures)
	}
	packed := must(f.RunTask(f.ctx, &awsecs.RunTaskInput{
		Cluster: &c, TaskDefinition: &d, Count: aws.Int32(9),
		PlacementStrategy: []types.PlacementStrategy{{Type: types.PlacementStrategyTypeBinpack, Field: aws.String("memory")}},
	}))(t)
	on := map[string]int{}
	for _, task := range packed.Tasks {
		on[*task.ContainerInstanceArn]++
	}
	if len(packed.Tasks) != 9 || len(on) != 1 {
		t.Errorf("binpack used %v", on)
	}
}

func TestRunTask_Refuses(t *testing.T) {
	f := newFixture(t)
	c, empty := f.cluster("c"), f.cluster("empty")
	f.host(c, 4096, 4096)
	active, inactive := f.definition("web"), f.definition("old")
	must(f.DeregisterTaskDefinition(f.ctx, &awsecs.DeregisterTaskDefinitionInput{TaskDefinition: &inactive}))(t)
	override := func(o types.ContainerOverride) *types.TaskOverride {
		return &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{o}}
	}
	main := aws.String("main")
	const invalid, client, unsupported = "InvalidParameterException", "ClientException", "UnsupportedFeatureException"
	for name, r := range map[string]struct {
		change        func(*awsecs.RunTaskInput)
		code, message string
	}{
		"an empty cluster":       {func(in *awsecs.RunTaskInput) { in.Cluster = &empty }, invalid, "No Container Instances were found in your cluster."},
		"an inactive definition": {func(in *awsecs.RunTaskInput) { in.TaskDefinition = &inactive }, client, "TaskDefinition is inactive"},
		"count 0":                {func(in *awsecs.RunTaskInput) { in.Count = aws.Int32(0) }, invalid, ""},
		"count 11":               {func(in *awsecs.RunTaskInput) { in.Count = aws.Int32(11) }, invalid, ""},
		"FARGATE":                {func(in *awsecs.RunTaskInput) { in.LaunchType = types.LaunchTypeFargate }, client, "Task definition does not support launch_type FARGATE."},
		"an unknown launch type": {func(in *awsecs.RunTaskInput) { in.LaunchType = "MOON" }, invalid, ""},
		"both kinds of capacity": {func(in *awsecs.RunTaskInput) {
			in.LaunchType = types.LaunchTypeEc2
			in.CapacityProviderStrategy = []types.CapacityProviderStrategyItem{{CapacityProvider: aws.String("p")}}
		}, invalid, "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again."},
		"capacity providers": {func(in *awsecs.RunTaskInput) {
			in.CapacityProviderStrategy = []types.CapacityProviderStrategyItem{{CapacityProvider: aws.String("p")}}
		}, invalid, "The capacity provider p is not associated with the cluster. Associate it and try again."},
		"a network configuration": {func(in *awsecs.RunTaskInput) {
			in.NetworkConfiguration = &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{Subnets: []string{"s"}}}
		}, invalid, "Network Configuration is not valid for the given networkMode of this task definition."},
		"a platform version": {func(in *awsecs.RunTaskInput) { in.PlatformVersion = aws.String("LATEST") }, invalid, ""},
		"execute command":    {func(in *awsecs.RunTaskInput) { in.EnableExecuteCommand = true }, unsupported, "Longshore does not support enableExecuteCommand yet."},
		"a volume configuration": {func(in *awsecs.RunTaskInput) {
			in.VolumeConfigurations = []types.TaskVolumeConfiguration{{Name: aws.String("v")}}
		}, unsupported, ""},
		"the group of a service": {func(in *awsecs.RunTaskInput) { in.Group = aws.String("service:x") }, invalid, ""},
		"startedBy of 37":        {func(in *awsecs.RunTaskInput) { in.StartedBy = aws.String(strings.Repeat("x", 37)) }, invalid, "startedBy longer than 36."},
		"startedBy with a space": {func(in *awsecs.RunTaskInput) { in.StartedBy = aws.String("a b") }, invalid, ""},
		"tags of a service":      {func(in *awsecs.RunTaskInput) { in.PropagateTags = types.PropagateTagsService }, invalid, ""},
		"an expression that is none": {func(in *awsecs.RunTaskInput) {
			in.PlacementConstraints = []types.PlacementConstraint{memberOf("attribute:a=b")}
		}, invalid, `Invalid placement constraint: expression "attribute:a=b": at character 12: expected an operator of attribute:a (== != > >= < <= in !in =~ !~ exists !exists), found "=b".`},
		"an expression of 2001": {func(in *awsecs.RunTaskInput) {
			in.PlacementConstraints = []types.PlacementConstraint{memberOf("attribute:a == " + strings.Repeat("b", 1986))}
		}, invalid, ""},
		"eleven constraints": {func(in *awsecs.RunTaskInput) {
			in.PlacementConstraints = slices.Repeat([]types.PlacementConstraint{memberOf("attribute:a exists")}, 11)
		}, invalid, "A task has at most 10 placement constraints, those of its task definition included, not 11."},
		"distinct with expression": {func(in *awsecs.RunTaskInput) {
			in.PlacementConstraints = []types.PlacementConstraint{{Type: types.PlacementConstraintTypeDistinctInstance, Expression: aws.String("x")}}
		}, invalid, "distinctInstance expression should not be specified."},
		"binpack of nothing": {func(in *awsecs.RunTaskInput) {
			in.PlacementStrategy = []types.PlacementStrategy{{Type: types.PlacementStrategyTypeBinpack, Field: aws.String("disk")}}
		}, invalid, ""},
		"random by a field": {func(in *awsecs.RunTaskInput) {
			in.PlacementStrategy = []types.PlacementStrategy{{Type: types.PlacementStrategyTypeRandom, Field: aws.String("cpu")}}
		}, invalid, ""},
		"six strategies":     {func(in *awsecs.RunTaskInput) { in.PlacementStrategy = make([]types.PlacementStrategy, 6) }, invalid, ""},
		"override of nobody": {func(in *awsecs.RunTaskInput) { in.Overrides = override(types.ContainerOverride{Name: aws.String("x")}) }, invalid, "Override for container named x is not a container in the TaskDefinition."},
		"nameless override":  {func(in *awsecs.RunTaskInput) { in.Overrides = override(types.ContainerOverride{}) }, invalid, ""},
		"override twice": {func(in *awsecs.RunTaskInput) {
			in.Overrides = &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{Name: main}, {Name: main}}}
		}, invalid, ""},
		"too little memory": {func(in *awsecs.RunTaskInput) {
			in.Overrides = override(types.ContainerOverride{Name: main, Memory: aws.Int32(1)})
		}, invalid, ""},
		"override with a strange role": {func(in *awsecs.RunTaskInput) { in.Overrides = &types.TaskOverride{TaskRoleArn: aws.String("a b")} }, invalid, ""},
		"override of no GPUs": {func(in *awsecs.RunTaskInput) {
			in.Overrides = override(types.ContainerOverride{Name: main, ResourceRequirements: []types.ResourceRequirement{{Type: types.ResourceTypeGpu, Value: aws.String("0")}}})
		}, invalid, ""},
		"override of accelerators": {func(in *awsecs.RunTaskInput) {
			in.Overrides = override(types.ContainerOverride{Name: main, ResourceRequirements: []types.ResourceRequirement{{Type: types.ResourceTypeInferenceAccelerator, Value: aws.String("a")}}})
		}, invalid, ""},
		"overrides of 8 KiB": {func(in *awsecs.RunTaskInput) {
			in.Overrides = override(types.ContainerOverride{Name: main, Command: []string{strings.Repeat("x", 8192)}})
		}, invalid, ""},
		"a long token": {func(in *awsecs.RunTaskInput) { in.ClientToken = aws.String(strings.Repeat("x", 65)) }, invalid, ""},
		"a tag of ECS": {func(in *awsecs.RunTaskInput) { in.Tags = []types.Tag{{Key: aws.String("aws:x")}} }, invalid, ""},
	} {
		t.Run(name, func(t *testing.T) {
			in := &awsecs.RunTaskInput{Cluster: &c, TaskDefinition: &active}
			r.change(in)
			_, err := f.RunTask(f.ctx, in)
			wantError(t, err, r.code, r.message)
		})
	}
	if tasks := must(f.ListTasks(f.ctx, &awsecs.ListTasksInput{Cluster: &c}))(t).TaskArns; len(tasks) != 0 {
		t.Errorf("a refused request started %v", tasks)
	}
}

func TestRunTask_ATokenStartsTasksOnce(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.host(c, 4096, 4096)
	d := f.definition("web")
	request := func(count int32) *awsecs.RunTaskInput {
		return &awsecs.RunTaskInput{Cluster: &c, TaskDefinition: &d, Count: &count, ClientToken: aws.String("once")}
	}
	first := must(f.RunTask(f.ctx, request(2)))(t)
	again := must(f.RunTask(f.ctx, request(2)))(t)
	arns := func(o *awsecs.RunTaskOutput) map[string]bool {
		m := map[string]bool{}
		for _, task := range o.Tasks {
			m[*task.TaskArn] = true
		}
		return m
	}
	for arn := range arns(first) {
		if len(again.Tasks) != 2 || !arns(again)[arn] {
			t.Errorf("got other tasks: %v", arns(again))
		}
	}
	_, err := f.RunTask(f.ctx, request(3))
	wantError(t, err, "ConflictException", "")
	if all := must(f.ListTasks(f.ctx, &awsecs.ListTasksInput{Cluster: &c}))(t).TaskArns; len(all) != 2 {
		t.Errorf("there are %d tasks", len(all))
	}
}

func TestRunTask_RequestsAtOnceDoNotTakeTheSameRoom(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.host(c, 1000, 4096) // room for 10
	d := f.definition("web")
	var wg sync.WaitGroup
	var mu sync.Mutex
	placed := 0
	for range 8 {
		wg.Go(func() {
			out, err := f.RunTask(f.ctx, &awsecs.RunTaskInput{Cluster: &c, TaskDefinition: &d, Count: aws.Int32(3)})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			placed += len(out.Tasks)
		})
	}
	wg.Wait()
	if placed != 10 {
		t.Errorf("placed %d tasks where there is room for 10", placed)
	}
}

func TestStartTask_ReportsEachInstance(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	good, small, gone := f.host(c, 150, 4096), f.host(c, 10, 4096), f.host(c, 4096, 4096)
	f.dropInstanceRecord(gone)
	d := f.definition("web")
	missing := owner.InstanceARN("c", "00000000000000000000000000000000")
	out := must(f.StartTask(f.ctx, &awsecs.StartTaskInput{Cluster: &c, TaskDefinition: &d, ContainerInstances: []string{good, good, small, gone, missing}}))(t)
	if len(out.Tasks) != 1 || *out.Tasks[0].ContainerInstanceArn != good {
		t.Errorf("tasks %+v", out.Tasks)
	}
	want := []string{good + " RESOURCE:CPU", small + " RESOURCE:CPU", gone + " INACTIVE", missing + " MISSING"}
	for i, failure := range out.Failures {
		if got := *failure.Arn + " " + *failure.Reason; got != want[i] {
			t.Errorf("got %s, want %s", got, want[i])
		}
	}
	if len(out.Failures) != len(want) {
		t.Errorf("failures %+v", out.Failures)
	}
	_, err := f.StartTask(f.ctx, &awsecs.StartTaskInput{Cluster: &c, TaskDefinition: &d, ContainerInstances: make([]string, 11)})
	wantError(t, err, "InvalidParameterException", "instanceIds can have at most 10 items.")
	_, err = f.StartTask(f.ctx, &awsecs.StartTaskInput{Cluster: &c, TaskDefinition: &d, ContainerInstances: []string{}})
	wantError(t, err, "InvalidParameterException", "Container instances cannot be empty.")
}
