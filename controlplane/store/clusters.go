package store

import (
	"iter"

	"github.com/longshore/longshore/controlplane/model"
)

var clusterIndexes = []index[model.Cluster]{
	{less: func(a, b *model.Cluster) bool { return a.Name < b.Name }},
}

// Cluster returns a cluster, ACTIVE or INACTIVE.
func (t *Tables) Cluster(name model.ClusterName) (*model.Cluster, bool) {
	pivot := t.clusters.pivot()
	defer t.clusters.release(pivot)
	pivot.Name = name
	return t.clusters.get(pivot)
}

// Clusters walks all clusters by name, starting at from.
func (t *Tables) Clusters(from model.ClusterName) iter.Seq[*model.Cluster] {
	return t.clusters.scan(0, &model.Cluster{Name: from}, func(*model.Cluster) bool { return true })
}

// PutCluster makes or replaces a cluster.
func (tx *Tx) PutCluster(c *model.Cluster) {
	old, _ := tx.Cluster(c.Name)
	put(tx, &clusterKind, old, c)
}
