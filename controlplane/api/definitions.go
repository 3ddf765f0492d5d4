package api

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"strings"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// maxDefinition bounds a task definition's JSON in bytes (ECS quotas).
const maxDefinition = 64 << 10

func (h *Handler) registerTaskDefinition(ctx context.Context, in *ecs.RegisterTaskDefinitionRequest) (*ecs.RegisterTaskDefinitionResponse, error) {
	if err := checkDefinition(in); err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	shape := h.newDefinition(in)
	encoded, err := json.Marshal(shape)
	if err != nil {
		return nil, fmt.Errorf("measuring task definition %s: %w", in.Family, err)
	}
	if len(encoded) > maxDefinition {
		return nil, refused("Actual length: '%d'. Max allowed length is '%d' bytes.", len(encoded), maxDefinition)
	}
	family := model.Family(in.Family)
	err = h.store.Update(ctx, func(tx *store.Tx) error {
		record := model.FamilyRecord{Name: family}
		if have, ok := tx.Family(family); ok {
			record = *have
		}
		if record.LastRevision == math.MaxInt32 {
			return refused("The family %s has no revision numbers left.", family)
		}
		record.LastRevision++
		tx.PutFamily(&record)
		ref := model.DefinitionRef{Family: family, Revision: record.LastRevision}
		shape.Revision, shape.TaskDefinitionArn = ref.Revision, h.Owner.DefinitionARN(ref)
		tx.PutDefinition(&model.Definition{Ref: ref, Shape: shape, Tags: in.Tags, Status: shape.Status})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &ecs.RegisterTaskDefinitionResponse{TaskDefinition: &shape, Tags: orEmpty(in.Tags)}, nil
}

func (h *Handler) deregisterTaskDefinition(ctx context.Context, in *ecs.DeregisterTaskDefinitionRequest) (*ecs.DeregisterTaskDefinitionResponse, error) {
	ref, ok, err := h.definitionRef(in.TaskDefinition)
	switch {
	case err != nil:
		return nil, err
	case ok && ref.Revision == 0:
		return nil, refused("You must specify a revision: %s:1, for example.", ref.Family)
	}
	var shape ecs.TaskDefinition
	err = h.store.Update(ctx, func(tx *store.Tx) error {
		have, found := tx.Definition(ref)
		if !ok || !found {
			return errNoDefinition()
		}
		shape = have.Shape
		if have.Status != ecs.TaskDefinitionStatusACTIVE {
			return nil
		}
		next := *have
		next.Status = ecs.TaskDefinitionStatusINACTIVE
		next.Shape.Status = next.Status
		next.Shape.DeregisteredAt = ecs.At(h.Clock())
		shape = next.Shape
		tx.PutDefinition(&next)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &ecs.DeregisterTaskDefinitionResponse{TaskDefinition: &shape}, nil
}

func errNoDefinition() error { return refused("Unable to describe task definition.") }

func (h *Handler) describeTaskDefinition(_ context.Context, in *ecs.DescribeTaskDefinitionRequest) (*ecs.DescribeTaskDefinitionResponse, error) {
	d, ok, err := h.definition(h.store.View(), in.TaskDefinition)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errNoDefinition()
	}
	out := &ecs.DescribeTaskDefinitionResponse{TaskDefinition: &d.Shape}
	if asked(in.Include, ecs.TaskDefinitionFieldTAGS) {
		out.Tags = orEmpty(d.Tags)
	}
	return out, nil
}

func (h *Handler) listTaskDefinitions(_ context.Context, in *ecs.ListTaskDefinitionsRequest) (*ecs.ListTaskDefinitionsResponse, error) {
	status, descending := in.Status, in.Sort == ecs.SortOrderDESC
	if status == "" {
		status = ecs.TaskDefinitionStatusACTIVE
	}
	p, err := h.page("ListTaskDefinitions", in.NextToken, in.MaxResults, maxPage, in.FamilyPrefix, status, descending)
	if err != nil {
		return nil, err
	}
	out := &ecs.ListTaskDefinitionsResponse{}
	out.TaskDefinitionArns, out.NextToken = fill(p, definitionsFrom(h.store.View(), in.FamilyPrefix, status, descending, p.after),
		func(d *model.Definition) string { return d.Ref.String() },
		func(d *model.Definition) (string, bool) { return h.Owner.DefinitionARN(d.Ref), true })
	return out, nil
}

// definitionsFrom walks the revisions of one family, or of all, that have the
// status, from the one that the token names on.
func definitionsFrom(t *store.Tables, family string, status ecs.TaskDefinitionStatus, descending bool, after string) iter.Seq[*model.Definition] {
	from := model.DefinitionRef{Family: model.Family(family)}
	if descending {
		from.Revision = math.MaxInt32
		if family == "" {
			from.Family = "\xff" // behind every name
		}
	}
	if after != "" {
		from = parseRef(after)
	}
	all := t.Definitions(status, from, descending)
	if family == "" {
		return all
	}
	return func(yield func(*model.Definition) bool) {
		for d := range all {
			if string(d.Ref.Family) != family || !yield(d) {
				return
			}
		}
	}
}

// parseRef reads back what DefinitionRef.String has written into a token.
func parseRef(s string) model.DefinitionRef {
	family, revision, _ := strings.Cut(s, ":")
	n := 0
	for _, digit := range revision {
		n = n*10 + int(digit-'0')
	}
	return model.DefinitionRef{Family: model.Family(family), Revision: int32(n)}
}

func (h *Handler) listTaskDefinitionFamilies(_ context.Context, in *ecs.ListTaskDefinitionFamiliesRequest) (*ecs.ListTaskDefinitionFamiliesResponse, error) {
	p, err := h.page("ListTaskDefinitionFamilies", in.NextToken, in.MaxResults, maxPage, in.FamilyPrefix, in.Status)
	if err != nil {
		return nil, err
	}
	view := h.store.View()
	families := func(yield func(*model.FamilyRecord) bool) {
		for f := range view.Families(model.Family(max(in.FamilyPrefix, p.after))) {
			if !strings.HasPrefix(string(f.Name), in.FamilyPrefix) || !yield(f) {
				return
			}
		}
	}
	out := &ecs.ListTaskDefinitionFamiliesResponse{}
	out.Families, out.NextToken = fill(p, families,
		func(f *model.FamilyRecord) string { return string(f.Name) },
		func(f *model.FamilyRecord) (string, bool) {
			_, active := view.LatestActive(f.Name)
			shown := in.Status == "" || in.Status == ecs.TaskDefinitionFamilyStatusALL ||
				active == (in.Status == ecs.TaskDefinitionFamilyStatusACTIVE)
			shown = shown && view.HasRevisions(f.Name) // the name of a family is kept when all of it is deleted
			return string(f.Name), shown
		})
	return out, nil
}
