package catalog

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Change is what happened to a catalog: groups as they are now, and the names of
// those that are gone. Full says that there are no others.
type Change struct {
	Full   bool     `json:"full,omitempty"`
	Groups []*Group `json:"groups,omitempty"`
	Gone   []string `json:"gone,omitempty"`
}

// Catalog is safe for concurrent use.
type Catalog struct {
	loaded chan struct{} // closed once the catalog has been filled

	mu          sync.RWMutex
	groups      map[string]*Group
	folded      map[string][]string             // lower case → names, for DNS, which knows no case
	services    map[service]map[string]struct{} // the names of the groups that tasks of a service are in
	revision    uint64                          // counts the changes
	changed     chan struct{}                   // closed at the next change
	subscribers map[*Subscription]struct{}
}

// service names a service of a cluster.
type service struct{ cluster, name string }

// New returns a catalog that nobody has filled yet.
func New() *Catalog {
	return &Catalog{
		loaded:      make(chan struct{}),
		groups:      make(map[string]*Group),
		folded:      make(map[string][]string),
		services:    make(map[service]map[string]struct{}),
		changed:     make(chan struct{}),
		subscribers: make(map[*Subscription]struct{}),
	}
}

// Loaded is closed once the catalog has been filled. Before, it must not be
// served: an empty answer would take their targets from proxies that have some.
func (c *Catalog) Loaded() <-chan struct{} { return c.loaded }

// IsLoaded tells whether Loaded is closed.
func (c *Catalog) IsLoaded() bool {
	select {
	case <-c.loaded:
		return true
	default:
		return false
	}
}

// Apply makes a change. Groups that stay the same wake nobody.
func (c *Catalog) Apply(change Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	gone := change.Gone
	if change.Full {
		gone = c.others(change.Groups)
	}
	var touched []string
	for _, name := range gone {
		if old, ok := c.groups[name]; ok {
			delete(c.groups, name)
			c.unfold(name)
			c.unserve(old)
			touched = append(touched, name)
		}
	}
	for _, g := range change.Groups {
		g = g.ordered()
		old, ok := c.groups[g.Name]
		if ok && old.equal(g) {
			continue
		}
		if ok {
			c.unserve(old)
		} else {
			c.fold(g.Name)
		}
		c.groups[g.Name] = g
		c.serve(g)
		touched = append(touched, g.Name)
	}
	first := !c.IsLoaded()
	if change.Full && first {
		close(c.loaded)
	}
	if len(touched) > 0 || change.Full && first {
		c.announce(touched)
	}
}

// others returns the names of all groups but those given.
func (c *Catalog) others(groups []*Group) []string {
	keep := make(map[string]struct{}, len(groups))
	for _, g := range groups {
		keep[g.Name] = struct{}{}
	}
	var out []string
	for name := range c.groups {
		if _, ok := keep[name]; !ok {
			out = append(out, name)
		}
	}
	return out
}

func (c *Catalog) fold(name string) {
	lower := strings.ToLower(name)
	names := append(slices.Clone(c.folded[lower]), name)
	slices.Sort(names)
	c.folded[lower] = names
}

func (c *Catalog) unfold(name string) {
	lower := strings.ToLower(name)
	names := slices.DeleteFunc(slices.Clone(c.folded[lower]), func(n string) bool { return n == name })
	if len(names) == 0 {
		delete(c.folded, lower)
		return
	}
	c.folded[lower] = names
}

func (c *Catalog) serve(g *Group) {
	for _, m := range g.Members {
		if m.Service == "" {
			continue
		}
		key := service{m.Cluster, m.Service}
		if c.services[key] == nil {
			c.services[key] = make(map[string]struct{})
		}
		c.services[key][g.Name] = struct{}{}
	}
}

func (c *Catalog) unserve(g *Group) {
	for _, m := range g.Members {
		key := service{m.Cluster, m.Service}
		names := c.services[key]
		if delete(names, g.Name); len(names) == 0 {
			delete(c.services, key)
		}
	}
}

func (c *Catalog) announce(names []string) {
	c.revision++
	close(c.changed)
	c.changed = make(chan struct{})
	for s := range c.subscribers {
		s.note(names)
	}
}

// Group returns a group by its name.
func (c *Catalog) Group(name string) (*Group, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	g, ok := c.groups[name]
	return g, ok
}

// GroupsOf returns the groups that tasks of a service are in, in the order of their
// names.
func (c *Catalog) GroupsOf(cluster, name string) []*Group {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var out []*Group
	for group := range c.services[service{cluster, name}] {
		out = append(out, c.groups[group])
	}
	slices.SortFunc(out, func(a, b *Group) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// Fold returns a group by its name in any case; the exact name goes first.
func (c *Catalog) Fold(name string) (*Group, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if g, ok := c.groups[name]; ok {
		return g, true
	}
	names := c.folded[strings.ToLower(name)]
	if len(names) == 0 {
		return nil, false
	}
	return c.groups[names[0]], true
}

// Revision counts the changes. The channel is closed at the next one.
func (c *Catalog) Revision() (revision uint64, changed <-chan struct{}) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.revision, c.changed
}

// All returns the groups in the order of their names, and their revision.
func (c *Catalog) All() (groups []*Group, revision uint64) {
	c.mu.RLock()
	groups, revision = slices.Collect(maps.Values(c.groups)), c.revision
	c.mu.RUnlock()
	slices.SortFunc(groups, func(a, b *Group) int { return cmp.Compare(a.Name, b.Name) })
	return groups, revision
}
