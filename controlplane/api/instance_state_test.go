package api_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func (f *fixture) setState(cluster string, status types.ContainerInstanceStatus, instances ...string) *awsecs.UpdateContainerInstancesStateOutput {
	f.t.Helper()
	return must(f.UpdateContainerInstancesState(f.ctx, &awsecs.UpdateContainerInstancesStateInput{
		Cluster: &cluster, ContainerInstances: instances, Status: status}))(f.t)
}

func TestUpdateContainerInstancesState_DrainsAndOpensAgain(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	a, b := f.host(c, 1024, 1024), f.host(c, 1024, 1024)
	definition := f.definition("web")
	list := func(status types.ContainerInstanceStatus) []string {
		return must(f.ListContainerInstances(f.ctx, &awsecs.ListContainerInstancesInput{Cluster: &c, Status: status}))(t).ContainerInstanceArns
	}
	out := f.setState(c, types.ContainerInstanceStatusDraining, a)
	if i := out.ContainerInstances; len(i) != 1 || *i[0].Status != "DRAINING" || *i[0].ContainerInstanceArn != a || len(out.Failures) != 0 {
		t.Errorf("got %+v, failures %+v", i, out.Failures)
	}
	for _, task := range f.run(c, definition, 3).Tasks {
		if *task.ContainerInstanceArn != b {
			t.Errorf("a task was placed on the instance that drains")
		}
	}
	if got := list(types.ContainerInstanceStatusDraining); !slices.Equal(got, []string{a}) {
		t.Errorf("DRAINING are %v", got)
	}
	version := out.ContainerInstances[0].Version
	if again := f.setState(c, types.ContainerInstanceStatusDraining, a).ContainerInstances[0]; again.Version != version {
		t.Errorf("version %d after nothing changed, want %d", again.Version, version)
	}
	f.setState(c, types.ContainerInstanceStatusActive, a[strings.LastIndex(a, "/")+1:])
	f.setState(c, types.ContainerInstanceStatusDraining, b)
	if got := list(types.ContainerInstanceStatusActive); !slices.Equal(got, []string{a}) {
		t.Errorf("ACTIVE are %v", got)
	}
	if task := f.run(c, definition, 1).Tasks[0]; *task.ContainerInstanceArn != a {
		t.Error("the instance that was opened again gets no task")
	}
}

func TestUpdateContainerInstancesState_AnswersFailuresBesideWhatItChanged(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	a, gone := f.host(c, 1024, 1024), f.host(c, 1024, 1024)
	f.dropInstanceRecord(gone)
	unknown := owner.InstanceARN("c", "x")
	out := f.setState(c, types.ContainerInstanceStatusDraining, "x", gone, a)
	if len(out.ContainerInstances) != 1 || len(out.Failures) != 2 ||
		*out.Failures[0].Arn != unknown || *out.Failures[0].Reason != "MISSING" ||
		*out.Failures[1].Arn != gone || *out.Failures[1].Reason != "INACTIVE" {
		t.Errorf("got %+v, failures %+v", out.ContainerInstances, out.Failures)
	}
}

func TestUpdateContainerInstancesState_Refuses(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	a := f.host(c, 1024, 1024)
	for name, r := range map[string]struct {
		cluster   string
		instances []string
		status    types.ContainerInstanceStatus
		code      string
	}{
		"no instance":      {c, []string{}, "DRAINING", "InvalidParameterException"},
		"eleven":           {c, slices.Repeat([]string{a}, 11), "DRAINING", "InvalidParameterException"},
		"a blank one":      {c, []string{""}, "DRAINING", "InvalidParameterException"},
		"REGISTERING":      {c, []string{a}, "REGISTERING", "InvalidParameterException"},
		"an unknown state": {c, []string{a}, "ASLEEP", "InvalidParameterException"},
		"no cluster":       {"none", []string{a}, "DRAINING", "ClusterNotFoundException"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.UpdateContainerInstancesState(f.ctx, &awsecs.UpdateContainerInstancesStateInput{
				Cluster: &r.cluster, ContainerInstances: r.instances, Status: r.status})
			wantError(t, err, r.code, "")
		})
	}
}

func TestUpdateContainerAgent_SaysThatAgentsAreUpgradedOnTheirHosts(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	a := f.host(c, 1024, 1024)
	update := func(cluster, instance string) error {
		_, err := f.UpdateContainerAgent(f.ctx, &awsecs.UpdateContainerAgentInput{Cluster: &cluster, ContainerInstance: &instance})
		return err
	}
	wantError(t, update(c, a), "MissingVersionException", "")
	in := registration(c, 1024, 1024)
	in.ContainerInstanceArn, in.VersionInfo = &a, &types.VersionInfo{AgentVersion: aws.String("1.2.3")}
	must(f.RegisterContainerInstance(f.ctx, in))(t)
	wantError(t, update(c, a), "NoUpdateAvailableException",
		"There is no update for the agent of version 1.2.3: Longshore's agents are upgraded on their hosts, by the operator.")
	wantError(t, update(c, "x"), "InvalidParameterException", "The referenced container instance was not found.")
	wantError(t, update("none", a), "ClusterNotFoundException", "Cluster not found.")
}

func TestSubmitAttachmentStateChanges_RefusesAttachmentsThatNoTaskHas(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	submit := func(cluster string, changes ...types.AttachmentStateChange) (*awsecs.SubmitAttachmentStateChangesOutput, error) {
		return f.SubmitAttachmentStateChanges(f.ctx, &awsecs.SubmitAttachmentStateChangesInput{Cluster: &cluster, Attachments: changes})
	}
	change := func(arn, status string) types.AttachmentStateChange {
		return types.AttachmentStateChange{AttachmentArn: &arn, Status: &status}
	}
	if out := must(submit(c, []types.AttachmentStateChange{}...))(t); aws.ToString(out.Acknowledgment) == "" {
		t.Error("no change at all is not acknowledged")
	}
	known := "arn:aws:ecs:us-east-1:123456789012:attachment/c/7"
	_, err := submit(c, change(known, "ATTACHED"))
	wantError(t, err, "InvalidParameterException", "The referenced attachment 7 was not found.")
	for _, bad := range []types.AttachmentStateChange{
		change("7", "ATTACHED"), change(known, "GLUED"), change(owner.TaskARN("c", "7"), "ATTACHED"),
		change("arn:aws:ecs:us-east-1:123456789012:attachment/d/7", "ATTACHED"),
	} {
		_, err := submit(c, bad)
		wantError(t, err, "InvalidParameterException", "")
	}
	_, err = submit("none", change(known, "ATTACHED"))
	wantError(t, err, "ClusterNotFoundException", "Cluster not found.")
}
