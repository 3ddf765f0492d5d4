package store

import (
	"cmp"

	"github.com/longshore/longshore/controlplane/model"
)

// taskUse counts the tasks that are not STOPPED of one revision of a task definition, or
// of one capacity provider in one cluster. It follows from the tasks and is not stored.
type taskUse struct {
	taskUseKey
	epoch uint64 // as of derived
	tasks int    // never 0
}

// taskUseKey has a definition, or a provider and a cluster.
type taskUseKey struct {
	definition model.DefinitionRef
	provider   model.ProviderName
	cluster    model.ClusterName
}

var taskUseIndexes = []index[taskUse]{{less: func(a, b *taskUse) bool {
	return cmp.Or(compareRefs(a.definition, b.definition), cmp.Compare(a.provider, b.provider), cmp.Compare(a.cluster, b.cluster)) < 0
}}}

func (t *Tables) deriveTaskUses(old, next *model.Task) {
	was, is := old != nil && TaskLive(old), next != nil && TaskLive(next)
	if was && is && old.Definition == next.Definition && old.CapacityProvider == next.CapacityProvider {
		return // the usual change
	}
	if was {
		t.countTaskUses(old, -1)
	}
	if is {
		t.countTaskUses(next, 1)
	}
}

func (t *Tables) countTaskUses(r *model.Task, by int) {
	t.countTaskUse(taskUseKey{definition: r.Definition}, by)
	if r.CapacityProvider != "" {
		t.countTaskUse(taskUseKey{provider: r.CapacityProvider, cluster: r.Cluster}, by)
	}
}

func (t *Tables) countTaskUse(key taskUseKey, by int) {
	use, ok := t.taskUse(key)
	switch {
	case !ok:
		t.taskUses.replace(nil, &taskUse{key, t.epoch, by})
	case use.tasks+by == 0:
		t.taskUses.replace(use, nil)
	case use.epoch == t.epoch:
		use.tasks += by // nobody else sees this copy
	default:
		t.taskUses.replace(use, &taskUse{key, t.epoch, use.tasks + by})
	}
}

func (t *Tables) taskUse(key taskUseKey) (*taskUse, bool) {
	pivot := t.taskUses.pivot()
	defer t.taskUses.release(pivot)
	pivot.taskUseKey = key
	return t.taskUses.get(pivot)
}
