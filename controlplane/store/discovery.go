package store

import (
	"cmp"
	"iter"

	"github.com/longshore/longshore/controlplane/model"
)

const (
	namespacesByID = iota
	namespacesByName
)

var namespaceIndexes = []index[model.Namespace]{
	namespacesByID: {less: func(a, b *model.Namespace) bool { return a.ID < b.ID }},
	namespacesByName: {less: func(a, b *model.Namespace) bool {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) < 0
	}},
}

const (
	registriesByID = iota
	registriesByName
)

var registryIndexes = []index[model.Registry]{
	registriesByID: {less: func(a, b *model.Registry) bool { return a.ID < b.ID }},
	registriesByName: {less: func(a, b *model.Registry) bool {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name)) < 0
	}},
}

var registryInstanceIndexes = []index[model.RegistryInstance]{{less: func(a, b *model.RegistryInstance) bool {
	return cmp.Or(cmp.Compare(a.Registry, b.Registry), cmp.Compare(a.ID, b.ID)) < 0
}}}

const (
	operationsByID = iota
	operationsByTime
)

var operationIndexes = []index[model.RegistryOperation]{
	operationsByID: {less: func(a, b *model.RegistryOperation) bool { return a.ID < b.ID }},
	operationsByTime: {less: func(a, b *model.RegistryOperation) bool {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID)) < 0
	}},
}

// Namespace returns the namespace of an id.
func (t *Tables) Namespace(id model.NamespaceID) (*model.Namespace, bool) {
	return t.namespaces.get(&model.Namespace{ID: id})
}

// Namespaces walks the namespaces by id, starting at from.
func (t *Tables) Namespaces(from model.NamespaceID) iter.Seq[*model.Namespace] {
	return t.namespaces.scan(namespacesByID, &model.Namespace{ID: from}, func(*model.Namespace) bool { return true })
}

// NamespacesNamed walks the namespaces of one name.
func (t *Tables) NamespacesNamed(name string) iter.Seq[*model.Namespace] {
	return t.namespaces.scan(namespacesByName, &model.Namespace{Name: name}, func(n *model.Namespace) bool { return n.Name == name })
}

// Registry returns the registry of an id.
func (t *Tables) Registry(id model.RegistryID) (*model.Registry, bool) {
	return t.registries.get(&model.Registry{ID: id})
}

// RegistryNamed returns the registry of a name in a namespace.
func (t *Tables) RegistryNamed(n model.NamespaceID, name string) (*model.Registry, bool) {
	for r := range t.registries.scan(registriesByName, &model.Registry{Namespace: n, Name: name}, func(r *model.Registry) bool {
		return r.Namespace == n && r.Name == name
	}) {
		return r, true
	}
	return nil, false
}

// Registries walks all registries by id, starting at from.
func (t *Tables) Registries(from model.RegistryID) iter.Seq[*model.Registry] {
	return t.registries.scan(registriesByID, &model.Registry{ID: from}, func(*model.Registry) bool { return true })
}

// RegistriesIn walks the registries of a namespace by name.
func (t *Tables) RegistriesIn(n model.NamespaceID) iter.Seq[*model.Registry] {
	return t.registries.scan(registriesByName, &model.Registry{Namespace: n}, func(r *model.Registry) bool { return r.Namespace == n })
}

// RegistryInstance returns an instance that was registered by hand.
func (t *Tables) RegistryInstance(r model.RegistryID, id string) (*model.RegistryInstance, bool) {
	return t.registryInstances.get(&model.RegistryInstance{Registry: r, ID: id})
}

// RegistryOperation returns the operation of an id, as long as it is remembered.
func (t *Tables) RegistryOperation(id string) (*model.RegistryOperation, bool) {
	return t.registryOperations.get(&model.RegistryOperation{ID: id})
}

// RegistryOperations walks the remembered operations, the oldest first.
func (t *Tables) RegistryOperations(from model.RegistryOperation) iter.Seq[*model.RegistryOperation] {
	return t.registryOperations.scan(operationsByTime, &from, func(*model.RegistryOperation) bool { return true })
}

// PutNamespace makes or replaces a namespace.
func (tx *Tx) PutNamespace(n *model.Namespace) {
	old, _ := tx.Namespace(n.ID)
	put(tx, &namespaceKind, old, n)
}

// DeleteNamespace forgets a namespace.
func (tx *Tx) DeleteNamespace(n *model.Namespace) {
	old, _ := tx.Namespace(n.ID)
	put(tx, &namespaceKind, old, nil)
}

// PutRegistry makes or replaces a registry.
func (tx *Tx) PutRegistry(r *model.Registry) {
	old, _ := tx.Registry(r.ID)
	put(tx, &registryKind, old, r)
}

// DeleteRegistry forgets a registry.
func (tx *Tx) DeleteRegistry(r *model.Registry) {
	old, _ := tx.Registry(r.ID)
	put(tx, &registryKind, old, nil)
}

// PutRegistryInstance makes or replaces an instance that was registered by hand.
func (tx *Tx) PutRegistryInstance(i *model.RegistryInstance) {
	old, _ := tx.RegistryInstance(i.Registry, i.ID)
	put(tx, &registryInstanceKind, old, i)
}

// DeleteRegistryInstance forgets such an instance.
func (tx *Tx) DeleteRegistryInstance(i *model.RegistryInstance) {
	old, _ := tx.RegistryInstance(i.Registry, i.ID)
	put(tx, &registryInstanceKind, old, nil)
}

// PutRegistryOperation remembers an operation.
func (tx *Tx) PutRegistryOperation(o *model.RegistryOperation) {
	old, _ := tx.RegistryOperation(o.ID)
	put(tx, &operationKind, old, o)
}

// DeleteRegistryOperation forgets an operation.
func (tx *Tx) DeleteRegistryOperation(o *model.RegistryOperation) {
	old, _ := tx.RegistryOperation(o.ID)
	put(tx, &operationKind, old, nil)
}
