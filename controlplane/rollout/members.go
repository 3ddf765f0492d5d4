package rollout

import (
	"time"

	"github.com/longshore/longshore/controlplane/model"
)

// standing is what a task that is not STOPPED is worth to its service.
type standing int

const (
	lost      standing = iota // its host is gone or was silent for too long: does not count
	leaving                   // on its way out: holds its place, does not serve
	pending                   // not yet RUNNING
	unhealthy                 // RUNNING, and fails its health checks
	unproven                  // RUNNING, health not yet known
	healthy                   // RUNNING and healthy
)

// member is a task that is not STOPPED.
type member struct {
	// What its record says; see Roster.
	task           *model.Task
	host           *host
	deployment     model.DeploymentID
	definition     model.DefinitionRef
	startedAt      time.Time
	protectedUntil time.Time
	status         standing // leaving or pending, or else healthy: its health is judged apart
	failing        bool     // its health checks, or a target's
	proven         bool     // HEALTHY, say its own health checks
	targets        bool     // it has some
	passing        bool     // and all of them pass
	stopping       bool     // it is to stop
	lost           bool     // it was noted as lost
	inTraffic      bool
	digests        bool // some image digests are known that its deployment may not have noted

	// What one plan makes of it.
	standing standing
	zone     string
	draining bool // its instance is to be emptied
	silent   bool // its instance is not connected
	unwanted bool // to be replaced, or not needed at all
	shielded bool // protected from scaling and deployments, and from nothing else
	// undecided: its health checks have not said anything, and may never do.
	undecided bool
}

// live tells whether a member is to go on for all that is known.
func (m *member) live() bool { return m.standing >= pending }

// classify says of every task that is not STOPPED where it stands now.
func (p *planner) classify() {
	for _, m := range p.members {
		p.visit(m.host)
		p.judge(m)
	}
	p.counted = false
}

// judge sets all that one plan makes of a task before it weighs tasks against each other.
func (p *planner) judge(m *member) {
	h := m.host
	m.zone, m.draining, m.silent = h.zone, h.draining, !h.silentSince.IsZero()
	m.standing, m.unwanted, m.shielded, m.undecided = lost, false, false, false
	if h.gone {
		return
	}
	m.standing = p.standing(m)
	m.undecided = m.standing == unproven && !m.failing && (m.targets || p.hasHealthCheck(m.definition))
	if p.Now.Before(m.protectedUntil) && !m.draining && !p.closing() {
		m.shielded = true
		p.wakeAt(m.protectedUntil)
	}
}

// visit says of an instance, once a plan, what goes for all tasks on it now.
func (p *planner) visit(h *host) {
	if h.plan == p.roster.plan {
		return
	}
	h.plan = p.roster.plan
	if !h.read {
		i, ok := p.Instance(h.id)
		*h = host{id: h.id, members: h.members, plan: h.plan, read: true, missing: !ok || i.Status == model.StatusInactive}
		if !h.missing {
			h.zone, h.draining, h.silentSince = zone(i), i.Status == model.StatusDraining, i.SilentSince
		}
	}
	h.gone, h.eligible, h.hoped, h.taken, h.kept = h.missing, false, false, false, nil
	if !h.silentSince.IsZero() {
		limit := h.silentSince.Add(p.Settings.SilentLimit)
		h.gone = !p.Now.Before(limit)
		p.wakeAt(limit)
		if !h.gone && (p.later.until.IsZero() || limit.Before(p.later.until)) {
			p.later.until = limit
		}
	}
}

// hasHealthCheck looks a definition up once for all of its tasks.
func (p *planner) hasHealthCheck(d model.DefinitionRef) bool {
	if p.last.definition == d {
		return p.last.checked
	}
	checked, known := p.checked[d]
	if !known {
		checked = p.HealthChecked(d)
		p.checked[d] = checked
	}
	p.last.definition, p.last.checked = d, checked
	return checked
}

func (p *planner) standing(m *member) standing {
	switch {
	case m.status != healthy:
		return m.status
	case m.failing:
		if end := m.startedAt.Add(p.grace()); p.Now.Before(end) {
			p.wakeAt(end)
			return unproven
		}
		return unhealthy
	case p.hasHealthCheck(m.definition) && !m.proven, !m.passing:
		return unproven
	case p.hasHealthCheck(m.definition), m.targets:
		return healthy
	}
	if end := m.startedAt.Add(p.Settings.HealthyAfter); p.Now.Before(end) {
		p.wakeAt(end)
		return unproven
	}
	return healthy
}

// grace is how long failing health checks of a new task are ignored.
func (p *planner) grace() time.Duration {
	if s := p.svc.HealthCheckGracePeriod; s != nil {
		return time.Duration(*s) * time.Second
	}
	return 0
}

func zone(i *model.Instance) string {
	for _, a := range i.Attributes {
		if a.Name == "ecs.availability-zone" && a.Value != nil {
			return *a.Value
		}
	}
	return ""
}

// census are numbers of members.
type census struct {
	wanted   int // live and worth keeping
	serving  int // of those, healthy
	unwanted int // live and to be replaced
	healthy  int // all that are healthy
	unproven int // all that may yet be
	settling int // pending, unproven, unhealthy or leaving: will be something else soon
	occupied int // all that hold a place: not lost
	shielded int // live and protected
}

// census counts the members, again only if one has changed since.
func (p *planner) census() census {
	if !p.counted {
		p.counts, p.counted = countMembers(p.members), true
	}
	return p.counts
}

func countMembers(members []*member) census {
	var c census
	for _, m := range members {
		if m.standing == lost {
			continue
		}
		c.occupied++
		switch m.standing {
		case healthy:
			c.healthy++
		case unproven:
			c.unproven++
			if !m.undecided || !m.unwanted {
				c.settling++
			}
		default:
			c.settling++
		}
		if !m.live() {
			continue
		}
		if m.shielded {
			c.shielded++
		}
		switch {
		case m.unwanted:
			c.unwanted++
		default:
			c.wanted++
			if m.standing == healthy {
				c.serving++
			}
		}
	}
	return c
}
