package api

import (
	"context"
	"slices"
	"strings"

	"github.com/longshore/longshore/controlplane/launch"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// maxTags bounds the tags of one resource; those of ECS itself do not count
// (TagResource, seed 000).
const maxTags = 50

// tagged is a resource with the tags that it has and the way to give it others.
type tagged struct {
	tags []ecs.Tag
	put  func(*store.Tx, []ecs.Tag)
}

func (h *Handler) tagResource(ctx context.Context, in *ecs.TagResourceRequest) (*ecs.TagResourceResponse, error) {
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	err := h.store.Update(ctx, func(tx *store.Tx) error {
		r, err := h.tagged(tx.Tables, in.ResourceArn, errNoResource)
		if err != nil {
			return err
		}
		next := withTags(r.tags, in.Tags)
		if n := countTags(next); n > maxTags {
			return ecs.Errorf(ecs.CodeLimitExceeded, "A resource can have at most %d tags, and this one would have %d.", maxTags, n)
		}
		if len(in.Tags) > 0 {
			r.put(tx, next)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &ecs.TagResourceResponse{}, nil
}

func (h *Handler) untagResource(ctx context.Context, in *ecs.UntagResourceRequest) (*ecs.UntagResourceResponse, error) {
	for _, key := range in.TagKeys {
		if launch.ReservedTag(key) {
			return nil, invalid("Tags whose keys begin with 'aws:' can not be removed: %s.", clip(key))
		}
	}
	err := h.store.Update(ctx, func(tx *store.Tx) error {
		r, err := h.tagged(tx.Tables, in.ResourceArn, errNoResource)
		if err != nil {
			return err
		}
		next := slices.DeleteFunc(slices.Clone(r.tags), func(t ecs.Tag) bool { return slices.Contains(in.TagKeys, t.Key) })
		if len(next) < len(r.tags) {
			r.put(tx, next)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &ecs.UntagResourceResponse{}, nil
}

func (h *Handler) listTagsForResource(_ context.Context, in *ecs.ListTagsForResourceRequest) (*ecs.ListTagsForResourceResponse, error) {
	// The operation has no ResourceNotFoundException.
	r, err := h.tagged(h.store.View(), in.ResourceArn, invalid)
	if err != nil {
		return nil, err
	}
	return &ecs.ListTagsForResourceResponse{Tags: orEmpty(r.tags)}, nil
}

// withTags are the tags with others added, which win over those of the same key.
func withTags(have, add []ecs.Tag) []ecs.Tag {
	out := slices.Clone(have)
	for _, t := range add {
		if i := slices.IndexFunc(out, func(o ecs.Tag) bool { return o.Key == t.Key }); i >= 0 {
			out[i] = t
		} else {
			out = append(out, t)
		}
	}
	return out
}

func countTags(tags []ecs.Tag) int {
	n := 0
	for _, t := range tags {
		if !launch.ReservedTag(t.Key) {
			n++
		}
	}
	return n
}

func errNoResource(format string, args ...any) error {
	return ecs.Errorf(ecs.CodeResourceNotFound, format, args...)
}

// tagged finds a resource of any kind by its ARN. absent makes the error for one
// that is not there.
func (h *Handler) tagged(t *store.Tables, arn string, absent func(string, ...any) error) (tagged, error) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" {
		return tagged{}, invalid("The resource must be named by its ARN, not %q.", clip(arn))
	}
	kind, _, _ := strings.Cut(parts[5], "/")
	name, err := h.Owner.Resource(kind, arn)
	if err != nil {
		return tagged{}, invalid("%s", clip(err.Error()))
	}
	switch kind {
	case kindCluster:
		return taggedCluster(t, name)
	case kindDefinition:
		return h.taggedDefinition(t, arn, absent)
	case kindProvider:
		return taggedProvider(t, name, absent)
	case kindService, kindTask, kindInstance, kindTaskSet:
		return taggedInCluster(t, kind, name, absent)
	}
	return tagged{}, invalid("A %s can not be tagged.", clip(kind))
}

func taggedCluster(t *store.Tables, name string) (tagged, error) {
	c, ok := t.Cluster(model.ClusterName(name))
	switch {
	case !ok:
		return tagged{}, errClusterNotFound()
	case c.Status != model.StatusActive:
		return tagged{}, invalid("The specified cluster is inactive. Specify an active cluster and try again.")
	}
	return tagged{c.Tags, func(tx *store.Tx, tags []ecs.Tag) {
		next := *c
		next.Tags = tags
		tx.PutCluster(&next)
	}}, nil
}

func (h *Handler) taggedDefinition(t *store.Tables, arn string, absent func(string, ...any) error) (tagged, error) {
	ref, ok, err := h.definitionRef(arn)
	if err != nil {
		return tagged{}, invalid("%s", messageOf(err))
	}
	d, found := t.Definition(ref)
	if !ok || !found {
		return tagged{}, absent("The specified task definition was not found.")
	}
	return tagged{d.Tags, func(tx *store.Tx, tags []ecs.Tag) {
		next := *d
		next.Tags = tags
		tx.PutDefinition(&next)
	}}, nil
}

func taggedProvider(t *store.Tables, name string, absent func(string, ...any) error) (tagged, error) {
	p, ok := t.CapacityProvider(model.ProviderName(name))
	switch {
	case model.ProviderName(name).Reserved():
		return tagged{}, invalid("The capacity provider %s is reserved and can not be tagged.", name)
	case !ok || p.Status != ecs.CapacityProviderStatusACTIVE:
		return tagged{}, absent("The specified capacity provider was not found.")
	}
	return tagged{p.Tags, func(tx *store.Tx, tags []ecs.Tag) {
		next := *p
		next.Tags = tags
		tx.PutCapacityProvider(&next)
	}}, nil
}

// taggedInCluster finds a service, task set, task or container instance by what follows
// the kind in its ARN.
func taggedInCluster(t *store.Tables, kind, rest string, absent func(string, ...any) error) (tagged, error) {
	cluster, name, long := strings.Cut(rest, "/")
	if !long {
		return tagged{}, invalid("Long arn format must be used for tagging operations")
	}
	c, ok := t.Cluster(model.ClusterName(cluster))
	if !ok || c.Status != model.StatusActive {
		return tagged{}, errClusterNotFound()
	}
	switch kind {
	case kindService:
		return taggedService(t, model.ServiceKey{Cluster: c.Name, Name: model.ServiceName(name)}, absent)
	case kindTaskSet:
		return taggedTaskSet(t, c.Name, name, absent)
	case kindTask:
		return taggedTask(t, c.Name, model.TaskID(name), absent)
	}
	return taggedInstance(t, c.Name, model.InstanceID(name), absent)
}

func taggedService(t *store.Tables, k model.ServiceKey, absent func(string, ...any) error) (tagged, error) {
	s, ok := t.Service(k)
	if !ok || !store.ServiceLive(s) {
		return tagged{}, absent("The specified service was not found or is inactive.")
	}
	return tagged{s.Tags, func(tx *store.Tx, tags []ecs.Tag) {
		next := *s
		next.Tags = tags
		tx.PutService(&next)
	}}, nil
}

// taggedTaskSet finds a task set by what follows the cluster in its ARN.
func taggedTaskSet(t *store.Tables, c model.ClusterName, rest string, absent func(string, ...any) error) (tagged, error) {
	service, id, _ := strings.Cut(rest, "/")
	s, ok := t.Service(model.ServiceKey{Cluster: c, Name: model.ServiceName(service)})
	if !ok || !store.ServiceLive(s) {
		return tagged{}, absent("The service of the specified task set was not found or is inactive.")
	}
	set, ok := s.TaskSet(model.DeploymentID(id))
	if !ok {
		return tagged{}, absent("The specified task set was not found.")
	}
	return tagged{set.Tags, func(tx *store.Tx, tags []ecs.Tag) {
		next := *s
		next.TaskSets = slices.Clone(s.TaskSets)
		changed, _ := next.TaskSet(set.ID)
		changed.Tags = tags
		tx.PutService(&next)
	}}, nil
}

func taggedTask(t *store.Tables, c model.ClusterName, id model.TaskID, absent func(string, ...any) error) (tagged, error) {
	task, ok := t.Task(c, id)
	if !ok {
		return tagged{}, absent("The specified task was not found.")
	}
	return tagged{task.Tags, func(tx *store.Tx, tags []ecs.Tag) {
		next := *task
		next.Tags = tags
		tx.PutTask(&next)
	}}, nil
}

func taggedInstance(t *store.Tables, c model.ClusterName, id model.InstanceID, absent func(string, ...any) error) (tagged, error) {
	i, ok := t.Instance(c, id)
	if !ok || !store.InstanceLive(i) {
		return tagged{}, absent("The specified container instance was not found or is inactive.")
	}
	return tagged{i.Tags, func(tx *store.Tx, tags []ecs.Tag) {
		next := *i
		next.Tags = tags
		tx.PutInstance(&next)
	}}, nil
}
