package elbv2

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/longshore/longshore/controlplane/endpoints"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// maxManual is how many targets callers can register in a group, whose record holds them.
const maxManual = 500

// target is a target as requests name it. A port of 0 was not given.
type target struct {
	id   string
	port int32
}

func readTargets(f *form) []target {
	var out []target
	f.members("Targets", func(prefix string) {
		switch zone := f.text(prefix + ".AvailabilityZone"); {
		case f.text(prefix+".Id") == "":
			f.fail(invalid("A target must have an ID"))
		case zone != "" && zone != "all":
			f.fail(unsupported("the Availability Zone " + clip(zone) + " of a target: give none, or all"))
		case f.has(prefix + ".QuicServerId"):
			f.fail(unsupported("the QuicServerId of a target"))
		}
		out = append(out, target{f.text(prefix + ".Id"), f.number(prefix+".Port", 0, 1, maxPort)})
	})
	return out
}

// needTargets is readTargets where there must be some.
func needTargets(f *form) []target {
	targets := readTargets(f)
	if len(targets) == 0 {
		f.fail(invalid("At least one target must be specified"))
	}
	return targets
}

func (h *handler) registerTargets(ctx context.Context, f *form) (any, error) {
	targets := needTargets(f)
	now := h.Clock()
	_, err := h.change(ctx, f.text("TargetGroupArn"), func(tx *store.Tx, g *model.TargetGroup) error {
		if err := f.check(); err != nil {
			return err
		}
		g.Manual = slices.Clone(g.Manual)
		for _, t := range targets {
			if err := checkTarget(tx.Tables, g, t.id); err != nil {
				return err
			}
			addManual(g, t, now)
		}
		if len(g.Manual) > maxManual {
			return ecs.Errorf(codeTooMany, "At most %d targets can be registered with a target group", maxManual)
		}
		slices.SortFunc(g.Manual, func(a, b model.ManualTarget) int { return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Port, b.Port)) })
		return nil
	})
	return struct{}{}, err
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

func checkTarget(t *store.Tables, g *model.TargetGroup, id string) error {
	if g.TargetType == model.TargetTypeInstance {
		if _, ok := t.InstanceNamed(id); !ok {
			return ecs.Errorf(codeInvalidTarget, "The following targets are not container instances that are registered: '%s'", clip(id))
		}
		return nil
	}
	if a, err := netip.ParseAddr(id); err != nil || !a.Is4() || a.IsUnspecified() || a.IsMulticast() || a == broadcast {
		return invalid("The IP address '%s' is not a valid IPv4 address of a target", clip(id))
	}
	return nil
}

// addManual adds a target to a group; one that is there, drained or not, stays.
func addManual(g *model.TargetGroup, t target, now time.Time) {
	t.port = cmp.Or(t.port, g.Port)
	i := slices.IndexFunc(g.Manual, func(m model.ManualTarget) bool { return m.ID == t.id && m.Port == t.port })
	if i < 0 {
		g.Manual = append(g.Manual, model.ManualTarget{ID: t.id, Port: t.port, RegisteredAt: now})
		return
	}
	g.Manual[i].DrainUntil = time.Time{}
}

func (h *handler) deregisterTargets(ctx context.Context, f *form) (any, error) {
	targets := needTargets(f)
	until := h.Clock()
	_, err := h.change(ctx, f.text("TargetGroupArn"), func(tx *store.Tx, g *model.TargetGroup) error {
		if err := f.check(); err != nil {
			return err
		}
		g.Manual = slices.Clone(g.Manual)
		for _, t := range targets {
			if !drainManual(g, t, until.Add(time.Duration(g.DeregistrationDelay)*time.Second)) {
				if err := notOfTask(tx.Tables, g, t); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return struct{}{}, err
}

// drainManual begins to drain a target, at all its ports if none was given; false if
// no caller has registered it.
func drainManual(g *model.TargetGroup, t target, until time.Time) bool {
	found := false
	for i := range g.Manual {
		m := &g.Manual[i]
		if m.ID != t.id || t.port != 0 && m.Port != t.port {
			continue
		}
		found = true
		if m.DrainUntil.IsZero() {
			m.DrainUntil = until
		}
	}
	return found
}

// notOfTask refuses the task of a service, which only its service deregisters. A
// target that is not registered is deregistered already (DeregisterTargets, ELBv2 API).
func notOfTask(t *store.Tables, g *model.TargetGroup, x target) error {
	for _, m := range endpoints.Members(t, g.ARN) {
		if m.TargetID == x.id && (x.port == 0 || x.port == int32(m.Port)) {
			return ecs.Errorf(codeInvalidTarget, "The target '%s' is the task %s of the service %s, which registers and deregisters its own tasks", clip(x.id), m.TaskID, m.Service)
		}
	}
	return nil
}

type healthResult struct {
	TargetHealthDescriptions []healthDescription `xml:"TargetHealthDescriptions>member"`
}

type healthDescription struct {
	Target struct {
		Id               string
		Port             int32
		AvailabilityZone string `xml:",omitempty"`
	}
	HealthCheckPort string `xml:",omitempty"`
	TargetHealth    struct {
		State       string
		Reason      string `xml:",omitempty"`
		Description string `xml:",omitempty"`
	}
}

func (h *handler) describeTargetHealth(_ context.Context, f *form) (any, error) {
	view := h.store.View()
	g, err := h.group(view, f.text("TargetGroupArn"))
	if err != nil {
		return nil, err
	}
	asked := readTargets(f)
	if err := f.check(); err != nil {
		return nil, err
	}
	members := endpoints.Members(view, g.ARN)
	var out healthResult
	for i := range members {
		m := &members[i]
		if len(asked) == 0 || slices.ContainsFunc(asked, func(t target) bool { return t.is(m) }) {
			out.TargetHealthDescriptions = append(out.TargetHealthDescriptions, describe(g, m))
		}
	}
	for _, t := range asked {
		if slices.ContainsFunc(members, func(m endpoints.Member) bool { return t.is(&m) }) {
			continue
		}
		if err := checkTarget(view, g, t.id); err != nil {
			return nil, err
		}
		var d healthDescription
		d.Target.Id, d.Target.Port = t.id, cmp.Or(t.port, g.Port)
		d.TargetHealth.State, d.TargetHealth.Reason = "unused", "Target.NotRegistered"
		d.TargetHealth.Description = "Target is not registered to the target group"
		out.TargetHealthDescriptions = append(out.TargetHealthDescriptions, d)
	}
	return out, nil
}

func (t target) is(m *endpoints.Member) bool {
	return t.id == m.TargetID && (t.port == 0 || t.port == int32(m.Port))
}

func describe(g *model.TargetGroup, m *endpoints.Member) healthDescription {
	var d healthDescription
	d.Target.Id, d.Target.Port, d.Target.AvailabilityZone = m.TargetID, int32(m.Port), m.Zone
	d.HealthCheckPort = g.HealthCheck.Port
	if d.HealthCheckPort == model.TrafficPort {
		d.HealthCheckPort = strconv.Itoa(int(m.Port))
	}
	d.TargetHealth.State, d.TargetHealth.Reason, d.TargetHealth.Description = string(m.State), m.Reason, m.Description
	return d
}
