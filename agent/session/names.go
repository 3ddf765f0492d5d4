package session

import (
	"net/netip"

	agentv1 "github.com/longshore/longshore/proto/agent/v1"
	"github.com/longshore/longshore/proto/discovery"
)

// namesOf reads what the control plane says of names. A member whose address is none
// is left out: there is nothing to answer.
func namesOf(m *agentv1.Names) discovery.Update {
	u := discovery.Update{Full: m.Full, RemovedZones: m.RemovedZones, RemovedServices: m.RemovedServices}
	for _, z := range m.Zones {
		u.Zones = append(u.Zones, discovery.Zone{ID: z.Id, Name: z.Name, NegativeTTL: z.NegativeTtl})
	}
	for _, s := range m.Services {
		u.Services = append(u.Services, discovery.Service{ID: s.Id, Zone: s.Zone, Name: s.Name, A: s.ATtl, SRV: s.SrvTtl, Weighted: s.Weighted})
	}
	for _, one := range m.Members {
		if address, ok := netip.AddrFromSlice(one.Address); ok {
			u.Members = append(u.Members, discovery.Member{Service: one.Service, ID: one.Id, Address: address, Port: uint16(one.Port)})
		}
	}
	for _, k := range m.RemovedMembers {
		u.RemovedMembers = append(u.RemovedMembers, discovery.Key{Service: k.Service, ID: k.Id})
	}
	return u
}
