package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
)

func (f *fixture) deregister(definition string) {
	f.t.Helper()
	must(f.DeregisterTaskDefinition(f.ctx, &awsecs.DeregisterTaskDefinitionInput{TaskDefinition: &definition}))(f.t)
}

func (f *fixture) deleteDefinitions(names ...string) *awsecs.DeleteTaskDefinitionsOutput {
	f.t.Helper()
	return must(f.DeleteTaskDefinitions(f.ctx, &awsecs.DeleteTaskDefinitionsInput{TaskDefinitions: names}))(f.t)
}

func TestDeleteTaskDefinitions_MarksWhatIsInactive(t *testing.T) {
	f := newFixture(t)
	cluster := f.cluster("c")
	arn := f.definition("web")
	f.deregister(arn)
	first := f.deleteDefinitions("web:1")
	if len(first.TaskDefinitions) != 1 || len(first.Failures) != 0 {
		t.Fatalf("got %+v", first)
	}
	d := first.TaskDefinitions[0]
	if d.Status != types.TaskDefinitionStatusDeleteInProgress || d.DeleteRequestedAt == nil || *d.TaskDefinitionArn != arn {
		t.Errorf("got %+v", d)
	}
	again := f.deleteDefinitions(arn)
	if len(again.TaskDefinitions) != 1 || !again.TaskDefinitions[0].DeleteRequestedAt.Equal(*d.DeleteRequestedAt) {
		t.Errorf("deleting twice must change nothing, got %+v", again)
	}
	shown := must(f.DescribeTaskDefinition(f.ctx, &awsecs.DescribeTaskDefinitionInput{TaskDefinition: &arn}))(t)
	if shown.TaskDefinition.Status != types.TaskDefinitionStatusDeleteInProgress {
		t.Errorf("described %+v", shown.TaskDefinition)
	}
	for status, want := range map[types.TaskDefinitionStatus]int{types.TaskDefinitionStatusDeleteInProgress: 1, types.TaskDefinitionStatusInactive: 0, types.TaskDefinitionStatusActive: 0} {
		if out := must(f.ListTaskDefinitions(f.ctx, &awsecs.ListTaskDefinitionsInput{Status: status}))(t); len(out.TaskDefinitionArns) != want {
			t.Errorf("%s: got %q", status, out.TaskDefinitionArns)
		}
	}
	_, err := f.RunTask(f.ctx, &awsecs.RunTaskInput{Cluster: &cluster, TaskDefinition: &arn})
	wantError(t, err, "ClientException", "TaskDefinition is inactive")
}

func TestDeleteTaskDefinitions_SaysWhyOfEachThatItCannotDelete(t *testing.T) {
	f := newFixture(t)
	f.definition("web")
	f.deregister("web:1")
	f.definition("web")
	out := f.deleteDefinitions("web:1", "web:2", "web:3", "web", "a b:1", "arn:aws:ecs:us-east-1:999999999999:task-definition/web:1")
	if len(out.TaskDefinitions) != 1 || out.TaskDefinitions[0].Revision != 1 {
		t.Errorf("deleted %+v", out.TaskDefinitions)
	}
	invalid := "The specified task definition identifier is invalid. Specify a valid name or ARN and try again."
	want := [][2]string{
		{"web:2", "The specified task definition is still in ACTIVE status. Please deregister the target and try again."},
		{"web:3", "The specified task definition does not exist. Specify a valid account, family, revision and try again."},
		{"web", invalid}, {"a b:1", invalid}, {"arn:aws:ecs:us-east-1:999999999999:task-definition/web:1", invalid},
	}
	if len(out.Failures) != len(want) {
		t.Fatalf("failures %+v", out.Failures)
	}
	for i, w := range want {
		if *out.Failures[i].Arn != w[0] || *out.Failures[i].Reason != w[1] {
			t.Errorf("got %s: %s, want %s: %s", *out.Failures[i].Arn, *out.Failures[i].Reason, w[0], w[1])
		}
	}
	for _, n := range []int{0, 11} {
		_, err := f.DeleteTaskDefinitions(f.ctx, &awsecs.DeleteTaskDefinitionsInput{TaskDefinitions: slices.Repeat([]string{"web:1"}, n)})
		wantError(t, err, "InvalidParameterException", fmt.Sprintf("1 to 10 task definitions can be deleted at once, not %d.", n))
	}
}

func TestDeletedTaskDefinitions_LeaveTheirNumberAndNoFamily(t *testing.T) {
	f := newFixture(t)
	f.definition("gone")
	f.definition("kept")
	f.deregister("gone:1")
	f.deleteDefinitions("gone:1")
	families := func(status types.TaskDefinitionFamilyStatus) string {
		return strings.Join(must(f.ListTaskDefinitionFamilies(f.ctx, &awsecs.ListTaskDefinitionFamiliesInput{Status: status}))(t).Families, " ")
	}
	if got := families(types.TaskDefinitionFamilyStatusInactive); got != "gone" {
		t.Errorf("while it is being deleted: got %q", got)
	}
	f.update(func(tx *store.Tx) { // what the reaper does
		d, _ := tx.Definition(model.DefinitionRef{Family: "gone", Revision: 1})
		tx.DeleteDefinition(d)
	})
	if got := families("") + "/" + families(types.TaskDefinitionFamilyStatusInactive); got != "kept/" {
		t.Errorf("once it is gone: got %q", got)
	}
	_, err := f.DescribeTaskDefinition(f.ctx, &awsecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String("gone:1")})
	wantError(t, err, "ClientException", "Unable to describe task definition.")
	if next := f.definition("gone"); !strings.HasSuffix(next, "/gone:2") {
		t.Errorf("a revision's number came back: %s", next)
	}
}
