package api

import (
	"context"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

const maxDeleted = 10 // task definitions of one request

// Why a definition of the list is not deleted; ECS's own words.
const (
	reasonNoDefinition      = "The specified task definition identifier is invalid. Specify a valid name or ARN and try again."
	reasonUnknownDefinition = "The specified task definition does not exist. Specify a valid account, family, revision and try again."
	reasonActiveDefinition  = "The specified task definition is still in ACTIVE status. Please deregister the target and try again."
)

// deleteTaskDefinitions marks revisions as being deleted. They are forgotten once
// nothing uses them any more; until then they can be described, and what runs of
// them goes on.
func (h *Handler) deleteTaskDefinitions(ctx context.Context, in *ecs.DeleteTaskDefinitionsRequest) (*ecs.DeleteTaskDefinitionsResponse, error) {
	if n := len(in.TaskDefinitions); n == 0 || n > maxDeleted {
		return nil, invalid("1 to %d task definitions can be deleted at once, not %d.", maxDeleted, n)
	}
	var out *ecs.DeleteTaskDefinitionsResponse
	err := h.store.Update(ctx, func(tx *store.Tx) error {
		out = &ecs.DeleteTaskDefinitionsResponse{TaskDefinitions: []ecs.TaskDefinition{}, Failures: []ecs.Failure{}}
		for _, name := range in.TaskDefinitions {
			d, reason := h.deletable(tx, name)
			if reason != "" {
				out.Failures = append(out.Failures, ecs.Failure{Arn: name, Reason: reason})
				continue
			}
			if d.Status == ecs.TaskDefinitionStatusINACTIVE {
				next := *d
				next.Status = ecs.TaskDefinitionStatusDELETEINPROGRESS
				next.Shape.Status = next.Status
				next.Shape.DeleteRequestedAt = ecs.At(h.Clock())
				d = &next
				tx.PutDefinition(d)
			}
			out.TaskDefinitions = append(out.TaskDefinitions, d.Shape)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// deletable finds a definition by "family:revision" or ARN, or tells why it cannot
// be deleted. One that is being deleted already can be, again.
func (h *Handler) deletable(tx *store.Tx, name string) (d *model.Definition, reason string) {
	ref, ok, err := h.definitionRef(name)
	if err != nil || !ok || ref.Revision == 0 {
		return nil, reasonNoDefinition
	}
	switch d, ok = tx.Definition(ref); {
	case !ok:
		return nil, reasonUnknownDefinition
	case d.Status == ecs.TaskDefinitionStatusACTIVE:
		return nil, reasonActiveDefinition
	}
	return d, ""
}
