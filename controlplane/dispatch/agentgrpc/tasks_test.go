package agentgrpc_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	agentv1 "github.com/longshore/longshore/proto/agent/v1"
	"github.com/longshore/longshore/proto/ecs"
)

// taskOperations show in their answers what they were asked.
type taskOperations struct{}

func (taskOperations) GetTaskProtection(_ context.Context, in *ecs.GetTaskProtectionRequest) (*ecs.GetTaskProtectionResponse, error) {
	return &ecs.GetTaskProtectionResponse{ProtectedTasks: []ecs.ProtectedTask{{TaskArn: in.Cluster + " " + in.Tasks[0]}}}, nil
}

func (taskOperations) UpdateTaskProtection(_ context.Context, in *ecs.UpdateTaskProtectionRequest) (*ecs.UpdateTaskProtectionResponse, error) {
	if in.ExpiresInMinutes != nil && *in.ExpiresInMinutes == 0 {
		return nil, ecs.Errorf(ecs.CodeInvalidParameter, "too short")
	}
	return &ecs.UpdateTaskProtectionResponse{ProtectedTasks: []ecs.ProtectedTask{{TaskArn: in.Cluster + " " + in.Tasks[0], ProtectionEnabled: in.ProtectionEnabled}}}, nil
}

func (taskOperations) ListTagsForResource(_ context.Context, in *ecs.ListTagsForResourceRequest) (*ecs.ListTagsForResourceResponse, error) {
	return &ecs.ListTagsForResourceResponse{Tags: []ecs.Tag{{Key: "of", Value: &in.ResourceArn}}}, nil
}

func TestTaskProtection_AsksTheAPIForTasksOfTheInstance(t *testing.T) {
	b := newBench(t, time.Minute)
	b.putTask("t1", "i")
	task, token := owner.TaskARN("c", "t1"), b.token("i")
	ask := func(update *agentv1.ProtectionUpdate) *agentv1.TaskProtectionResponse {
		t.Helper()
		answer, err := b.client.TaskProtection(t.Context(), &agentv1.TaskProtectionRequest{ContainerInstance: owner.InstanceARN("c", "i"), Task: task, Update: update, SessionToken: token})
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	for _, enabled := range []bool{false, true} {
		var update *agentv1.ProtectionUpdate
		if enabled {
			update = &agentv1.ProtectionUpdate{Enabled: true}
		}
		var out ecs.GetTaskProtectionResponse
		if err := json.Unmarshal(ask(update).Output, &out); err != nil {
			t.Fatal(err)
		}
		if len(out.ProtectedTasks) != 1 || out.ProtectedTasks[0].TaskArn != "c "+task || out.ProtectedTasks[0].ProtectionEnabled != enabled {
			t.Errorf("answer %+v", out)
		}
	}
	if refused := ask(&agentv1.ProtectionUpdate{ExpiresInMinutes: new(int32)}); refused.ErrorCode != ecs.CodeInvalidParameter || refused.ErrorMessage != "too short" || refused.Output != nil {
		t.Errorf("refusal %v", refused)
	}
}

func TestTaskTags_AreThoseOfTheTaskAndItsInstance(t *testing.T) {
	b := newBench(t, time.Minute)
	b.putTask("t1", "i")
	task, instance := owner.TaskARN("c", "t1"), owner.InstanceARN("c", "i")
	tags, err := b.client.TaskTags(t.Context(), &agentv1.TaskTagsRequest{ContainerInstance: instance, Task: task, SessionToken: b.token("i")})
	if err != nil {
		t.Fatal(err)
	}
	if len(tags.Task) != 1 || tags.Task[0].Value != task || len(tags.ContainerInstance) != 1 || tags.ContainerInstance[0].Value != instance {
		t.Errorf("tags %v", tags)
	}
}

func TestTaskRequests_AreRefusedToWhoeverDoesNotHaveTheTask(t *testing.T) {
	b := newBench(t, time.Minute)
	b.putTask("t1", "i")
	b.putTask("elsewhere", "j")
	b.update(func(tx *store.Tx) {
		tx.PutInstance(&model.Instance{ID: "j", Cluster: "c", Status: model.StatusActive})
	})
	stale, theirs := b.token("i"), b.token("j")
	mine := b.token("i") // a newer session takes the place of the first
	i, j := owner.InstanceARN("c", "i"), owner.InstanceARN("c", "j")
	for name, c := range map[string]struct {
		instance, token, task string
		code                  codes.Code
	}{
		"of another instance":          {i, mine, owner.TaskARN("c", "elsewhere"), codes.NotFound},
		"of another cluster":           {i, mine, owner.TaskARN("d", "t1"), codes.NotFound},
		"unknown":                      {i, mine, owner.TaskARN("c", "t2"), codes.NotFound},
		"no task":                      {i, mine, "", codes.NotFound},
		"no instance":                  {"", mine, owner.TaskARN("c", "t1"), codes.InvalidArgument},
		"no token":                     {i, "", owner.TaskARN("c", "t1"), codes.Aborted},
		"an earlier session":           {i, stale, owner.TaskARN("c", "t1"), codes.Aborted},
		"another's token":              {i, theirs, owner.TaskARN("c", "t1"), codes.Aborted},
		"another's name and own token": {j, mine, owner.TaskARN("c", "elsewhere"), codes.Aborted},
		"an instance without session":  {owner.InstanceARN("c", "k"), mine, owner.TaskARN("c", "t1"), codes.Aborted},
	} {
		_, err := b.client.TaskProtection(t.Context(), &agentv1.TaskProtectionRequest{ContainerInstance: c.instance, SessionToken: c.token, Task: c.task, Update: &agentv1.ProtectionUpdate{Enabled: true}})
		if status.Code(err) != c.code {
			t.Errorf("protection, %s: %v, want %v", name, err, c.code)
		}
		_, err = b.client.TaskTags(t.Context(), &agentv1.TaskTagsRequest{ContainerInstance: c.instance, SessionToken: c.token, Task: c.task})
		if status.Code(err) != c.code {
			t.Errorf("tags, %s: %v, want %v", name, err, c.code)
		}
	}
}
