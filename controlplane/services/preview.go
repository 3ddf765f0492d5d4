package services

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/longshore/longshore/controlplane/launch"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/placement"
	"github.com/longshore/longshore/controlplane/rollout"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// Preview is what the loop would do about a service.
type Preview struct {
	// Desired, AtLeast and AtMost are the limits of the first step; see rollout.Output.
	Desired, AtLeast, AtMost int
	Steps                    []Step
	// Settled tells that nothing is left to do after the last step.
	Settled bool
	// Stuck is the event that says why the service can not go on after the last step
	// though something is left to do; empty if it goes on or is settled.
	Stuck string
}

// Step is one transaction of the loop.
type Step struct {
	At      time.Time
	Started []*model.Task
	Stopped []*model.Task // with the reason of their end
	Events  []string
	// Failures say why no instance takes a further task, if one found no place.
	Failures []placement.Failure
}

const (
	maxPreviewSteps  = 10  // that do something
	maxPreviewRounds = 100 // those included that wait
)

// Look makes a preview of the first steps in a transaction that must be taken back, by
// the same code as the loop. Between the steps it makes come true what is hoped for: tasks
// that were started run and are healthy, those that were stopped have ended, and time
// passes to when the loop would look again.
func Look(tx *store.Tx, key model.ServiceKey, settings rollout.Settings, now time.Time) (Preview, error) {
	l := newLoop(Config{Settings: settings})
	var p Preview
	for round := range maxPreviewRounds {
		service, ok := tx.Service(key)
		if !ok || !store.ServiceLive(service) {
			p.Settled = true
			return p, nil
		}
		in := l.input(tx.Tables, service, now)
		in.Roster = rollout.NewRoster(tx.OpenTasksOfService(key))
		out := rollout.Plan(in)
		if round == 0 {
			p.Desired, p.AtLeast, p.AtMost = out.Desired, out.AtLeast, out.AtMost
		}
		step, err := l.look(tx, service, in, out, now)
		if err != nil {
			return p, err
		}
		if len(step.Started)+len(step.Stopped)+len(step.Events) > 0 {
			p.Steps = append(p.Steps, step)
		}
		came := comeTrue(tx, in, now)
		switch {
		case len(step.Failures) > 0 || len(p.Steps) == maxPreviewSteps:
			return p, nil
		case out.Start.Count+out.Restore.Count > len(step.Started): // for which no instance is to blame
			after, _ := tx.Service(key)
			p.Stuck = after.LastPlacement
			return p, nil
		case out.Service == service && len(out.Tasks)+out.Start.Count+out.Restore.Count+len(step.Started) == 0 && !came:
			if out.WakeAt.IsZero() {
				p.Settled, p.Stuck = service.LastPlacement == "", service.LastPlacement
				return p, nil
			}
			now = out.WakeAt
		}
	}
	return p, nil
}

// look applies a plan as the loop does, and says what it did.
func (l *Loop) look(tx *store.Tx, planned *model.Service, in rollout.Input, out rollout.Output, now time.Time) (Step, error) {
	step, have := Step{At: now}, sharesOf(in, out)
	for i, t := range out.Tasks {
		if t.DesiredStatus == model.TaskStopped && out.Replaced[i].DesiredStatus != model.TaskStopped {
			step.Stopped = append(step.Stopped, t)
		}
	}
	there := map[model.TaskID]bool{}
	for t := range tx.LiveTasksOfService(planned.Key()) {
		there[t.ID] = true
	}
	if _, _, err := l.apply(tx, planned, out, have, now); err != nil {
		return step, err
	}
	after, _ := tx.Service(planned.Key())
	for t := range tx.LiveTasksOfService(planned.Key()) {
		if !there[t.ID] {
			step.Started = append(step.Started, t)
		}
	}
	for e := range tx.Events(planned.Key()) {
		// An event that names a task of this preview names what will never be.
		fiction := slices.ContainsFunc(step.Started, func(t *model.Task) bool { return strings.Contains(e.Message, string(t.ID)) })
		if e.Sequence > planned.LastEvent && !fiction {
			step.Events = append(step.Events, e.Message)
		}
	}
	if out.Start.Count == 0 || len(step.Started) == out.Start.Count+out.Restore.Count {
		return step, nil
	}
	step.Failures = passedOver(tx, after, out.Start, step.Started, have)
	return step, nil
}

// passedOver says of each instance why it takes no further task of a service; nothing if
// no task can be made at all, which an event tells.
func passedOver(tx *store.Tx, s *model.Service, want rollout.Start, started []*model.Task, have shares) []placement.Failure {
	order, err := orderFor(tx.Tables, s, s.Primary().Definition, launch.ForService)
	if err != nil {
		return nil
	}
	failures := map[string]placement.Failure{}
	for _, portion := range order.Portions(want.Count-len(started), have[order.Deployment], tx.PoolOfProvider) {
		for _, f := range portion.PlaceOn(tx.Fleet(s.Cluster), want.Instances, nil).Failures {
			failures[f.InstanceID] = f
		}
	}
	out := make([]placement.Failure, 0, len(failures))
	for _, id := range slices.Sorted(maps.Keys(failures)) {
		out = append(out, failures[id])
	}
	return out
}

// comeTrue makes the tasks of a service what they are wanted to be, where there is an agent
// to do it, and tells whether that changed any.
func comeTrue(tx *store.Tx, in rollout.Input, now time.Time) bool {
	changed := false
	for _, t := range slices.Collect(tx.LiveTasksOfService(in.Service.Key())) {
		if i, ok := in.Instance(t.Instance); !ok || !i.AgentConnected {
			continue
		}
		report := model.TaskReport{Status: model.TaskRunning}
		switch {
		case t.MayStop():
			report.Status = model.TaskStopped
		case t.InTraffic():
			report.Targets = passed(t.Targets)
		}
		next, changes := t.Reported(report, now)
		if next.LastStatus == model.TaskRunning && in.HealthChecked(t.Definition) && next.HealthStatus == ecs.HealthStatusUNKNOWN {
			healthy := *next
			healthy.HealthStatus, changes = ecs.HealthStatusHEALTHY, true
			next = &healthy
		}
		if changes {
			tx.PutTask(next)
			changed = true
		}
	}
	return changed
}

// passed is the report that all targets of a task pass their checks.
func passed(targets []model.Target) []model.TargetReport {
	out := make([]model.TargetReport, len(targets))
	for i, t := range targets {
		out[i] = model.TargetReport{Group: t.Group, Container: t.Container, ContainerPort: t.ContainerPort, Health: model.TargetHealthy}
	}
	return out
}
