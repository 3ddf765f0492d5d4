package store

import (
	"iter"

	"github.com/longshore/longshore/controlplane/model"
)

func instanceLess(a, b *model.Instance) bool {
	if a.Cluster != b.Cluster {
		return a.Cluster < b.Cluster
	}
	return a.ID < b.ID
}

// InstanceLive tells whether an instance is registered: ACTIVE or DRAINING.
func InstanceLive(i *model.Instance) bool { return i.Status != model.StatusInactive }

const (
	instancesByID = iota
	instancesLive
	instancesSilent
)

var instanceIndexes = []index[model.Instance]{
	instancesByID: {less: instanceLess},
	instancesLive: {less: instanceLess, holds: InstanceLive},
	instancesSilent: {
		less: func(a, b *model.Instance) bool {
			if !a.SilentSince.Equal(b.SilentSince) {
				return a.SilentSince.Before(b.SilentSince)
			}
			return instanceLess(a, b)
		},
		holds: func(i *model.Instance) bool { return InstanceLive(i) && !i.SilentSince.IsZero() },
	},
}

// Instance returns a container instance of any status.
func (t *Tables) Instance(c model.ClusterName, id model.InstanceID) (*model.Instance, bool) {
	pivot := t.instances.pivot()
	defer t.instances.release(pivot)
	pivot.Cluster, pivot.ID = c, id
	return t.instances.get(pivot)
}

// LiveInstances walks the registered instances of a cluster by id, starting at from.
func (t *Tables) LiveInstances(c model.ClusterName, from model.InstanceID) iter.Seq[*model.Instance] {
	return t.instances.scan(instancesLive, &model.Instance{Cluster: c, ID: from}, func(i *model.Instance) bool { return i.Cluster == c })
}

// AllLiveInstances walks the registered instances of all clusters.
func (t *Tables) AllLiveInstances() iter.Seq[*model.Instance] {
	return t.instances.scan(instancesLive, &model.Instance{}, func(*model.Instance) bool { return true })
}

// SilentInstances walks the registered instances whose agent is not heard, the
// longest silent first.
func (t *Tables) SilentInstances() iter.Seq[*model.Instance] {
	return t.instances.scan(instancesSilent, &model.Instance{}, func(*model.Instance) bool { return true })
}

// PutInstance makes or replaces a container instance.
func (tx *Tx) PutInstance(i *model.Instance) {
	old, _ := tx.Instance(i.Cluster, i.ID)
	put(tx, &instanceKind, old, i)
}

// DeleteInstance forgets a container instance.
func (tx *Tx) DeleteInstance(i *model.Instance) {
	old, _ := tx.Instance(i.Cluster, i.ID)
	put(tx, &instanceKind, old, nil)
}
