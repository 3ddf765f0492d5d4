package session

import (
	"context"
	"errors"
	"fmt"

	agentv1 "github.com/longshore/longshore/proto/agent/v1"
)

// ErrNoSession: no control plane can be asked at the moment.
var ErrNoSession = errors.New("no session with a control plane is open")

// line is the open session as calls beside its stream use it.
type line struct {
	client   agentv1.AgentServiceClient
	instance string // ARN
	token    string // proves whose session it is
}

func (s *Session) pickUp(l *line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = l
}

func (s *Session) hangUp() { s.pickUp(nil) }

func (s *Session) line() (*line, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		return nil, ErrNoSession
	}
	return s.open, nil
}

// TaskProtection reads the protection of a task of this host from scaling and
// deployments, or changes it if there is an update.
func (s *Session) TaskProtection(ctx context.Context, task string, update *agentv1.ProtectionUpdate) (*agentv1.TaskProtectionResponse, error) {
	l, err := s.line()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.Timing.Call)
	defer cancel()
	answer, err := l.client.TaskProtection(ctx, &agentv1.TaskProtectionRequest{ContainerInstance: l.instance, Task: task, Update: update, SessionToken: l.token})
	if err != nil {
		return nil, fmt.Errorf("ask the control plane for the protection of task %s: %w", task, err)
	}
	return answer, nil
}

// TaskTags reads the tags of a task of this host, and those of the host.
func (s *Session) TaskTags(ctx context.Context, task string) (*agentv1.TaskTagsResponse, error) {
	l, err := s.line()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.Timing.Call)
	defer cancel()
	answer, err := l.client.TaskTags(ctx, &agentv1.TaskTagsRequest{ContainerInstance: l.instance, Task: task, SessionToken: l.token})
	if err != nil {
		return nil, fmt.Errorf("ask the control plane for the tags of task %s: %w", task, err)
	}
	return answer, nil
}
