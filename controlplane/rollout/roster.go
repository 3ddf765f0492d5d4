package rollout

import (
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

// Roster is what plans must know of the tasks of one service and of the instances under
// them, read from their records once and kept from one plan to the next: then a plan reads
// only the records that changed in between, and not ten thousand of which two did. It
// decides nothing and remembers nothing that does not stand in the records: one that is
// made anew from them gives the same plans.
//
// One plan at a time may use a Roster; it keeps its notes on the tasks there, which mean
// nothing to the next plan.
type Roster struct {
	members map[model.TaskID]*member
	hosts   map[model.InstanceID]*host // under the members
	ended   map[model.TaskID]*model.Task

	sorted []*member // the members by id, less those in fresh; with those that have left
	fresh  []*member // not sorted in yet
	left   int       // of both, that are no members any more

	plan int // the number of plans so far
}

// host is what a plan must know of an instance.
type host struct {
	id      model.InstanceID
	members int // of the roster that are on it

	read        bool // the rest is as in the record
	zone        string
	draining    bool
	silentSince time.Time
	missing     bool // or INACTIVE

	plan int  // that came here last; of that one are:
	gone bool // missing, or silent for too long: its tasks are lost

	eligible bool    // a DAEMON service is to have a task here
	hoped    bool    // or has one, and the host is silent only for now
	taken    bool    // and no room for another
	kept     *member // the one that is to stay

	tasks int    // of those that a spread was counted of
	stack *stack // while candidates are arranged
}

// NewRoster makes a roster of tasks, in any order: those of the service that are not STOPPED,
// and those STOPPED whose OutcomeCounted is not set. Others are passed over.
func NewRoster(tasks iter.Seq[*model.Task]) *Roster {
	r := &Roster{members: map[model.TaskID]*member{}, hosts: map[model.InstanceID]*host{}, ended: map[model.TaskID]*model.Task{}}
	for t := range tasks {
		r.Note(t)
	}
	return r
}

// Note takes note of a task of the service as it is now, whatever it has become. The same may be
// noted twice.
func (r *Roster) Note(t *model.Task) {
	m := r.members[t.ID]
	if t.LastStatus == model.TaskStopped {
		r.Forget(t.ID)
		if !t.OutcomeCounted {
			r.ended[t.ID] = t
		}
		return
	}
	delete(r.ended, t.ID)
	switch {
	case m == nil:
		m = &member{host: r.settle(t.Instance)}
		r.members[t.ID] = m
		r.fresh = append(r.fresh, m)
	case m.host.id != t.Instance:
		r.leave(m.host)
		m.host = r.settle(t.Instance)
	}
	m.read(t)
}

// Forget takes note that a task is there no more.
func (r *Roster) Forget(id model.TaskID) {
	delete(r.ended, id)
	if m, ok := r.members[id]; ok {
		delete(r.members, id)
		r.leave(m.host)
		m.host = nil
		r.left++
	}
}

// NoteInstance takes note that the record of an instance has changed.
func (r *Roster) NoteInstance(id model.InstanceID) {
	if h, ok := r.hosts[id]; ok {
		h.read = false
	}
}

func (r *Roster) settle(id model.InstanceID) *host {
	h, ok := r.hosts[id]
	if !ok {
		h = &host{id: id}
		r.hosts[id] = h
	}
	h.members++
	return h
}

func (r *Roster) leave(h *host) {
	h.members--
	if h.members == 0 {
		delete(r.hosts, h.id)
	}
}

// Tasks goes through the tasks, those that have not STOPPED first.
func (r *Roster) Tasks() iter.Seq[*model.Task] {
	return func(yield func(*model.Task) bool) {
		for _, m := range r.byID() {
			if !yield(m.task) {
				return
			}
		}
		for _, t := range r.ended {
			if !yield(t) {
				return
			}
		}
	}
}

// Instances goes through the instances under the tasks that have not STOPPED.
func (r *Roster) Instances() iter.Seq[model.InstanceID] {
	return func(yield func(model.InstanceID) bool) {
		for id := range r.hosts {
			if !yield(id) {
				return
			}
		}
	}
}

// byID returns the members sorted by id. It costs something only if some have come or gone.
func (r *Roster) byID() []*member {
	if r.left > 0 {
		hasLeft := func(m *member) bool { return m.host == nil }
		r.sorted, r.fresh, r.left = slices.DeleteFunc(r.sorted, hasLeft), slices.DeleteFunc(r.fresh, hasLeft), 0
	}
	if len(r.fresh) > 0 {
		slices.SortFunc(r.fresh, compareMembers)
		r.sorted = merge(r.sorted, r.fresh)
		r.fresh = nil
	}
	return r.sorted
}

func compareMembers(a, b *member) int { return strings.Compare(string(a.task.ID), string(b.task.ID)) }

// merge sorts the few into the many, from the end on, so that it stops at the place of the first.
func merge(many, few []*member) []*member {
	at := len(many) - 1
	all := append(many, few...)
	for i, to := len(few)-1, len(all)-1; i >= 0; to-- {
		if at >= 0 && compareMembers(all[at], few[i]) > 0 {
			all[to] = all[at]
			at--
		} else {
			all[to] = few[i]
			i--
		}
	}
	return all
}

// read takes from a task's record what plans must know.
func (m *member) read(t *model.Task) {
	m.task, m.deployment, m.definition = t, t.Deployment, t.Definition
	m.startedAt, m.protectedUntil = t.StartedAt, t.ProtectedUntil
	switch {
	case t.DesiredStatus == model.TaskStopped || model.TaskRunning.Before(t.LastStatus):
		m.status = leaving
	case t.LastStatus.Starting():
		m.status = pending
	default:
		m.status = healthy // if nothing speaks against it
	}
	m.failing = t.HealthStatus == ecs.HealthStatusUNHEALTHY || failing(t) != nil
	m.proven = t.HealthStatus == ecs.HealthStatusHEALTHY
	m.targets, m.passing = len(t.Targets) > 0, passing(t)
	m.stopping, m.lost, m.inTraffic = t.DesiredStatus == model.TaskStopped, t.Lost, t.InTraffic()
	m.digests = slices.ContainsFunc(t.Containers, func(c model.Container) bool { return c.ImageDigest != "" })
}
