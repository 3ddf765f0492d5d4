package rollout

import (
	"cmp"
	"slices"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

// stop plans the end of a task, or returns false if the plan is full.
func (p *planner) stop(m *member, reason string) bool {
	c, ok := p.change(m.task)
	if ok {
		p.end(m, c, reason)
	}
	return ok
}

// end makes the copy of a task's record one of a task that is to stop.
func (p *planner) end(m *member, c *model.Task, reason string) {
	c.DesiredStatus = model.TaskStopped
	c.StopCode = ecs.TaskStopCodeServiceSchedulerInitiated
	c.StoppedReason = reason
	c.OutcomeCounted = true // how it ends is now the service's own doing
	c.Version++
	if m.standing != lost {
		p.spread.remove(m)
		m.standing = leaving
		p.counted = false
	}
	p.stops++
}

// stopUnhealthy stops the tasks that fail their health checks when others serve in their
// places. Where maximumPercent leaves no room for those, it makes room: for as many at once as
// minimumHealthyPercent gives leave to be without, and for one in any case (ECS API reference,
// minimumHealthyPercent). The oldest go first: where their successors fail as well, each has its try.
func (p *planner) stopUnhealthy() {
	var failing []*member
	for _, m := range p.members {
		if m.standing == unhealthy {
			failing = append(failing, m)
		}
	}
	if len(failing) == 0 {
		return
	}
	slices.SortFunc(failing, func(a, b *member) int {
		return cmp.Or(a.startedAt.Compare(b.startedAt), cmp.Compare(a.task.ID, b.task.ID))
	})
	c := p.census()
	surplus := len(failing) - max(0, p.limits.desired-c.healthy)
	room := !p.daemon() && c.occupied < p.limits.most
	out, in := p.moving()
	for _, m := range failing {
		isPrimary := m.deployment == p.svc.Primary().ID
		makeRoom := !room && out+in[isPrimary] < max(1, p.limits.desired-p.limits.least)
		if surplus <= 0 && !makeRoom {
			continue
		}
		if !p.stopFailing(m) {
			return
		}
		surplus--
		out++
	}
}

// moving counts the tasks on their way out, and those on their way in that are, or are not, of the
// PRIMARY deployment.
func (p *planner) moving() (out int, in map[bool]int) {
	in = map[bool]int{}
	for _, m := range p.members {
		switch m.standing {
		case leaving:
			out++
		case pending, unproven:
			in[m.deployment == p.svc.Primary().ID]++
		}
	}
	return out, in
}

// stopFailing plans the end of a task that fails its health checks.
func (p *planner) stopFailing(m *member) bool {
	reason, event := reasonUnhealthy, failedHealthChecks(p.svc.Name, m.task.ID)
	if target := failing(m.task); target != nil {
		reason, event = reasonFailedTarget(target.Group), unhealthyTarget(p.svc.Name, target)
	}
	if !p.stop(m, reason) {
		return false
	}
	p.event(event)
	p.left = max(0, p.left-2) // one event a task is stored, too, and pushes out an old one
	if m.deployment == p.svc.Primary().ID {
		p.svc.Primary().FailedTasks++
	}
	return true
}

// stopUnwanted stops the tasks that are to be replaced but for those that fail their health
// checks: those that do not serve at once, the others as far as enough healthy ones stay.
func (p *planner) stopUnwanted() {
	if p.census().unwanted == 0 && !p.closing() {
		return
	}
	var candidates []*member
	for _, m := range p.members {
		if m.unwanted && m.standing != unhealthy && (m.live() || p.closing() && !m.stopping) {
			candidates = append(candidates, m)
		}
	}
	candidates = p.withoutMainstay(candidates)
	p.stopSome(candidates, len(candidates), true, func(m *member) int { return int(m.standing) })
}

// stopSurplus stops what a REPLICA service has beyond its desired count.
func (p *planner) stopSurplus() {
	if p.daemon() || p.closing() || p.svc.Rebalancing && p.rebalances() && p.stopMoved() {
		return
	}
	if p.census().wanted <= p.limits.desired {
		return
	}
	var candidates []*member
	for _, m := range p.members {
		if m.live() && !m.unwanted {
			candidates = append(candidates, m)
		}
	}
	p.stopSome(candidates, len(candidates)-p.limits.desired, true, p.surplusRank)
}

// surplusRank says which tasks go first when there are too many: those that do
// not run yet, those that were replaced while their host was silent, then those
// that are not known to be healthy. While a failed deployment stands, the tasks
// of the older ones are what serves: they go last.
func (p *planner) surplusRank(m *member) int {
	switch {
	case m.standing == pending:
		return 0
	case m.lost:
		return 1
	case m.deployment != p.svc.Primary().ID:
		return 4
	case m.standing == unproven:
		return 2
	}
	return 3
}

// stopSome stops at most n of the candidates, in the order of their ranks and
// within one rank so that what stays is spread evenly. Of those that are
// protected it stops none. Those that do not fit the plan may come in later steps, if so wanted.
func (p *planner) stopSome(candidates []*member, n int, later bool, rank func(*member) int) {
	if n <= 0 {
		return
	}
	c := p.census()
	spare := c.healthy - p.limits.least
	// A task that is not proven yet may be the next to serve: those that may must not
	// become too few either, or a service that is changed often would never serve.
	hopeful := c.healthy + c.unproven - p.limits.least
	needed := func(m *member) bool {
		return m.shielded || m.standing == healthy && spare < 1 || m.standing == unproven && hopeful < 1
	}
	candidates = slices.DeleteFunc(candidates, needed) // neither number grows
	for _, group := range byRank(candidates, rank) {
		for m := range p.spread.order(group) {
			if n == 0 {
				return
			}
			if needed(m) {
				continue
			}
			was := m.standing
			c, ok := p.change(m.task)
			if !ok && later {
				c, ok = p.stopLater(m)
			}
			if !ok {
				return
			}
			p.end(m, c, scalingReason(p.svc.Primary().ID))
			n--
			if was == healthy {
				spare--
			}
			if was >= unproven {
				hopeful--
			}
		}
	}
}

// reportStops writes the events of the tasks stopped by this plan.
func (p *planner) reportStops() { p.events = append(p.events, p.tellStops(p.order)...) }

// tellStops returns the events of those of some tasks that this plan stops.
func (p *planner) tellStops(tasks []*model.Task) (events []string) {
	var running []model.TaskID
	starting := 0
	for _, t := range tasks {
		c := p.changed[t.ID]
		switch {
		case c.DesiredStatus != model.TaskStopped || c.LastStatus == model.TaskStopped || p.moved[t.ID]:
		case c.LastStatus.Starting():
			starting++
		default:
			running = append(running, t.ID)
		}
	}
	if len(running) > 0 {
		events = append(events, hasStopped(&p.svc, running))
	}
	if starting > 0 {
		events = append(events, stoppedPending(&p.svc, starting))
	}
	return events
}

// markLost notes the tasks that no longer count because of their hosts, and
// takes the note back where a host returned and its task is needed after all.
func (p *planner) markLost() {
	surplus := !p.daemon() && p.census().wanted > p.limits.desired
	for _, m := range p.members {
		gone := m.standing == lost
		if gone == m.lost || m.stopping || !gone && (!m.live() || surplus) {
			continue
		}
		c, ok := p.change(m.task)
		if !ok {
			return
		}
		c.Lost = gone
	}
}
