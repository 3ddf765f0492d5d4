package store

import (
	"cmp"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strconv"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

// Member is what is found behind a registry: a running task of a service that names
// it, or an instance that somebody registered. It follows from the records of tasks,
// services, container instances and registered instances, and is not stored.
type Member struct {
	Registry   model.RegistryID
	ID         string // the task's, or as it was registered
	Cluster    model.ClusterName
	Task       model.TaskID // empty for one that was registered by hand
	Address    netip.Addr   // IPv4; the zero Addr if it has none
	Port       uint16       // 0 if it has none
	Attributes map[string]string
	Healthy    bool
	// Unproven tells of a task that is not Healthy because its health checks have
	// not yet said anything.
	Unproven bool
}

const (
	membersByRegistry = iota
	membersByTask
)

var memberIndexes = []index[Member]{
	membersByRegistry: {less: func(a, b *Member) bool {
		return cmp.Or(cmp.Compare(a.Registry, b.Registry), cmp.Compare(a.ID, b.ID)) < 0
	}},
	membersByTask: {
		less: func(a, b *Member) bool {
			return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Task, b.Task)) < 0
		},
		holds: func(m *Member) bool { return m.Task != "" },
	},
}

// Member returns a member of a registry. As members are immutable, and replaced only
// when they change, the same pointer means that nothing has changed.
func (t *Tables) Member(r model.RegistryID, id string) (*Member, bool) {
	return t.members.get(&Member{Registry: r, ID: id})
}

// Members walks the members of a registry by id, starting at from.
func (t *Tables) Members(r model.RegistryID, from string) iter.Seq[*Member] {
	return t.members.scan(membersByRegistry, &Member{Registry: r, ID: from}, func(m *Member) bool { return m.Registry == r })
}

// AllMembers walks the members of all registries.
func (t *Tables) AllMembers() iter.Seq[*Member] {
	return t.members.scan(membersByRegistry, &Member{}, func(*Member) bool { return true })
}

// MemberOfTask returns what a task is in its registry, if it is in one.
func (t *Tables) MemberOfTask(c model.ClusterName, id model.TaskID) (*Member, bool) {
	for m := range t.members.scan(membersByTask, &Member{Cluster: c, Task: id}, func(m *Member) bool { return m.Cluster == c && m.Task == id }) {
		return m, true
	}
	return nil, false
}

// registryUse says that a service puts its tasks into a registry.
type registryUse struct {
	registry model.RegistryID
	service  model.ServiceKey
}

var registryUseIndexes = []index[registryUse]{{less: func(a, b *registryUse) bool {
	return cmp.Or(cmp.Compare(a.registry, b.registry),
		cmp.Compare(a.service.Cluster, b.service.Cluster), cmp.Compare(a.service.Name, b.service.Name)) < 0
}}}

// RegistryUsers walks the services that put tasks into a registry.
func (t *Tables) RegistryUsers(r model.RegistryID) iter.Seq[model.ServiceKey] {
	return func(yield func(model.ServiceKey) bool) {
		for u := range t.registryUses.scan(0, &registryUse{registry: r}, func(u *registryUse) bool { return u.registry == r }) {
			if !yield(u.service) {
				return
			}
		}
	}
}

// deriveServiceMembers follows a change of a service. Its tasks are looked at only
// if a deployment's registry is another one than before.
func (t *Tables) deriveServiceMembers(old, next *model.Service) {
	if old != nil && ServiceLive(old) {
		for _, r := range old.Registries() {
			t.registryUses.replace(&registryUse{r, old.Key()}, nil)
		}
	}
	if next != nil && ServiceLive(next) {
		for _, r := range next.Registries() {
			t.registryUses.replace(nil, &registryUse{r, next.Key()})
		}
	}
	if !RegistriesChanged(old, next) {
		return
	}
	for task := range t.LiveTasksOfService(cmp.Or(next, old).Key()) {
		t.deriveTaskMember(task, task)
	}
}

// RegistriesChanged tells whether a change of a service may be one of which registry
// its tasks are in.
func RegistriesChanged(old, next *model.Service) bool {
	return !maps.EqualFunc(registriesOf(old), registriesOf(next), sameRegistration)
}

// registration is what a task set or deployment says of its tasks' members.
type registration struct {
	registry   ecs.ServiceRegistry
	externalID string
}

