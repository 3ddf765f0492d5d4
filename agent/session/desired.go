package session

import (
	"encoding/json"
	"fmt"

	"github.com/longshore/longshore/agent/lifecycle"
	agentv1 "github.com/longshore/longshore/proto/agent/v1"
	"github.com/longshore/longshore/proto/ecs"
)

// Desired is what the host should run: everything if Full, otherwise what has
// changed.
type Desired struct {
	Full    bool
	Tasks   []Task
	Removed []string // ARNs of tasks that the control plane has done with
}

// Task is one task that the control plane names.
type Task struct {
	ARN         string
	Cluster     string
	Group       string
	Definition  *ecs.TaskDefinition
	Overrides   *ecs.TaskOverride // may be nil
	Stop        bool              // desired status STOPPED
	KnownStatus string            // what the control plane has been told
	StopReason  string
	Subnets     []string                      // of a task in awsvpc mode
	Assigned    map[string]lifecycle.Assigned // by container: what the control plane chose for it
	LaunchType  string
	// ContainerARNs are in the order of the definition's containers.
	ContainerARNs []string
	// Invalid is why the task cannot be run at all, in which case there may be
	// no Definition.
	Invalid error
}

// decoder turns the messages of one stream into Desired. It keeps the
// definitions, each of which is sent once.
type decoder struct {
	definitions map[string]*ecs.TaskDefinition
	broken      map[string]error
}

func newDecoder() *decoder {
	return &decoder{definitions: map[string]*ecs.TaskDefinition{}, broken: map[string]error{}}
}

// desired decodes a message. What is wrong with one task is an error of that
// task alone: the others have nothing to do with it.
func (d *decoder) desired(m *agentv1.Desired) Desired {
	for _, definition := range m.Definitions {
		var shape ecs.TaskDefinition
		if err := json.Unmarshal(definition.Json, &shape); err != nil {
			d.broken[definition.Arn] = fmt.Errorf("decode task definition %s: %w", definition.Arn, err)
			continue
		}
		d.definitions[definition.Arn] = &shape
	}
	out := Desired{Full: m.Full, Removed: m.Removed, Tasks: make([]Task, 0, len(m.Tasks))}
	for _, t := range m.Tasks {
		out.Tasks = append(out.Tasks, d.task(t))
	}
	return out
}

func (d *decoder) task(t *agentv1.Task) Task {
	task := Task{
		ARN:         t.Arn,
		Cluster:     t.Cluster,
		Group:       t.Group,
		Definition:  d.definitions[t.Definition],
		Stop:        t.DesiredStatus == stopped,
		KnownStatus: t.KnownStatus,
		StopReason:  t.StopReason,
		Subnets:     t.Subnets,
		LaunchType:  t.LaunchType,

		ContainerARNs: t.ContainerArns,
		Invalid:       d.broken[t.Definition],
	}
	if task.Definition == nil && task.Invalid == nil {
		task.Invalid = fmt.Errorf("the control plane did not send task definition %s", t.Definition)
	}
	for _, a := range t.Assignments {
		if task.Assigned == nil {
			task.Assigned = map[string]lifecycle.Assigned{}
		}
		task.Assigned[a.Container] = lifecycle.Assigned{GPUs: a.GpuIds, ImageDigest: a.ImageDigest}
	}
	if len(t.Overrides) > 0 {
		task.Overrides = &ecs.TaskOverride{}
		if err := json.Unmarshal(t.Overrides, task.Overrides); err != nil {
			task.Invalid = fmt.Errorf("decode the overrides: %w", err)
		}
	}
	return task
}
