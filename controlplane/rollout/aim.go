package rollout

import "slices"

// limits are the numbers that a plan keeps to.
type limits struct {
	desired int
	least   int // healthy tasks that must stay
	most    int // tasks that may hold a place when one is started
}

// aim sets the limits and says of each task whether it is worth keeping.
func (p *planner) aim() {
	desired := p.desired()
	d := p.svc.DeploymentConfiguration
	least, most := int32(100), int32(200)
	if p.daemon() {
		least, most = 0, 100
	}
	if d.MinimumHealthyPercent != nil {
		least = *d.MinimumHealthyPercent
	}
	if d.MaximumPercent != nil {
		most = *d.MaximumPercent
	}
	// The percentages bound how tasks are replaced. They never keep a service
	// from having its desired count, nor make it keep more.
	p.limits = limits{
		desired: desired,
		least:   min((desired*int(least)+99)/100, desired),
		most:    max(desired*int(most)/100, desired),
	}
	closing, frozen, primary := p.closing(), p.frozen(), p.svc.Primary().ID
	for _, m := range p.members {
		m.unwanted = closing || m.draining || m.standing == unhealthy || !frozen && m.deployment != primary
	}
	p.counted = false
	if p.daemon() {
		p.aimDaemon()
	}
	p.svc.DesiredCount = int32(desired)
	p.svc.Primary().DesiredCount = int32(desired)
}

// desired is the number of tasks that the service is to have. For a DAEMON it is
// the number of instances that can take one, with those that have one and are
// silent only for now.
func (p *planner) desired() int {
	switch {
	case p.closing():
		return 0
	case !p.daemon():
		return int(p.svc.DesiredCount)
	}
	if p.hosts == nil {
		n := p.countHosts()
		p.hosts = &n
	}
	return *p.hosts
}

// countHosts counts the instances that a DAEMON service is to have a task on, and notes which they
// are, and which of them have none, not even one that is lost.
func (p *planner) countHosts() int {
	for _, id := range p.Eligible {
		if h, ok := p.roster.hosts[id]; ok {
			h.eligible = true
		} else {
			p.free = append(p.free, id)
		}
	}
	slices.Sort(p.free)
	p.free = slices.Compact(p.free)
	n := len(p.free)
	for _, m := range p.members {
		if h := m.host; !h.hoped && (h.eligible || m.standing != lost && m.silent && !m.draining) {
			h.hoped = true
			n++
		}
	}
	return n
}

// aimDaemon finds the tasks that a DAEMON service has where it should have none,
// and more than one on an instance: a protected one, then the one furthest on,
// then the oldest, stays.
func (p *planner) aimDaemon() {
	for _, m := range p.members {
		if !m.live() || m.unwanted {
			continue
		}
		h := m.host
		if !h.eligible && !m.silent {
			m.unwanted = true
			continue
		}
		switch {
		case h.kept == nil:
			h.kept = m
		case m.outranks(h.kept):
			h.kept.unwanted = true
			h.kept = m
		default:
			m.unwanted = true
		}
	}
}

// outranks tells which of two tasks stays where a DAEMON service has both.
func (m *member) outranks(k *member) bool {
	switch {
	case m.shielded != k.shielded:
		return m.shielded
	case m.standing != k.standing:
		return m.standing > k.standing
	}
	return m.task.CreatedAt.Before(k.task.CreatedAt)
}

// start asks for the tasks that are missing, as far as maximumPercent, the plan's
// size and the pauses after failures allow.
func (p *planner) start() {
	if p.closing() {
		return
	}
	p.startRestore()
	want := p.missing()
	if want.Count == 0 || p.frozen() {
		return
	}
	if p.Now.Before(p.svc.PauseUntil) {
		p.wakeAt(p.svc.PauseUntil)
		return
	}
	if want.Count > p.left {
		// Where the last start found no place there is nothing to hurry for: a
		// task or an instance must change first.
		if p.svc.LastPlacement == "" {
			p.cut = true
			p.startLater(want, p.left)
		}
		p.cut = p.cut || p.left == 0
		want.Count = p.left
		if want.Instances != nil {
			want.Instances = want.Instances[:want.Count]
		}
	}
	p.left -= want.Count
	if want.Count > 0 {
		p.begin = want
	}
}

// missing is what the service lacks and has room for.
func (p *planner) missing() Start {
	if !p.daemon() {
		c := p.census()
		return Start{Count: max(0, min(p.limits.desired-c.wanted, p.limits.most-c.occupied-p.restore.Count))}
	}
	// A DAEMON task that is still stopping may hold the ports that the next one
	// needs, so each instance takes one only when it has none.
	for _, m := range p.members {
		if m.standing != lost {
			m.host.taken = true
		}
	}
	free := slices.Clone(p.free)
	for _, m := range p.members {
		if h := m.host; h.eligible && !h.taken {
			h.taken = true
			free = append(free, h.id)
		}
	}
	slices.Sort(free)
	return Start{Count: len(free), Instances: free}
}