func sameRegistration(a, b registration) bool {
	return a.externalID == b.externalID && a.registry.RegistryArn == b.registry.RegistryArn &&
		a.registry.ContainerName == b.registry.ContainerName &&
		valueOr0(a.registry.ContainerPort) == valueOr0(b.registry.ContainerPort) && valueOr0(a.registry.Port) == valueOr0(b.registry.Port)
}

func registriesOf(s *model.Service) map[model.DeploymentID]registration {
	if s == nil {
		return nil
	}
	var out map[model.DeploymentID]registration
	note := func(id model.DeploymentID, w *model.Wiring, externalID string) {
		if len(w.ServiceRegistries) > 0 {
			if out == nil {
				out = map[model.DeploymentID]registration{}
			}
			out[id] = registration{w.ServiceRegistries[0], externalID}
		}
	}
	for i := range s.Deployments {
		note(s.Deployments[i].ID, &s.Deployments[i].Wiring, "")
	}
	for i := range s.TaskSets {
		note(s.TaskSets[i].ID, &s.TaskSets[i].Wiring, s.TaskSets[i].ExternalID)
	}
	return out
}

// deriveInstanceMembers follows a change of a host's address or zone.
func (t *Tables) deriveInstanceMembers(old, next *model.Instance) {
	if next == nil || !HostMoved(old, next) {
		return
	}
	for task := range t.LiveTasksOnInstance(next.Cluster, next.ID) {
		t.deriveTaskMember(task, task)
	}
}

// HostMoved tells whether a change of a container instance is one of where its tasks are.
func HostMoved(old, next *model.Instance) bool {
	return old == nil || next == nil || old.Address() != next.Address() || old.Zone() != next.Zone() || old.EC2InstanceID != next.EC2InstanceID
}

// deriveTaskMember makes what a task is in its registry follow from the records.
func (t *Tables) deriveTaskMember(old, next *model.Task) {
	task := cmp.Or(next, old)
	if task.Service == "" {
		return
	}
	have, _ := t.MemberOfTask(task.Cluster, task.ID)
	var want *Member
	if next != nil {
		want = t.memberOf(next)
	}
	if have == nil && want == nil || have != nil && want != nil && have.same(want) {
		return
	}
	t.replaceMember(have, want)
}

func (m *Member) same(o *Member) bool {
	return m.Registry == o.Registry && m.ID == o.ID && m.Address == o.Address && m.Port == o.Port &&
		m.Healthy == o.Healthy && m.Unproven == o.Unproven && maps.Equal(m.Attributes, o.Attributes)
}

// memberOf is what a task should be in its registry: nothing, unless it runs, is to
// run on, and can be reached.
func (t *Tables) memberOf(task *model.Task) *Member {
	if task.DesiredStatus != model.TaskRunning || task.LastStatus != model.TaskRunning || task.Lost {
		return nil
	}
	s, ok := t.Service(model.ServiceKey{Cluster: task.Cluster, Name: task.Service})
	if !ok {
		return nil
	}
	wiring, externalID, _ := s.WiringOf(task.Deployment)
	if len(wiring.ServiceRegistries) == 0 {
		return nil
	}
	registry := &wiring.ServiceRegistries[0]
	m := &Member{Registry: model.RegistryIDOf(registry.RegistryArn), ID: string(task.ID), Cluster: task.Cluster, Task: task.ID}
	host, _ := t.Instance(task.Cluster, task.Instance)
	m.reach(task, registry, host)
	if !m.Address.IsValid() {
		return nil
	}
	m.describe(task, externalID, host)
	t.judge(m, task)
	return m
}

// reach says at which address and port: its own in network mode awsvpc, and
// otherwise the host's with the port that the host has for the container's.
func (m *Member) reach(task *model.Task, r *ecs.ServiceRegistry, host *model.Instance) {
	if own := task.OwnAddress(); own.IsValid() {
		m.Address = own
		m.Port = uint16(cmp.Or(valueOr0(r.Port), valueOr0(r.ContainerPort)))
		return
	}
	if host == nil || task.Networked() {
		return
	}
	if address, err := netip.ParseAddr(host.Address()); err == nil && address.Is4() {
		m.Address = address
	}
	if r.ContainerName == "" {
		return
	}
	if m.Port = task.HostPort(r.ContainerName, valueOr0(r.ContainerPort)); m.Port == 0 {
		m.Address = netip.Addr{} // the port may be another task's by now
	}
}

