package agentgrpc_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	agentv1 "github.com/longshore/longshore/proto/agent/v1"
	"github.com/longshore/longshore/proto/ecs"
)

// token opens a session and returns what proves it.
func (b *bench) token(instance model.InstanceID) string {
	b.t.Helper()
	stream := b.connect(b.t.Context(), instance)
	return await(b.t, stream, func(m *agentv1.ControlMessage) bool { return m.GetWelcome() != nil }).GetWelcome().GetSessionToken()
}

func (b *bench) secretive(id model.TaskID, instance model.InstanceID, desired model.TaskStatus) {
	b.t.Helper()
	b.update(func(tx *store.Tx) {
		tx.PutInstance(&model.Instance{ID: "j", Cluster: "c", Status: model.StatusActive})
		ref := model.DefinitionRef{Family: "secretive", Revision: 1}
		tx.PutDefinition(&model.Definition{Ref: ref, Shape: ecs.TaskDefinition{ContainerDefinitions: []ecs.ContainerDefinition{
			{Name: "main", Secrets: []ecs.Secret{{Name: "TOKEN", ValueFrom: "/token"}}},
		}}})
		sealed, err := keys.SealParameter("/token", 1, []byte("tok"))
		if err != nil {
			b.t.Fatal(err)
		}
		tx.PutParameter(&model.Parameter{Name: "/token", Type: "SecureString", Version: 1, Value: sealed})
		tx.PutTask(&model.Task{ID: id, Cluster: "c", Instance: instance, Definition: ref, DesiredStatus: desired, LastStatus: model.TaskPending})
	})
}

func TestResolveSecrets_OfATaskOfTheSessionsInstance(t *testing.T) {
	b := newBench(t, time.Minute)
	b.secretive("mine", "i", model.TaskRunning)
	out, err := b.client.ResolveSecrets(t.Context(), &agentv1.ResolveSecretsRequest{
		ContainerInstance: owner.InstanceARN("c", "i"), SessionToken: b.token("i"), Task: owner.TaskARN("c", "mine"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Containers) != 1 || out.Containers[0].Name != "main" || out.Containers[0].Environment["TOKEN"] != "tok" || out.Containers[0].Registry != nil {
		t.Errorf("got %v", out)
	}
}

func TestResolveSecrets_RefusesWhoeverIsNotToRunTheTask(t *testing.T) {
	b := newBench(t, time.Minute)
	b.secretive("mine", "i", model.TaskRunning)
	b.secretive("other", "j", model.TaskRunning)
	b.secretive("stopping", "i", model.TaskStopped)
	mine, stale := b.token("i"), ""
	stale, mine = mine, b.token("i") // a newer session takes the place of the first
	for name, c := range map[string]struct {
		instance    model.InstanceID
		token, task string
		want        codes.Code
	}{
		"no session":             {"j", mine, "other", codes.Aborted},
		"no token":               {"i", "", "mine", codes.Aborted},
		"an earlier session":     {"i", stale, "mine", codes.Aborted},
		"another's token":        {"j", mine, "mine", codes.Aborted},
		"another's task":         {"i", mine, "other", codes.PermissionDenied},
		"a task that is stopped": {"i", mine, "stopping", codes.PermissionDenied},
		"no task":                {"i", mine, "nothing", codes.PermissionDenied},
	} {
		_, err := b.client.ResolveSecrets(t.Context(), &agentv1.ResolveSecretsRequest{
			ContainerInstance: owner.InstanceARN("c", c.instance), SessionToken: c.token, Task: owner.TaskARN("c", model.TaskID(c.task)),
		})
		if status.Code(err) != c.want {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func TestResolveSecrets_WhatIsNotThereIsNamed(t *testing.T) {
	b := newBench(t, time.Minute)
	b.secretive("mine", "i", model.TaskRunning)
	b.update(func(tx *store.Tx) {
		p, _ := tx.Parameter("/token")
		tx.DeleteParameter(p)
	})
	_, err := b.client.ResolveSecrets(t.Context(), &agentv1.ResolveSecretsRequest{
		ContainerInstance: owner.InstanceARN("c", "i"), SessionToken: b.token("i"), Task: owner.TaskARN("c", "mine"),
	})
	if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "/token") {
		t.Errorf("got %v", err)
	}
}
