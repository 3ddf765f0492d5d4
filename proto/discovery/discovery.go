// Package discovery holds the names of services and who is behind them, as control
// planes and agents both need it to answer DNS: a table in memory to which changes are
// applied, each at a cost in its own size. It belongs to neither side, knows neither
// store nor wire, and decides nothing about who is a member.
package discovery

import (
	"net/netip"
	"strings"
	"sync"
)

// Zone is a namespace that is found by DNS.
type Zone struct {
	ID          string
	Name        string // lowercase, without a point at the end
	NegativeTTL uint32 // seconds
}

// Service is a name in a zone.
type Service struct {
	ID       string
	Zone     string // its id
	Name     string // lowercase, without the zone's
	A, SRV   *uint32
	Weighted bool // one member is answered at a time, and not up to eight
}

// Member is one healthy instance behind a service.
type Member struct {
	Service string // its id
	ID      string
	Address netip.Addr
	Port    uint16 // 0: none
}

// Key names a member.
type Key struct{ Service, ID string }

// Update is a change of what is known: everything, if Full, and otherwise what was
// made, changed or removed. What it has already, or never had, it leaves as it is.
type Update struct {
	Full            bool
	Zones           []Zone
	RemovedZones    []string
	Services        []Service
	RemovedServices []string
	Members         []Member
	RemovedMembers  []Key
}

// Empty tells whether the update says nothing.
func (u *Update) Empty() bool {
	return !u.Full && len(u.Zones)+len(u.RemovedZones)+len(u.Services)+len(u.RemovedServices)+len(u.Members)+len(u.RemovedMembers) == 0
}

// Names is all that is known. It is safe for use by several goroutines.
type Names struct {
	mu       sync.RWMutex
	serial   uint32           // grows with each update; the serial number of all zones
	zones    map[string]*Zone // by id
	byName   map[string]*Zone
	services map[string]*entry            // by id
	inZone   map[string]map[string]*entry // by the zone's id and the service's name
	waiting  map[string]*entry            // members of services that are not known (yet)
	parents  map[parent]int               // how many services are below a name
}

// entry is a service with its members, in an order that changes with each removal.
type entry struct {
	Service
	members []Member
	at      map[string]int // index of a member by its id
}

// New returns Names that know nothing.
func New() *Names {
	n := &Names{}
	n.reset()
	return n
}

func (n *Names) reset() {
	n.zones, n.byName = map[string]*Zone{}, map[string]*Zone{}
	n.services, n.inZone = map[string]*entry{}, map[string]map[string]*entry{}
	n.waiting, n.parents = map[string]*entry{}, map[parent]int{}
}

// parent is a name above those of services with several parts. It exists without
// having any records.
type parent struct{ zone, name string }

func (n *Names) countParents(e *entry, by int) {
	for name := e.Name; ; {
		_, rest, more := strings.Cut(name, ".")
		if !more {
			return
		}
		name = rest
		key := parent{e.Zone, name}
		if n.parents[key] += by; n.parents[key] == 0 {
			delete(n.parents, key)
		}
	}
}

// Apply takes in a change.
func (n *Names) Apply(u Update) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.serial++
	if u.Full {
		n.reset()
	}
	for _, id := range u.RemovedZones {
		n.removeZone(id)
	}
	for i := range u.Zones {
		n.removeZone(u.Zones[i].ID)
		n.zones[u.Zones[i].ID], n.byName[u.Zones[i].Name] = &u.Zones[i], &u.Zones[i]
	}
	for _, id := range u.RemovedServices {
		n.removeService(id)
	}
	for i := range u.Services {
		n.putService(u.Services[i])
	}
	for _, key := range u.RemovedMembers {
		if e := n.entry(key.Service); e != nil {
			e.remove(key.ID)
		}
	}
	for _, m := range u.Members {
		n.putMember(m)
	}
}

func (n *Names) removeZone(id string) {
	if z := n.zones[id]; z != nil {
		delete(n.zones, id)
		if n.byName[z.Name] == z {
			delete(n.byName, z.Name)
		}
	}
}

func (n *Names) removeService(id string) {
	e := n.services[id]
	if e == nil {
		delete(n.waiting, id)
		return
	}
	n.unname(e)
	delete(n.services, id)
}

func (n *Names) unname(e *entry) {
	n.countParents(e, -1)
	if in := n.inZone[e.Zone]; in[e.Name] == e {
		delete(in, e.Name)
		if len(in) == 0 {
			delete(n.inZone, e.Zone)
		}
	}
}

