package api_test

import (
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/longshore/longshore/controlplane/model"
)

// serviceTask runs a task and makes it one of a service, as the service loop would.
func (f *fixture) serviceTask(cluster, definition string) string {
	f.t.Helper()
	arn := *f.run(cluster, definition, 1).Tasks[0].TaskArn
	f.changeTask(arn, func(t *model.Task) { t.Service = "s" })
	return arn
}

func (f *fixture) protect(cluster string, enabled bool, minutes *int32, tasks ...string) *awsecs.UpdateTaskProtectionOutput {
	f.t.Helper()
	return must(f.UpdateTaskProtection(f.ctx, &awsecs.UpdateTaskProtectionInput{
		Cluster: &cluster, Tasks: tasks, ProtectionEnabled: enabled, ExpiresInMinutes: minutes}))(f.t)
}

func (f *fixture) protection(cluster, task string) types.ProtectedTask {
	f.t.Helper()
	out := must(f.GetTaskProtection(f.ctx, &awsecs.GetTaskProtectionInput{Cluster: &cluster, Tasks: []string{task}}))(f.t)
	if len(out.ProtectedTasks) != 1 {
		f.t.Fatalf("no protection: %+v", out.Failures)
	}
	return out.ProtectedTasks[0]
}

func wantProtection(t *testing.T, got types.ProtectedTask, for_ time.Duration) {
	t.Helper()
	switch {
	case got.ProtectionEnabled != (for_ > 0), got.ProtectionEnabled != (got.ExpirationDate != nil):
		t.Errorf("got %+v, want protection for %v", got, for_)
	case for_ > 0:
		if left := time.Until(*got.ExpirationDate); left > for_ || left < for_-time.Minute {
			t.Errorf("protected for %v, want %v", left, for_)
		}
	}
}

func TestTaskProtection_IsSetRenewedEndedAndExpires(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.host(c, 1024, 1024)
	arn := f.serviceTask(c, f.definition("web"))
	wantProtection(t, f.protection(c, arn), 0)
	out := f.protect(c, true, nil, arn)
	if len(out.ProtectedTasks) != 1 || len(out.Failures) != 0 {
		t.Fatalf("got %+v", out)
	}
	wantProtection(t, out.ProtectedTasks[0], 2*time.Hour)
	wantProtection(t, f.protect(c, true, aws.Int32(2880), arn).ProtectedTasks[0], 48*time.Hour)
	wantProtection(t, f.protect(c, true, aws.Int32(1), arn).ProtectedTasks[0], time.Minute)
	wantProtection(t, f.protection(c, arn), time.Minute)
	f.clock.Store(int64(time.Minute))
	wantProtection(t, f.protection(c, arn), 0)
	f.clock.Store(0)
	wantProtection(t, f.protection(c, arn), time.Minute)
	wantProtection(t, f.protect(c, false, nil, arn).ProtectedTasks[0], 0)
	wantProtection(t, f.protection(c, arn), 0)
}

func TestTaskProtection_DoesNotKeepAUserFromStoppingTheTask(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.host(c, 1024, 1024)
	arn := f.serviceTask(c, f.definition("web"))
	f.protect(c, true, nil, arn)
	out := must(f.StopTask(f.ctx, &awsecs.StopTaskInput{Cluster: &c, Task: &arn}))(t)
	if *out.Task.DesiredStatus != "STOPPED" || out.Task.StopCode != types.TaskStopCodeUserInitiated {
		t.Errorf("got %+v", out.Task)
	}
}

func TestTaskProtection_AnswersFailuresBesideWhatItProtected(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.host(c, 1024, 1024)
	definition := f.definition("web")
	good, stopping, stopped := f.serviceTask(c, definition), f.serviceTask(c, definition), f.serviceTask(c, definition)
	standalone := *f.run(c, definition, 1).Tasks[0].TaskArn
	must(f.StopTask(f.ctx, &awsecs.StopTaskInput{Cluster: &c, Task: &stopping}))(t)
	f.stopNow(stopped)
	unknownID := model.NewTaskID()
	unknown := owner.TaskARN("c", unknownID)
	tasks := []string{good, stopping, stopped, standalone, string(unknownID)}
	want := []string{stopping + " TASK_NOT_VALID", stopped + " MISSING", standalone + " TASK_NOT_VALID", unknown + " MISSING"}
	check := func(protected []types.ProtectedTask, failures []types.Failure) {
		t.Helper()
		var got []string
		for _, x := range failures {
			got = append(got, *x.Arn+" "+*x.Reason)
		}
		if len(protected) != 1 || *protected[0].TaskArn != good || !slices.Equal(got, want) {
			t.Errorf("got %+v and %q, want %q", protected, got, want)
		}
	}
	put := f.protect(c, true, nil, tasks...)
	check(put.ProtectedTasks, put.Failures)
	got := must(f.GetTaskProtection(f.ctx, &awsecs.GetTaskProtectionInput{Cluster: &c, Tasks: tasks}))(t)
	check(got.ProtectedTasks, got.Failures)
}

func TestTaskProtection_Refuses(t *testing.T) {
	f := newFixture(t)
	c, id := f.cluster("c"), string(model.NewTaskID())
	for name, r := range map[string]struct {
		cluster string
		tasks   []string
		minutes *int32
		code    string
	}{
		"no minutes":        {c, []string{id}, aws.Int32(0), "InvalidParameterException"},
		"too many minutes":  {c, []string{id}, aws.Int32(2881), "InvalidParameterException"},
		"no task":           {c, []string{}, nil, "InvalidParameterException"},
		"eleven tasks":      {c, slices.Repeat([]string{id}, 11), nil, "InvalidParameterException"},
		"another cluster's": {c, []string{owner.TaskARN("d", model.TaskID(id))}, nil, "InvalidParameterException"},
		"no task's id":      {c, []string{"x"}, nil, "InvalidParameterException"},
		"no such cluster":   {"none", []string{id}, nil, "ClusterNotFoundException"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.UpdateTaskProtection(f.ctx, &awsecs.UpdateTaskProtectionInput{
				Cluster: &r.cluster, Tasks: r.tasks, ProtectionEnabled: true, ExpiresInMinutes: r.minutes})
			wantError(t, err, r.code, "")
		})
	}
	_, err := f.GetTaskProtection(f.ctx, &awsecs.GetTaskProtectionInput{Cluster: &c, Tasks: slices.Repeat([]string{id}, 101)})
	wantError(t, err, "InvalidParameterException", "")
	_, err = f.GetTaskProtection(f.ctx, &awsecs.GetTaskProtectionInput{Cluster: aws.String("none"), Tasks: []string{id}})
	wantError(t, err, "ClusterNotFoundException", "Cluster not found.")
}
