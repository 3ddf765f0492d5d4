package store

import (
	"cmp"
	"iter"
	"slices"

	"github.com/longshore/longshore/controlplane/model"
)

func serviceLess(a, b *model.Service) bool {
	if a.Cluster != b.Cluster {
		return a.Cluster < b.Cluster
	}
	return a.Name < b.Name
}

// ServiceLive tells whether a service is still there: ACTIVE or DRAINING.
func ServiceLive(s *model.Service) bool { return s.Status != model.StatusInactive }

const (
	servicesByKey = iota
	servicesLive
)

var serviceIndexes = []index[model.Service]{
	servicesByKey: {less: serviceLess},
	servicesLive:  {less: serviceLess, holds: ServiceLive},
}

// definitionUse says that a service needs a task definition.
type definitionUse struct {
	definition model.DefinitionRef
	service    model.ServiceKey
}

var definitionUseIndexes = []index[definitionUse]{{less: func(a, b *definitionUse) bool {
	return cmp.Or(compareRefs(a.definition, b.definition),
		cmp.Compare(a.service.Cluster, b.service.Cluster), cmp.Compare(a.service.Name, b.service.Name)) < 0
}}}

func (t *Tables) deriveDefinitionUses(old, next *model.Service) {
	if old != nil && ServiceLive(old) {
		for _, ref := range old.Definitions() {
			t.definitionUses.replace(&definitionUse{ref, old.Key()}, nil)
		}
	}
	if next != nil && ServiceLive(next) {
		for _, ref := range next.Definitions() {
			t.definitionUses.replace(nil, &definitionUse{ref, next.Key()})
		}
	}
}

func eventLess(a, b *model.ServiceEvent) bool {
	if a.Service.Cluster != b.Service.Cluster {
		return a.Service.Cluster < b.Service.Cluster
	}
	if a.Service.Name != b.Service.Name {
		return a.Service.Name < b.Service.Name
	}
	return a.Sequence < b.Sequence
}

var eventIndexes = []index[model.ServiceEvent]{{less: eventLess}}

// Service returns a service of any status.
func (t *Tables) Service(k model.ServiceKey) (*model.Service, bool) {
	pivot := t.services.pivot()
	defer t.services.release(pivot)
	pivot.Cluster, pivot.Name = k.Cluster, k.Name
	return t.services.get(pivot)
}

// LiveServices walks the services of a cluster that are not INACTIVE, by name,
// starting at from.
func (t *Tables) LiveServices(c model.ClusterName, from model.ServiceName) iter.Seq[*model.Service] {
	return t.services.scan(servicesLive, &model.Service{Cluster: c, Name: from}, func(s *model.Service) bool { return s.Cluster == c })
}

// AllServices walks every service of every cluster.
func (t *Tables) AllServices() iter.Seq[*model.Service] {
	return t.services.scan(servicesByKey, &model.Service{}, func(*model.Service) bool { return true })
}

// Events walks the events of a service, oldest first.
func (t *Tables) Events(k model.ServiceKey) iter.Seq[*model.ServiceEvent] {
	return t.events.scan(0, &model.ServiceEvent{Service: k}, func(e *model.ServiceEvent) bool { return e.Service == k })
}

// PutService makes or replaces a service.
func (tx *Tx) PutService(s *model.Service) {
	old, _ := tx.Service(s.Key())
	put(tx, &serviceKind, old, s)
}

// DeleteService forgets a service and its events.
func (tx *Tx) DeleteService(s *model.Service) {
	for _, e := range slices.Collect(tx.Events(s.Key())) {
		tx.DeleteEvent(e)
	}
	old, _ := tx.Service(s.Key())
	put(tx, &serviceKind, old, nil)
}

// PutEvent adds an event to a service.
func (tx *Tx) PutEvent(e *model.ServiceEvent) {
	old, _ := tx.events.get(e)
	put(tx, &eventKind, old, e)
}

// DeleteEvent forgets one event.
func (tx *Tx) DeleteEvent(e *model.ServiceEvent) {
	old, _ := tx.events.get(e)
	put(tx, &eventKind, old, nil)
}
