package api

import (
	"context"
	"slices"
	"strings"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

const (
	maxAttributesPerCall = 10 // PutAttributes and DeleteAttributes, seed 000
	maxCustomAttributes  = 10 // of one container instance
)

// builtInAttribute tells whether an attribute is for the agent alone to say.
func builtInAttribute(name string) bool {
	return strings.HasPrefix(name, "ecs.") || strings.HasPrefix(name, "com.amazonaws.ecs.") || model.IsOffer(name)
}

func (h *Handler) putAttributes(ctx context.Context, in *ecs.PutAttributesRequest) (*ecs.PutAttributesResponse, error) {
	if err := checkPutAttributes(in.Attributes); err != nil {
		return nil, err
	}
	out := &ecs.PutAttributesResponse{}
	err := h.store.Update(ctx, func(tx *store.Tx) error {
		out.Attributes = []ecs.Attribute{}
		targets, err := h.targets(tx.Tables, in.Cluster, in.Attributes)
		if err != nil {
			return err
		}
		for n, a := range in.Attributes {
			if err := h.putAttribute(tx, targets[n], a); err != nil {
				return err
			}
			out.Attributes = append(out.Attributes, h.attributeShape(targets[n], a.Name, a.Value))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func checkPutAttributes(in []ecs.Attribute) error {
	if err := checkTargets(in); err != nil {
		return err
	}
	for _, a := range in {
		if builtInAttribute(a.Name) {
			return invalid("The attribute %s is one that ECS defines; it can not be changed.", clip(a.Name))
		}
		if a.Value != nil && *a.Value == "" {
			return invalid("The value of the attribute %s must have between 1 and 128 characters.", clip(a.Name))
		}
		a.TargetId = "" // checkTargets has seen to it
		if err := checkAttributes([]ecs.Attribute{a}); err != nil {
			return err
		}
	}
	return nil
}

// checkTargets checks how many attributes there are and that each names a target,
// and none the same attribute of it twice.
func checkTargets(in []ecs.Attribute) error {
	if len(in) == 0 || len(in) > maxAttributesPerCall {
		return invalid("1 to %d attributes can be given, not %d.", maxAttributesPerCall, len(in))
	}
	seen := make(map[[2]string]bool, len(in))
	for _, a := range in {
		switch {
		case a.TargetId == "":
			return invalid("The attribute %s has no targetId.", clip(a.Name))
		case a.TargetType == "" && !strings.HasPrefix(a.TargetId, "arn:"):
			return invalid("The attribute %s needs a targetType, because its targetId is no ARN.", clip(a.Name))
		case seen[[2]string{a.Name, a.TargetId}]:
			return invalid("The attribute %s is given twice for one target.", clip(a.Name))
		}
		seen[[2]string{a.Name, a.TargetId}] = true
	}
	return nil
}

// targetKey names a container instance.
type targetKey struct {
	cluster model.ClusterName
	id      model.InstanceID
}

// targets finds the container instance of each attribute.
func (h *Handler) targets(t *store.Tables, cluster string, in []ecs.Attribute) ([]targetKey, error) {
	c, err := h.cluster(t, cluster)
	if err != nil {
		return nil, err
	}
	out := make([]targetKey, len(in))
	for n, a := range in {
		id, err := h.inCluster(kindInstance, c.Name, a.TargetId)
		if err != nil {
			return nil, err
		}
		i, ok := t.Instance(c.Name, model.InstanceID(id))
		if !ok || !store.InstanceLive(i) {
			return nil, ecs.Errorf(ecs.CodeTargetNotFound, "The target container instance %s was not found in cluster %s.", clip(id), c.Name)
		}
		out[n] = targetKey{c.Name, i.ID}
	}
	return out, nil
}

// putAttribute gives an instance an attribute, or another value for one.
func (h *Handler) putAttribute(tx *store.Tx, k targetKey, a ecs.Attribute) error {
	have, _ := tx.Instance(k.cluster, k.id)
	next := *have
	next.Attributes = slices.Clone(have.Attributes)
	n := slices.IndexFunc(next.Attributes, func(o ecs.Attribute) bool { return o.Name == a.Name })
	switch {
	case n >= 0 && sameValue(next.Attributes[n].Value, a.Value):
		return nil
	case n >= 0:
		next.Attributes[n].Value = a.Value
	case customAttributes(have) >= maxCustomAttributes:
		return ecs.Errorf(ecs.CodeAttributeLimitExceeded, "The container instance %s has %d custom attributes; it can have at most %d.",
			h.Owner.InstanceARN(k.cluster, k.id), customAttributes(have), maxCustomAttributes)
	default:
		next.Attributes = append(next.Attributes, ecs.Attribute{Name: a.Name, Value: a.Value})
	}
	next.Version++
	tx.PutInstance(&next)
	return nil
}

func sameValue(a, b *string) bool { return a == b || a != nil && b != nil && *a == *b }

func customAttributes(i *model.Instance) int {
	n := 0
	for _, a := range i.Attributes {
		if !builtInAttribute(a.Name) {
			n++
		}
	}
	return n
}

func (h *Handler) attributeShape(k targetKey, name string, value *string) ecs.Attribute {
	return ecs.Attribute{
		Name: name, Value: value,
		TargetType: ecs.TargetTypeContainerInstance, TargetId: h.Owner.InstanceARN(k.cluster, k.id),
	}
}

// deleteAttributes answers the attributes that were there, with the values that
// they had.
func (h *Handler) deleteAttributes(ctx context.Context, in *ecs.DeleteAttributesRequest) (*ecs.DeleteAttributesResponse, error) {
	if err := checkTargets(in.Attributes); err != nil {
		return nil, err
	}
	for _, a := range in.Attributes {
		switch {
		case builtInAttribute(a.Name):
			return nil, invalid("The attribute %s is one that ECS defines; it can not be deleted.", clip(a.Name))
		case a.Value != nil:
			return nil, invalid("The attribute %s must be named without its value.", clip(a.Name))
		}
	}
	out := &ecs.DeleteAttributesResponse{}
	err := h.store.Update(ctx, func(tx *store.Tx) error {
		out.Attributes = []ecs.Attribute{}
		targets, err := h.targets(tx.Tables, in.Cluster, in.Attributes)
		if err != nil {
			return err
		}
		for n, a := range in.Attributes {
			have, _ := tx.Instance(targets[n].cluster, targets[n].id)
			at := slices.IndexFunc(have.Attributes, func(o ecs.Attribute) bool { return o.Name == a.Name })
			if at < 0 {
				continue
			}
			out.Attributes = append(out.Attributes, h.attributeShape(targets[n], a.Name, have.Attributes[at].Value))
			next := *have
			next.Version++
			next.Attributes = slices.Delete(slices.Clone(have.Attributes), at, at+1)
			tx.PutInstance(&next)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// listAttributes walks an index of what the cluster's instances have, by name,
// value and instance.
func (h *Handler) listAttributes(_ context.Context, in *ecs.ListAttributesRequest) (*ecs.ListAttributesResponse, error) {
	if in.AttributeValue != "" && in.AttributeName == "" {
		return nil, invalid("attributeValue can only be given together with attributeName.")
	}
	view := h.store.View()
	c, err := h.cluster(view, in.Cluster)
	if err != nil {
		return nil, err
	}
	p, err := h.page("ListAttributes", in.NextToken, in.MaxResults, maxPage, c.Name, in.AttributeName, in.AttributeValue)
	if err != nil {
		return nil, err
	}
	from := store.AttributeOf{Cluster: c.Name, Name: in.AttributeName, Value: in.AttributeValue}
	if p.after != "" {
		from.Name, from.Value, from.Instance = splitAttributeKey(p.after)
	}
	wanted := func(yield func(*store.AttributeOf) bool) {
		for a := range view.Attributes(from) {
			beyond := in.AttributeName != "" && a.Name != in.AttributeName || in.AttributeValue != "" && a.Value != in.AttributeValue
			if beyond || !yield(a) {
				return
			}
		}
	}
	out := &ecs.ListAttributesResponse{}
	out.Attributes, out.NextToken = fill(p, wanted, attributeKey, func(a *store.AttributeOf) (ecs.Attribute, bool) {
		var value *string
		if a.Value != "" {
			value = &a.Value
		}
		return h.attributeShape(targetKey{a.Cluster, a.Instance}, a.Name, value), true
	})
	return out, nil
}

// attributeKey names an attribute of an instance in the order of the list.
// Neither names nor values have a zero byte.
func attributeKey(a *store.AttributeOf) string {
	return a.Name + "\x00" + a.Value + "\x00" + string(a.Instance)
}

func splitAttributeKey(key string) (name, value string, id model.InstanceID) {
	name, rest, _ := strings.Cut(key, "\x00")
	value, instance, _ := strings.Cut(rest, "\x00")
	return name, value, model.InstanceID(instance)
}
