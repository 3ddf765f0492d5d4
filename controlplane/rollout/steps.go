package rollout

import (
	"slices"
	"time"

	"github.com/longshore/longshore/controlplane/model"
)

// A plan for a large service has more to do than fits one transaction. What is left of its stops and starts comes
// in steps, a transaction each, so that not each of these needs a plan that goes through all tasks again. Nothing
// else is put off: what changes the service's record, or a target group, is in the first transaction or in the next plan.

// Step is a transaction that follows a plan's first, provided that since then nothing has happened
// that the plan rests on, and the one before has found a place for all it started.
type Step struct {
	// Tasks and Replaced are tasks to stop, as in Output; Events tell of them.
	Tasks, Replaced []*model.Task
	Events          []string
	Start           Start
}

// putOff is what a plan would do in further transactions.
type putOff struct {
	room  int // task records that may still be put off
	stops []*model.Task
	start Start
	until time.Time // when a silent host stops to count; zero for never
}

// stopLater plans the end of a task in a later step, or returns false if there is no room for that either.
func (p *planner) stopLater(m *member) (*model.Task, bool) {
	if p.later.room == 0 || m.inTraffic {
		return nil, false
	}
	p.later.room--
	c := *m.task
	p.changed[c.ID] = &c
	p.later.stops = append(p.later.stops, m.task)
	return &c, true
}

// startLater puts off what a start has more than fits the first transaction.
func (p *planner) startLater(want Start, now int) {
	n := min(want.Count-now, p.later.room)
	if n == 0 {
		return
	}
	p.later.room -= n
	p.later.start = Start{Count: n}
	if want.Instances != nil {
		p.later.start.Instances = want.Instances[now : now+n]
	}
}

// steps cuts what was put off.
func (p *planner) steps() []Step {
	var out []Step
	for some := range slices.Chunk(p.later.stops, max(1, p.Settings.MaxChanges)) {
		s := Step{Replaced: some, Events: p.tellStops(some)}
		for _, t := range some {
			s.Tasks = append(s.Tasks, p.changed[t.ID])
		}
		out = append(out, s)
	}
	for at := 0; at < p.later.start.Count; at += p.Settings.MaxChanges {
		s := Step{Start: Start{Count: min(p.later.start.Count-at, p.Settings.MaxChanges)}}
		if all := p.later.start.Instances; all != nil {
			s.Start.Instances = all[at : at+s.Start.Count]
		}
		out = append(out, s)
	}
	return out
}
