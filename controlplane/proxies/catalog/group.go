// Package catalog holds the target groups and their members as a control plane
// last knew them, for everything that serves proxies. While the control plane
// leads it is filled from the store; while another leads, from that one's own
// catalog (Serve and Follow); while nobody leads it stays as it was, so that no
// proxy loses its targets over an election. It derives nothing and stores nothing.
package catalog

import (
	"cmp"
	"net/netip"
	"slices"
)

// State is the health of a member as ELBv2's DescribeTargetHealth names it.
type State string

// The states of ELBv2 (TargetHealth.State) that say whether a member gets traffic.
const (
	Initial     State = "initial"     // being registered, or not checked yet
	Healthy     State = "healthy"     // takes traffic
	Unhealthy   State = "unhealthy"   // fails its checks
	Draining    State = "draining"    // deregistered: finishes what it has, gets nothing new
	Unavailable State = "unavailable" // nobody checks it: takes traffic as well
)

// Member is one target: an address that a proxy can connect to.
type Member struct {
	Address netip.Addr `json:"address"`
	Port    uint16     `json:"port"`
	State   State      `json:"state"`
	Weight  uint16     `json:"weight,omitempty"` // relative to the other members; 0 means 1
	Zone    string     `json:"zone,omitempty"`
	// Cluster, Service and Task are the names behind a task's target; "" for a
	// target that was registered by hand.
	Cluster string `json:"cluster,omitempty"`
	Service string `json:"service,omitempty"`
	Task    string `json:"task,omitempty"`
}

// RelativeWeight is the weight with its default.
func (m Member) RelativeWeight() uint16 { return max(m.Weight, 1) }

// Endpoint is where the member listens.
func (m Member) Endpoint() netip.AddrPort { return netip.AddrPortFrom(m.Address, m.Port) }

// Group is a target group with its members. It is immutable once it is in a catalog.
type Group struct {
	Name            string   `json:"name"`
	Protocol        string   `json:"protocol"`                  // HTTP, HTTPS or TCP
	ProtocolVersion string   `json:"protocolVersion,omitempty"` // HTTP1, HTTP2 or GRPC, for HTTP and HTTPS
	Members         []Member `json:"members,omitempty"`
}

// Serving returns the members that get new connections: the healthy ones, and
// those that nobody checks. If there are none it is all that are merely unhealthy,
// as ELBv2's load balancers fail open: a check that is wrong must not take a whole
// service away.
func (g *Group) Serving() []Member {
	var healthy, unhealthy []Member
	for _, m := range g.Members {
		switch m.State {
		case Healthy, Unavailable:
			healthy = append(healthy, m)
		case Unhealthy:
			unhealthy = append(unhealthy, m)
		}
	}
	if len(healthy) > 0 {
		return healthy
	}
	return unhealthy
}

// equal tells whether two groups say the same to a proxy.
func (g *Group) equal(other *Group) bool {
	return g.Name == other.Name && g.Protocol == other.Protocol && g.ProtocolVersion == other.ProtocolVersion &&
		slices.Equal(g.Members, other.Members)
}

// ordered returns the group with its members in the order of their addresses, so
// that what is served does not depend on the order in which they came.
func (g *Group) ordered() *Group {
	order := func(a, b Member) int {
		return cmp.Or(a.Endpoint().Compare(b.Endpoint()), cmp.Compare(a.Task, b.Task))
	}
	if slices.IsSortedFunc(g.Members, order) {
		return g
	}
	out := *g
	out.Members = slices.SortedFunc(slices.Values(g.Members), order)
	return &out
}
