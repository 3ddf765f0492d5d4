package store

import (
	"cmp"
	"iter"
	"strings"

	"github.com/longshore/longshore/controlplane/model"
)

// TaskLive tells whether a task still holds its resources: it is not STOPPED.
func TaskLive(t *model.Task) bool { return t.LastStatus != model.TaskStopped }

// TaskOpen tells whether a service's task still matters to its service: it is
// not STOPPED, or it is and the service has not taken note of that.
func TaskOpen(t *model.Task) bool { return TaskLive(t) || !t.OutcomeCounted }

// The indexes of tasks. Each ends with the id, so that a page can start
// anywhere; those with a desired status serve ListTasks.
const (
	tasksByID = iota
	tasksByDesired
	tasksByInstance
	tasksByService
	tasksByFamily
	tasksByStarter
	tasksByStopTime
	tasksLiveByInstance
	tasksOpenByService
	tasksLiveByDefinition
	tasksLiveByProvider
)

// The orders of the indexes that every change of a task goes through are written out:
// comparing is what most of the time of a change of the trees goes into. Fields that are
// mostly equal are first found to be so, which for one string in two records is free.

func taskLess(a, b *model.Task) bool {
	if a.Cluster != b.Cluster {
		return a.Cluster < b.Cluster
	}
	return a.ID < b.ID
}

func desiredLess(a, b *model.Task) bool {
	if a.DesiredStatus != b.DesiredStatus && a.Cluster == b.Cluster {
		return a.DesiredStatus < b.DesiredStatus
	}
	return taskLess(a, b)
}

func instanceTaskLess(a, b *model.Task) bool {
	if a.Instance != b.Instance && a.Cluster == b.Cluster {
		return a.Instance < b.Instance
	}
	return taskLess(a, b)
}

func instanceDesiredLess(a, b *model.Task) bool {
	if a.Instance != b.Instance && a.Cluster == b.Cluster {
		return a.Instance < b.Instance
	}
	return desiredLess(a, b)
}

func familyDesiredLess(a, b *model.Task) bool {
	if a.Definition.Family != b.Definition.Family && a.Cluster == b.Cluster {
		return a.Definition.Family < b.Definition.Family
	}
	return desiredLess(a, b)
}

func taskDefinitionLess(a, b *model.Task) bool {
	if a.Definition != b.Definition {
		return compareRefs(a.Definition, b.Definition) < 0
	}
	return taskLess(a, b)
}

// taskOrder builds an order of cluster, some fields, and id.
func taskOrder(fields func(a, b *model.Task) int) func(a, b *model.Task) bool {
	return func(a, b *model.Task) bool {
		if a.Cluster == b.Cluster {
			if c := fields(a, b); c != 0 {
				return c < 0
			}
		}
		return taskLess(a, b)
	}
}

func byField(field func(*model.Task) string) func(a, b *model.Task) int {
	return func(a, b *model.Task) int { return strings.Compare(field(a), field(b)) }
}

// thenDesired orders by one field and then by desired status.
func thenDesired(field func(*model.Task) string) func(a, b *model.Task) int {
	return func(a, b *model.Task) int {
		return cmp.Or(strings.Compare(field(a), field(b)), cmp.Compare(a.DesiredStatus, b.DesiredStatus))
	}
}

func byInstance(t *model.Task) string { return string(t.Instance) }
func byService(t *model.Task) string  { return string(t.Service) }
func byFamily(t *model.Task) string   { return string(t.Definition.Family) }
func byStarter(t *model.Task) string  { return t.StartedBy }
func byProvider(t *model.Task) string { return string(t.CapacityProvider) }

var taskIndexes = []index[model.Task]{
	tasksByID:       {less: taskLess},
	tasksByDesired:  {less: desiredLess},
	tasksByInstance: {less: instanceDesiredLess},
	tasksByService:  {less: taskOrder(thenDesired(byService)), holds: func(t *model.Task) bool { return t.Service != "" }},
	tasksByFamily:   {less: familyDesiredLess},
	tasksByStarter:  {less: taskOrder(thenDesired(byStarter)), holds: func(t *model.Task) bool { return t.StartedBy != "" }},
	tasksByStopTime: {
		less: func(a, b *model.Task) bool {
			if !a.StoppedAt.Equal(b.StoppedAt) {
				return a.StoppedAt.Before(b.StoppedAt)
			}
			return a.ID < b.ID
		},
		holds: func(t *model.Task) bool { return !TaskLive(t) },
	},
	tasksLiveByInstance:   {less: instanceTaskLess, holds: TaskLive},
	tasksOpenByService:    {less: taskOrder(byField(byService)), holds: func(t *model.Task) bool { return t.Service != "" && TaskOpen(t) }},
	tasksLiveByDefinition: {less: taskDefinitionLess, holds: TaskLive},
	tasksLiveByProvider: {
		less:  taskOrder(byField(byProvider)),
		holds: func(t *model.Task) bool { return t.CapacityProvider != "" && TaskLive(t) },
	},
}

