// Package awsjson is what the AWS services that are answered here share of their
// protocol, awsJson1.1: how a service is described to the server that takes the
// requests, how a body is decoded, and how a list is cut into pages. It knows no
// operation.
package awsjson

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"reflect"
	"strings"

	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// Service is one AWS service as the server sees it.
type Service struct {
	// TargetPrefix stands before the operation's name in X-Amz-Target, its point included.
	TargetPrefix string
	// SigningName is the service in the scope of a signature.
	SigningName string
	// Label stands before the operation's name in metrics and logs.
	Label string
	// Known are all operations of the service, answered or not.
	Known map[string]bool
	// Form makes it a service of the Query protocol, whose requests are forms that name
	// the operation in Action; TargetPrefix is empty then. At most one service is.
	Form *Form
	// Call runs an operation that is known on a body, of which it keeps nothing, and
	// returns what to answer.
	Call func(ctx context.Context, st *store.Store, operation string, body []byte) (any, error)
}

// Form is how a service of the Query protocol writes its answers, which are XML.
type Form struct {
	Answer func(operation, requestID string, out any) ([]byte, error)
	Refuse func(e *ecs.Error, requestID string) ([]byte, error)
}

// Operation is one row of a service's table: it decodes a body and runs a method of H.
type Operation[H any] func(ctx context.Context, h *H, body []byte) (any, error)

// Op makes a row of a method.
func Op[H, In, Out any](f func(*H, context.Context, *In) (*Out, error)) Operation[H] {
	return func(ctx context.Context, h *H, body []byte) (any, error) {
		in := new(In)
		if err := Decode(body, in); err != nil {
			return nil, err
		}
		out, err := f(h, ctx, in)
		if err != nil {
			return nil, err // and no nil *Out, which would not be a nil answer
		}
		return out, nil
	}
}

// Tabled is a service whose operations are the rows of a table, each run on a handler
// that is made for one call. refused are those operations that exist on AWS and are
// not answered. The name signs, and stands in errors, metrics and logs.
func Tabled[H any](targetPrefix, name string, table map[string]Operation[H], refused []string, handler func(*store.Store) *H) Service {
	known := make(map[string]bool, len(table)+len(refused))
	for operation := range table {
		known[operation] = true
	}
	for _, operation := range refused {
		known[operation] = true
	}
	return Service{
		TargetPrefix: targetPrefix, SigningName: name, Label: name + ".", Known: known,
		Call: func(ctx context.Context, st *store.Store, operation string, body []byte) (any, error) {
			run, ok := table[operation]
			if !ok {
				return nil, ecs.Errorf(ecs.CodeUnknownOperation, "Longshore does not support the operation %s of %s.", operation, name)
			}
			return run(ctx, handler(st), body)
		},
	}
}

// Decode reads a body into an operation's input. Members that the input does not
// have are ignored, as AWS does; nothing at all is an empty input.
func Decode(body []byte, in any) error {
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

// Token makes the nextToken of a list whose page ends with the record of that name.
func Token(list, last string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(list + "\n" + last))
}

// After returns the name behind which the page of a token begins; false for a
// token of another list. No token is the beginning.
func After(list, token string) (string, bool) {
	if token == "" {
		return "", true
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	last, own := strings.CutPrefix(string(raw), list+"\n")
	return last, err == nil && own
}
