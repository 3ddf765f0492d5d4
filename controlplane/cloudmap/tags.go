package cloudmap

import (
	"context"
	"slices"
	"strings"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// tag is a tag as Cloud Map writes it.
type tag struct{ Key, Value string }

const maxTags = 50

func tagsOf(in []tag) ([]ecs.Tag, error) {
	if len(in) > maxTags {
		return nil, ecs.Errorf(codeTooManyTags, "A resource has at most %d tags, not %d.", maxTags, len(in))
	}
	out := make([]ecs.Tag, 0, len(in))
	for _, t := range in {
		same := func(o ecs.Tag) bool { return o.Key == t.Key }
		if t.Key == "" || len(t.Key) > 128 || len(t.Value) > 256 || strings.HasPrefix(t.Key, "aws:") || slices.ContainsFunc(out, same) {
			return nil, invalid("A tag needs a key of 1 to 128 characters that is given once and does not begin with aws:, and a value of at most 256.")
		}
		out = append(out, ecs.Tag{Key: t.Key, Value: &t.Value})
	}
	return out, nil
}

type tagResourceIn struct {
	ResourceARN string
	Tags        []tag
	TagKeys     []string
}

type nothing struct{}

func (h *handler) tagResource(ctx context.Context, in *tagResourceIn) (*nothing, error) {
	added, err := tagsOf(in.Tags)
	if err != nil {
		return nil, err
	}
	return h.retag(ctx, in.ResourceARN, func(tags []ecs.Tag) ([]ecs.Tag, error) {
		for _, t := range added {
			tags = slices.DeleteFunc(tags, func(o ecs.Tag) bool { return o.Key == t.Key })
		}
		tags = append(tags, added...)
		if len(tags) > maxTags {
			return nil, ecs.Errorf(codeTooManyTags, "A resource has at most %d tags.", maxTags)
		}
		return tags, nil
	})
}

func (h *handler) untagResource(ctx context.Context, in *tagResourceIn) (*nothing, error) {
	return h.retag(ctx, in.ResourceARN, func(tags []ecs.Tag) ([]ecs.Tag, error) {
		return slices.DeleteFunc(tags, func(o ecs.Tag) bool { return slices.Contains(in.TagKeys, o.Key) }), nil
	})
}

// retag changes the tags of a namespace or a service; change may write to its slice.
func (h *handler) retag(ctx context.Context, arn string, change func([]ecs.Tag) ([]ecs.Tag, error)) (*nothing, error) {
	err := h.store.Update(ctx, func(tx *store.Tx) error {
		n, r, err := h.tagged(tx.Tables, arn)
		switch {
		case err != nil:
			return err
		case n != nil:
			next := *n
			if next.Tags, err = change(slices.Clone(n.Tags)); err == nil {
				tx.PutNamespace(&next)
			}
			return err
		}
		next := *r
		if next.Tags, err = change(slices.Clone(r.Tags)); err == nil {
			tx.PutRegistry(&next)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &nothing{}, nil
}

// tagged finds the namespace or the service of an ARN.
func (h *handler) tagged(t *store.Tables, arn string) (*model.Namespace, *model.Registry, error) {
	if id, ok := strings.CutPrefix(arn, h.Owner.NamespaceARN("")); ok {
		if n, found := t.Namespace(model.NamespaceID(id)); found {
			return n, nil, nil
		}
	}
	if id, ok := h.Owner.RegistryOf(arn); ok {
		if r, found := t.Registry(id); found {
			return nil, r, nil
		}
	}
	return nil, nil, ecs.Errorf(codeResourceNotFound, "There is no resource %q.", arn)
}

type listTagsOut struct{ Tags []tag }

func (h *handler) listTags(_ context.Context, in *tagResourceIn) (*listTagsOut, error) {
	n, r, err := h.tagged(h.store.View(), in.ResourceARN)
	if err != nil {
		return nil, err
	}
	var tags []ecs.Tag
	if n != nil {
		tags = n.Tags
	} else {
		tags = r.Tags
	}
	out := &listTagsOut{Tags: []tag{}}
	for _, t := range tags {
		shown := tag{Key: t.Key}
		if t.Value != nil {
			shown.Value = *t.Value
		}
		out.Tags = append(out.Tags, shown)
	}
	return out, nil
}
