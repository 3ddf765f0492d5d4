package rollout

import (
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

// While a deployment is under way, or after it has failed, what it was to replace still serves. What
// that loses (tasks that crash, fail their health checks, lose their host) is started again as it was
// and not as the PRIMARY deployment has it, which may never serve; so is what a larger desired count
// asks for. minimumHealthyPercent says how many, maximumPercent how many there may be of both
// (ECS, service availability during rolling deployments). A DAEMON service has no room for that
// on its instances, unless the deployment has failed.

// mainstay is the deployment that completed last, if it is an older one now; nil for none.
func (p *planner) mainstay() *model.Deployment {
	if p.closing() || p.svc.LastCompleted == nil || p.daemon() && !p.frozen() {
		return nil
	}
	for i := range p.svc.Deployments {
		if d := &p.svc.Deployments[i]; d.ID == p.svc.LastCompleted.ID && d.Status != model.DeploymentPrimary {
			return d
		}
	}
	return nil
}

// holds are the numbers of tasks of the mainstay.
type holds struct {
	there int // that may serve, where they may stay
	least int // that there are to be
}

// mainstayHolds counts for a mainstay what it has and is to have.
func (p *planner) mainstayHolds(d *model.Deployment) holds {
	var h holds
	others := 0
	for _, m := range p.members {
		switch {
		case p.ofMainstay(m, d):
			h.there++
		case m.deployment != d.ID && m.standing == healthy:
			others++
		}
	}
	h.least = max(0, p.limits.least-others)
	return h
}

// ofMainstay tells whether a task counts as one that the mainstay has.
func (p *planner) ofMainstay(m *member, d *model.Deployment) bool {
	return m.deployment == d.ID && m.live() && m.standing != unhealthy && !m.draining
}

// withoutMainstay leaves those of some tasks that are to be replaced out that the mainstay needs: among
// them those that do not serve yet, which otherwise would be stopped and started again for ever.
func (p *planner) withoutMainstay(candidates []*member) []*member {
	d := p.mainstay()
	if d == nil || p.frozen() {
		return candidates
	}
	h := p.mainstayHolds(d)
	spare := max(0, h.there-h.least)
	var kept, others []*member
	for _, m := range candidates {
		if p.ofMainstay(m, d) {
			kept = append(kept, m)
		} else {
			others = append(others, m)
		}
	}
	if spare >= len(kept) {
		return candidates
	}
	for _, group := range byRank(kept, func(m *member) int { return int(m.standing) }) {
		for m := range p.spread.order(group) {
			if spare == 0 {
				return others
			}
			spare--
			others = append(others, m)
		}
	}
	return others
}

// startRestore asks for the tasks that the mainstay is to get back.
func (p *planner) startRestore() {
	d := p.mainstay()
	if d == nil {
		return
	}
	want := p.missing() // of all, if the PRIMARY deployment has failed
	if !p.frozen() {
		h := p.mainstayHolds(d)
		want.Count = max(0, min(h.least-h.there, p.limits.most-p.census().occupied))
	}
	if want.Count == 0 {
		return
	}
	if p.Now.Before(d.PauseUntil) {
		p.wakeAt(d.PauseUntil)
		return
	}
	if want.Count > p.left {
		p.cut = true
		want.Count = p.left
		if want.Instances != nil {
			want.Instances = want.Instances[:want.Count]
		}
	}
	p.left -= want.Count
	if want.Count > 0 {
		p.restore = Restore{d.ID, want}
	}
}

// countRestored takes note of how a task of the mainstay has ended. What fails to start slows it, and
// says nothing about the PRIMARY deployment.
func (p *planner) countRestored(t *model.Task) {
	d := p.mainstay()
	if d == nil || d.ID != t.Deployment {
		return
	}
	switch {
	case p.ran(t):
		d.FailedStarts, d.PauseUntil = 0, time.Time{}
	case !t.CreatedAt.Before(d.PauseUntil):
		d.FailedStarts++
		d.PauseUntil = p.Now.Add(p.pause(d.FailedStarts))
	}
}

// unplacedEvery is after how long tasks that find no place, while nothing else is under way that
// could make room for them, count as one failure of their deployment.
const unplacedEvery = 10 * time.Second

// countUnplaced counts as failures of the PRIMARY deployment that its tasks find no place (ECS API
// reference, failedTasks: the scheduler cannot launch the task), where a circuit breaker is to know.
func (p *planner) countUnplaced() {
	d, breaker := p.svc.Primary(), p.svc.DeploymentConfiguration.DeploymentCircuitBreaker
	waits := breaker != nil && breaker.Enable && !p.closing() && d.RolloutState == ecs.DeploymentRolloutStateINPROGRESS &&
		p.svc.LastPlacement != "" && !p.saidBlocked() && !p.underWay()
	switch {
	case !waits:
		d.UnplacedSince = time.Time{}
		return
	case d.UnplacedSince.IsZero():
		d.UnplacedSince = p.Now
	case !p.Now.Before(d.UnplacedSince.Add(unplacedEvery)):
		d.FailedTasks++
		d.UnplacedSince = p.Now
	}
	p.wakeAt(d.UnplacedSince.Add(unplacedEvery))
}

// underWay tells whether a task is on its way in or out.
func (p *planner) underWay() bool {
	for _, m := range p.members {
		if m.standing == leaving || m.standing == pending || m.standing == unproven && !m.undecided {
			return true
		}
	}
	return false
}
