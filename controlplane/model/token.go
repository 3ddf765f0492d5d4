package model

import "time"

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
	Tasks       []Task      `json:",omitzero"` // each as Forgotten says
}

// Valid tells whether the token still stands for its request.
func (t *RunToken) Valid(now time.Time) bool { return now.Before(t.CreatedAt.Add(TokenLifetime)) }

// Forgotten is what is still said of a task once its own record is gone: where
// and of what it was started, and that it is over.
func (t *Task) Forgotten() Task {
	return Task{
		ID: t.ID, Cluster: t.Cluster, Instance: t.Instance, Definition: t.Definition,
		LaunchType: t.LaunchType, CapacityProvider: t.CapacityProvider,
		Group: t.Group, StartedBy: t.StartedBy, Reserved: t.Reserved, CreatedAt: t.CreatedAt,
		DesiredStatus: TaskStopped, LastStatus: TaskStopped,
	}
}
