package dispatch

import (
	"strconv"
	"time"

	"github.com/longshore/longshore/controlplane/endpoints"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
)

// Check is how a task's agent checks one of its targets.
type Check struct {
	Target   model.Target // with the health that is known
	Address  string
	Port     uint16
	Protocol string // HTTP, HTTPS, TCP or GRPC
	TLS      bool   // of GRPC
	Path     string
	Matcher  string

	Interval, Timeout            time.Duration
	HealthyAfter, UnhealthyAfter int32
}

// checksOf lists the checks of a task that is in target groups and is to stay.
func checksOf(view *store.Tables, t *model.Task) []Check {
	if !t.InTraffic() || t.DesiredStatus == model.TaskStopped {
		return nil
	}
	var out []Check
	for _, target := range t.Targets {
		g, ok := view.TargetGroupByARN(target.Group)
		if !ok {
			continue
		}
		m, ok := endpoints.OfTask(view, t, target)
		if !ok {
			continue
		}
		h := g.HealthCheck
		c := Check{
			Target: target, Address: m.Address, Port: m.Port, Protocol: h.Protocol, Path: h.Path, Matcher: h.Matcher,
			Interval: time.Duration(h.Interval) * time.Second, Timeout: time.Duration(h.Timeout) * time.Second,
			HealthyAfter: h.HealthyAfter, UnhealthyAfter: h.UnhealthyAfter,
		}
		if g.ProtocolVersion == model.VersionGRPC && h.Protocol != model.ProtocolTCP {
			c.Protocol, c.TLS = model.VersionGRPC, h.Protocol == model.ProtocolHTTPS
		}
		if n, err := strconv.ParseUint(h.Port, 10, 16); err == nil { // otherwise TrafficPort
			c.Port = uint16(n)
		}
		out = append(out, c)
	}
	return out
}
