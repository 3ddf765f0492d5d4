package agentgrpc

import (
	"github.com/longshore/longshore/controlplane/names"
	agentv1 "github.com/longshore/longshore/proto/agent/v1"
	"github.com/longshore/longshore/proto/discovery"
)

// follower follows the names for one session; nil if there are none to be told.
func (s *Server) follower() *names.Follower {
	if s.cfg.Names == nil {
		return nil
	}
	if feed := s.cfg.Names(); feed != nil {
		return feed.Follow()
	}
	return nil
}

// tellNames tells the agent what changed of the names.
func (c *conversation) tellNames() error {
	if c.names == nil {
		return nil
	}
	if c.renamed != nil {
		select {
		case <-c.renamed:
		default:
			return nil // the usual case, which all sessions can find out without a lock
		}
	}
	c.renamed = c.names.Changed()
	u := c.names.Update()
	if u.Empty() {
		return nil
	}
	c.server.metrics.names.Inc()
	return c.stream.Send(&agentv1.ControlMessage{Message: &agentv1.ControlMessage_Names{Names: wireNames(&u)}})
}

func wireNames(u *discovery.Update) *agentv1.Names {
	out := &agentv1.Names{Full: u.Full, RemovedZones: u.RemovedZones, RemovedServices: u.RemovedServices}
	for _, z := range u.Zones {
		out.Zones = append(out.Zones, &agentv1.NameZone{Id: z.ID, Name: z.Name, NegativeTtl: z.NegativeTTL})
	}
	for _, s := range u.Services {
		out.Services = append(out.Services, &agentv1.NameService{
			Id: s.ID, Zone: s.Zone, Name: s.Name, ATtl: s.A, SrvTtl: s.SRV, Weighted: s.Weighted,
		})
	}
	for _, m := range u.Members {
		out.Members = append(out.Members, &agentv1.NameMember{Service: m.Service, Id: m.ID, Address: m.Address.AsSlice(), Port: uint32(m.Port)})
	}
	for _, k := range u.RemovedMembers {
		out.RemovedMembers = append(out.RemovedMembers, &agentv1.NameMember{Service: k.Service, Id: k.ID})
	}
	return out
}
