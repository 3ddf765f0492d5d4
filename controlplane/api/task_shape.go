package api

import (
	"strconv"

	"github.com/longshore/longshore/controlplane/launch"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// taskShapes are tasks of one cluster as the API shows them.
func (h *Handler) taskShapes(t *store.Tables, tasks []*model.Task, tags bool) []ecs.Task {
	out := make([]ecs.Task, len(tasks))
	if len(tasks) == 0 {
		return out
	}
	s := newTaskShaper(h.Owner, t, tasks)
	for i, task := range tasks {
		s.fill(&out[i], task, tags)
	}
	return out
}

// taskShape is one task as the API shows it.
func (h *Handler) taskShape(t *store.Tables, task *model.Task, tags bool) *ecs.Task {
	return &h.taskShapes(t, []*model.Task{task}, tags)[0]
}

// taskShaper makes the shapes of the tasks of one answer. What they have in common it works
// out once, and the parts of all of them lie side by side in a few lists.
type taskShaper struct {
	owner      model.Owner
	tables     *store.Tables
	clusterARN string
	definition *shownDefinition // of the last task: most have the same one

	attributes         []ecs.Attribute // with room for all
	overrides          []ecs.TaskOverride
	containerOverrides []ecs.ContainerOverride
	containers         []ecs.Container
}

// shownDefinition is what tasks show of their definition.
type shownDefinition struct {
	ref     model.DefinitionRef
	arn     string
	shape   *ecs.TaskDefinition // nil if it is gone
	amounts []amounts           // of its containers
}

// amounts are a container's cpu and memory as they are shown.
type amounts struct{ cpu, memory, memoryReservation string }

func newTaskShaper(owner model.Owner, t *store.Tables, tasks []*model.Task) *taskShaper {
	containers := 0
	for _, task := range tasks {
		containers += len(task.Containers)
	}
	return &taskShaper{
		owner: owner, tables: t, clusterARN: owner.ClusterARN(tasks[0].Cluster),
		attributes:         make([]ecs.Attribute, 0, len(tasks)),
		overrides:          make([]ecs.TaskOverride, 0, len(tasks)),
		containerOverrides: make([]ecs.ContainerOverride, 0, containers),
		containers:         make([]ecs.Container, 0, containers),
	}
}

func (s *taskShaper) fill(shape *ecs.Task, task *model.Task, tags bool) {
	definition := s.definitionOf(task)
	*shape = ecs.Task{
		Attachments:           attachmentShapes(task),
		Attributes:            []ecs.Attribute{},
		CapacityProviderName:  string(task.CapacityProvider),
		ClusterArn:            s.clusterARN,
		ContainerInstanceArn:  s.owner.InstanceARN(task.Cluster, task.Instance),
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
		TaskArn:               s.owner.TaskARN(task.Cluster, task.ID),
		TaskDefinitionArn:     definition.arn,
		Version:               task.Version,
		Overrides:             s.overridesOf(task),
	}
	if tags {
		shape.Tags = orEmpty(task.Tags)
	}
	if task.LaunchType == ecs.LaunchTypeFARGATE { // whose hosts are nobody's concern
		shape.ContainerInstanceArn = ""
		shape.PlatformVersion, shape.PlatformFamily = task.PlatformVersion, platformFamily
	}
	if i, ok := s.tables.Instance(task.Cluster, task.Instance); ok {
		s.place(shape, i)
		connectShape(shape, task, i)
	}
	s.fillContainers(shape, task, definition)
}

// definitionOf is what the tasks of a definition show of it.
func (s *taskShaper) definitionOf(task *model.Task) *shownDefinition {
	if s.definition != nil && s.definition.ref == task.Definition {
		return s.definition
	}
	s.definition = &shownDefinition{ref: task.Definition, arn: s.owner.DefinitionARN(task.Definition)}
	if d, ok := s.tables.Definition(task.Definition); ok {
		s.definition.shape = &d.Shape
		for i := range d.Shape.ContainerDefinitions {
			s.definition.amounts = append(s.definition.amounts, amountsOf(&d.Shape.ContainerDefinitions[i]))
		}
	}
	return s.definition
}

// place fills in what a task shows of the instance that it is on.
func (s *taskShaper) place(shape *ecs.Task, instance *model.Instance) {
	first := len(s.attributes)
	for i := range instance.Attributes {
		a := &instance.Attributes[i]
		switch {
		case a.Value == nil:
		case a.Name == launch.ZoneAttribute:
			shape.AvailabilityZone = *a.Value
		case a.Name == attributeArchitecture:
			s.attributes = append(s.attributes, ecs.Attribute{Name: a.Name, Value: a.Value})
		}
	}
	shape.Attributes = tail(s.attributes, first)
}

// tail is what has been added to a list, such that nothing is ever added behind it.
func tail[T any](list []T, from int) []T { return list[from:len(list):len(list)] }

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

// overridesOf names every container, as ECS does, with what is overridden.
func (s *taskShaper) overridesOf(task *model.Task) *ecs.TaskOverride {
	s.overrides = append(s.overrides, ecs.TaskOverride{InferenceAcceleratorOverrides: []ecs.InferenceAcceleratorOverride{}})
	out := &s.overrides[len(s.overrides)-1]
	if task.Overrides != nil {
		out.Cpu, out.Memory = task.Overrides.Cpu, task.Overrides.Memory
		out.ExecutionRoleArn = task.Overrides.ExecutionRoleArn
		out.TaskRoleArn = task.Overrides.TaskRoleArn
	}
	first := len(s.containerOverrides)
	for i := range task.Containers {
		s.containerOverrides = append(s.containerOverrides, overrideOf(task, task.Containers[i].Name))
	}
	out.ContainerOverrides = tail(s.containerOverrides, first)
	return out
}

func overrideOf(task *model.Task, container string) ecs.ContainerOverride {
	if task.Overrides != nil {
		for _, o := range task.Overrides.ContainerOverrides {
			if o.Name == container {
				return o
			}
		}
	}
	return ecs.ContainerOverride{Name: container}
}

func (s *taskShaper) fillContainers(shape *ecs.Task, task *model.Task, d *shownDefinition) {
	first := len(s.containers)
	for i := range task.Containers {
		c := &task.Containers[i]
		shown := d.amountsOf(task, c.Name)
		s.containers = append(s.containers, ecs.Container{
			ContainerArn:      s.owner.ContainerARN(task.Cluster, task.ID, c.ID),
			TaskArn:           shape.TaskArn,
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
			Cpu:               shown.cpu,
			Memory:            shown.memory,
			MemoryReservation: shown.memoryReservation,
		})
	}
	if len(s.containers) > first {
		shape.Containers = tail(s.containers, first)
	}
}

// amountsOf are what a container of the task has; none if its definition is gone.
func (d *shownDefinition) amountsOf(task *model.Task, container string) amounts {
	if d.shape == nil {
		return amounts{}
	}
	for i := range d.shape.ContainerDefinitions {
		c := &d.shape.ContainerDefinitions[i]
		switch {
		case c.Name != container:
		case task.Overrides == nil:
			return d.amounts[i]
		default:
			effective := launch.Effective(c, task.Overrides)
			return amountsOf(&effective)
		}
	}
	return amounts{}
}

func amountsOf(c *ecs.ContainerDefinition) amounts {
	a := amounts{cpu: strconv.Itoa(int(c.Cpu))}
	if c.Memory != nil {
		a.memory = strconv.Itoa(int(*c.Memory))
	}
	if c.MemoryReservation != nil {
		a.memoryReservation = strconv.Itoa(int(*c.MemoryReservation))
	}
	return a
}
