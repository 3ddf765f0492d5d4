package api_test

import (
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

func memberOf(expression string) types.PlacementConstraint {
	return types.PlacementConstraint{Type: types.PlacementConstraintTypeMemberOf, Expression: &expression}
}

func has(name, value string) types.Attribute {
	return types.Attribute{Name: &name, Value: &value}
}

// constrained registers a definition with constraints of its own.
func (f *fixture) constrained(family string, expressions ...string) string {
	f.t.Helper()
	in := &awsecs.RegisterTaskDefinitionInput{Family: &family, ContainerDefinitions: []types.ContainerDefinition{container("main", nil)}}
	for i := range expressions {
		in.PlacementConstraints = append(in.PlacementConstraints, types.TaskDefinitionPlacementConstraint{
			Type: types.TaskDefinitionPlacementConstraintTypeMemberOf, Expression: &expressions[i]})
	}
	out := must(f.RegisterTaskDefinition(f.ctx, in))(f.t).TaskDefinition
	if len(out.PlacementConstraints) != len(expressions) {
		f.t.Errorf("answered the constraints %+v", out.PlacementConstraints)
	}
	return *out.TaskDefinitionArn
}

func TestRunTask_KeepsTheConstraintsOfTheDefinitionAndOfTheRequest(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	both := f.host(c, 4096, 4096, has("rack", "7"), has("disk", "ssd"))
	f.host(c, 4096, 4096, has("rack", "7"))
	noRack := f.host(c, 4096, 4096, has("disk", "ssd"))
	d := f.constrained("web", "attribute:rack == 7")

	out := must(f.RunTask(f.ctx, &awsecs.RunTaskInput{Cluster: &c, TaskDefinition: &d, Count: aws.Int32(10),
		PlacementConstraints: []types.PlacementConstraint{memberOf("attribute:disk =~ s.d")}}))(t)
	if len(out.Tasks) != 10 {
		t.Errorf("placed %d, failures %+v", len(out.Tasks), out.Failures)
	}
	for _, task := range out.Tasks {
		if *task.ContainerInstanceArn != both {
			t.Errorf("a task is on %s", *task.ContainerInstanceArn)
		}
	}

	const another = "attribute:disk exists and task:group != family:web"
	none := must(f.RunTask(f.ctx, &awsecs.RunTaskInput{Cluster: &c, TaskDefinition: &d,
		PlacementConstraints: []types.PlacementConstraint{memberOf(another)}}))(t)
	if len(none.Tasks) != 0 || len(none.Failures) != 3 {
		t.Fatalf("got %+v, %+v", none.Tasks, none.Failures)
	}
	for _, failure := range none.Failures {
		want := "does not match " + another
		if *failure.Arn == noRack {
			want = "does not match attribute:rack == 7"
		}
		if *failure.Reason != "MemberOf placement constraint unsatisfied." || *failure.Detail != want {
			t.Errorf("%s: %s, %s", *failure.Arn, *failure.Reason, *failure.Detail)
		}
	}
}

func TestRunTask_CountsTheConstraintsOfTheDefinition(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.host(c, 4096, 4096)
	d := f.constrained("web", slices.Repeat([]string{"agentConnected == true"}, 9)...)
	two := []types.PlacementConstraint{memberOf("attribute:a !exists"), {Type: types.PlacementConstraintTypeDistinctInstance}}
	_, err := f.RunTask(f.ctx, &awsecs.RunTaskInput{Cluster: &c, TaskDefinition: &d, PlacementConstraints: two})
	const message = "A task has at most 10 placement constraints, those of its task definition included, not 11."
	wantError(t, err, "InvalidParameterException", message)
	_, err = f.CreateService(f.ctx, &awsecs.CreateServiceInput{Cluster: &c, ServiceName: aws.String("s"), TaskDefinition: &d,
		DesiredCount: aws.Int32(1), PlacementConstraints: two})
	wantError(t, err, "InvalidParameterException", message)
	must(f.CreateService(f.ctx, &awsecs.CreateServiceInput{Cluster: &c, ServiceName: aws.String("s"), TaskDefinition: &d,
		DesiredCount: aws.Int32(1), PlacementConstraints: two[:1]}))(t)
	_, err = f.UpdateService(f.ctx, &awsecs.UpdateServiceInput{Cluster: &c, Service: aws.String("s"), PlacementConstraints: two})
	wantError(t, err, "InvalidParameterException", message)
	if out := must(f.RunTask(f.ctx, &awsecs.RunTaskInput{Cluster: &c, TaskDefinition: &d, PlacementConstraints: two[:1]}))(t); len(out.Tasks) != 1 {
		t.Errorf("ten constraints: %+v", out.Failures)
	}
}

func TestStartTask_KeepsTheConstraintsOfTheDefinition(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	yes, no := f.host(c, 4096, 4096, has("rack", "7")), f.host(c, 4096, 4096)
	d := f.constrained("web", "attribute:rack == 7")
	out := must(f.StartTask(f.ctx, &awsecs.StartTaskInput{Cluster: &c, TaskDefinition: &d, ContainerInstances: []string{yes, no}}))(t)
	if len(out.Tasks) != 1 || *out.Tasks[0].ContainerInstanceArn != yes || len(out.Failures) != 1 || *out.Failures[0].Reason != "MemberOf placement constraint unsatisfied." {
		t.Errorf("got %+v, %+v", out.Tasks, out.Failures)
	}
}

func TestListContainerInstances_Filters(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	old := f.host(c, 4096, 4096, has("rack", "7"))
	other := f.host(c, 4096, 4096, has("rack", "12"))
	f.changeInstance(old, func(i *model.Instance) { i.RegisteredAt = i.RegisteredAt.AddDate(-1, 0, 0); i.EC2InstanceID = "i-old" })
	f.changeInstance(other, func(i *model.Instance) { i.AgentConnected = false })
	f.changeInstance(old, func(i *model.Instance) { i.VersionInfo = &ecs.VersionInfo{AgentVersion: "1.9.0"} })
	task := f.run(c, f.definition("web"), 1).Tasks[0]
	for filter, want := range map[string][]string{
		"":                                         {old, other},
		"attribute:rack == 7":                      {old},
		"attribute:rack > 7":                       {other},
		"agentConnected == false":                  {other},
		"agentVersion <= 1.10.0":                   {old},
		"ec2InstanceId in ['i-old']":               {old},
		"registeredAt < 2020-01-01":                {},
		"registeredAt > 2020-01-01":                {old, other},
		"task:group == family:web":                 {old},
		"runningTasksCount == 0":                   {old, other}, // the task is PENDING
		"not attribute:missing exists":             {old, other},
		"attribute:rack !~ 7 || task:group exists": {old, other},
	} {
		got := must(f.ListContainerInstances(f.ctx, &awsecs.ListContainerInstancesInput{Cluster: &c, Filter: &filter}))(t).ContainerInstanceArns
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%q: got %v, want %v", filter, got, want)
		}
	}
	f.running(*task.TaskArn)
	got := must(f.ListContainerInstances(f.ctx, &awsecs.ListContainerInstancesInput{Cluster: &c, Filter: aws.String("runningTasksCount >= 1")}))(t)
	if !slices.Equal(got.ContainerInstanceArns, []string{old}) {
		t.Errorf("running tasks on %v", got.ContainerInstanceArns)
	}
	_, err := f.ListContainerInstances(f.ctx, &awsecs.ListContainerInstancesInput{Cluster: &c, Filter: aws.String("rack == 7")})
	wantError(t, err, "InvalidParameterException", `Invalid filter "rack == 7": at character 1: expected a subject (attribute:NAME, task:group, agentConnected, agentVersion, ec2InstanceId, registeredAt, runningTasksCount), found "rack".`)
}
