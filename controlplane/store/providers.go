package store

import (
	"cmp"
	"iter"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

const (
	providersByName = iota
	providersByPool
)

var providerIndexes = []index[model.CapacityProvider]{
	providersByName: {less: func(a, b *model.CapacityProvider) bool { return a.Name < b.Name }},
	// Of the ACTIVE providers each has a pool of its own.
	providersByPool: {
		less: func(a, b *model.CapacityProvider) bool { return a.Pool() < b.Pool() },
		holds: func(p *model.CapacityProvider) bool {
			return p.Status == ecs.CapacityProviderStatusACTIVE && p.Pool() != ""
		},
	},
}

// newProviders is a table with what exists from the start. That is not kept in etcd.
func newProviders() *table[model.CapacityProvider] {
	t := newTable(providerIndexes...)
	for _, p := range model.ReservedProviders() {
		t.replace(nil, p)
	}
	return t
}

// CapacityProvider returns a capacity provider of any status, reserved ones too.
func (t *Tables) CapacityProvider(name model.ProviderName) (*model.CapacityProvider, bool) {
	return t.providers.get(&model.CapacityProvider{Name: name})
}

// CapacityProviders walks all capacity providers by name, starting at from.
func (t *Tables) CapacityProviders(from model.ProviderName) iter.Seq[*model.CapacityProvider] {
	return t.providers.scan(providersByName, &model.CapacityProvider{Name: from}, func(*model.CapacityProvider) bool { return true })
}

// PoolOfProvider returns the pool of hosts of an ACTIVE capacity provider; empty if
// there is none.
func (t *Tables) PoolOfProvider(name model.ProviderName) string {
	if p, ok := t.CapacityProvider(name); ok && p.Status == ecs.CapacityProviderStatusACTIVE {
		return p.Pool()
	}
	return ""
}

// ProviderOfPool returns the ACTIVE capacity provider of a pool of hosts.
func (t *Tables) ProviderOfPool(pool string) (*model.CapacityProvider, bool) {
	pivot := &model.CapacityProvider{}
	pivot.Group.AutoScalingGroupArn = ":autoScalingGroupName/" + pool
	for p := range t.providers.scan(providersByPool, pivot, func(p *model.CapacityProvider) bool { return p.Pool() == pool }) {
		return p, true
	}
	return nil, false
}

// PutCapacityProvider makes or replaces a capacity provider.
func (tx *Tx) PutCapacityProvider(p *model.CapacityProvider) {
	old, _ := tx.CapacityProvider(p.Name)
	put(tx, &providerKind, old, p)
}

// providerUse says that a cluster is associated with a capacity provider or, if
// it names a service, that the service takes capacity from it.
type providerUse struct {
	provider model.ProviderName
	cluster  model.ClusterName
	service  model.ServiceName
}

const (
	usesByProvider = iota
	clustersByProvider
)

func useLess(a, b *providerUse) bool {
	return cmp.Or(cmp.Compare(a.provider, b.provider), cmp.Compare(a.cluster, b.cluster), cmp.Compare(a.service, b.service)) < 0
}

var useIndexes = []index[providerUse]{
	usesByProvider:     {less: useLess},
	clustersByProvider: {less: useLess, holds: func(u *providerUse) bool { return u.service == "" }},
}

func (t *Tables) deriveCluster(old, next *model.Cluster) {
	if old != nil {
		for _, p := range old.CapacityProviders {
			t.uses.replace(&providerUse{provider: p, cluster: old.Name}, nil)
		}
	}
	if next != nil {
		for _, p := range next.CapacityProviders {
			t.uses.replace(nil, &providerUse{provider: p, cluster: next.Name})
		}
	}
}

func (t *Tables) deriveServiceUses(old, next *model.Service) {
	if old != nil && ServiceLive(old) {
		for _, p := range old.Providers() {
			t.uses.replace(&providerUse{p, old.Cluster, old.Name}, nil)
		}
	}
	if next != nil && ServiceLive(next) {
		for _, p := range next.Providers() {
			t.uses.replace(nil, &providerUse{p, next.Cluster, next.Name})
		}
	}
}

// ClustersOfProvider walks the names of the clusters that a capacity provider is
// associated with.
func (t *Tables) ClustersOfProvider(p model.ProviderName) iter.Seq[model.ClusterName] {
	return func(yield func(model.ClusterName) bool) {
		for u := range t.uses.scan(clustersByProvider, &providerUse{provider: p}, func(u *providerUse) bool { return u.provider == p }) {
			if !yield(u.cluster) {
				return
			}
		}
	}
}

// ProviderInUse tells whether a task that is not STOPPED or a service that is not
// INACTIVE takes capacity from a provider in a cluster.
func (t *Tables) ProviderInUse(c model.ClusterName, p model.ProviderName) bool {
	if _, used := t.taskUse(taskUseKey{provider: p, cluster: c}); used {
		return true
	}
	within := func(u *providerUse) bool { return u.provider == p && u.cluster == c }
	for u := range t.uses.scan(usesByProvider, &providerUse{provider: p, cluster: c}, within) {
		if u.service != "" {
			return true
		}
	}
	return false
}
