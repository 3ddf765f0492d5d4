package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// statuses are the HTTP statuses of the codes that are not answered with 400.
var statuses = map[string]int{
	ecs.CodeServer:                http.StatusInternalServerError,
	ecs.CodeServiceUnavailable:    http.StatusServiceUnavailable,
	ecs.CodeRequestEntityTooLarge: http.StatusRequestEntityTooLarge,
}

// refusal is the table from what went wrong to what the caller is told.
func refusal(err error) (*ecs.Error, int) {
	var e *ecs.Error
	switch {
	case errors.As(err, &e):
	case errors.Is(err, store.ErrUnknownOutcome):
		e = ecs.Errorf(ecs.CodeServiceUnavailable, "It is not known whether the change was made. Try again.")
	case errors.Is(err, store.ErrNotLeader):
		e = ecs.Errorf(ecs.CodeServiceUnavailable, "This control plane does not lead any more. Try again.")
	case errors.Is(err, store.ErrTooLarge):
		e = ecs.Errorf(ecs.CodeInvalidParameter, "The request needs a larger change than can be made at once.")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		e = ecs.Errorf(ecs.CodeServiceUnavailable, "The request ended before its outcome was known. Try again.")
	default:
		e = ecs.Errorf(ecs.CodeServer, "Service Unavailable. Please try again later.")
	}
	if status, ok := statuses[e.Code]; ok {
		return e, status
	}
	return e, http.StatusBadRequest
}

// invalid is an InvalidParameterException.
func invalid(format string, args ...any) error {
	return ecs.Errorf(ecs.CodeInvalidParameter, format, args...)
}

// refused is a ClientException.
func refused(format string, args ...any) error {
	return ecs.Errorf(ecs.CodeClient, format, args...)
}

// unsupported is the refusal of something that Longshore does not do yet.
func unsupported(what string) error {
	return ecs.Errorf(ecs.CodeUnsupportedFeature, "Longshore does not support %s yet.", what)
}
