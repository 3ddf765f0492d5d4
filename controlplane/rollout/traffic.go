package rollout

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/longshore/longshore/controlplane/model"
)

// failing returns the first target of a task that fails its checks; nil for none.
func failing(t *model.Task) *model.Target {
	i := slices.IndexFunc(t.Targets, func(x model.Target) bool { return x.Health == model.TargetUnhealthy })
	if i < 0 {
		return nil
	}
	return &t.Targets[i]
}

// passing tells whether all targets of a task pass their checks, if it has any.
func passing(t *model.Task) bool {
	return !slices.ContainsFunc(t.Targets, func(x model.Target) bool { return x.Health != model.TargetHealthy })
}

// directTraffic brings tasks that are ACTIVATING into service, takes those that are to
// stop out of their target groups, and lets those stop that have been drained. It comes
// after everything that stops tasks. A host that is not heard gets no traffic that could
// be waited for.
func (p *planner) directTraffic() {
	joined, draining := map[model.TargetGroupARN]int{}, map[model.DeploymentID]int{}
	for _, m := range p.members {
		if !m.inTraffic {
			continue
		}
		t := m.task
		if c, ok := p.changed[t.ID]; ok {
			t = c
		}
		stopping := t.DesiredStatus == model.TaskStopped
		switch {
		case stopping && m.standing == lost:
			p.redirect(t, (*model.Task).EndTraffic)
		case stopping && t.DrainUntil.IsZero():
			drain := p.drain(t)
			if p.redirect(t, func(c *model.Task) { c.Deregister(drain, p.Now) }) {
				p.wakeAt(p.Now.Add(drain))
				p.noteGone(t)
				draining[t.Deployment]++
			}
		case stopping && !p.Now.Before(t.DrainUntil):
			p.redirect(t, (*model.Task).EndTraffic)
		case stopping:
			p.wakeAt(t.DrainUntil)
		case t.LastStatus == model.TaskActivating:
			if p.redirect(t, func(c *model.Task) { c.Activated(p.Now) }) {
				for _, target := range t.Targets {
					joined[target.Group]++
				}
			}
		}
	}
	tellTraffic(p, joined, registeredTargets)
	tellTraffic(p, draining, beganDraining)
	tellTraffic(p, p.gone, deregisteredTargets)
}

// redirect changes a task, or returns false if the plan is full.
func (p *planner) redirect(t *model.Task, change func(*model.Task)) bool {
	c, ok := p.change(t)
	if ok {
		change(c)
	}
	return ok
}

// drain is how long a task is drained: as long as the most patient of its groups asks.
func (p *planner) drain(t *model.Task) time.Duration {
	var longest time.Duration
	for _, target := range t.Targets {
		longest = max(longest, p.Drain(target.Group))
	}
	return longest
}

// noteLeft takes note of a task that has STOPPED without having been drained.
func (p *planner) noteLeft(t *model.Task) {
	if !t.RegisteredAt.IsZero() && t.DrainUntil.IsZero() {
		p.noteGone(t)
	}
}

func (p *planner) noteGone(t *model.Task) {
	if p.gone == nil {
		p.gone = map[model.TargetGroupARN]int{}
	}
	for _, target := range t.Targets {
		p.gone[target.Group]++
	}
}

// tellTraffic writes an event for each group or deployment, in the order of their names.
func tellTraffic[K cmp.Ordered](p *planner, counts map[K]int, event func(*model.Service, int, K) string) {
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		p.event(event(&p.svc, counts[k], k))
		p.left = max(0, p.left-2) // the event, and the old one that it pushes out
	}
}
