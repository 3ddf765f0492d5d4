package api_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func TestStopTask_AsksForTheStopAndKeepsTheFirstReason(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.host(c, 4096, 4096)
	arns := f.run(c, f.definition("web"), 2).Tasks
	arn := *arns[0].TaskArn
	f.running(arn)
	id := arn[strings.LastIndex(arn, "/")+1:]
	stop := func(task string, reason *string) types.Task {
		return *must(f.StopTask(f.ctx, &awsecs.StopTaskInput{Cluster: &c, Task: &task, Reason: reason}))(t).Task
	}
	got := stop(id, aws.String("enough"))
	if *got.DesiredStatus != "STOPPED" || *got.LastStatus != "RUNNING" || got.StopCode != types.TaskStopCodeUserInitiated || *got.StoppedReason != "enough" || got.StoppingAt == nil || got.Version != 3 {
		t.Errorf("got %+v", got)
	}
	if again := stop(arn, aws.String("again")); *again.StoppedReason != "enough" || again.Version != got.Version {
		t.Errorf("stopping twice changed the task: %+v", again)
	}
	f.stopNow(arn)
	if stopped := stop(arn, nil); *stopped.LastStatus != "STOPPED" || stopped.StoppedAt == nil {
		t.Errorf("a stopped task must be answered as it is, got %+v", stopped)
	}
	if other := stop(*arns[1].TaskArn, nil); *other.StoppedReason != "Task stopped by user" {
		t.Errorf("got %s", *other.StoppedReason)
	}
}

func TestStopTask_Refuses(t *testing.T) {
	f := newFixture(t)
	c, other := f.cluster("c"), f.cluster("other")
	f.host(c, 4096, 4096)
	arn := f.run(c, f.definition("web"), 1).Tasks[0].TaskArn
	_, err := f.StopTask(f.ctx, &awsecs.StopTaskInput{Cluster: &c, Task: aws.String(strings.Repeat("0", 32))})
	wantError(t, err, "InvalidParameterException", "The referenced task was not found.")
	_, err = f.StopTask(f.ctx, &awsecs.StopTaskInput{Cluster: &c, Task: aws.String("0123")})
	wantError(t, err, "InvalidParameterException", `taskId length should be one of [32,36], but "0123" has 4`)
	_, err = f.StopTask(f.ctx, &awsecs.StopTaskInput{Cluster: &other, Task: arn})
	wantError(t, err, "InvalidParameterException", "Invalid identifier: Identifier is for cluster c. Your cluster is other")
	_, err = f.StopTask(f.ctx, &awsecs.StopTaskInput{Cluster: &c, Task: arn, Reason: aws.String(strings.Repeat("x", 256))})
	wantError(t, err, "InvalidParameterException", "")
	_, err = f.StopTask(f.ctx, &awsecs.StopTaskInput{Cluster: &c, Task: aws.String("arn:aws:ecs:us-east-1:999999999999:task/c/x")})
	wantError(t, err, "InvalidParameterException", "")
}

func TestDescribeTasks_NamesWhatIsMissingInFull(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.host(c, 4096, 4096)
	arn := *f.run(c, f.definition("web"), 1).Tasks[0].TaskArn
	short := strings.Replace(arn, "/c/", "/", 1)                                  // the old format
	gone := strings.Repeat("0", 8) + "-0000-0000-0000-" + strings.Repeat("0", 12) // such ids, too
	out := must(f.DescribeTasks(f.ctx, &awsecs.DescribeTasksInput{Cluster: &c, Tasks: []string{short, gone}, Include: []types.TaskField{types.TaskFieldTags}}))(t)
	if len(out.Tasks) != 1 || *out.Tasks[0].TaskArn != arn {
		t.Errorf("tasks %+v", out.Tasks)
	}
	if len(out.Failures) != 1 || *out.Failures[0].Arn != "arn:aws:ecs:us-east-1:123456789012:task/c/"+gone || *out.Failures[0].Reason != "MISSING" {
		t.Errorf("failures %+v", out.Failures)
	}
	for message, tasks := range map[string][]string{
		"Tasks cannot be empty.":                                   {},
		"taskIds can have at most 100 items.":                      make([]string, 101),
		"A task identifier can not be blank.":                      {""},
		`taskId length should be one of [32,36], but "nope" has 4`: {arn, "nope"},
	} {
		_, err := f.DescribeTasks(f.ctx, &awsecs.DescribeTasksInput{Cluster: &c, Tasks: tasks})
		wantError(t, err, "InvalidParameterException", message)
	}
}

