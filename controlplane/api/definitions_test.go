package api_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func TestTaskDefinitions_RevisionsAreNeverGivenTwice(t *testing.T) {
	f := newFixture(t)
	first, second := f.definition("web"), f.definition("web")
	if !strings.HasSuffix(first, "/web:1") || !strings.HasSuffix(second, "/web:2") {
		t.Errorf("got %s and %s", first, second)
	}
	gone := must(f.DeregisterTaskDefinition(f.ctx, &awsecs.DeregisterTaskDefinitionInput{TaskDefinition: aws.String("web:2")}))(t).TaskDefinition
	if gone.Status != types.TaskDefinitionStatusInactive || gone.DeregisteredAt == nil {
		t.Errorf("deregistered %+v", gone)
	}
	if third := f.definition("web"); !strings.HasSuffix(third, "/web:3") {
		t.Errorf("got %s", third)
	}
	describe := func(name string) *types.TaskDefinition {
		return must(f.DescribeTaskDefinition(f.ctx, &awsecs.DescribeTaskDefinitionInput{TaskDefinition: &name}))(t).TaskDefinition
	}
	if d := describe("web"); d.Revision != 3 {
		t.Errorf("the newest ACTIVE revision is 3, got %d", d.Revision)
	}
	if d := describe(second); d.Revision != 2 || d.Status != types.TaskDefinitionStatusInactive {
		t.Errorf("an INACTIVE revision can be described, got %+v", d)
	}
	again := must(f.DeregisterTaskDefinition(f.ctx, &awsecs.DeregisterTaskDefinitionInput{TaskDefinition: &second}))(t).TaskDefinition
	if !again.DeregisteredAt.Equal(*gone.DeregisteredAt) {
		t.Error("deregistering twice must change nothing")
	}
}

func TestRegisterTaskDefinition_FillsInWhatECSDoes(t *testing.T) {
	f := newFixture(t)
	out := must(f.RegisterTaskDefinition(f.ctx, &awsecs.RegisterTaskDefinitionInput{
		Family:           aws.String("full"),
		ExecutionRoleArn: aws.String("arn:aws:iam::123456789012:role/x"),
		RuntimePlatform:  &types.RuntimePlatform{CpuArchitecture: types.CPUArchitectureX8664, OperatingSystemFamily: types.OSFamilyLinux},
		Volumes:          []types.Volume{{Name: aws.String("data")}},
		Tags:             []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}},
		ContainerDefinitions: []types.ContainerDefinition{container("main", func(c *types.ContainerDefinition) {
			c.PortMappings = []types.PortMapping{{ContainerPort: aws.Int32(80), Name: aws.String("http")}}
			c.HealthCheck = &types.HealthCheck{Command: []string{"CMD", "true"}}
			c.Privileged = aws.Bool(true)
			c.MountPoints = []types.MountPoint{{SourceVolume: aws.String("data"), ContainerPath: aws.String("/data")}}
		})},
	}))(t)
	d := out.TaskDefinition
	c := d.ContainerDefinitions[0]
	if c.Essential == nil || !*c.Essential || c.Environment == nil || c.VolumesFrom == nil {
		t.Errorf("container %+v", c)
	}
	if p := c.PortMappings[0]; *p.HostPort != 0 || p.Protocol != types.TransportProtocolTcp || *p.Name != "http" {
		t.Errorf("port %+v", p)
	}
	if hc := c.HealthCheck; *hc.Interval != 30 || *hc.Timeout != 5 || *hc.Retries != 3 {
		t.Errorf("health check %+v", hc)
	}
	if d.Status != types.TaskDefinitionStatusActive || d.RegisteredAt == nil || *d.RegisteredBy != "arn:aws:iam::123456789012:root" || d.NetworkMode != "" {
		t.Errorf("definition %+v", d)
	}
	var needs []string
	for _, a := range d.RequiresAttributes {
		needs = append(needs, *a.Name+"="+aws.ToString(a.Value))
	}
	want := []string{
		"com.amazonaws.ecs.capability.privileged-container=", "ecs.capability.container-health-check=",
		"ecs.cpu-architecture=x86_64", "ecs.os-type=linux",
	}
	if !slices.Equal(needs, want) {
		t.Errorf("requires %q, want %q", needs, want)
	}
	if !slices.Contains(d.Compatibilities, types.CompatibilityEc2) || !slices.Contains(d.Compatibilities, types.CompatibilityExternal) {
		t.Errorf("compatibilities %v", d.Compatibilities)
	}
	tags := must(f.DescribeTaskDefinition(f.ctx, &awsecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String("full"), Include: []types.TaskDefinitionField{types.TaskDefinitionFieldTags}}))(t)
	if len(tags.Tags) != 1 || len(out.Tags) != 1 {
		t.Errorf("tags %+v", tags.Tags)
	}
	a, _ := json.Marshal(d)
	b, _ := json.Marshal(tags.TaskDefinition)
	if string(a) != string(b) {
		t.Errorf("registered %s\ndescribed %s", a, b)
	}
}

