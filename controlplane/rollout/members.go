package rollout

import (
	"slices"
	"strings"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
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
	task     *model.Task
	standing standing
	zone     string
	draining bool // its instance is to be emptied
	silent   bool // its instance is not connected
	unwanted bool // to be replaced, or not needed at all
	shielded bool // protected from scaling and deployments, and from nothing else
}

// live tells whether a member is to go on for all that is known.
func (m *member) live() bool { return m.standing >= pending }

// classify looks at every task that is not STOPPED.
func (p *planner) classify() {
	all := make([]member, 0, len(p.Tasks))
	p.members = make([]*member, 0, len(p.Tasks))
	for _, t := range p.Tasks {
		if t.LastStatus != model.TaskStopped {
			all = append(all, p.look(t))
			p.members = append(p.members, &all[len(all)-1])
		}
	}
	slices.SortFunc(p.members, func(a, b *member) int { return strings.Compare(string(a.task.ID), string(b.task.ID)) })
	p.spread = countSpread(p.members)
}

func (p *planner) look(t *model.Task) member {
	m := member{task: t}
	i, ok := p.Instance(t.Instance)
	if !ok || i.Status == model.StatusInactive {
		return m
	}
	m.zone, m.draining, m.silent = zone(i), i.Status == model.StatusDraining, !i.SilentSince.IsZero()
	if m.silent {
		limit := i.SilentSince.Add(p.Settings.SilentLimit)
		if !p.Now.Before(limit) {
			return m
		}
		p.wakeAt(limit)
	}
	m.standing = p.standing(t)
	if t.Protected(p.Now) && !m.draining && !p.closing() {
		m.shielded = true
		p.wakeAt(t.ProtectedUntil)
	}
	return m
}

func (p *planner) standing(t *model.Task) standing {
	switch {
	case t.DesiredStatus == model.TaskStopped || model.TaskRunning.Before(t.LastStatus):
		return leaving
	case t.LastStatus.Starting():
		return pending
	case t.HealthStatus == ecs.HealthStatusUNHEALTHY || failing(t) != nil:
		if end := t.StartedAt.Add(p.grace()); p.Now.Before(end) {
			p.wakeAt(end)
			return unproven
		}
		return unhealthy
	case p.HealthChecked(t.Definition) && t.HealthStatus != ecs.HealthStatusHEALTHY, !passing(t):
		return unproven
	case p.HealthChecked(t.Definition), len(t.Targets) > 0:
		return healthy
	}
	if end := t.StartedAt.Add(p.Settings.HealthyAfter); p.Now.Before(end) {
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
	settling int // pending, unproven, unhealthy or leaving: will be something else soon
	occupied int // all that hold a place: not lost
}

func (p *planner) census() census {
	var c census
	for _, m := range p.members {
		if m.standing == lost {
			continue
		}
		c.occupied++
		if m.standing == healthy {
			c.healthy++
		} else {
			c.settling++
		}
		switch {
		case !m.live():
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