func TestListTasks_FiltersAloneAndTogether(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	a, b := f.host(c, 4096, 4096), f.host(c, 4096, 4096)
	web, db := f.definition("web"), f.definition("db")
	start := func(definition, host, by string) string {
		in := &awsecs.StartTaskInput{Cluster: &c, TaskDefinition: &definition, ContainerInstances: []string{host}}
		if by != "" {
			in.StartedBy = &by
		}
		return *must(f.StartTask(f.ctx, in))(t).Tasks[0].TaskArn
	}
	webA, webB, dbA, mine := start(web, a, ""), start(web, b, ""), start(db, a, ""), start(db, b, "me")
	stopped := start(web, a, "me")
	must(f.StopTask(f.ctx, &awsecs.StopTaskInput{Cluster: &c, Task: &stopped}))(t)
	must(f.CreateService(f.ctx, &awsecs.CreateServiceInput{Cluster: &c, ServiceName: aws.String("s"), TaskDefinition: &web, DesiredCount: aws.Int32(0)}))(t)
	for name, r := range map[string]struct {
		in   awsecs.ListTasksInput
		want []string
	}{
		"all":                 {awsecs.ListTasksInput{}, []string{webA, webB, dbA, mine}},
		"instance":            {awsecs.ListTasksInput{ContainerInstance: &a}, []string{webA, dbA}},
		"family":              {awsecs.ListTasksInput{Family: aws.String("web")}, []string{webA, webB}},
		"startedBy":           {awsecs.ListTasksInput{StartedBy: aws.String("me")}, []string{mine}},
		"instance and family": {awsecs.ListTasksInput{ContainerInstance: &a, Family: aws.String("web")}, []string{webA}},
		"family and stopped":  {awsecs.ListTasksInput{Family: aws.String("web"), DesiredStatus: types.DesiredStatusStopped}, []string{stopped}},
		"all four":            {awsecs.ListTasksInput{ContainerInstance: &a, Family: aws.String("web"), StartedBy: aws.String("me"), DesiredStatus: types.DesiredStatusStopped, LaunchType: types.LaunchTypeEc2}, []string{stopped}},
		"pending":             {awsecs.ListTasksInput{DesiredStatus: types.DesiredStatusPending}, nil},
		"another launch type": {awsecs.ListTasksInput{LaunchType: types.LaunchTypeExternal}, nil},
		"service":             {awsecs.ListTasksInput{ServiceName: aws.String("s")}, nil},
		"no such family":      {awsecs.ListTasksInput{Family: aws.String("x")}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r.in.Cluster = &c
			got := must(f.ListTasks(f.ctx, &r.in))(t).TaskArns
			slices.Sort(got)
			slices.Sort(r.want)
			if !slices.Equal(got, r.want) {
				t.Errorf("got %v, want %v", got, r.want)
			}
		})
	}
	_, err := f.ListTasks(f.ctx, &awsecs.ListTasksInput{Cluster: &c, ServiceName: aws.String("x")})
	wantError(t, err, "ServiceNotFoundException", "Service not found.")
	_, err = f.ListTasks(f.ctx, &awsecs.ListTasksInput{Cluster: &c, DesiredStatus: "GONE"})
	wantError(t, err, "InvalidParameterException", "")
	_, err = f.ListTasks(f.ctx, &awsecs.ListTasksInput{Cluster: &c, MaxResults: aws.Int32(101)})
	wantError(t, err, "InvalidParameterException", "")
}

