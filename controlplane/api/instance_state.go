package api

import (
	"context"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// maxStateChanges is how many instances one UpdateContainerInstancesState takes.
const maxStateChanges = 10

// updateContainerInstancesState drains instances or opens them again. What
// becomes of the tasks on them is for the service loop: it sees the change.
func (h *Handler) updateContainerInstancesState(ctx context.Context, in *ecs.UpdateContainerInstancesStateRequest) (*ecs.UpdateContainerInstancesStateResponse, error) {
	status := string(in.Status)
	if status != model.StatusActive && status != model.StatusDraining {
		return nil, invalid("Container instance status should be one of [ACTIVE,DRAINING], not %q.", clip(status))
	}
	var changed []*model.Instance
	var failures []ecs.Failure
	err := h.store.Update(ctx, func(tx *store.Tx) error {
		changed, failures = nil, []ecs.Failure{}
		c, err := h.cluster(tx.Tables, in.Cluster)
		if err != nil {
			return err
		}
		ids, err := h.eachInCluster(kindInstance, c.Name, in.ContainerInstances, maxStateChanges)
		if err != nil {
			return err
		}
		for _, id := range ids {
			have, ok := tx.Instance(c.Name, model.InstanceID(id))
			switch {
			case !ok:
				failures = append(failures, missing(h.Owner.InstanceARN(c.Name, model.InstanceID(id))))
			case !store.InstanceLive(have):
				failures = append(failures, ecs.Failure{Arn: h.Owner.InstanceARN(c.Name, have.ID), Reason: model.StatusInactive})
			default:
				changed = append(changed, withStatus(tx, have, status))
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	view := h.store.View()
	out := &ecs.UpdateContainerInstancesStateResponse{ContainerInstances: []ecs.ContainerInstance{}, Failures: failures}
	for _, i := range changed {
		out.ContainerInstances = append(out.ContainerInstances, h.instanceShape(view, i, true))
	}
	return out, nil
}

func withStatus(tx *store.Tx, have *model.Instance, status string) *model.Instance {
	if have.Status == status {
		return have
	}
	next := *have
	next.Status = status
	next.Version++
	tx.PutInstance(&next)
	return &next
}

// updateContainerAgent always refuses: a host's agent is the operator's to
// upgrade, by replacing its binary, and the control plane has no newer one to
// offer. The errors are those with which ECS says so.
func (h *Handler) updateContainerAgent(_ context.Context, in *ecs.UpdateContainerAgentRequest) (*ecs.UpdateContainerAgentResponse, error) {
	i, err := h.instance(h.store.View(), in.Cluster, in.ContainerInstance)
	if err != nil {
		return nil, err
	}
	if i.VersionInfo == nil || i.VersionInfo.AgentVersion == "" {
		return nil, ecs.Errorf(ecs.CodeMissingVersion, "The agent of the container instance has not said which version it is.")
	}
	return nil, ecs.Errorf(ecs.CodeNoUpdateAvailable,
		"There is no update for the agent of version %s: Longshore's agents are upgraded on their hosts, by the operator.", clip(i.VersionInfo.AgentVersion))
}
