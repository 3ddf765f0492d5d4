package dispatch

import (
	"crypto/subtle"
	"errors"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
)

// Errors of Claim.
var (
	// ErrNoSession: the token is not that of the instance's open session. The
	// agent may have opened another one meanwhile.
	ErrNoSession = errors.New("not the open session of the container instance")
	// ErrNotItsTask: there is no such task to be run on the instance.
	ErrNotItsTask = errors.New("no such task is to be run on the container instance")
)

// Token is what the agent shows to act outside of the stream as its session.
func (s *Session) Token() string { return s.token }

// Claim checks that whoever holds the token is the agent of the instance, and
// that the task is one that the instance is to run. It returns the task's
// definition and the state that it was found in.
func (d *Dispatcher) Claim(key InstanceKey, token string, id model.TaskID) (*model.Definition, *store.Tables, error) {
	d.mu.Lock()
	session := d.sessions[key]
	d.mu.Unlock()
	if session == nil || subtle.ConstantTimeCompare([]byte(session.token), []byte(token)) != 1 {
		return nil, nil, ErrNoSession
	}
	view := d.cfg.Store.View()
	task, ok := view.Task(key.Cluster, id)
	if !ok || task.Instance != key.ID || !store.TaskLive(task) || task.DesiredStatus != model.TaskRunning {
		return nil, nil, ErrNotItsTask
	}
	definition, ok := view.Definition(task.Definition)
	if !ok {
		return nil, nil, ErrNotItsTask
	}
	return definition, view, nil
}
