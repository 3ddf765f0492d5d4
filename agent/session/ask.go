package session

import (
	"context"
	"errors"
	"fmt"
	"sync"

	agentv1 "github.com/longshore/longshore/proto/agent/v1"
)

// ErrNoSession: no control plane can be asked at the moment.
var ErrNoSession = errors.New("no session with a control plane is open")

// line is the connection to the control plane that leads, for questions beside
// the stream.
type line struct {
	mu       sync.Mutex
	client   agentv1.AgentServiceClient // nil: there is none
	instance string
}

func (l *line) set(client agentv1.AgentServiceClient, instance string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.client, l.instance = client, instance
}

func (l *line) get() (agentv1.AgentServiceClient, string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.client == nil {
		return nil, "", ErrNoSession
	}
	return l.client, l.instance, nil
}

// TaskProtection reads the protection of a task of this host from scaling and
// deployments, or changes it if there is an update.
func (s *Session) TaskProtection(ctx context.Context, task string, update *agentv1.ProtectionUpdate) (*agentv1.TaskProtectionResponse, error) {
	client, instance, err := s.line.get()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.Timing.Call)
	defer cancel()
	answer, err := client.TaskProtection(ctx, &agentv1.TaskProtectionRequest{ContainerInstance: instance, Task: task, Update: update})
	if err != nil {
		return nil, fmt.Errorf("ask the control plane for the protection of task %s: %w", task, err)
	}
	return answer, nil
}

// TaskTags reads the tags of a task of this host, and those of the host.
func (s *Session) TaskTags(ctx context.Context, task string) (*agentv1.TaskTagsResponse, error) {
	client, instance, err := s.line.get()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.Timing.Call)
	defer cancel()
	answer, err := client.TaskTags(ctx, &agentv1.TaskTagsRequest{ContainerInstance: instance, Task: task})
	if err != nil {
		return nil, fmt.Errorf("ask the control plane for the tags of task %s: %w", task, err)
	}
	return answer, nil
}