// describe sets the attributes that ECS gives to the instances of tasks.
func (m *Member) describe(task *model.Task, externalID string, host *model.Instance) {
	m.Attributes = map[string]string{
		model.AttributeIPv4:    m.Address.String(),
		model.AttributeCluster: string(task.Cluster),
		model.AttributeService: string(task.Service),
		model.AttributeFamily:  string(task.Definition.Family),
	}
	if m.Port != 0 {
		m.Attributes[model.AttributePort] = strconv.Itoa(int(m.Port))
	}
	if externalID != "" {
		m.Attributes[model.AttributeTaskSet] = externalID
	}
	if host == nil {
		return
	}
	if zone := host.Zone(); zone != "" {
		m.Attributes[model.AttributeZone] = zone
	}
	if host.EC2InstanceID != "" && task.LaunchType == ecs.LaunchTypeEC2 {
		m.Attributes[model.AttributeEC2Instance] = host.EC2InstanceID
	}
}

// judge says whether the task is healthy. One whose containers are checked is not,
// before they were found to be.
func (t *Tables) judge(m *Member, task *model.Task) {
	switch task.HealthStatus {
	case ecs.HealthStatusHEALTHY:
		m.Healthy = true
	case ecs.HealthStatusUNHEALTHY:
	default:
		m.Unproven = t.checked(task.Definition)
		m.Healthy = !m.Unproven
	}
}

// checked tells whether an essential container of a definition has a health check.
func (t *Tables) checked(ref model.DefinitionRef) bool {
	d, ok := t.Definition(ref)
	return ok && slices.ContainsFunc(d.Shape.ContainerDefinitions, func(c ecs.ContainerDefinition) bool {
		return c.HealthCheck != nil && (c.Essential == nil || *c.Essential)
	})
}

// deriveRegistered makes the member of an instance that was registered by hand.
func (t *Tables) deriveRegistered(old, next *model.RegistryInstance) {
	var had, has *Member
	if old != nil {
		had, _ = t.Member(old.Registry, old.ID)
	}
	if next != nil {
		has = &Member{Registry: next.Registry, ID: next.ID, Attributes: next.Attributes, Healthy: !next.Unhealthy}
		if address, err := netip.ParseAddr(next.Attributes[model.AttributeIPv4]); err == nil {
			has.Address = address
		}
		if port, err := strconv.ParseUint(next.Attributes[model.AttributePort], 10, 16); err == nil {
			has.Port = uint16(port)
		}
	}
	t.replaceMember(had, has)
}

// roster counts the changes of who is behind a registry.
type roster struct {
	registry model.RegistryID
	changes  int64
	size     int // members
}

var rosterIndexes = []index[roster]{{less: func(a, b *roster) bool { return a.registry < b.registry }}}

// revisionsASecond is how many changes of a registry's members there may be in a
// second on the average of a term before a revision could be given out twice.
const revisionsASecond = 1 << 20

// RegistryRevision grows whenever a member of the registry changes. A new term of
// leadership, which has not counted from the start, begins further up.
func (t *Tables) RegistryRevision(r model.RegistryID) int64 {
	have, ok := t.rosters.get(&roster{registry: r})
	if !ok {
		return t.base
	}
	return t.base + have.changes
}

// MemberCount is how many members a registry has.
func (t *Tables) MemberCount(r model.RegistryID) int {
	have, _ := t.rosters.get(&roster{registry: r})
	if have == nil {
		return 0
	}
	return have.size
}

func (t *Tables) replaceMember(old, next *Member) {
	t.members.replace(old, next)
	if old != nil && next != nil && old.Registry == next.Registry {
		t.count(next.Registry, 0)
		return
	}
	if old != nil {
		t.count(old.Registry, -1)
	}
	if next != nil {
		t.count(next.Registry, 1)
	}
}

// count notes a change of a registry's members.
func (t *Tables) count(r model.RegistryID, by int) {
	next := roster{registry: r}
	if have, ok := t.rosters.get(&next); ok {
		next = *have
	}
	next.changes++
	next.size += by
	t.rosters.replace(nil, &next)
}

func valueOr0(n *int32) int32 {
	if n == nil {
		return 0
	}
	return *n
}
