// Package names follows the store and tells what changed of the names that are found
// by DNS: to the sessions of agents, and to the name server of this control plane. It
// owns which members are answered, the healthy ones, and in which order a follower
// hears of changes; it stores nothing, and answers nobody itself.
package names

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"regexp"
	"sync"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/discovery"
)

// history is how many changes are remembered. A follower that is further behind is
// told everything anew.
const history = 1 << 14

// what names something that changed; exactly one field is set.
type what struct {
	namespace model.NamespaceID
	registry  model.RegistryID
	member    discovery.Key
}

// Feed knows what has changed, in order.
type Feed struct {
	mu     sync.Mutex
	view   *store.Tables
	log    []what // the latest changes, a ring
	last   uint64 // how many changes there were; the next goes to last % history
	change chan struct{}
	// told are the members as they were when they were last noted. Members are
	// immutable, so that the pointer tells whether one has changed.
	told map[memberOf]*store.Member
}

// memberOf is whose member it is: a task's, or one that was registered.
type memberOf struct {
	cluster  model.ClusterName
	task     model.TaskID
	registry model.RegistryID
	id       string
}

// New returns a feed that begins with a view. Observe must be told of all that comes after.
func New(view *store.Tables) *Feed {
	f := &Feed{view: view, change: make(chan struct{}), told: map[memberOf]*store.Member{}}
	for m := range view.AllMembers() {
		f.told[keyOf(m)] = m
	}
	return f
}

func keyOf(m *store.Member) memberOf {
	if m.Task != "" {
		return memberOf{cluster: m.Cluster, task: m.Task}
	}
	return memberOf{registry: m.Registry, id: m.ID}
}

// Observe notes what a batch of changes means for names. It runs in the store's
// commit loop, and its cost is in the size of the changes.
func (f *Feed) Observe(view *store.Tables, changes []store.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.view = view
	before := f.last
	for _, c := range changes {
		f.note(c)
	}
	if f.last != before {
		close(f.change)
		f.change = make(chan struct{})
	}
}

func (f *Feed) note(c store.Change) {
	switch next := c.New.(type) {
	case *model.Task:
		if task := either(c.Old.(*model.Task), next); task.Service != "" {
			f.task(task)
		}
	case *model.Service:
		old := c.Old.(*model.Service)
		if store.RegistriesChanged(old, next) {
			for task := range f.view.LiveTasksOfService(either(old, next).Key()) {
				f.task(task)
			}
		}
	case *model.Instance:
		if next != nil && store.HostMoved(c.Old.(*model.Instance), next) {
			for task := range f.view.LiveTasksOnInstance(next.Cluster, next.ID) {
				f.task(task)
			}
		}
	case *model.RegistryInstance:
		i := either(c.Old.(*model.RegistryInstance), next)
		now, _ := f.view.Member(i.Registry, i.ID)
		f.member(memberOf{registry: i.Registry, id: i.ID}, now)
	case *model.Registry:
		f.append(what{registry: either(c.Old.(*model.Registry), next).ID})
	case *model.Namespace:
		f.append(what{namespace: either(c.Old.(*model.Namespace), next).ID})
	}
}

func either[T any](old, next *T) *T {
	if next != nil {
		return next
	}
	return old
}

func (f *Feed) task(t *model.Task) {
	now, _ := f.view.MemberOfTask(t.Cluster, t.ID)
	f.member(memberOf{cluster: t.Cluster, task: t.ID}, now)
}

// member notes that a member is now another one, or none.
func (f *Feed) member(key memberOf, now *store.Member) {
	was := f.told[key]
	if was == now {
		return
	}
	if now == nil {
		delete(f.told, key)
	} else {
		f.told[key] = now
	}
	if was != nil && (now == nil || was.Registry != now.Registry) {
		f.append(what{member: discovery.Key{Service: string(was.Registry), ID: was.ID}})
	}
	if now != nil {
		f.append(what{member: discovery.Key{Service: string(now.Registry), ID: now.ID}})
	}
}

func (f *Feed) append(w what) {
	if len(f.log) < history {
		f.log = append(f.log, w)
	} else {
		f.log[f.last%history] = w
	}
	f.last++
}