func TestRegisterTaskDefinition_HostModeFixesHostPorts(t *testing.T) {
	f := newFixture(t)
	d := must(f.RegisterTaskDefinition(f.ctx, &awsecs.RegisterTaskDefinitionInput{
		Family: aws.String("h"), NetworkMode: types.NetworkModeHost,
		ContainerDefinitions: []types.ContainerDefinition{container("main", func(c *types.ContainerDefinition) {
			c.PortMappings = []types.PortMapping{{ContainerPort: aws.Int32(8080)}}
		})},
	}))(t).TaskDefinition
	if p := d.ContainerDefinitions[0].PortMappings[0]; *p.HostPort != 8080 {
		t.Errorf("got %+v", p)
	}
}

type registering = awsecs.RegisterTaskDefinitionInput

// of makes a change of the only container.
func of(change func(*types.ContainerDefinition)) func(*registering) {
	return func(in *registering) { change(&in.ContainerDefinitions[0]) }
}

func add(name string, change func(*types.ContainerDefinition)) func(*registering) {
	return func(in *registering) {
		in.ContainerDefinitions = append(in.ContainerDefinitions, container(name, change))
	}
}

func both(changes ...func(*registering)) func(*registering) {
	return func(in *registering) {
		for _, c := range changes {
			c(in)
		}
	}
}

func waits(on string, condition types.ContainerCondition) func(*types.ContainerDefinition) {
	return func(c *types.ContainerDefinition) {
		c.DependsOn = append(c.DependsOn, types.ContainerDependency{ContainerName: &on, Condition: condition})
	}
}

