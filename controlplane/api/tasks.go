package api

import (
	"context"
	"iter"
	"unicode/utf8"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

const (
	maxStopReason     = 255 // characters (StopTask, seed 000)
	defaultStopReason = "Task stopped by user"
)

// stopTask says that a task is to stop. Its agent stops it and reports; a task on
// a host that is silent stops when the host is back, or is given up with it.
func (h *Handler) stopTask(ctx context.Context, in *ecs.StopTaskRequest) (*ecs.StopTaskResponse, error) {
	reason := defaultStopReason
	if in.Reason != nil && *in.Reason != "" {
		reason = *in.Reason
	}
	if utf8.RuneCountInString(reason) > maxStopReason {
		return nil, invalid("reason is longer than %d characters.", maxStopReason)
	}
	var task *model.Task
	err := h.store.Update(ctx, func(tx *store.Tx) error {
		have, err := h.task(tx.Tables, in.Cluster, in.Task)
		if err != nil {
			return err
		}
		task = have
		if have.DesiredStatus == model.TaskStopped {
			return nil
		}
		next := *have
		next.Stop(ecs.TaskStopCodeUserInitiated, reason, h.Clock())
		next.Version++
		task = &next
		tx.PutTask(task)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &ecs.StopTaskResponse{Task: h.taskShape(h.store.View(), task, true)}, nil
}

// task finds a task by id or ARN.
func (h *Handler) task(t *store.Tables, cluster, idOrARN string) (*model.Task, error) {
	c, err := h.cluster(t, cluster)
	if err != nil {
		return nil, err
	}
	id, err := h.inCluster(kindTask, c.Name, idOrARN)
	if err != nil {
		return nil, err
	}
	task, ok := t.Task(c.Name, model.TaskID(id))
	if !ok {
		return nil, invalid("The referenced task was not found.")
	}
	return task, nil
}

func (h *Handler) describeTasks(_ context.Context, in *ecs.DescribeTasksRequest) (*ecs.DescribeTasksResponse, error) {
	view := h.store.View()
	c, err := h.cluster(view, in.Cluster)
	if err != nil {
		return nil, err
	}
	ids, err := h.eachInCluster(kindTask, c.Name, in.Tasks, maxDescribed)
	if err != nil {
		return nil, err
	}
	tasks, failures := make([]*model.Task, 0, len(ids)), []ecs.Failure{}
	for _, id := range ids {
		if t, ok := view.Task(c.Name, model.TaskID(id)); ok {
			tasks = append(tasks, t)
		} else {
			failures = append(failures, missing(h.Owner.TaskARN(c.Name, model.TaskID(id))))
		}
	}
	shapes := h.taskShapes(view, tasks, asked(in.Include, ecs.TaskFieldTAGS))
	return &ecs.DescribeTasksResponse{Tasks: shapes, Failures: failures}, nil
}

func (h *Handler) listTasks(_ context.Context, in *ecs.ListTasksRequest) (*ecs.ListTasksResponse, error) {
	if err := refuseUnhonoured(in, "cluster", "containerInstance", "family", "nextToken", "maxResults",
		"startedBy", "serviceName", "desiredStatus", "launchType"); err != nil {
		return nil, invalid("%s", messageOf(err)) // the operation has no UnsupportedFeatureException
	}
	view := h.store.View()
	f, err := h.taskFilter(view, in)
	if err != nil {
		return nil, err
	}
	p, err := h.page("ListTasks", in.NextToken, in.MaxResults, maxPage, f)
	if err != nil {
		return nil, err
	}
	ids, next := fill(p, f.walk(view, model.TaskID(p.after)),
		func(t *model.Task) string { return string(t.ID) },
		func(t *model.Task) (model.TaskID, bool) { return t.ID, f.shows(t) })
	return &ecs.ListTasksResponse{TaskArns: h.Owner.TaskARNs(f.Cluster, ids), NextToken: next}, nil
}

// taskFilter is what ListTasks is asked for; empty members ask for nothing.
type taskFilter struct {
	Cluster    model.ClusterName
	Instance   model.InstanceID
	Family     model.Family
	StartedBy  string
	Service    model.ServiceName
	Desired    model.TaskStatus
	LaunchType ecs.LaunchType
}

func (h *Handler) taskFilter(t *store.Tables, in *ecs.ListTasksRequest) (taskFilter, error) {
	f := taskFilter{
		Family: model.Family(in.Family), StartedBy: in.StartedBy,
		Desired: model.TaskRunning, LaunchType: in.LaunchType,
	}
	if in.DesiredStatus != "" {
		f.Desired = model.TaskStatus(in.DesiredStatus)
	}
	c, err := h.cluster(t, in.Cluster)
	if err != nil {
		return f, err
	}
	f.Cluster = c.Name
	if in.ContainerInstance != "" {
		id, err := h.inCluster(kindInstance, c.Name, in.ContainerInstance)
		if err != nil {
			return f, err
		}
		f.Instance = model.InstanceID(id)
	}
	if in.ServiceName != "" {
		s, err := h.service(t, c.Name, in.ServiceName)
		if err != nil {
			return f, err
		}
		f.Service = s.Name
	}
	return f, nil
}

// walk goes along the index that is likely to have the fewest tasks which the
// other filters leave out: one instance, one service, one starter, one family.
func (f *taskFilter) walk(t *store.Tables, from model.TaskID) iter.Seq[*model.Task] {
	switch {
	case f.Instance != "":
		return t.TasksOnInstance(f.Cluster, f.Instance, f.Desired, from)
	case f.Service != "":
		return t.TasksOfService(model.ServiceKey{Cluster: f.Cluster, Name: f.Service}, f.Desired, from)
	case f.StartedBy != "":
		return t.TasksStartedBy(f.Cluster, f.StartedBy, f.Desired, from)
	case f.Family != "":
		return t.TasksOfFamily(f.Cluster, f.Family, f.Desired, from)
	}
	return t.Tasks(f.Cluster, f.Desired, from)
}

func (f *taskFilter) shows(t *model.Task) bool {
	return (f.Service == "" || t.Service == f.Service) &&
		(f.StartedBy == "" || t.StartedBy == f.StartedBy) &&
		(f.Family == "" || t.Definition.Family == f.Family) &&
		(f.LaunchType == "" || t.LaunchType == f.LaunchType)
}
