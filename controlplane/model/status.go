package model

import "errors"

// ErrInstanceInactive goes along with the refusal of an agent whose container
// instance was deregistered, by which it is told from one that nobody knows.
var ErrInstanceInactive = errors.New("the container instance was deregistered")

// TaskStatus is where a task or a container is in its life. It is stored by its name.
type TaskStatus string

// The statuses of a task, in the order in which they are passed. A container
// has PENDING, RUNNING and STOPPED of them.
const (
	TaskProvisioning   TaskStatus = "PROVISIONING"
	TaskPending        TaskStatus = "PENDING"
	TaskActivating     TaskStatus = "ACTIVATING"
	TaskRunning        TaskStatus = "RUNNING"
	TaskDeactivating   TaskStatus = "DEACTIVATING"
	TaskStopping       TaskStatus = "STOPPING"
	TaskDeprovisioning TaskStatus = "DEPROVISIONING"
	TaskStopped        TaskStatus = "STOPPED"
)

// Rank orders the statuses; an unknown one has rank 0.
func (s TaskStatus) Rank() int {
	switch s {
	case TaskProvisioning:
		return 1
	case TaskPending:
		return 2
	case TaskActivating:
		return 3
	case TaskRunning:
		return 4
	case TaskDeactivating:
		return 5
	case TaskStopping:
		return 6
	case TaskDeprovisioning:
		return 7
	case TaskStopped:
		return 8
	}
	return 0
}

// Before tells whether s comes before t in a task's life. A status never moves
// backwards: a report is applied only if the present status is before it.
func (s TaskStatus) Before(t TaskStatus) bool { return s.Rank() < t.Rank() }

// Starting tells whether a task has been placed and has not yet run.
func (s TaskStatus) Starting() bool { return s.Rank() < TaskRunning.Rank() }
