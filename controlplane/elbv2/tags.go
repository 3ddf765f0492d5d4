package elbv2

import (
	"context"
	"slices"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

func (h *handler) addTags(ctx context.Context, f *form) (any, error) {
	tags := readTags(f)
	return h.retag(ctx, f, func(g *model.TargetGroup) error {
		next := slices.DeleteFunc(slices.Clone(g.Tags), func(t ecs.Tag) bool {
			return slices.ContainsFunc(tags, func(o ecs.Tag) bool { return o.Key == t.Key })
		})
		g.Tags = append(next, tags...)
		if len(g.Tags) > maxTags {
			return ecs.Errorf(codeTooManyTags, "A target group has at most %d tags", maxTags)
		}
		return nil
	})
}

func (h *handler) removeTags(ctx context.Context, f *form) (any, error) {
	keys := f.texts("TagKeys")
	return h.retag(ctx, f, func(g *model.TargetGroup) error {
		g.Tags = slices.DeleteFunc(slices.Clone(g.Tags), func(t ecs.Tag) bool { return slices.Contains(keys, t.Key) })
		return nil
	})
}

// retag changes the tags of all groups that a request names, or of none.
func (h *handler) retag(ctx context.Context, f *form, change func(*model.TargetGroup) error) (any, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	err := h.store.Update(ctx, func(tx *store.Tx) error {
		for _, arn := range f.texts("ResourceArns") {
			have, err := h.group(tx.Tables, arn)
			if err != nil {
				return err
			}
			next := *have
			if err := change(&next); err != nil {
				return err
			}
			tx.PutTargetGroup(&next)
		}
		return nil
	})
	return struct{}{}, err
}

type tagsResult struct {
	TagDescriptions []tagDescription `xml:"TagDescriptions>member"`
}

type tagDescription struct {
	ResourceArn string
	Tags        []tagShape `xml:"Tags>member"`
}

type tagShape struct{ Key, Value string }

func (h *handler) describeTags(_ context.Context, f *form) (any, error) {
	view := h.store.View()
	var out tagsResult
	for _, arn := range f.texts("ResourceArns") {
		g, err := h.group(view, arn)
		if err != nil {
			return nil, err
		}
		d := tagDescription{ResourceArn: arn}
		for _, t := range g.Tags {
			d.Tags = append(d.Tags, tagShape{t.Key, *t.Value})
		}
		out.TagDescriptions = append(out.TagDescriptions, d)
	}
	return out, nil
}