func TestRegisterTaskDefinition_Refuses(t *testing.T) {
	f := newFixture(t)
	port := func(container, host int32) func(*types.ContainerDefinition) {
		return func(c *types.ContainerDefinition) {
			c.PortMappings = append(c.PortMappings, types.PortMapping{ContainerPort: &container, HostPort: &host})
		}
	}
	link := func(to string) func(*types.ContainerDefinition) {
		return func(c *types.ContainerDefinition) { c.Links = []string{to} }
	}
	mode := func(m types.NetworkMode) func(*registering) { return func(in *registering) { in.NetworkMode = m } }
	fargate := func(in *registering) { in.RequiresCompatibilities = []types.Compatibility{types.CompatibilityFargate} }
	for name, c := range map[string]struct {
		change func(*registering)
		want   string // the whole message, or, behind a tilde, a part of it
	}{
		"no image":                {of(func(c *types.ContainerDefinition) { c.Image = nil }), "Container.image should not be null or empty."},
		"no name":                 {of(func(c *types.ContainerDefinition) { c.Name = nil }), "Container.name should not be null or empty."},
		"no memory":               {of(func(c *types.ContainerDefinition) { c.Memory = nil }), "Invalid setting for container 'main'. At least one of 'memory' or 'memoryReservation' must be specified."},
		"little memory":           {of(func(c *types.ContainerDefinition) { c.Memory = aws.Int32(5) }), "~at least 6 MiB"},
		"reservation above":       {of(func(c *types.ContainerDefinition) { c.MemoryReservation = aws.Int32(65) }), "~greater than or equal"},
		"negative cpu":            {of(func(c *types.ContainerDefinition) { c.Cpu = -1 }), "~'cpu' must not be negative"},
		"nothing essential":       {of(func(c *types.ContainerDefinition) { c.Essential = aws.Bool(false) }), "~essential"},
		"the same name twice":     {add("main", nil), "~Duplicate container name 'main'"},
		"depends on nobody":       {of(waits("x", types.ContainerConditionStart)), "Cannot depend on container + 'x' because it does not exist"},
		"depends on itself":       {of(waits("main", types.ContainerConditionStart)), "~should not have a cycle"},
		"a circle of kinds":       {both(of(waits("b", types.ContainerConditionStart)), add("b", link("main"))), "~should not have a cycle"},
		"SUCCESS of an essential": {both(of(waits("b", types.ContainerConditionSuccess)), add("b", nil)), "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container"},
		"HEALTHY without a check": {both(of(waits("b", types.ContainerConditionHealthy)), add("b", nil)), "~has no health check"},
		"a link to nobody":        {of(link("x:y")), "~links to 'x'"},
		"a link in host mode":     {both(mode(types.NetworkModeHost), of(link("b")), add("b", nil)), "~Links are not supported when networkMode=host"},
		"volumes from nobody": {of(func(c *types.ContainerDefinition) {
			c.VolumesFrom = []types.VolumeFrom{{SourceContainer: aws.String("x")}}
		}), "~volumes from 'x'"},
		"an unknown volume": {of(func(c *types.ContainerDefinition) {
			c.MountPoints = []types.MountPoint{{SourceVolume: aws.String("x"), ContainerPath: aws.String("/")}}
		}), "Unknown volume 'x' in the mountPoints of container 'main'."},
		"a volume twice": {func(in *registering) { in.Volumes = []types.Volume{{Name: aws.String("v")}, {Name: aws.String("v")}} }, "~Duplicate volume name 'v'"},
		"another kind of volume": {func(in *registering) {
			in.Volumes = []types.Volume{{Name: aws.String("v"), S3filesVolumeConfiguration: &types.S3FilesVolumeConfiguration{FileSystemArn: aws.String("fs")}}}
		}, "~s3filesVolumeConfiguration"},
		"host port in host mode": {both(mode(types.NetworkModeHost), of(port(80, 81))), "~must match"},
		"the same host port":     {both(of(port(80, 8080)), add("b", port(81, 8080))), "~both map tcp host port 8080"},
		"a port in mode none":    {both(mode(types.NetworkModeNone), of(port(80, 0))), "~networkMode=none"},
		"port 0":                 {of(port(0, 0)), "~'containerPort' from 1 to 65535"},
		"port 65536":             {of(port(80, 65536)), "~'hostPort' must be from 0 to 65535"},
		"another network mode":   {mode("other"), "~Member must satisfy enum value set"},
		"FARGATE without cpu":    {fargate, "Fargate requires that 'cpu' be defined at the task level."},
		"FARGATE without memory": {both(fargate, func(in *registering) { in.Cpu = aws.String("256") }), "Fargate requires that 'memory' be defined at the task level."},
		"FARGATE in bridge mode": {both(fargate, func(in *registering) { in.Cpu, in.Memory = aws.String("256"), aws.String("512") }), "Fargate only supports network mode 'awsvpc'."},
		"a placement constraint": {func(in *registering) {
			in.PlacementConstraints = []types.TaskDefinitionPlacementConstraint{{Type: types.TaskDefinitionPlacementConstraintTypeMemberOf}}
		}, "The placement constraint memberOf needs an expression."},
		"an expression that is none": {func(in *registering) {
			in.PlacementConstraints = []types.TaskDefinitionPlacementConstraint{{Type: types.TaskDefinitionPlacementConstraintTypeMemberOf, Expression: aws.String("rack == 7")}}
		}, `~Invalid placement constraint: expression "rack == 7": at character 1: expected a subject (attribute:NAME`},
		"Windows": {func(in *registering) {
			in.RuntimePlatform = &types.RuntimePlatform{OperatingSystemFamily: types.OSFamilyWindowsServer2022Core}
		}, "~LINUX only"},
		"secrets": {of(func(c *types.ContainerDefinition) {
			c.Secrets = []types.Secret{{Name: aws.String("a"), ValueFrom: aws.String("b")}}
		}), "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'."},
		"a health check of nothing": {of(func(c *types.ContainerDefinition) { c.HealthCheck = &types.HealthCheck{Command: []string{"CMD"}} }), "~CMD or CMD-SHELL"},
		"a slow health check": {of(func(c *types.ContainerDefinition) {
			c.HealthCheck = &types.HealthCheck{Command: []string{"CMD", "x"}, Interval: aws.Int32(301)}
		}), "~interval must be from 5 to 300"},
		"a nameless variable": {of(func(c *types.ContainerDefinition) { c.Environment = []types.KeyValuePair{{Value: aws.String("x")}} }), "~environment variable"},
		"soft above hard": {of(func(c *types.ContainerDefinition) {
			c.Ulimits = []types.Ulimit{{Name: types.UlimitNameNofile, SoftLimit: 2, HardLimit: 1}}
		}), "~must not be above the hard one"},
		"no containers": {func(in *registering) { in.ContainerDefinitions = []types.ContainerDefinition{} }, "~1 to 10 containers"},
		"eleven containers": {func(in *registering) {
			for i := range 10 {
				add(fmt.Sprintf("c%d", i), nil)(in)
			}
		}, "~1 to 10 containers"},
		"a strange family": {func(in *registering) { in.Family = aws.String("a b") }, "~Family must be"},
		"more than 64 KiB": {of(func(c *types.ContainerDefinition) { c.Command = []string{strings.Repeat("x", 65<<10)} }), "~Max allowed length is '65536' bytes."},
	} {
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
	if out := must(f.ListTaskDefinitionFamilies(f.ctx, &awsecs.ListTaskDefinitionFamiliesInput{}))(t); len(out.Families) != 0 {
		t.Errorf("what was refused is there all the same: %v", out.Families)
	}
}

func TestTaskDefinitions_ThatAreNotThere(t *testing.T) {
	f := newFixture(t)
	f.definition("web")
	for _, name := range []string{"other", "web:2", "web:0", "web:x", "web:99999999999", ":", "arn:aws:ecs:us-east-1:123456789012:task-definition/web:7"} {
		_, err := f.DescribeTaskDefinition(f.ctx, &awsecs.DescribeTaskDefinitionInput{TaskDefinition: &name})
		wantError(t, err, "ClientException", "Unable to describe task definition.")
		_, err = f.RunTask(f.ctx, &awsecs.RunTaskInput{Cluster: aws.String(f.cluster("c")), TaskDefinition: &name})
		wantError(t, err, "ClientException", "TaskDefinition not found.")
	}
	_, err := f.DeregisterTaskDefinition(f.ctx, &awsecs.DeregisterTaskDefinitionInput{TaskDefinition: aws.String("web:2")})
	wantError(t, err, "ClientException", "Unable to describe task definition.")
	_, err = f.DeregisterTaskDefinition(f.ctx, &awsecs.DeregisterTaskDefinitionInput{TaskDefinition: aws.String("web")})
	wantError(t, err, "ClientException", "")
	_, err = f.DescribeTaskDefinition(f.ctx, &awsecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String("arn:aws:ecs:us-east-1:999999999999:task-definition/web:1")})
	wantError(t, err, "ClientException", "")
}

