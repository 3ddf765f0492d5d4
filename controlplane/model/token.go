package model

import (
	"time"

	"github.com/longshore/longshore/proto/ecs"
)

// TokenLifetime is how long a RunTask is known by its client token ("Ensuring
// idempotency", ECS API reference).
const TokenLifetime = 24 * time.Hour

// RunToken is what a RunTask with a client token did. It outlives the records of
// the tasks, so that a repetition starts nothing even when they are forgotten.
type RunToken struct {
	Cluster     ClusterName `json:",omitzero"`
	Token       string      `json:",omitzero"` // the client's, 1 to 64 printable ASCII characters
	RequestHash string      `json:",omitzero"` // of the request without the token
	CreatedAt   time.Time   `json:",omitzero"`
	Tasks       []Forgotten `json:",omitzero"`
}

// Valid tells whether the token still stands for its request.
func (t *RunToken) Valid(now time.Time) bool { return now.Before(t.CreatedAt.Add(TokenLifetime)) }

// Forgotten is what is still said of a task once its own record is gone: where and of
// what it was started, and that it is over. Its members are called as those of Task,
// which stood in its place once, and it is a third as large: there is one for each task
// that an SDK has started in the last day.
type Forgotten struct {
	ID               TaskID         `json:",omitzero"`
	Cluster          ClusterName    `json:",omitzero"`
	Instance         InstanceID     `json:",omitzero"`
	Definition       DefinitionRef  `json:",omitzero"`
	LaunchType       ecs.LaunchType `json:",omitzero"`
	CapacityProvider ProviderName   `json:",omitzero"`
	Group            string         `json:",omitzero"`
	StartedBy        string         `json:",omitzero"`
	Reserved         Reservation    `json:",omitzero"`
	CreatedAt        time.Time      `json:",omitzero"`
}

// Forgotten returns what will be said of the task once its own record is gone.
func (t *Task) Forgotten() Forgotten {
	return Forgotten{
		ID: t.ID, Cluster: t.Cluster, Instance: t.Instance, Definition: t.Definition,
		LaunchType: t.LaunchType, CapacityProvider: t.CapacityProvider,
		Group: t.Group, StartedBy: t.StartedBy, Reserved: t.Reserved, CreatedAt: t.CreatedAt,
	}
}

// Task returns the task as it is shown then.
func (f *Forgotten) Task() *Task {
	return &Task{
		ID: f.ID, Cluster: f.Cluster, Instance: f.Instance, Definition: f.Definition,
		LaunchType: f.LaunchType, CapacityProvider: f.CapacityProvider,
		Group: f.Group, StartedBy: f.StartedBy, Reserved: f.Reserved, CreatedAt: f.CreatedAt,
		DesiredStatus: TaskStopped, LastStatus: TaskStopped,
	}
}
