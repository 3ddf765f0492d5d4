package store

import (
	"iter"
	"slices"
	"strings"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

// AttributeOf is one attribute of one registered instance. It follows from the
// instances' records and is not stored.
type AttributeOf struct {
	Cluster  model.ClusterName
	Name     string
	Value    string // empty also for an attribute without a value
	Instance model.InstanceID
}

var attributeIndexes = []index[AttributeOf]{{
	less: func(a, b *AttributeOf) bool {
		for _, c := range []int{
			strings.Compare(string(a.Cluster), string(b.Cluster)),
			strings.Compare(a.Name, b.Name),
			strings.Compare(a.Value, b.Value),
		} {
			if c != 0 {
				return c < 0
			}
		}
		return a.Instance < b.Instance
	},
}}

// Attributes walks the attributes of a cluster's registered instances by name,
// value and instance, starting at from.
func (t *Tables) Attributes(from AttributeOf) iter.Seq[*AttributeOf] {
	return t.attributes.scan(0, &from, func(a *AttributeOf) bool { return a.Cluster == from.Cluster })
}

// AttributeOffered tells whether any of a cluster's registered instances has an
// attribute, whatever its value.
func (t *Tables) AttributeOffered(c model.ClusterName, name string) bool {
	for a := range t.Attributes(AttributeOf{Cluster: c, Name: name}) {
		return a.Name == name
	}
	return false
}

func (t *Tables) deriveAttributes(old, next *model.Instance) {
	had, has := attributesOf(old), attributesOf(next)
	if slices.EqualFunc(had, has, sameAttribute) {
		return // the usual change: of what is connected
	}
	for _, a := range had {
		t.attributes.replace(attributeRow(old, a), nil)
	}
	for _, a := range has {
		t.attributes.replace(nil, attributeRow(next, a))
	}
}

func attributesOf(i *model.Instance) []ecs.Attribute {
	if i == nil || !InstanceLive(i) {
		return nil
	}
	return i.Attributes
}

func sameAttribute(a, b ecs.Attribute) bool { return a.Name == b.Name && valueOf(a) == valueOf(b) }

func valueOf(a ecs.Attribute) string {
	if a.Value == nil {
		return ""
	}
	return *a.Value
}

func attributeRow(i *model.Instance, a ecs.Attribute) *AttributeOf {
	return &AttributeOf{Cluster: i.Cluster, Name: a.Name, Value: valueOf(a), Instance: i.ID}
}