// Follower is one who hears of the changes. It is not safe for concurrent use.
type Follower struct {
	feed    *Feed
	started bool
	at      uint64 // up to which change it has heard
}

// Follow returns a follower whose first Update is full.
func (f *Feed) Follow() *Follower { return &Follower{feed: f} }

// Changed returns a channel that is closed at the next change. To miss none, ask for
// it before Update.
func (f *Follower) Changed() <-chan struct{} {
	f.feed.mu.Lock()
	defer f.feed.mu.Unlock()
	return f.feed.change
}

// Update returns what changed since the last one: how each thing is now, once.
func (f *Follower) Update() discovery.Update {
	f.feed.mu.Lock()
	view, last := f.feed.view, f.feed.last
	full := !f.started || last-f.at > history
	changed := map[what]struct{}{}
	if !full {
		for i := f.at; i < last; i++ {
			changed[f.feed.log[i%history]] = struct{}{}
		}
	}
	f.feed.mu.Unlock()
	f.started, f.at = true, last
	if full {
		return everything(view)
	}
	var u discovery.Update
	for w := range changed {
		w.tell(view, &u)
	}
	return u
}

func everything(view *store.Tables) discovery.Update {
	u := discovery.Update{Full: true}
	for n := range view.Namespaces("") {
		what{namespace: n.ID}.tell(view, &u)
	}
	for r := range view.Registries("") {
		what{registry: r.ID}.tell(view, &u)
	}
	for m := range view.AllMembers() {
		if shown(view, m) {
			u.Members = append(u.Members, member(m))
		}
	}
	return u
}

// tell adds to an update how a thing is now.
func (w what) tell(view *store.Tables, u *discovery.Update) {
	switch {
	case w.namespace != "":
		n, ok := view.Namespace(w.namespace)
		if ok && n.Type == model.NamespaceDNSPrivate {
			u.Zones = append(u.Zones, discovery.Zone{ID: string(n.ID), Name: n.Name, NegativeTTL: seconds(n.NegativeTTL)})
		} else if !u.Full {
			u.RemovedZones = append(u.RemovedZones, string(w.namespace))
		}
	case w.registry != "":
		r, ok := view.Registry(w.registry)
		if ok && len(r.Records) > 0 {
			u.Services = append(u.Services, service(r))
		} else if !u.Full {
			u.RemovedServices = append(u.RemovedServices, string(w.registry))
		}
	default:
		m, ok := view.Member(model.RegistryID(w.member.Service), w.member.ID)
		if ok && shown(view, m) {
			u.Members = append(u.Members, member(m))
		} else {
			u.RemovedMembers = append(u.RemovedMembers, discovery.Key{Service: w.member.Service, ID: nameOf(w.member.ID)})
		}
	}
}

func service(r *model.Registry) discovery.Service {
	s := discovery.Service{ID: string(r.ID), Zone: string(r.Namespace), Name: r.Name, Weighted: r.Routing == model.RoutingWeighted}
	for _, record := range []struct {
		kind string
		to   **uint32
	}{{model.RecordA, &s.A}, {model.RecordSRV, &s.SRV}} {
		if ttl, ok := r.TTL(record.kind); ok {
			n := seconds(ttl)
			*record.to = &n
		}
	}
	return s
}

// seconds is a TTL that was checked when it was stored.
func seconds(ttl int64) uint32 { return uint32(min(max(ttl, 0), math.MaxInt32)) }

// shown tells whether a member is answered.
func shown(view *store.Tables, m *store.Member) bool {
	r, ok := view.Registry(m.Registry)
	return ok && len(r.Records) > 0 && m.Healthy && m.Address.Is4()
}

func member(m *store.Member) discovery.Member {
	return discovery.Member{Service: string(m.Registry), ID: nameOf(m.ID), Address: m.Address, Port: m.Port}
}

var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// nameOf is the id of a member as a part of a name. Those of tasks are as they are.
func nameOf(id string) string {
	if label.MatchString(id) {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "i-" + hex.EncodeToString(sum[:16])
}
