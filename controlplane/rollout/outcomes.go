package rollout

import (
	"cmp"
	"reflect"
	"slices"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

// countOutcomes takes note, once for each task, of how those that STOPPED have
// ended. What the service or a caller stopped, or the loss of a host, says
// nothing about the deployment.
func (p *planner) countOutcomes() {
	slices.SortFunc(p.ended, func(a, b *model.Task) int {
		return cmp.Or(a.StoppedAt.Compare(b.StoppedAt), cmp.Compare(a.ID, b.ID))
	})
	for _, t := range p.ended {
		c, ok := p.change(t)
		if !ok {
			return
		}
		c.OutcomeCounted = true
		p.noteLeft(t)
		if !endedOfItself(t) {
			continue
		}
		if t.Deployment != p.svc.Primary().ID {
			p.countRestored(t)
			continue
		}
		if p.ran(t) {
			p.succeeded(t, passing(t) && (t.HealthStatus == ecs.HealthStatusHEALTHY || !p.hasHealthCheck(t.Definition)))
		} else {
			p.failedToStart(t)
		}
	}
}

func endedOfItself(t *model.Task) bool {
	switch t.StopCode {
	case ecs.TaskStopCodeUserInitiated, ecs.TaskStopCodeServiceSchedulerInitiated,
		ecs.TaskStopCodeTerminationNotice, ecs.TaskStopCodeSpotInterruption:
		return false
	}
	return true
}

// ran tells whether a STOPPED task had been RUNNING for long enough to say that
// it had started.
func (p *planner) ran(t *model.Task) bool {
	return !t.StartedAt.IsZero() && t.StoppedAt.Sub(t.StartedAt) >= p.Settings.HealthyAfter
}

// failedToStart counts a failure of the PRIMARY deployment. Tasks that were
// started together and fail together are one round: they slow the service once.
func (p *planner) failedToStart(t *model.Task) {
	p.svc.Primary().FailedTasks++
	if t.CreatedAt.Before(p.svc.PauseUntil) {
		return
	}
	p.svc.FailedStarts++
	p.svc.PauseUntil = p.Now.Add(p.pause(p.svc.FailedStarts))
	if p.svc.FailedStarts == max(1, p.Settings.FreeTries) {
		p.event(unableToStart(p.svc.Name))
	}
}

// pause is how long a service waits after so many failed rounds in a row.
func (p *planner) pause(rounds int32) time.Duration {
	if rounds < p.Settings.FreeTries {
		return 0
	}
	pause := p.Settings.BasePause
	for range rounds - p.Settings.FreeTries {
		if pause *= 2; pause >= p.Settings.MaxPause {
			return p.Settings.MaxPause
		}
	}
	return min(pause, p.Settings.MaxPause)
}

// succeeded resets the counters after a task that has run. Only one that was
// started after the last failure shows that starting works again: a service with
// one good host and one bad must not hammer the bad.
func (p *planner) succeeded(t *model.Task, proven bool) {
	if !t.CreatedAt.Before(p.svc.PauseUntil) {
		p.svc.FailedStarts, p.svc.PauseUntil = 0, time.Time{}
	}
	if proven && p.resetsOnHealthy() {
		p.svc.Primary().FailedTasks = 0
	}
}

// resetsOnHealthy tells whether a healthy task makes the failures before it forgotten.
func (p *planner) resetsOnHealthy() bool {
	breaker := p.svc.DeploymentConfiguration.DeploymentCircuitBreaker
	return breaker == nil || breaker.ResetOnHealthyTask == nil || *breaker.ResetOnHealthyTask
}

// settleCounters resets them if tasks of the PRIMARY deployment do run.
func (p *planner) settleCounters() {
	if p.svc.FailedStarts == 0 && p.svc.PauseUntil.IsZero() && p.svc.Primary().FailedTasks == 0 {
		return // they are what they would become
	}
	for _, m := range p.members {
		if m.standing == healthy && m.deployment == p.svc.Primary().ID {
			p.succeeded(m.task, true)
		}
	}
}

// The bounds of BOUNDED_PERCENT, and the percentage without a ThresholdConfiguration.
const leastFailures, mostFailures, usualPercent = 3, 200, 50

// threshold is the number of failures at which a deployment has failed: half of
// the desired count, within bounds, or what the service asks for
// (ThresholdConfiguration, ECS API reference).
func threshold(c *ecs.ThresholdConfiguration, desired int) int {
	if c == nil {
		c = &ecs.ThresholdConfiguration{Type: ecs.ThresholdTypeBOUNDEDPERCENT, Value: usualPercent}
	}
	share := (int64(desired)*int64(c.Value) + 99) / 100
	switch c.Type {
	case ecs.ThresholdTypeCOUNT:
		share = int64(c.Value)
	case ecs.ThresholdTypeBOUNDEDPERCENT:
		share = min(max(share, leastFailures), mostFailures)
	}
	return int(max(1, share))
}

// breakCircuit ends a deployment of which too many tasks failed, and goes back
// to the last that completed if the service wants that and there is another.
func (p *planner) breakCircuit() {
	breaker, failed := p.svc.DeploymentConfiguration.DeploymentCircuitBreaker, p.svc.Primary()
	if p.closing() || breaker == nil || !breaker.Enable ||
		failed.RolloutState != ecs.DeploymentRolloutStateINPROGRESS ||
		int(failed.FailedTasks) < threshold(breaker.ThresholdConfiguration, p.desired()) {
		return
	}
	failed.RolloutState = ecs.DeploymentRolloutStateFAILED
	failed.RolloutStateReason = reasonFailed
	p.event(deploymentFailed(p.svc.Name, failed.ID))
	last := p.svc.LastCompleted
	if !breaker.Rollback || last == nil ||
		last.Definition == failed.Definition && last.LaunchType == failed.LaunchType &&
			slices.Equal(last.CapacityProviderStrategy, failed.CapacityProviderStrategy) &&
			reflect.DeepEqual(last.Wiring, failed.Wiring) && runsImagesOf(failed, last) {
		return
	}
	p.svc.LaunchType, p.svc.CapacityProviderStrategy, p.svc.Wiring = last.LaunchType, last.CapacityProviderStrategy, last.Wiring
	p.svc = Deploy(p.svc, p.NextDeployment, last.Definition, p.Now)
	p.svc.Primary().RolloutStateReason = reasonRollback(p.NextDeployment)
	p.svc.Primary().Images = last.Images // what has proved itself, and not what its tags mean by now
	p.event(rollingBack(p.svc.Name, p.NextDeployment))
}