func (n *Names) putService(s Service) {
	e := n.services[s.ID]
	switch {
	case e != nil:
		n.unname(e)
	case n.waiting[s.ID] != nil:
		e = n.waiting[s.ID]
		delete(n.waiting, s.ID)
	default:
		e = &entry{at: map[string]int{}}
	}
	e.Service = s
	n.services[s.ID] = e
	if n.inZone[s.Zone] == nil {
		n.inZone[s.Zone] = map[string]*entry{}
	}
	n.inZone[s.Zone][s.Name] = e
	n.countParents(e, 1)
}

func (n *Names) entry(service string) *entry {
	if e := n.services[service]; e != nil {
		return e
	}
	return n.waiting[service]
}

func (n *Names) putMember(m Member) {
	e := n.entry(m.Service)
	if e == nil {
		e = &entry{at: map[string]int{}}
		n.waiting[m.Service] = e
	}
	if i, had := e.at[m.ID]; had {
		e.members[i] = m
		return
	}
	e.at[m.ID] = len(e.members)
	e.members = append(e.members, m)
}

func (e *entry) remove(id string) {
	i, had := e.at[id]
	if !had {
		return
	}
	last := len(e.members) - 1
	e.members[i] = e.members[last]
	e.at[e.members[i].ID] = i
	e.members[last] = Member{}
	e.members = e.members[:last]
	delete(e.at, id)
}

// Answer is what is known about a name.
type Answer struct {
	Zone    Zone
	Serial  uint32
	Exists  bool     // the name is one of the zone's, if only as a part of others
	Service *Service // nil where the name is the zone's or is above services
	Members []Member // at most as many as were asked for, chosen at random
	One     bool     // the name is that of the one member, not of the service
}

// Empty tells whether no zone is known.
func (n *Names) Empty() bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return len(n.zones) == 0
}

// Look looks a name up, lowercase and without a point at the end; false if it is in
// none of the zones. Of a service's members it takes at most that many, beginning
// at a place that pick chooses below a number.
func (n *Names) Look(name string, most int, pick func(int) int) (Answer, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	zone, rest := n.zoneOf(name)
	if zone == nil {
		return Answer{}, false
	}
	out := Answer{Zone: *zone, Serial: n.serial, Exists: rest == ""}
	in := n.inZone[zone.ID]
	if e := in[rest]; e != nil && rest != "" {
		return e.answer(out, most, pick), true
	}
	if first, service, more := strings.Cut(rest, "."); more {
		if e := in[service]; e != nil {
			if i, has := e.at[first]; has {
				is := e.Service
				out.Exists, out.One, out.Service, out.Members = true, true, &is, []Member{e.members[i]}
				return out, true
			}
		}
	}
	out.Exists = out.Exists || n.above(zone.ID, rest, name)
	return out, true
}

// zoneOf finds the smallest zone that a name is in, and the name's part before it.
func (n *Names) zoneOf(name string) (*Zone, string) {
	for at := 0; ; {
		if z := n.byName[name[at:]]; z != nil {
			return z, strings.TrimSuffix(name[:at], ".")
		}
		next := strings.IndexByte(name[at:], '.')
		if next < 0 {
			return nil, ""
		}
		at += next + 1
	}
}

// above tells whether there are names below a name, which then exists without having
// any records itself.
func (n *Names) above(zone, rest, name string) bool {
	if n.parents[parent{zone, rest}] > 0 {
		return true
	}
	for other := range n.byName { // of which there are few
		if strings.HasSuffix(other, "."+name) {
			return true
		}
	}
	return false
}

func (e *entry) answer(out Answer, most int, pick func(int) int) Answer {
	service := e.Service
	out.Exists, out.Service = true, &service
	if e.Weighted {
		most = 1
	}
	if len(e.members) == 0 {
		return out
	}
	most = min(most, len(e.members))
	at := pick(len(e.members))
	for i := range most {
		out.Members = append(out.Members, e.members[(at+i)%len(e.members)])
	}
	return out
}

// Snapshot returns all that is known, as the Update that says it.
func (n *Names) Snapshot() Update {
	n.mu.RLock()
	defer n.mu.RUnlock()
	u := Update{Full: true}
	for _, z := range n.zones {
		u.Zones = append(u.Zones, *z)
	}
	for _, e := range n.services {
		u.Services = append(u.Services, e.Service)
		u.Members = append(u.Members, e.members...)
	}
	return u
}
