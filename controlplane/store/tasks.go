package store

import (
	"iter"

	"github.com/longshore/longshore/controlplane/model"
)

// TaskLive tells whether a task still holds its resources: it is not STOPPED.
func TaskLive(t *model.Task) bool { return t.LastStatus != model.TaskStopped }

// TaskOpen tells whether a service's task still matters to its service: it is
// not STOPPED, or it is and the service has not taken note of that.
func TaskOpen(t *model.Task) bool { return TaskLive(t) || !t.OutcomeCounted }

// Task returns a task, STOPPED ones as long as they are kept.
func (t *Tables) Task(c model.ClusterName, id model.TaskID) (*model.Task, bool) {
	return t.tasks.find(c, id)
}

// Tasks walks the tasks of a cluster of one desired status by id, starting at from.
func (t *Tables) Tasks(c model.ClusterName, desired model.TaskStatus, from model.TaskID) iter.Seq[*model.Task] {
	if !listed(desired) {
		return none
	}
	return t.tasks.ofCluster(c, desired == model.TaskStopped, from)
}

// TasksOnInstance is Tasks for one container instance.
func (t *Tables) TasksOnInstance(c model.ClusterName, i model.InstanceID, desired model.TaskStatus, from model.TaskID) iter.Seq[*model.Task] {
	return t.tasksWith(tasksByInstance, c, string(i), desired, from)
}

// TasksOfService is Tasks for one service.
func (t *Tables) TasksOfService(k model.ServiceKey, desired model.TaskStatus, from model.TaskID) iter.Seq[*model.Task] {
	return t.tasksWith(tasksByService, k.Cluster, string(k.Name), desired, from)
}

// TasksOfFamily is Tasks for one family of task definitions.
func (t *Tables) TasksOfFamily(c model.ClusterName, f model.Family, desired model.TaskStatus, from model.TaskID) iter.Seq[*model.Task] {
	return t.tasksWith(tasksByFamily, c, string(f), desired, from)
}

// TasksStartedBy is Tasks for one value of startedBy.
func (t *Tables) TasksStartedBy(c model.ClusterName, by string, desired model.TaskStatus, from model.TaskID) iter.Seq[*model.Task] {
	return t.tasksWith(tasksByStarter, c, by, desired, from)
}

func (t *Tables) tasksWith(g taskGroup, c model.ClusterName, name string, desired model.TaskStatus, from model.TaskID) iter.Seq[*model.Task] {
	if !listed(desired) {
		return none
	}
	return t.tasks.walk(g, c, name, desired == model.TaskStopped, from)
}

// listed tells whether there are tasks of a desired status: it is RUNNING or STOPPED.
func listed(desired model.TaskStatus) bool {
	return desired == model.TaskRunning || desired == model.TaskStopped
}

func none(func(*model.Task) bool) {}

// StoppedTasks walks the STOPPED tasks of all clusters, the longest stopped first.
func (t *Tables) StoppedTasks() iter.Seq[*model.Task] { return t.tasks.byStopTime() }

// LiveTasksOnInstance walks the tasks on an instance that are not STOPPED: those
// that should run, and then those on their way out.
func (t *Tables) LiveTasksOnInstance(c model.ClusterName, i model.InstanceID) iter.Seq[*model.Task] {
	return only(both(
		t.tasks.walk(tasksByInstance, c, string(i), false, ""),
		t.tasks.walk(tasksEndingByInstance, c, string(i), true, ""),
	), TaskLive)
}

// OpenTasksOfService walks the tasks that a service has to consider: those that
// are not STOPPED and those whose end it has not taken note of. Those that are to
// stop come last.
func (t *Tables) OpenTasksOfService(k model.ServiceKey) iter.Seq[*model.Task] {
	return only(both(
		t.tasks.walk(tasksByService, k.Cluster, string(k.Name), false, ""),
		t.tasks.walk(tasksEndingByService, k.Cluster, string(k.Name), true, ""),
	), TaskOpen)
}

// LiveTasksOfService walks the tasks of a service that are not STOPPED.
func (t *Tables) LiveTasksOfService(k model.ServiceKey) iter.Seq[*model.Task] {
	return only(t.OpenTasksOfService(k), TaskLive)
}

func only(tasks iter.Seq[*model.Task], want func(*model.Task) bool) iter.Seq[*model.Task] {
	return func(yield func(*model.Task) bool) {
		for r := range tasks {
			if want(r) && !yield(r) {
				return
			}
		}
	}
}

func both(first, second iter.Seq[*model.Task]) iter.Seq[*model.Task] {
	return func(yield func(*model.Task) bool) {
		for r := range first {
			if !yield(r) {
				return
			}
		}
		second(yield)
	}
}

// PutTask makes or replaces a task.
func (tx *Tx) PutTask(t *model.Task) {
	old := tx.tasks.put(t)
	tx.deriveTask(old, t)
	tx.noteTask(old, t)
}

// DeleteTask forgets a task.
func (tx *Tx) DeleteTask(t *model.Task) {
	if old, ok := tx.Task(t.Cluster, t.ID); ok {
		taskKind.replace(tx.Tables, old, nil)
		tx.noteTask(old, nil)
	}
}
