package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/longshore/longshore/proto/ecs"
)

// drain bounds how much of a body that is too large is read and thrown away, so
// that its sender comes to read the answer.
const drain = 32 << 20

// buffers are what a request and its answer are kept in while the request is answered.
type buffers struct {
	body   bytes.Buffer
	answer []byte
}

// maxKept bounds, in bytes, the buffers that are used again: large requests and answers
// are rare.
const maxKept = 64 << 10

// putBack keeps the buffers of a request that is answered for the next one.
func (s *Server) putBack(use *buffers) {
	if use.body.Cap() <= maxKept && cap(use.answer) <= maxKept {
		use.body.Reset()
		s.buffers.Put(use)
	}
}

// readBody reads the body within its limits of size and time.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request, to *bytes.Buffer) ([]byte, error) {
	// A recorder in a test has no connection to put a deadline on.
	err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.cfg.BodyWait))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil, fmt.Errorf("setting the deadline of a request: %w", err)
	}
	_, err = to.ReadFrom(io.LimitReader(r.Body, s.cfg.MaxBody+1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, ecs.Errorf(ecs.CodeSerialization, "The request's body did not arrive within %s.", s.cfg.BodyWait)
	case err != nil:
		return nil, ecs.Errorf(ecs.CodeSerialization, "The request's body could not be read to its end.")
	case int64(to.Len()) > s.cfg.MaxBody:
		// What cannot be read any more is its sender's loss: the answer is the same.
		_, _ = io.CopyN(io.Discard, r.Body, drain)
		w.Header().Set("Connection", "close")
		return nil, ecs.Errorf(ecs.CodeRequestEntityTooLarge, "The request is larger than %d bytes.", s.cfg.MaxBody)
	}
	return to.Bytes(), nil
}

// clip keeps what a caller sent, when it is repeated to them, short.
func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return string(bytes.ToValidUTF8([]byte(s[:most]), nil)) + "…"
}
