package model_test

import (
	"regexp"
	"slices"
	"testing"

	"github.com/longshore/longshore/controlplane/model"
)

func TestOwner_MakesARNs(t *testing.T) {
	o := model.Owner{Account: "123456789012", Region: "eu-west-1"}
	const prefix = "arn:aws:ecs:eu-west-1:123456789012:"
	key := model.ServiceKey{Cluster: "c", Name: "s"}
	for got, want := range map[string]string{
		o.ClusterARN("c"):                            "cluster/c",
		o.ServiceARN(key):                            "service/c/s",
		o.TaskARN("c", "t"):                          "task/c/t",
		o.InstanceARN("c", "i"):                      "container-instance/c/i",
		o.ContainerARN("c", "t", "u-u"):              "container/c/t/u-u",
		o.DefinitionARN(model.DefinitionRef{"f", 7}): "task-definition/f:7",
		o.ProviderARN("p"):                           "capacity-provider/p",
		o.TaskSetARN(key, "ecs-svc/1"):               "task-set/c/s/ecs-svc/1",
	} {
		if got != prefix+want {
			t.Errorf("got %s, want %s%s", got, prefix, want)
		}
	}
}

func TestOwner_TaskARNsAreThoseOfEachTask(t *testing.T) {
	o := model.Owner{Account: "123456789012", Region: "us-east-1"}
	ids := []model.TaskID{model.NewTaskID(), "", "short", model.NewTaskID()}
	var want []string
	for _, id := range ids {
		want = append(want, o.TaskARN("c", id))
	}
	if got := o.TaskARNs("c", ids); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := o.TaskARNs("c", nil); got == nil || len(got) != 0 {
		t.Errorf("got %#v of no task, want an empty list", got)
	}
}

func TestNewUUID_IsOfVersion4AndFresh(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	a, b := model.NewUUID(), model.NewUUID()
	if !form.MatchString(a) || !form.MatchString(b) || a == b {
		t.Errorf("got %s and %s", a, b)
	}
}
