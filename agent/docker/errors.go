package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"github.com/longshore/longshore/agent/runtime"
)

// refusal is the engine's answer to an operation that it did not do. Its text
// is the engine's own, because users and their tools match on it.
type refusal struct {
	text string
	kind error // runtime.ErrNotFound, runtime.ErrConflict, or nil
}

func (e *refusal) Error() string { return e.text }
func (e *refusal) Unwrap() error { return e.kind }

// translate puts an error of the Docker client into the contract's terms.
// doing is what was being done to what; it is told where the engine did not
// answer, as its answers name the thing themselves.
func translate(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	text := engineText(err)
	switch {
	case isDisconnect(err), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		if ctx.Err() != nil {
			// The transport may report its end as a connection that broke.
			return fmt.Errorf("%s: %w", doing, ctx.Err())
		}
		return unavailable(doing, err)
	case errdefs.IsUnavailable(err), lostContainerd(text), isVersionMismatch(err):
		return unavailable(doing, err)
	case errdefs.IsNotFound(err):
		return &refusal{text: text, kind: runtime.ErrNotFound}
	}
	return &refusal{text: text}
}

func unavailable(doing string, cause error) error {
	return fmt.Errorf("%s: %w: %w", doing, runtime.ErrUnavailable, cause)
}

// isDisconnect tells whether the engine could not be reached, or went away
// before it had answered in full.
func isDisconnect(err error) bool {
	var network net.Error
	return client.IsErrConnectionFailed(err) ||
		errors.As(err, &network) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// lostContainerd tells whether the engine answered only to say that the
// daemon beneath it is away, as it does while both are going down or coming up.
func lostContainerd(text string) bool {
	return strings.Contains(text, "code = Unavailable") ||
		strings.Contains(text, "containerd.sock: connect:")
}

// isVersionMismatch tells whether the engine does not speak the API version
// that was agreed on with the engine that was there before it.
func isVersionMismatch(err error) bool {
	text := engineText(err)
	return errdefs.IsInvalidArgument(err) && strings.HasPrefix(text, "client version ") &&
		(strings.Contains(text, " is too old") || strings.Contains(text, " is too new"))
}

// engineText is what the engine said, without what the client put before it.
func engineText(err error) string {
	text := err.Error()
	for _, noise := range []string{"Error response from daemon: ", "Error: "} {
		text = strings.TrimPrefix(text, noise)
	}
	return strings.TrimSpace(text)
}

// fail translates the error of a call that was made with engine, and sees to
// it that an engine of another version can be talked to the next time.
func (r *Runtime) fail(ctx context.Context, engine *client.Client, doing string, err error) error {
	if err != nil && isVersionMismatch(err) {
		r.renegotiate(engine)
	}
	return translate(ctx, doing, err)
}
