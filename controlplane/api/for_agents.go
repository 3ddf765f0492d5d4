package api

import (
	"context"

	"github.com/longshore/longshore/proto/ecs"
)

// What agents ask on behalf of their tasks. Who may ask for which task is for
// the wire to find out: here every task of the account can be named.

// GetTaskProtection is the API's operation.
func (s *Server) GetTaskProtection(ctx context.Context, in *ecs.GetTaskProtectionRequest) (*ecs.GetTaskProtectionResponse, error) {
	h, err := s.handler()
	if err != nil {
		return nil, err
	}
	return h.getTaskProtection(ctx, in)
}

// UpdateTaskProtection is the API's operation.
func (s *Server) UpdateTaskProtection(ctx context.Context, in *ecs.UpdateTaskProtectionRequest) (*ecs.UpdateTaskProtectionResponse, error) {
	h, err := s.handler()
	if err != nil {
		return nil, err
	}
	return h.updateTaskProtection(ctx, in)
}

// ListTagsForResource is the API's operation.
func (s *Server) ListTagsForResource(ctx context.Context, in *ecs.ListTagsForResourceRequest) (*ecs.ListTagsForResourceResponse, error) {
	h, err := s.handler()
	if err != nil {
		return nil, err
	}
	return h.listTagsForResource(ctx, in)
}