func TestListTaskDefinitions_FiltersAndSorts(t *testing.T) {
	f := newFixture(t)
	for _, family := range []string{"b", "a", "a", "a2", "b"} {
		f.definition(family)
	}
	must(f.DeregisterTaskDefinition(f.ctx, &awsecs.DeregisterTaskDefinitionInput{TaskDefinition: aws.String("a:1")}))(t)
	must(f.DeregisterTaskDefinition(f.ctx, &awsecs.DeregisterTaskDefinitionInput{TaskDefinition: aws.String("a2:1")}))(t)
	for _, c := range []struct {
		in   awsecs.ListTaskDefinitionsInput
		want string
	}{
		{awsecs.ListTaskDefinitionsInput{}, "a:2 b:1 b:2"},
		{awsecs.ListTaskDefinitionsInput{Sort: types.SortOrderDesc}, "b:2 b:1 a:2"},
		{awsecs.ListTaskDefinitionsInput{FamilyPrefix: aws.String("b"), Sort: types.SortOrderDesc}, "b:2 b:1"},
		{awsecs.ListTaskDefinitionsInput{FamilyPrefix: aws.String("a"), Status: types.TaskDefinitionStatusInactive}, "a:1"},
		{awsecs.ListTaskDefinitionsInput{Status: types.TaskDefinitionStatusInactive}, "a:1 a2:1"},
		{awsecs.ListTaskDefinitionsInput{Status: types.TaskDefinitionStatusDeleteInProgress}, ""},
	} {
		var names []string
		for p := awsecs.NewListTaskDefinitionsPaginator(f, &c.in, func(o *awsecs.ListTaskDefinitionsPaginatorOptions) { o.Limit = 1 }); p.HasMorePages(); {
			page := must(p.NextPage(f.ctx))(t)
			for _, arn := range page.TaskDefinitionArns {
				names = append(names, arn[strings.LastIndex(arn, "/")+1:])
			}
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.in, got, c.want)
		}
	}
	for _, c := range []struct {
		in   awsecs.ListTaskDefinitionFamiliesInput
		want string
	}{
		{awsecs.ListTaskDefinitionFamiliesInput{}, "a a2 b"},
		{awsecs.ListTaskDefinitionFamiliesInput{Status: types.TaskDefinitionFamilyStatusAll, FamilyPrefix: aws.String("a")}, "a a2"},
		{awsecs.ListTaskDefinitionFamiliesInput{Status: types.TaskDefinitionFamilyStatusActive}, "a b"},
		{awsecs.ListTaskDefinitionFamiliesInput{Status: types.TaskDefinitionFamilyStatusInactive}, "a2"},
	} {
		if got := strings.Join(must(f.ListTaskDefinitionFamilies(f.ctx, &c.in))(t).Families, " "); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.in, got, c.want)
		}
	}
}
