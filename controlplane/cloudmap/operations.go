package cloudmap

import (
	"context"
	"iter"
	"time"

	"github.com/longshore/longshore/controlplane/awsjson"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// An operation is remembered for operationAge; each new one clears away at most
// clearedAtOnce that are older, so that there are never more than of one such time.
const (
	operationAge  = 24 * time.Hour
	clearedAtOnce = 4
)

// change makes a change that Cloud Map answers with an operation's id. It is done,
// and durable, when the id is answered.
func (h *handler) change(ctx context.Context, f func(*store.Tx) (*model.RegistryOperation, error)) (*operationOut, error) {
	now, id := h.Clock(), model.NewOperationID()
	err := h.store.Update(ctx, func(tx *store.Tx) error {
		o, err := f(tx)
		if err != nil {
			return err
		}
		var old []*model.RegistryOperation
		for have := range tx.RegistryOperations(model.RegistryOperation{}) {
			if len(old) == clearedAtOnce || now.Sub(have.CreatedAt) < operationAge {
				break
			}
			old = append(old, have)
		}
		for _, have := range old {
			tx.DeleteRegistryOperation(have)
		}
		o.ID, o.CreatedAt = id, now
		tx.PutRegistryOperation(o)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &operationOut{id}, nil
}

type operationShape struct {
	Id, Status string
	Type       string            `json:",omitempty"`
	CreateDate *ecs.Timestamp    `json:",omitempty"`
	UpdateDate *ecs.Timestamp    `json:",omitempty"`
	Targets    map[string]string `json:",omitempty"`
}

const statusSuccess = "SUCCESS" // of every operation: it was done when its id was answered

type getOperationIn struct{ OperationId string }

type getOperationOut struct{ Operation operationShape }

func (h *handler) getOperation(_ context.Context, in *getOperationIn) (*getOperationOut, error) {
	o, ok := h.store.View().RegistryOperation(in.OperationId)
	if !ok {
		return nil, ecs.Errorf(codeOperationNotFound, "There is no operation %q, or it is older than %v.", in.OperationId, operationAge)
	}
	at := &ecs.Timestamp{Time: o.CreatedAt}
	return &getOperationOut{operationShape{Id: o.ID, Status: statusSuccess, Type: o.Type, CreateDate: at, UpdateDate: at, Targets: o.Targets}}, nil
}

type listOperationsOut struct {
	Operations []operationShape
	NextToken  string `json:",omitempty"`
}

func (h *handler) listOperations(_ context.Context, in *listing) (*listOperationsOut, error) {
	keep, err := accept(in.Filters, map[string]func(*model.RegistryOperation) string{
		"NAMESPACE_ID": func(o *model.RegistryOperation) string { return o.Targets["NAMESPACE"] },
		"SERVICE_ID":   func(o *model.RegistryOperation) string { return o.Targets["SERVICE"] },
		"TYPE":         func(o *model.RegistryOperation) string { return o.Type },
		"STATUS":       func(*model.RegistryOperation) string { return statusSuccess },
	})
	if err != nil {
		return nil, err
	}
	view := h.store.View()
	if after, ok := awsjson.After("ListOperations", in.NextToken); ok && after != "" {
		if _, known := view.RegistryOperation(after); !known {
			return nil, invalid("The NextToken value is too old.")
		}
	}
	from := func(after string) iter.Seq[*model.RegistryOperation] {
		pivot := model.RegistryOperation{}
		if o, ok := view.RegistryOperation(after); ok {
			pivot = *o
		}
		return view.RegistryOperations(pivot)
	}
	found, next, err := page("ListOperations", *in, from, func(o *model.RegistryOperation) string { return o.ID }, keep)
	if err != nil {
		return nil, err
	}
	out := &listOperationsOut{Operations: []operationShape{}, NextToken: next}
	for _, o := range found {
		out.Operations = append(out.Operations, operationShape{Id: o.ID, Status: statusSuccess})
	}
	return out, nil
}
