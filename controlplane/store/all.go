package store

import "iter"

// All walks every record that is kept in etcd, as a pointer to its entity of
// controlplane/model, kind by kind. As records are
// immutable, two states are the same exactly if they have the same pointers: with
// that, a check can tell that a refused request changed nothing.
func (t *Tables) All() iter.Seq[any] {
	return func(yield func(any) bool) {
		_ = walk(t.clusters, yield) && walk(t.providers, yield) && walk(t.families, yield) &&
			walk(t.definitions, yield) && walk(t.instances, yield) && walk(t.services, yield) &&
			walk(t.events, yield) && walkAll(t.tasks.all(), yield) && walk(t.settings, yield) && walk(t.tokens, yield) &&
			walk(t.targetGroups, yield) &&
			walk(t.namespaces, yield) && walk(t.registries, yield) && walk(t.registryInstances, yield) && walk(t.registryOperations, yield)
	}
}

// walk yields all of a table, and tells whether there may be more.
func walk[T any](t *table[T], yield func(any) bool) (more bool) { return walkAll(t.all(), yield) }

func walkAll[T any](all iter.Seq[*T], yield func(any) bool) (more bool) {
	for r := range all {
		if !yield(r) {
			return false
		}
	}
	return true
}
