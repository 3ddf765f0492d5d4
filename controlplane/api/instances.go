package api

import (
	"context"
	"strconv"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/placement"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

func (h *Handler) describeContainerInstances(_ context.Context, in *ecs.DescribeContainerInstancesRequest) (*ecs.DescribeContainerInstancesResponse, error) {
	if asked(in.Include, ecs.ContainerInstanceFieldCONTAINERINSTANCEHEALTH) {
		return nil, invalid("Longshore does not support CONTAINER_INSTANCE_HEALTH yet.")
	}
	view := h.store.View()
	c, err := h.cluster(view, in.Cluster)
	if err != nil {
		return nil, err
	}
	ids, err := h.eachInCluster(kindInstance, c.Name, in.ContainerInstances, maxDescribed)
	if err != nil {
		return nil, err
	}
	tags := asked(in.Include, ecs.ContainerInstanceFieldTAGS)
	out := &ecs.DescribeContainerInstancesResponse{ContainerInstances: []ecs.ContainerInstance{}, Failures: []ecs.Failure{}}
	for _, id := range ids {
		if i, ok := view.Instance(c.Name, model.InstanceID(id)); ok {
			out.ContainerInstances = append(out.ContainerInstances, h.instanceShape(view, i, tags))
		} else {
			out.Failures = append(out.Failures, missing(h.Owner.InstanceARN(c.Name, model.InstanceID(id))))
		}
	}
	return out, nil
}

func (h *Handler) listContainerInstances(_ context.Context, in *ecs.ListContainerInstancesRequest) (*ecs.ListContainerInstancesResponse, error) {
	view := h.store.View()
	matches, err := instanceFilter(view, in.Filter)
	if err != nil {
		return nil, err
	}
	c, err := h.cluster(view, in.Cluster)
	if err != nil {
		return nil, err
	}
	p, err := h.page("ListContainerInstances", in.NextToken, in.MaxResults, maxPage, c.Name, in.Status, in.Filter)
	if err != nil {
		return nil, err
	}
	out := &ecs.ListContainerInstancesResponse{}
	out.ContainerInstanceArns, out.NextToken = fill(p, view.LiveInstances(c.Name, model.InstanceID(p.after)),
		func(i *model.Instance) string { return string(i.ID) },
		func(i *model.Instance) (string, bool) {
			return h.Owner.InstanceARN(i.Cluster, i.ID), (in.Status == "" || string(in.Status) == i.Status) && matches(i)
		})
	return out, nil
}

// deregisterBatch bounds the tasks that one transaction ends, since others wait meanwhile.
const deregisterBatch = 500

// deregisterContainerInstance makes an instance INACTIVE. With force, its tasks
// end with it: their containers may run on, but nobody counts on them any more
// (DeregisterContainerInstance, seed 000). The instance drains meanwhile, so that
// nothing new comes to it, and a call that is broken off can be repeated.
func (h *Handler) deregisterContainerInstance(ctx context.Context, in *ecs.DeregisterContainerInstanceRequest) (*ecs.DeregisterContainerInstanceResponse, error) {
	force := in.Force != nil && *in.Force
	for {
		var instance *model.Instance
		err := h.store.Update(ctx, func(tx *store.Tx) (err error) {
			instance, err = h.deregister(tx, in, force)
			return err
		})
		if err != nil {
			return nil, err
		}
		if instance.Status == model.StatusInactive {
			shape := h.instanceShape(h.store.View(), instance, true)
			return &ecs.DeregisterContainerInstanceResponse{ContainerInstance: &shape}, nil
		}
	}
}

// deregister makes one step: it ends a batch of tasks, and the instance once
// none is left.
func (h *Handler) deregister(tx *store.Tx, in *ecs.DeregisterContainerInstanceRequest, force bool) (*model.Instance, error) {
	have, err := h.instance(tx.Tables, in.Cluster, in.ContainerInstance)
	if err != nil {
		return nil, err
	}
	var batch []*model.Task
	more := false
	for t := range tx.LiveTasksOnInstance(have.Cluster, have.ID) {
		if more = len(batch) == deregisterBatch; more {
			break
		}
		batch = append(batch, t)
	}
	if len(batch) > 0 && !force {
		return nil, invalid("Found running tasks on the instance.")
	}
	now := h.Clock()
	reason := "Container instance " + h.Owner.InstanceARN(have.Cluster, have.ID) + " deregistered forcibly by user"
	for _, t := range batch {
		ended := *t
		ended.EndLost(reason, now)
		tx.PutTask(&ended)
	}
	next := *have
	next.Version++
	next.Status = model.StatusDraining
	if !more {
		next.Status = model.StatusInactive
		next.AgentConnected = false
	}
	tx.PutInstance(&next)
	return &next, nil
}

// instance finds a registered instance by id or ARN.
func (h *Handler) instance(t *store.Tables, cluster, idOrARN string) (*model.Instance, error) {
	c, err := h.cluster(t, cluster)
	if err != nil {
		return nil, err
	}
	id, err := h.inCluster(kindInstance, c.Name, idOrARN)
	if err != nil {
		return nil, err
	}
	i, ok := t.Instance(c.Name, model.InstanceID(id))
	if !ok || !store.InstanceLive(i) {
		return nil, invalid("The referenced container instance was not found.")
	}
	return i, nil
}

// instanceShape is a container instance as the API shows it.
func (h *Handler) instanceShape(t *store.Tables, i *model.Instance, tags bool) ecs.ContainerInstance {
	var n tally
	for task := range t.LiveTasksOnInstance(i.Cluster, i.ID) {
		n.add(task)
	}
	shape := ecs.ContainerInstance{
		ContainerInstanceArn: h.Owner.InstanceARN(i.Cluster, i.ID),
		Ec2InstanceId:        i.EC2InstanceID,
		CapacityProviderName: string(providerOf(t, i)),
		Version:              i.Version,
		VersionInfo:          i.VersionInfo,
		RegisteredResources:  orEmpty(i.Resources),
		RemainingResources:   orEmpty(i.Resources),
		Status:               i.Status,
		AgentConnected:       i.AgentConnected,
		RunningTasksCount:    n.running,
		PendingTasksCount:    n.pending,
		Attributes:           orEmpty(i.Attributes),
		RegisteredAt:         ecs.At(i.RegisteredAt),
		Attachments:          []ecs.Attachment{},
		Tags:                 []ecs.Tag{},
	}
	if shape.VersionInfo == nil {
		shape.VersionInfo = &ecs.VersionInfo{}
	}
	if left, ok := t.Fleet(i.Cluster).Instance(string(i.ID)); ok {
		shape.RemainingResources = remaining(i.Resources, left)
	}
	if tags {
		shape.Tags = orEmpty(i.Tags)
	}
	return shape
}

// remaining is what an instance offers, less what its tasks take. Ports are the
// other way round: those that are taken.
func remaining(registered []ecs.Resource, left placement.View) []ecs.Resource {
	out := make([]ecs.Resource, len(registered))
	for i, r := range registered {
		switch r.Name {
		case resourceCPU:
			r.IntegerValue = int32(left.FreeCPU())
		case resourceMemory:
			r.IntegerValue = int32(left.FreeMemoryMiB())
		case resourcePorts:
			r.StringSetValue = withPorts(r.StringSetValue, left.UsedTCP())
		case resourceGPU:
			r.StringSetValue = append([]string{}, left.FreeGPUs()...)
		case resourcePortsUDP:
			r.StringSetValue = withPorts(r.StringSetValue, left.UsedUDP())
		}
		out[i] = r
	}
	return out
}

func withPorts(reserved []string, used []uint16) []string {
	out := append([]string{}, reserved...)
	for _, p := range used {
		out = append(out, strconv.Itoa(int(p)))
	}
	return out
}
