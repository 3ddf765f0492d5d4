package api

import (
	"slices"
	"strconv"

	"github.com/longshore/longshore/controlplane/launch"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// taskShape is a task as the API shows it.
func (h *Handler) taskShape(t *store.Tables, task *model.Task, tags bool) ecs.Task {
	shape := ecs.Task{
		Attachments:           attachmentShapes(task),
		Attributes:            []ecs.Attribute{},
		CapacityProviderName:  string(task.CapacityProvider),
		ClusterArn:            h.Owner.ClusterARN(task.Cluster),
		ContainerInstanceArn:  h.Owner.InstanceARN(task.Cluster, task.Instance),
		Cpu:                   strconv.FormatInt(task.Reserved.CPU, 10),
		CreatedAt:             ecs.At(task.CreatedAt),
		DesiredStatus:         string(task.DesiredStatus),
		EnableExecuteCommand:  task.EnableExecuteCommand,
		ExecutionStoppedAt:    ecs.At(task.ExecutionStoppedAt),
		Group:                 task.Group,
		HealthStatus:          task.HealthStatus,
		InferenceAccelerators: []ecs.InferenceAccelerator{},
		LastStatus:            string(task.LastStatus),
		LaunchType:            task.LaunchType,
		Memory:                strconv.FormatInt(task.Reserved.MemoryMiB, 10),
		PullStartedAt:         ecs.At(task.PullStartedAt),
		PullStoppedAt:         ecs.At(task.PullStoppedAt),
		StartedAt:             ecs.At(task.StartedAt),
		StartedBy:             task.StartedBy,
		StopCode:              task.StopCode,
		StoppedAt:             ecs.At(task.StoppedAt),
		StoppedReason:         task.StoppedReason,
		StoppingAt:            ecs.At(task.StoppingAt),
		Tags:                  []ecs.Tag{},
		TaskArn:               h.Owner.TaskARN(task.Cluster, task.ID),
		TaskDefinitionArn:     h.Owner.DefinitionARN(task.Definition),
		Version:               task.Version,
		Overrides:             overridesShape(task),
	}
	if tags {
		shape.Tags = orEmpty(task.Tags)
	}
	if task.LaunchType == ecs.LaunchTypeFARGATE { // whose hosts are nobody's concern
		shape.ContainerInstanceArn = ""
		shape.PlatformVersion, shape.PlatformFamily = task.PlatformVersion, platformFamily
	}
	if i, ok := t.Instance(task.Cluster, task.Instance); ok {
		placeShape(&shape, i)
		connectShape(&shape, task, i)
	}
	definition, _ := t.Definition(task.Definition)
	for i := range task.Containers {
		shape.Containers = append(shape.Containers, h.containerShape(task, &task.Containers[i], definition))
	}
	return shape
}

// placeShape fills in what a task shows of the instance that it is on.
func placeShape(shape *ecs.Task, i *model.Instance) {
	for _, a := range i.Attributes {
		switch {
		case a.Value == nil:
		case a.Name == launch.ZoneAttribute:
			shape.AvailabilityZone = *a.Value
		case a.Name == attributeArchitecture:
			shape.Attributes = append(shape.Attributes, ecs.Attribute{Name: a.Name, Value: a.Value})
		}
	}
}

// connectShape says whether a task's agent can be reached, and since when: since it
// was first heard of the task, or since it came back. Before that there is no
// connectivity to tell of. What became of the host after the task was STOPPED is
// no matter of the task's any more.
func connectShape(shape *ecs.Task, task *model.Task, i *model.Instance) {
	if task.ConnectivityAt.IsZero() {
		return
	}
	since, stopped := task.ConnectivityAt, task.LastStatus == model.TaskStopped
	if i.ConnectedAt.After(since) && !(stopped && i.ConnectedAt.After(task.StoppedAt)) {
		since = i.ConnectedAt
	}
	shape.Connectivity, shape.ConnectivityAt = ecs.ConnectivityCONNECTED, ecs.At(since)
	if !i.AgentConnected && !stopped {
		shape.Connectivity = ecs.ConnectivityDISCONNECTED
	}
}

// overridesShape names every container, as ECS does, with what is overridden.
func overridesShape(task *model.Task) *ecs.TaskOverride {
	out := &ecs.TaskOverride{
		ContainerOverrides:            make([]ecs.ContainerOverride, len(task.Containers)),
		InferenceAcceleratorOverrides: []ecs.InferenceAcceleratorOverride{},
	}
	if task.Overrides != nil {
		out.Cpu, out.Memory = task.Overrides.Cpu, task.Overrides.Memory
		out.ExecutionRoleArn = task.Overrides.ExecutionRoleArn
		out.TaskRoleArn = task.Overrides.TaskRoleArn
	}
	for i, c := range task.Containers {
		out.ContainerOverrides[i] = ecs.ContainerOverride{Name: c.Name}
		if task.Overrides == nil {
			continue
		}
		for _, o := range task.Overrides.ContainerOverrides {
			if o.Name == c.Name {
				out.ContainerOverrides[i] = o
			}
		}
	}
	return out
}

func (h *Handler) containerShape(task *model.Task, c *model.Container, d *model.Definition) ecs.Container {
	shape := ecs.Container{
		ContainerArn:      h.Owner.ContainerARN(task.Cluster, task.ID, c.ID),
		TaskArn:           h.Owner.TaskARN(task.Cluster, task.ID),
		Name:              c.Name,
		Image:             c.Image,
		ImageDigest:       c.ImageDigest,
		RuntimeId:         c.RuntimeID,
		LastStatus:        string(c.LastStatus),
		ExitCode:          c.ExitCode,
		Reason:            c.Reason,
		NetworkBindings:   orEmpty(c.NetworkBindings),
		NetworkInterfaces: interfaceShapes(task),
		HealthStatus:      c.HealthStatus,
		GpuIds:            c.GPUs,
	}
	if d == nil {
		return shape
	}
	i := slices.IndexFunc(d.Shape.ContainerDefinitions, func(cd ecs.ContainerDefinition) bool { return cd.Name == c.Name })
	if i < 0 {
		return shape
	}
	effective := launch.Effective(&d.Shape.ContainerDefinitions[i], task.Overrides)
	shape.Cpu = strconv.Itoa(int(effective.Cpu))
	if effective.Memory != nil {
		shape.Memory = strconv.Itoa(int(*effective.Memory))
	}
	if effective.MemoryReservation != nil {
		shape.MemoryReservation = strconv.Itoa(int(*effective.MemoryReservation))
	}
	return shape
}
