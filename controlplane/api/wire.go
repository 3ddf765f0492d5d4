package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"time"

	"github.com/longshore/longshore/proto/ecs"
)

// drain bounds how much of a body that is too large is read and thrown away, so
// that its sender comes to read the answer.
const drain = 32 << 20

// readBody reads the body within its limits of size and time.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	// A recorder in a test has no connection to put a deadline on.
	err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.cfg.BodyWait))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil, fmt.Errorf("setting the deadline of a request: %w", err)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, s.cfg.MaxBody+1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, ecs.Errorf(ecs.CodeSerialization, "The request's body did not arrive within %s.", s.cfg.BodyWait)
	case err != nil:
		return nil, ecs.Errorf(ecs.CodeSerialization, "The request's body could not be read to its end.")
	case int64(len(body)) > s.cfg.MaxBody:
		// What cannot be read any more is its sender's loss: the answer is the same.
		_, _ = io.CopyN(io.Discard, r.Body, drain)
		w.Header().Set("Connection", "close")
		return nil, ecs.Errorf(ecs.CodeRequestEntityTooLarge, "The request is larger than %d bytes.", s.cfg.MaxBody)
	}
	return body, nil
}

// decode reads a body into an operation's input. Members that the input does not
// have are ignored, as AWS does; nothing at all is an empty input.
func decode(body []byte, in any) error {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return nil
	}
	if body[0] != '{' {
		return ecs.Errorf(ecs.CodeSerialization, "The request's body must be a JSON object.")
	}
	err := json.Unmarshal(body, in)
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrong):
		return ecs.Errorf(ecs.CodeSerialization, "%s: a JSON %s cannot be read as %s.", clip(wrong.Field), clip(wrong.Value), describe(wrong.Type))
	}
	return ecs.Errorf(ecs.CodeSerialization, "The request's body is not valid: %s", clip(err.Error()))
}

// describe names a Go type as a user of the API would.
func describe(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Int32:
		return "a 32-bit integer"
	case reflect.Int64:
		return "a 64-bit integer"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Bool:
		return "a boolean"
	case reflect.String:
		return "a string"
	case reflect.Slice:
		return "a list"
	case reflect.Map:
		return "a map"
	}
	return "a structure"
}

// clip keeps what a caller sent, when it is repeated to them, short.
func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return string(bytes.ToValidUTF8([]byte(s[:most]), nil)) + "…"
}
