package dispatch

import (
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
)

// Errors of whoever claims to be an agent.
var (
	// ErrNoSession: the token is not that of the instance's open session. The
	// agent may have opened another one meanwhile.
	ErrNoSession = errors.New("not the open session of the container instance")
	// ErrNotItsTask: there is no such task to be run on the instance.
	ErrNotItsTask = errors.New("no such task is to be run on the container instance")
	// ErrNotItsAgent: the instance belongs to an agent with another certificate.
	ErrNotItsAgent = errors.New("the container instance belongs to another agent")
)

// Token is what the agent shows to act outside of the stream as its session.
func (s *Session) Token() string { return s.token }

// Claim checks that whoever holds the token is the agent of the instance, and
// that the task is one that the instance is to run. It returns the task's
// definition and the state that it was found in.
func (d *Dispatcher) Claim(key InstanceKey, token string, id model.TaskID) (*model.Definition, *store.Tables, error) {
	if err := d.prove(key, token); err != nil {
		return nil, nil, err
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

// Speaks checks that whoever holds the token is the agent of the instance, and
// that the task was placed there, whatever has become of it since.
func (d *Dispatcher) Speaks(key InstanceKey, token string, id model.TaskID) error {
	if err := d.prove(key, token); err != nil {
		return err
	}
	if t, ok := d.cfg.Store.View().Task(key.Cluster, id); !ok || t.Instance != key.ID {
		return ErrNotItsTask
	}
	return nil
}

func (d *Dispatcher) prove(key InstanceKey, token string) error {
	d.mu.Lock()
	session := d.sessions[key]
	d.mu.Unlock()
	if session == nil || subtle.ConstantTimeCompare([]byte(session.token), []byte(token)) != 1 {
		return ErrNoSession
	}
	return nil
}

// Admits checks that an agent may act as an instance: agent is the name in its
// certificate, empty without one. An instance belongs to the name that opened its
// first session. Without certificates the operator lets anybody be anyone; and of
// an instance that is not known others say so.
func (d *Dispatcher) Admits(key InstanceKey, agent string) error {
	i, ok := d.cfg.Store.View().Instance(key.Cluster, key.ID)
	if !ok {
		return nil
	}
	return admits(i, agent)
}

func admits(i *model.Instance, agent string) error {
	if agent == "" || i.Agent == "" || i.Agent == agent {
		return nil
	}
	return fmt.Errorf("%w: container instance %s is that of the agent whose certificate names %q, and this one's names %q", ErrNotItsAgent, i.ID, i.Agent, agent)
}