// Task returns a task, STOPPED ones as long as they are kept.
func (t *Tables) Task(c model.ClusterName, id model.TaskID) (*model.Task, bool) {
	pivot := t.tasks.pivot()
	defer t.tasks.release(pivot)
	pivot.Cluster, pivot.ID = c, id
	return t.tasks.get(pivot)
}

// Tasks walks the tasks of a cluster of one desired status by id, starting at from.
func (t *Tables) Tasks(c model.ClusterName, desired model.TaskStatus, from model.TaskID) iter.Seq[*model.Task] {
	return t.tasksWith(tasksByDesired, &model.Task{Cluster: c, DesiredStatus: desired, ID: from}, func(*model.Task) string { return "" })
}

// TasksOnInstance is Tasks for one container instance.
func (t *Tables) TasksOnInstance(c model.ClusterName, i model.InstanceID, desired model.TaskStatus, from model.TaskID) iter.Seq[*model.Task] {
	return t.tasksWith(tasksByInstance, &model.Task{Cluster: c, Instance: i, DesiredStatus: desired, ID: from}, byInstance)
}

// TasksOfService is Tasks for one service.
func (t *Tables) TasksOfService(k model.ServiceKey, desired model.TaskStatus, from model.TaskID) iter.Seq[*model.Task] {
	return t.tasksWith(tasksByService, &model.Task{Cluster: k.Cluster, Service: k.Name, DesiredStatus: desired, ID: from}, byService)
}

// TasksOfFamily is Tasks for one family of task definitions.
func (t *Tables) TasksOfFamily(c model.ClusterName, f model.Family, desired model.TaskStatus, from model.TaskID) iter.Seq[*model.Task] {
	return t.tasksWith(tasksByFamily, &model.Task{Cluster: c, Definition: model.DefinitionRef{Family: f}, DesiredStatus: desired, ID: from}, byFamily)
}

// TasksStartedBy is Tasks for one value of startedBy.
func (t *Tables) TasksStartedBy(c model.ClusterName, by string, desired model.TaskStatus, from model.TaskID) iter.Seq[*model.Task] {
	return t.tasksWith(tasksByStarter, &model.Task{Cluster: c, StartedBy: by, DesiredStatus: desired, ID: from}, byStarter)
}

func (t *Tables) tasksWith(number int, pivot *model.Task, field func(*model.Task) string) iter.Seq[*model.Task] {
	want := field(pivot)
	return t.tasks.scan(number, pivot, func(r *model.Task) bool {
		return r.Cluster == pivot.Cluster && r.DesiredStatus == pivot.DesiredStatus && field(r) == want
	})
}

// StoppedTasks walks the STOPPED tasks of all clusters, the longest stopped first.
func (t *Tables) StoppedTasks() iter.Seq[*model.Task] {
	return t.tasks.scan(tasksByStopTime, &model.Task{}, func(*model.Task) bool { return true })
}

// LiveTasksOnInstance walks the tasks on an instance that are not STOPPED: those
// that should run and those on their way out.
func (t *Tables) LiveTasksOnInstance(c model.ClusterName, i model.InstanceID) iter.Seq[*model.Task] {
	return t.tasks.scan(tasksLiveByInstance, &model.Task{Cluster: c, Instance: i}, func(r *model.Task) bool {
		return r.Cluster == c && r.Instance == i
	})
}

// OpenTasksOfService walks the tasks that a service has to consider: those that
// are not STOPPED and those whose end it has not taken note of.
func (t *Tables) OpenTasksOfService(k model.ServiceKey) iter.Seq[*model.Task] {
	return t.tasks.scan(tasksOpenByService, &model.Task{Cluster: k.Cluster, Service: k.Name}, func(r *model.Task) bool {
		return r.Cluster == k.Cluster && r.Service == k.Name
	})
}

// LiveTasksOfService walks the tasks of a service that are not STOPPED.
func (t *Tables) LiveTasksOfService(k model.ServiceKey) iter.Seq[*model.Task] {
	return func(yield func(*model.Task) bool) {
		for r := range t.OpenTasksOfService(k) {
			if TaskLive(r) && !yield(r) {
				return
			}
		}
	}
}

// PutTask makes or replaces a task.
func (tx *Tx) PutTask(t *model.Task) {
	old, _ := tx.Task(t.Cluster, t.ID)
	put(tx, &taskKind, old, t)
}

// DeleteTask forgets a task.
func (tx *Tx) DeleteTask(t *model.Task) {
	old, _ := tx.Task(t.Cluster, t.ID)
	put(tx, &taskKind, old, nil)
}
