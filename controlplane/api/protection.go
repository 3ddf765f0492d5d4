package api

import (
	"context"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// Limits of task protection (ECS API reference, UpdateTaskProtection).
const (
	maxProtected       = 10 // tasks in one UpdateTaskProtection
	standardProtection = 120
	maxProtection      = 2880 // minutes
)

func (h *Handler) getTaskProtection(_ context.Context, in *ecs.GetTaskProtectionRequest) (*ecs.GetTaskProtectionResponse, error) {
	view := h.store.View()
	c, err := h.cluster(view, in.Cluster)
	if err != nil {
		return nil, err
	}
	ids, err := h.eachInCluster(kindTask, c.Name, in.Tasks, maxDescribed)
	if err != nil {
		return nil, err
	}
	out := &ecs.GetTaskProtectionResponse{ProtectedTasks: []ecs.ProtectedTask{}, Failures: []ecs.Failure{}}
	now := h.Clock()
	for _, id := range ids {
		if t, failure := h.protectable(view, c.Name, model.TaskID(id)); failure != nil {
			out.Failures = append(out.Failures, *failure)
		} else {
			out.ProtectedTasks = append(out.ProtectedTasks, h.protectionShape(t, now))
		}
	}
	return out, nil
}

func (h *Handler) updateTaskProtection(ctx context.Context, in *ecs.UpdateTaskProtectionRequest) (*ecs.UpdateTaskProtectionResponse, error) {
	minutes := int32(standardProtection)
	if in.ExpiresInMinutes != nil {
		minutes = *in.ExpiresInMinutes
	}
	if minutes < 1 || minutes > maxProtection {
		return nil, invalid("expiresInMinutes must be between 1 and %d, not %d.", maxProtection, minutes)
	}
	now := h.Clock()
	var until time.Time // zero: not protected
	if in.ProtectionEnabled {
		until = now.Add(time.Duration(minutes) * time.Minute)
	}
	out := &ecs.UpdateTaskProtectionResponse{}
	err := h.store.Update(ctx, func(tx *store.Tx) error {
		out.ProtectedTasks, out.Failures = []ecs.ProtectedTask{}, []ecs.Failure{}
		c, err := h.cluster(tx.Tables, in.Cluster)
		if err != nil {
			return err
		}
		ids, err := h.eachInCluster(kindTask, c.Name, in.Tasks, maxProtected)
		if err != nil {
			return err
		}
		for _, id := range ids {
			have, failure := h.protectable(tx.Tables, c.Name, model.TaskID(id))
			if failure != nil {
				out.Failures = append(out.Failures, *failure)
				continue
			}
			if !have.ProtectedUntil.Equal(until) {
				next := *have
				next.ProtectedUntil = until
				next.Version++
				tx.PutTask(&next)
				have = &next
			}
			out.ProtectedTasks = append(out.ProtectedTasks, h.protectionShape(have, now))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// protectable finds a task that a service would keep running, or says why it is
// none (ECS guide, API failure reasons).
func (h *Handler) protectable(t *store.Tables, c model.ClusterName, id model.TaskID) (*model.Task, *ecs.Failure) {
	arn := h.Owner.TaskARN(c, id)
	task, ok := t.Task(c, id)
	switch {
	case !ok || !store.TaskLive(task):
		failure := missing(arn)
		return nil, &failure
	case task.Service == "":
		return nil, &ecs.Failure{Arn: arn, Reason: "TASK_NOT_VALID", Detail: "The task is not of a service."}
	case task.DesiredStatus == model.TaskStopped:
		return nil, &ecs.Failure{Arn: arn, Reason: "TASK_NOT_VALID", Detail: "The task is stopping."}
	}
	return task, nil
}

func (h *Handler) protectionShape(t *model.Task, now time.Time) ecs.ProtectedTask {
	shape := ecs.ProtectedTask{TaskArn: h.Owner.TaskARN(t.Cluster, t.ID), ProtectionEnabled: t.Protected(now)}
	if shape.ProtectionEnabled {
		shape.ExpirationDate = ecs.At(t.ProtectedUntil)
	}
	return shape
}
