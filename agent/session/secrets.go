package session

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	agentv1 "github.com/longshore/longshore/proto/agent/v1"
)

// ErrTryAgain is wrapped by ResolveSecrets when the control plane could not be
// asked: nothing is known about the secrets.
var ErrTryAgain = errors.New("the control plane can not be asked now")

// ResolveSecrets asks the control plane for the values that a task's definition
// names. An error other than ErrTryAgain and the context's is why the task cannot
// have them, in words for its user.
func (s *Session) ResolveSecrets(ctx context.Context, taskARN string) ([]*agentv1.ContainerSecrets, error) {
	l, err := s.line()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTryAgain, err)
	}
	answer, err := l.client.ResolveSecrets(ctx, &agentv1.ResolveSecretsRequest{
		ContainerInstance: l.instance, SessionToken: l.token, Task: taskARN,
	})
	if err == nil {
		return answer.GetContainers(), nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	switch status.Code(err) {
	case codes.Unavailable, codes.Aborted, codes.Canceled:
		return nil, fmt.Errorf("%w: %v", ErrTryAgain, err)
	}
	return nil, errors.New(status.Convert(err).Message())
}
