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
	if len(tags) == 0 {
		f.fail(invalid("At least one tag must be specified"))
	}
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
	if len(keys) == 0 {
		f.fail(invalid("At least one tag key must be specified"))
	}
	return h.retag(ctx, f, func(g *model.TargetGroup) error {
		g.Tags = slices.DeleteFunc(slices.Clone(g.Tags), func(t ecs.Tag) bool { return slices.Contains(keys, t.Key) })
		return nil
	})
}

// retag changes the tags of all groups that a request names, or of none.
func (h *handler) retag(ctx context.Context, f *form, change func(*model.TargetGroup) error) (any, error) {
	arns := f.resources()
	if err := f.check(); err != nil {
		return nil, err
	}
	err := h.store.Update(ctx, func(tx *store.Tx) error {
		for _, arn := range arns {
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

const maxResources = 20

// resources reads which resources a request about tags is for.
func (f *form) resources() []string {
	arns := f.texts("ResourceArns")
	if len(arns) == 0 || len(arns) > maxResources {
		f.fail(invalid("1 to %d resource ARNs must be specified, not %d", maxResources, len(arns)))
	}
	return arns
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
	arns := f.resources()
	if err := f.check(); err != nil {
		return nil, err
	}
	view := h.store.View()
	var out tagsResult
	for _, arn := range arns {
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
