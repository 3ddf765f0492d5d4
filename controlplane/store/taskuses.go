package store

import (
	"cmp"

	"github.com/longshore/longshore/controlplane/model"
)

// taskUse counts the tasks that are not STOPPED and have something in common. It follows
// from the tasks and is not stored.
type taskUse struct {
	taskUseKey
	epoch uint64 // as of derived
	tasks int    // never 0
}

// taskUseKey says what the tasks have in common: a revision of a task definition; or a
// capacity provider in a cluster; or a service, and perhaps one of its deployments, and
// whether they run already or are on the way to that.
type taskUseKey struct {
	definition model.DefinitionRef
	provider   model.ProviderName
	cluster    model.ClusterName
	service    model.ServiceName
	deployment model.DeploymentID
	running    bool
}

var taskUseIndexes = []index[taskUse]{{less: func(a, b *taskUse) bool {
	if a.running != b.running {
		return b.running
	}
	return cmp.Or(
		compareRefs(a.definition, b.definition), cmp.Compare(a.provider, b.provider), cmp.Compare(a.cluster, b.cluster),
		cmp.Compare(a.service, b.service), cmp.Compare(a.deployment, b.deployment),
	) < 0
}}}

// ServiceCounts returns how many tasks of a service are RUNNING, and how many are on the
// way to that: those of one of its deployments or task sets, or with "" all of them.
func (t *Tables) ServiceCounts(k model.ServiceKey, d model.DeploymentID) (running, pending int32) {
	key := taskUseKey{cluster: k.Cluster, service: k.Name, deployment: d}
	if use, ok := t.taskUse(key); ok {
		pending = int32(use.tasks)
	}
	key.running = true
	if use, ok := t.taskUse(key); ok {
		running = int32(use.tasks)
	}
	return running, pending
}

// usesOf are the keys under which a task counts; the others are zero.
func usesOf(r *model.Task) (keys [4]taskUseKey) {
	if r == nil || !TaskLive(r) {
		return keys
	}
	keys[0].definition = r.Definition
	if r.CapacityProvider != "" {
		keys[1] = taskUseKey{provider: r.CapacityProvider, cluster: r.Cluster}
	}
	if r.Service != "" && (running(r) || r.LastStatus.Starting()) {
		keys[2] = taskUseKey{cluster: r.Cluster, service: r.Service, running: running(r)}
		if r.Deployment != "" {
			keys[3] = keys[2]
			keys[3].deployment = r.Deployment
		}
	}
	return keys
}

func (t *Tables) deriveTaskUses(old, next *model.Task) {
	was, is := usesOf(old), usesOf(next)
	for i := range was {
		if was[i] == is[i] {
			continue // as with most changes
		}
		if was[i] != (taskUseKey{}) {
			t.countTaskUse(was[i], -1)
		}
		if is[i] != (taskUseKey{}) {
			t.countTaskUse(is[i], 1)
		}
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
