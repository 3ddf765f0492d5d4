package rollout

import (
	"slices"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

// reportBlocked tells of a service that has no way to go on: nothing may be
// stopped and nothing started. LastPlacement remembers that it was said, as it
// does for tasks that could not be placed.
func (p *planner) reportBlocked() {
	message := p.blockage()
	switch {
	case message != "":
		if p.svc.LastPlacement != message {
			p.svc.LastPlacement = message
			p.event(message)
		}
	case p.saidBlocked():
		p.svc.LastPlacement = ""
	case p.begin.Count+p.restore.Count == 0 && len(p.moves) == 0 && !p.cut && !p.Now.Before(p.svc.PauseUntil):
		p.svc.LastPlacement = "" // nothing waits for a place any more
	}
}

// blockage says what keeps a service from what it should be, if no task is on
// its way to become anything else and still this plan neither stops nor starts
// any: the percentages, or tasks that are protected.
func (p *planner) blockage() string {
	if p.closing() || p.frozen() || p.cut || p.stops > 0 || p.begin.Count+p.restore.Count > 0 || len(p.moves) > 0 || p.Now.Before(p.svc.PauseUntil) {
		return ""
	}
	c := p.census()
	if c.settling > 0 {
		return ""
	}
	if c.unwanted > 0 && (c.wanted < p.limits.desired || c.unwanted > p.shieldedUnwanted()) {
		return blocked(p.svc.Name)
	}
	if d := p.heldUp(); d != "" {
		return unableToScaleIn(p.svc.Name, d)
	}
	return ""
}

// saidBlocked tells whether a blockage is what was last said.
func (p *planner) saidBlocked() bool {
	if p.svc.LastPlacement == blocked(p.svc.Name) {
		return true
	}
	return slices.ContainsFunc(p.svc.Deployments, func(d model.Deployment) bool {
		return p.svc.LastPlacement == unableToScaleIn(p.svc.Name, d.ID)
	})
}

func (p *planner) shieldedUnwanted() int {
	if p.census().shielded == 0 {
		return 0
	}
	n := 0
	for _, m := range p.members {
		if m.live() && m.unwanted && m.shielded {
			n++
		}
	}
	return n
}

// heldUp names the first deployment that has more protected tasks than it is to
// have tasks.
func (p *planner) heldUp() model.DeploymentID {
	if p.census().shielded == 0 {
		return ""
	}
	shielded := map[model.DeploymentID]int{}
	for _, m := range p.members {
		if m.live() && m.shielded {
			shielded[m.deployment]++
		}
	}
	for i := range p.svc.Deployments {
		d, share := &p.svc.Deployments[i], 0
		if d.Status == model.DeploymentPrimary {
			share = p.limits.desired
		}
		if shielded[d.ID] > share {
			return d.ID
		}
	}
	return ""
}

// conclude writes down how far the service has come.
func (p *planner) conclude() {
	c := p.census()
	if p.closing() {
		p.close(c)
		return
	}
	settled := !p.cut && !p.frozen() && c.occupied == p.limits.desired && c.serving == p.limits.desired
	p.trimDeployments(settled)
	if !settled {
		p.svc.SteadyReported = false
		return
	}
	if !p.svc.Rebalancing { // or a task that fails in another zone would be tried again at once
		p.svc.FailedStarts, p.svc.PauseUntil = 0, time.Time{}
	}
	if d := p.svc.Primary(); d.RolloutState != ecs.DeploymentRolloutStateCOMPLETED {
		d.RolloutState, d.RolloutStateReason, d.UpdatedAt = ecs.DeploymentRolloutStateCOMPLETED, reasonCompleted(d.ID), p.Now
		completed := *d
		p.svc.LastCompleted = &completed
		p.event(deploymentCompleted(p.svc.Name, d.ID))
	}
	if !p.svc.SteadyReported {
		p.svc.SteadyReported = true
		p.event(steadyState(p.svc.Name))
	}
}

// close makes a deleted service INACTIVE once its last task is gone. A task on a
// host that cannot be reached is marked to stop there and does not hold it up.
func (p *planner) close(c census) {
	p.trimDeployments(c.occupied == 0)
	if c.occupied == 0 && !p.cut {
		p.svc.Status = model.StatusInactive
	}
}

// trimDeployments counts the tasks of the older deployments and drops those that
// have none. One that has FAILED stays to be seen until its successor is there.
func (p *planner) trimDeployments(settled bool) {
	if len(p.svc.Deployments) == 1 {
		return // the PRIMARY one
	}
	all := p.svc.Deployments
	held := make([]bool, len(all))
	for i := range all[1:] {
		all[1+i].DesiredCount = 0
	}
	for _, m := range p.members {
		if m.standing == lost || m.deployment == all[0].ID {
			continue
		}
		for i := range all {
			if all[i].ID != m.deployment {
				continue
			}
			if held[i] = true; m.live() {
				all[i].DesiredCount++
			}
		}
	}
	mainstay := p.mainstay() // it may have lost all its tasks, and is to get some back
	kept := all[:1]
	for i := 1; i < len(all); i++ {
		if held[i] || !settled && (all[i].RolloutState == ecs.DeploymentRolloutStateFAILED || &all[i] == mainstay) {
			kept = append(kept, all[i])
		}
	}
	p.svc.Deployments = kept
}