func TestSubmitTaskStateChange_MovesForwardOnly(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.host(c, 4096, 4096)
	arn := *f.run(c, f.definition("web"), 1).Tasks[0].TaskArn
	pulled := time.Now().Add(-time.Minute).Truncate(time.Millisecond)
	submit := func(in awsecs.SubmitTaskStateChangeInput) {
		t.Helper()
		in.Cluster, in.Task = &c, &arn
		if out := must(f.SubmitTaskStateChange(f.ctx, &in))(t); *out.Acknowledgment == "" {
			t.Error("no acknowledgment")
		}
	}
	submit(awsecs.SubmitTaskStateChangeInput{
		Status: aws.String("RUNNING"), PullStartedAt: &pulled,
		Containers: []types.ContainerStateChange{{
			ContainerName: aws.String("main"), Status: aws.String("RUNNING"), RuntimeId: aws.String("abc"),
			NetworkBindings: []types.NetworkBinding{{BindIP: aws.String("0.0.0.0"), ContainerPort: aws.Int32(80), HostPort: aws.Int32(32768), Protocol: types.TransportProtocolTcp}},
		}},
	})
	task := f.describeTask(c, arn)
	if *task.LastStatus != "RUNNING" || task.StartedAt == nil || !task.PullStartedAt.Equal(pulled) || *task.Containers[0].RuntimeId != "abc" || *task.Containers[0].NetworkBindings[0].HostPort != 32768 {
		t.Errorf("got %+v", task)
	}
	must(f.SubmitContainerStateChange(f.ctx, &awsecs.SubmitContainerStateChangeInput{
		Cluster: &c, Task: &arn, ContainerName: aws.String("main"), Status: aws.String("STOPPED"), ExitCode: aws.Int32(3), Reason: aws.String("why"),
	}))(t)
	submit(awsecs.SubmitTaskStateChangeInput{Status: aws.String("STOPPED")})
	submit(awsecs.SubmitTaskStateChangeInput{Status: aws.String("RUNNING")})
	task = f.describeTask(c, arn)
	if *task.LastStatus != "STOPPED" || task.StopCode != types.TaskStopCodeEssentialContainerExited || *task.StoppedReason != "Essential container in task exited" || *task.Containers[0].ExitCode != 3 {
		t.Errorf("got %+v", task)
	}
}

func TestSubmitTaskStateChange_ATaskThatNeverRanFailedToStart(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.host(c, 4096, 4096)
	arn := *f.run(c, f.definition("web"), 1).Tasks[0].TaskArn
	must(f.SubmitTaskStateChange(f.ctx, &awsecs.SubmitTaskStateChangeInput{Cluster: &c, Task: &arn, Status: aws.String("STOPPED"), Reason: aws.String("CannotPullContainerError: x")}))(t)
	if task := f.describeTask(c, arn); task.StopCode != types.TaskStopCodeTaskFailedToStart || *task.StoppedReason != "CannotPullContainerError: x" {
		t.Errorf("got %+v", task)
	}
}

func TestSubmitStateChanges_Refuse(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.host(c, 4096, 4096)
	arn := *f.run(c, f.definition("web"), 1).Tasks[0].TaskArn
	for name, in := range map[string]awsecs.SubmitTaskStateChangeInput{
		"an unknown task":      {Task: aws.String("x")},
		"no task":              {},
		"an unknown status":    {Task: &arn, Status: aws.String("DANCING")},
		"an unknown container": {Task: &arn, Containers: []types.ContainerStateChange{{ContainerName: aws.String("x")}}},
		"a strange container":  {Task: &arn, Containers: []types.ContainerStateChange{{ContainerName: aws.String("main"), Status: aws.String("DEPROVISIONING")}}},
		"an attachment":        {Task: &arn, Attachments: []types.AttachmentStateChange{{AttachmentArn: aws.String("a"), Status: aws.String("b")}}},
	} {
		t.Run(name, func(t *testing.T) {
			in.Cluster = &c
			_, err := f.SubmitTaskStateChange(f.ctx, &in)
			wantError(t, err, "InvalidParameterException", "")
		})
	}
}

func TestDiscoverPollEndpoint_NamesTheAgentsAddress(t *testing.T) {
	f := newFixture(t)
	if out := must(f.DiscoverPollEndpoint(f.ctx, &awsecs.DiscoverPollEndpointInput{}))(t); *out.Endpoint != "127.0.0.1:7471" {
		t.Errorf("got %+v", out)
	}
	_, err := f.DiscoverPollEndpoint(f.ctx, &awsecs.DiscoverPollEndpointInput{ContainerInstance: aws.String("arn:aws:ecs:us-east-1:999999999999:container-instance/c/x")})
	wantError(t, err, "InvalidParameterException", "")
}
