package api

import (
	"context"
	"slices"
	"strings"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// acknowledgment is what Submit* operations answer once a report is durable.
const acknowledgment = "ACK"

// discoverPollEndpoint tells an agent where the leader listens for agents. Which
// instance asks makes no difference; that it names one of this account does.
func (h *Handler) discoverPollEndpoint(_ context.Context, in *ecs.DiscoverPollEndpointRequest) (*ecs.DiscoverPollEndpointResponse, error) {
	cluster, err := h.clusterName(in.Cluster)
	if err != nil {
		return nil, err
	}
	if in.ContainerInstance != "" {
		if _, err := h.inCluster(kindInstance, cluster, in.ContainerInstance); err != nil {
			return nil, err
		}
	}
	endpoint := h.AgentEndpoint()
	if endpoint == "" {
		return nil, ecs.Errorf(ecs.CodeServiceUnavailable, "No control plane leads at the moment. Try again.")
	}
	return &ecs.DiscoverPollEndpointResponse{Endpoint: endpoint}, nil
}

func (h *Handler) submitTaskStateChange(ctx context.Context, in *ecs.SubmitTaskStateChangeRequest) (*ecs.SubmitTaskStateChangeResponse, error) {
	if len(in.Attachments) > 0 || len(in.ManagedAgents) > 0 {
		return nil, invalid("Longshore does not support attachments and managedAgents of a task yet.")
	}
	report := model.TaskReport{
		Status:             model.TaskStatus(in.Status),
		Reason:             in.Reason,
		PullStartedAt:      in.PullStartedAt.Time,
		PullStoppedAt:      in.PullStoppedAt.Time,
		ExecutionStoppedAt: in.ExecutionStoppedAt.Time,
	}
	if in.Status != "" && report.Status.Rank() == 0 {
		return nil, invalid("status %q is not one of a task.", clip(in.Status))
	}
	for _, c := range in.Containers {
		report.Containers = append(report.Containers, model.ContainerReport{
			Name: c.ContainerName, RuntimeID: c.RuntimeId, Status: model.TaskStatus(c.Status), ExitCode: c.ExitCode,
			Reason: c.Reason, ImageDigest: c.ImageDigest, NetworkBindings: c.NetworkBindings,
		})
	}
	if err := h.report(ctx, in.Cluster, in.Task, report); err != nil {
		return nil, err
	}
	return &ecs.SubmitTaskStateChangeResponse{Acknowledgment: acknowledgment}, nil
}

func (h *Handler) submitContainerStateChange(ctx context.Context, in *ecs.SubmitContainerStateChangeRequest) (*ecs.SubmitContainerStateChangeResponse, error) {
	report := model.TaskReport{Containers: []model.ContainerReport{{
		Name: in.ContainerName, RuntimeID: in.RuntimeId, Status: model.TaskStatus(in.Status), ExitCode: in.ExitCode,
		Reason: in.Reason, NetworkBindings: in.NetworkBindings,
	}}}
	if err := h.report(ctx, in.Cluster, in.Task, report); err != nil {
		return nil, err
	}
	return &ecs.SubmitContainerStateChangeResponse{Acknowledgment: acknowledgment}, nil
}

// submitAttachmentStateChanges moves attachments of tasks on. All are changed, or
// none.
func (h *Handler) submitAttachmentStateChanges(ctx context.Context, in *ecs.SubmitAttachmentStateChangesRequest) (*ecs.SubmitAttachmentStateChangesResponse, error) {
	err := h.store.Update(ctx, func(tx *store.Tx) error {
		c, err := h.cluster(tx.Tables, in.Cluster)
		if err != nil {
			return err
		}
		for _, a := range in.Attachments {
			if err := h.submitAttachment(tx, c.Name, a); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &ecs.SubmitAttachmentStateChangesResponse{Acknowledgment: acknowledgment}, nil
}

func (h *Handler) submitAttachment(tx *store.Tx, c model.ClusterName, a ecs.AttachmentStateChange) error {
	if !strings.HasPrefix(a.AttachmentArn, "arn:") {
		return invalid("attachmentArn must be an ARN, not %q.", clip(a.AttachmentArn))
	}
	id, err := h.inCluster(kindAttachment, c, a.AttachmentArn)
	if err != nil {
		return err
	}
	status := model.AttachmentStatus(a.Status)
	if !status.Known() {
		return invalid("status %q is not one of an attachment.", clip(a.Status))
	}
	task, ok := tx.Task(c, model.TaskOfAttachment(id))
	if !ok || !slices.ContainsFunc(task.Attachments, func(have model.Attachment) bool { return have.ID == id }) {
		return invalid("The referenced attachment %s was not found.", clip(id))
	}
	next := *task
	if next.Attach(status, model.InterfaceReport{}) {
		next.Version++
		tx.PutTask(&next)
	}
	return nil
}

// report applies what an agent says of a task.
func (h *Handler) report(ctx context.Context, cluster, idOrARN string, r model.TaskReport) error {
	return h.store.Update(ctx, func(tx *store.Tx) error {
		task, err := h.task(tx.Tables, cluster, idOrARN)
		if err != nil {
			return err
		}
		for _, c := range r.Containers {
			if err := checkContainerReport(task, &c); err != nil {
				return err
			}
		}
		if r.Status == model.TaskStopped {
			r.StopCode, r.Reason = whyStopped(task, r.Reason)
		}
		if next, changed := task.Reported(r, h.Clock()); changed {
			tx.PutReported(task, next)
		}
		return nil
	})
}

func checkContainerReport(t *model.Task, c *model.ContainerReport) error {
	if !slices.ContainsFunc(t.Containers, func(have model.Container) bool { return have.Name == c.Name }) {
		return invalid("The task has no container named %q.", clip(c.Name))
	}
	switch c.Status {
	case "", model.TaskPending, model.TaskRunning, model.TaskStopped:
		return nil
	}
	return invalid("status %q is not one of a container.", clip(string(c.Status)))
}

// whyStopped says why a task ended that nobody told to stop: these operations
// have no member for it.
func whyStopped(t *model.Task, reason string) (ecs.TaskStopCode, string) {
	if t.LastStatus.Starting() {
		return ecs.TaskStopCodeTaskFailedToStart, reason
	}
	if reason == "" {
		reason = "Essential container in task exited"
	}
	return ecs.TaskStopCodeEssentialContainerExited, reason
}
