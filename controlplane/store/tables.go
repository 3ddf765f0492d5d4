package store

import (
	"github.com/longshore/longshore/controlplane/model"
)

// Tables is the whole state at one moment. A View's never changes; a Tx's shows
// what the transaction has put so far.
type Tables struct {
	clusters    *table[model.Cluster]
	providers   *table[model.CapacityProvider]
	uses        *table[providerUse] // derived from clusters and services
	families    *table[model.FamilyRecord]
	definitions *table[model.Definition]
	instances   *table[model.Instance]
	services    *table[model.Service]
	events      *table[model.ServiceEvent]
	tasks       *taskTable
	settings    *table[model.AccountSetting]
	secrets     *table[model.Secret]
	parameters  *table[model.Parameter]
	tokens      *table[model.RunToken]
	attributes  *table[AttributeOf] // derived from instances

	targetGroups *table[model.TargetGroup]
	memberships  *table[membership] // derived from tasks
	groupUses    *table[groupUse]   // derived from services

	definitionUses *table[definitionUse] // derived from services
	taskUses       *table[taskUse]       // derived from tasks

	namespaces         *table[model.Namespace]
	registries         *table[model.Registry]
	registryInstances  *table[model.RegistryInstance]
	registryOperations *table[model.RegistryOperation]
	registryUses       *table[registryUse] // derived from services
	members            *table[Member]      // derived; see there
	rosters            *table[roster]      // derived from members

	derived *table[derived]
	epoch   uint64 // grows with each freeze; see derived
	base    int64  // of revisions; see RegistryRevision
}

func newTables() *Tables {
	return &Tables{
		clusters:    newTable(clusterIndexes...),
		providers:   newProviders(),
		uses:        newTable(useIndexes...),
		families:    newTable(familyIndexes...),
		definitions: newTable(definitionIndexes...),
		instances:   newTable(instanceIndexes...),
		services:    newTable(serviceIndexes...),
		events:      newTable(eventIndexes...),
		tasks:       newTaskTable(),
		settings:    newTable(settingIndexes...),
		secrets:     newTable(secretIndexes...),
		parameters:  newTable(parameterIndexes...),
		tokens:      newTable(tokenIndexes...),
		attributes:  newTable(attributeIndexes...),

		targetGroups: newTable(targetGroupIndexes...),
		memberships:  newTable(membershipIndexes...),
		groupUses:    newTable(groupUseIndexes...),

		definitionUses: newTable(definitionUseIndexes...),
		taskUses:       newTable(taskUseIndexes...),

		namespaces:         newTable(namespaceIndexes...),
		registries:         newTable(registryIndexes...),
		registryInstances:  newTable(registryInstanceIndexes...),
		registryOperations: newTable(operationIndexes...),
		registryUses:       newTable(registryUseIndexes...),
		members:            newTable(memberIndexes...),
		rosters:            newTable(rosterIndexes...),

		derived: newTable(index[derived]{less: func(a, b *derived) bool { return a.cluster < b.cluster }}),
	}
}

// freeze returns a copy that later changes do not reach.
func (t *Tables) freeze() *Tables {
	t.epoch++
	return &Tables{
		clusters:    t.clusters.freeze(),
		providers:   t.providers.freeze(),
		uses:        t.uses.freeze(),
		families:    t.families.freeze(),
		definitions: t.definitions.freeze(),
		instances:   t.instances.freeze(),
		services:    t.services.freeze(),
		events:      t.events.freeze(),
		tasks:       t.tasks.freeze(),
		settings:    t.settings.freeze(),
		secrets:     t.secrets.freeze(),
		parameters:  t.parameters.freeze(),
		tokens:      t.tokens.freeze(),
		attributes:  t.attributes.freeze(),

		targetGroups: t.targetGroups.freeze(),
		memberships:  t.memberships.freeze(),
		groupUses:    t.groupUses.freeze(),

		definitionUses: t.definitionUses.freeze(),
		taskUses:       t.taskUses.freeze(),

		namespaces:         t.namespaces.freeze(),
		registries:         t.registries.freeze(),
		registryInstances:  t.registryInstances.freeze(),
		registryOperations: t.registryOperations.freeze(),
		registryUses:       t.registryUses.freeze(),
		members:            t.members.freeze(),
		rosters:            t.rosters.freeze(),

		derived: t.derived.freeze(),
		epoch:   t.epoch,
		base:    t.base,
	}
}

// records is what tables of all kinds have in common.
type records[T any] interface {
	get(pivot *T) (*T, bool)
	replace(old, next *T)
}

// kind is what the store needs to know of one kind of record. Each record of it is a key, and
// JSON; but tasks are written otherwise, see segment.go.
type kind[T any] struct {
	key    func(*T) string
	table  func(*Tables) records[T]
	derive func(t *Tables, old, next *T) // keeps what is derived from the records; may be nil
}

var (
	clusterKind    = kind[model.Cluster]{clusterKey, func(t *Tables) records[model.Cluster] { return t.clusters }, (*Tables).deriveCluster}
	providerKind   = kind[model.CapacityProvider]{providerKey, func(t *Tables) records[model.CapacityProvider] { return t.providers }, nil}
	familyKind     = kind[model.FamilyRecord]{familyKey, func(t *Tables) records[model.FamilyRecord] { return t.families }, nil}
	definitionKind = kind[model.Definition]{definitionKey, func(t *Tables) records[model.Definition] { return t.definitions }, nil}
	instanceKind   = kind[model.Instance]{instanceKey, func(t *Tables) records[model.Instance] { return t.instances }, (*Tables).deriveInstance}
	serviceKind    = kind[model.Service]{serviceKey, func(t *Tables) records[model.Service] { return t.services }, (*Tables).deriveService}
	eventKind      = kind[model.ServiceEvent]{eventKey, func(t *Tables) records[model.ServiceEvent] { return t.events }, nil}
	taskKind       = kind[model.Task]{nil, func(t *Tables) records[model.Task] { return t.tasks }, (*Tables).deriveTask}
	settingKind    = kind[model.AccountSetting]{settingKey, func(t *Tables) records[model.AccountSetting] { return t.settings }, nil}
	secretKind     = kind[model.Secret]{secretKey, func(t *Tables) records[model.Secret] { return t.secrets }, nil}
	parameterKind  = kind[model.Parameter]{parameterKey, func(t *Tables) records[model.Parameter] { return t.parameters }, nil}
	groupKind      = kind[model.TargetGroup]{targetGroupKey, func(t *Tables) records[model.TargetGroup] { return t.targetGroups }, nil}
	tokenKind      = kind[model.RunToken]{tokenKey, func(t *Tables) records[model.RunToken] { return t.tokens }, nil}

	namespaceKind        = kind[model.Namespace]{namespaceKey, func(t *Tables) records[model.Namespace] { return t.namespaces }, nil}
	registryKind         = kind[model.Registry]{registryKey, func(t *Tables) records[model.Registry] { return t.registries }, nil}
	registryInstanceKind = kind[model.RegistryInstance]{registryInstanceKey, func(t *Tables) records[model.RegistryInstance] { return t.registryInstances }, (*Tables).deriveRegistered}
	operationKind        = kind[model.RegistryOperation]{operationKey, func(t *Tables) records[model.RegistryOperation] { return t.registryOperations }, nil}
)

// replace applies one change to the tables and to what is derived from them.
func (k *kind[T]) replace(t *Tables, old, next *T) {
	k.table(t).replace(old, next)
	if k.derive != nil {
		k.derive(t, old, next)
	}
}
