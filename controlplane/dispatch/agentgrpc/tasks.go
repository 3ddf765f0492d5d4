package agentgrpc

import (
	"context"
	"encoding/json"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/longshore/longshore/controlplane/dispatch"
	"github.com/longshore/longshore/controlplane/model"
	agentv1 "github.com/longshore/longshore/proto/agent/v1"
	"github.com/longshore/longshore/proto/ecs"
)

// TaskOperations are the API's operations that an agent calls on behalf of one
// of its tasks.
type TaskOperations interface {
	GetTaskProtection(context.Context, *ecs.GetTaskProtectionRequest) (*ecs.GetTaskProtectionResponse, error)
	UpdateTaskProtection(context.Context, *ecs.UpdateTaskProtectionRequest) (*ecs.UpdateTaskProtectionResponse, error)
	ListTagsForResource(context.Context, *ecs.ListTagsForResourceRequest) (*ecs.ListTagsForResourceResponse, error)
}

// TaskProtection reads or changes the protection of a task. A refusal of the API
// is an answer: the agent hands it on to the task.
func (s *Server) TaskProtection(ctx context.Context, r *agentv1.TaskProtectionRequest) (*agentv1.TaskProtectionResponse, error) {
	key, err := s.taskOf(r)
	if err != nil {
		return nil, err
	}
	cluster, tasks := string(key.Cluster), []string{r.GetTask()}
	var out any
	if u := r.GetUpdate(); u != nil {
		out, err = s.cfg.Tasks.UpdateTaskProtection(ctx, &ecs.UpdateTaskProtectionRequest{
			Cluster: cluster, Tasks: tasks, ProtectionEnabled: u.GetEnabled(), ExpiresInMinutes: u.ExpiresInMinutes,
		})
	} else {
		out, err = s.cfg.Tasks.GetTaskProtection(ctx, &ecs.GetTaskProtectionRequest{Cluster: cluster, Tasks: tasks})
	}
	var refused *ecs.Error
	switch {
	case errors.As(err, &refused) && refused.Code != ecs.CodeServiceUnavailable:
		return &agentv1.TaskProtectionResponse{ErrorCode: refused.Code, ErrorMessage: refused.Message}, nil
	case err != nil:
		return nil, wireError(err)
	}
	b, err := json.Marshal(out)
	if err != nil {
		return nil, status.Errorf(codes.Internal, "writing the answer: %v", err)
	}
	return &agentv1.TaskProtectionResponse{Output: b}, nil
}

// TaskTags reads the tags of a task and of its container instance.
func (s *Server) TaskTags(ctx context.Context, r *agentv1.TaskTagsRequest) (*agentv1.TaskTagsResponse, error) {
	if _, err := s.taskOf(r); err != nil {
		return nil, err
	}
	task, err := s.tags(ctx, r.GetTask())
	if err != nil {
		return nil, err
	}
	instance, err := s.tags(ctx, r.GetContainerInstance())
	if err != nil {
		return nil, err
	}
	return &agentv1.TaskTagsResponse{Task: task, ContainerInstance: instance}, nil
}

func (s *Server) tags(ctx context.Context, arn string) ([]*agentv1.Tag, error) {
	out, err := s.cfg.Tasks.ListTagsForResource(ctx, &ecs.ListTagsForResourceRequest{ResourceArn: arn})
	if err != nil {
		return nil, wireError(err)
	}
	var tags []*agentv1.Tag
	for _, t := range out.Tags {
		tag := &agentv1.Tag{Key: t.Key}
		if t.Value != nil {
			tag.Value = *t.Value
		}
		tags = append(tags, tag)
	}
	return tags, nil
}

// taskRequest is what an agent asks about one of its tasks.
type taskRequest interface {
	GetContainerInstance() string
	GetSessionToken() string
	GetTask() string
}

// taskOf makes sure that the caller is the agent of the instance, and that the
// task is on it: an agent may speak for its own tasks only.
func (s *Server) taskOf(r taskRequest) (dispatch.InstanceKey, error) {
	d := s.cfg.Dispatcher()
	if d == nil {
		return dispatch.InstanceKey{}, errNotLeader
	}
	cluster, id, err := s.cfg.Owner.InCluster("container-instance", r.GetContainerInstance())
	if err != nil || cluster == "" {
		return dispatch.InstanceKey{}, status.Errorf(codes.InvalidArgument, "%q is not the ARN of a container instance", r.GetContainerInstance())
	}
	key := dispatch.InstanceKey{Cluster: cluster, ID: model.InstanceID(id)}
	home, task, err := s.cfg.Owner.InCluster("task", r.GetTask())
	if err != nil || home != cluster {
		task = "" // of no instance here; who asks is looked at first all the same
	}
	switch err := d.Speaks(key, r.GetSessionToken(), model.TaskID(task)); {
	case errors.Is(err, dispatch.ErrNoSession):
		return dispatch.InstanceKey{}, status.Error(codes.Aborted, err.Error())
	case err != nil:
		return dispatch.InstanceKey{}, status.Errorf(codes.NotFound, "task %q is not on container instance %s", r.GetTask(), r.GetContainerInstance())
	}
	return key, nil
}
