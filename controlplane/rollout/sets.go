package rollout

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

// SetStart asks for tasks of one task set.
type SetStart struct {
	Set   model.DeploymentID
	Count int
}

// recordsOfSet is how many records, besides those of tasks, a plan may change for
// one task set: its events, and the old ones that they push out.
const recordsOfSet = 14

// setsPlanner is one run of Plan for a service that is made of task sets. Each set
// is planned like a service of its own, with the set's share of the desired count
// and without roll-outs; what they have in common is how their tasks are spread,
// and the size of the plan.
type setsPlanner struct {
	Input
	svc   model.Service // the record as it is to become
	parts []*setPart
	left  int
	out   Output
}

// setPart is one task set, or what is left of one that is gone.
type setPart struct {
	*planner
	set     *model.TaskSet // as it is to become
	count   int32          // tasks that it is to have
	settled bool
}

func planSets(in Input) Output {
	p := newSetsPlanner(in)
	for _, s := range p.parts {
		p.within(s, func() {
			s.countOutcomes()
			s.pinImages()
			s.classify()
		})
	}
	p.shareSpread()
	for _, s := range p.parts {
		p.within(s, s.stopWhatMustGo)
	}
	p.start()
	for _, s := range p.parts {
		p.conclude(s)
	}
	p.concludeService()
	if !reflect.DeepEqual(p.svc, *in.Service) {
		p.out.Service = &p.svc
	}
	return p.out
}

func newSetsPlanner(in Input) *setsPlanner {
	p := &setsPlanner{Input: in, svc: *in.Service, out: Output{Service: in.Service}}
	p.svc.TaskSets = slices.Clone(in.Service.TaskSets)
	tasks := map[model.DeploymentID]*tasksOfSet{}
	of := func(id model.DeploymentID) *tasksOfSet {
		if tasks[id] == nil {
			tasks[id] = &tasksOfSet{}
		}
		return tasks[id]
	}
	for _, m := range in.Roster.byID() {
		s := of(m.deployment)
		s.members = append(s.members, m)
	}
	for _, t := range in.Roster.ended {
		s := of(t.Deployment)
		s.ended = append(s.ended, t)
	}
	for i := range p.svc.TaskSets {
		set := &p.svc.TaskSets[i]
		p.add(set, of(set.ID))
		delete(tasks, set.ID)
	}
	for _, id := range sortedKeys(tasks) {
		p.add(&model.TaskSet{ID: id, Status: model.TaskSetDraining}, tasks[id])
	}
	p.left = max(len(p.parts), in.Settings.MaxChanges-recordsOfSet*len(p.parts))
	return p
}

// tasksOfSet are the tasks of one task set.
type tasksOfSet struct {
	members []*member
	ended   []*model.Task
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	return slices.Sorted(maps.Keys(m))
}

func (p *setsPlanner) add(set *model.TaskSet, tasks *tasksOfSet) {
	in := p.Input
	in.Service = setView(p.Service, set)
	p.parts = append(p.parts, &setPart{planner: newPlanner(in, tasks.members, tasks.ended), set: set, count: in.Service.DesiredCount})
}

// setView is a task set as if it were a service with one deployment.
func setView(s *model.Service, set *model.TaskSet) *model.Service {
	v := *s
	v.TaskSets, v.LastCompleted = nil, nil
	v.DesiredCount = s.ComputedCount(set)
	v.Deployments = []model.Deployment{{ID: set.ID, Status: model.DeploymentPrimary, Definition: set.Definition, DesiredCount: v.DesiredCount, Images: set.Images}}
	v.FailedStarts, v.PauseUntil, v.LastPlacement = set.FailedStarts, set.PauseUntil, set.LastPlacement
	return &v
}

// within lets a part work within what is left of the plan.
func (p *setsPlanner) within(s *setPart, work func()) {
	s.left = p.left
	work()
	p.left = s.left
}

// shareSpread lets all parts go by the tasks of the whole service when they choose
// which of theirs to take away.
func (p *setsPlanner) shareSpread() {
	whole := newSpread(p.Roster.byID())
	for _, s := range p.parts {
		s.spread = whole // what one part stops, the others see
	}
}

// draining tells whether the task set is to end: it was deleted, or its service.
func (s *setPart) draining() bool { return s.set.Status == model.TaskSetDraining || s.closing() }

func (s *setPart) stopWhatMustGo() {
	s.settleCounters()
	s.aim()
	s.stopUnhealthy()
	s.stopUnwanted()
	s.stopSurplus()
	if s.draining() {
		s.abandonLost()
	}
	s.reportStops()
	s.markLost()
	s.directTraffic()
}

// abandonLost stops the tasks of a deleted task set on hosts that cannot be
// reached: should a host come back, nobody would know them any more.
func (s *setPart) abandonLost() {
	for _, m := range s.members {
		if m.standing == lost && !m.stopping && !s.stop(m, scalingReason(s.set.ID)) {
			return
		}
	}
}

// start divides what is left of the plan among the parts. Those that found no
// place the last time come last, and none gets it all: one that can not start its
// tasks must not keep the others from starting theirs.
func (p *setsPlanner) start() {
	order := slices.Clone(p.parts)
	slices.SortStableFunc(order, func(a, b *setPart) int {
		return cmp.Compare(min(1, len(a.svc.LastPlacement)), min(1, len(b.svc.LastPlacement)))
	})
	for i, s := range order {
		share := (p.left + len(order) - i - 1) / (len(order) - i)
		s.left = share
		s.start()
		p.left -= share - s.left
		s.reportBlocked()
	}
}

// conclude writes down how far a task set has come.
func (p *setsPlanner) conclude(s *setPart) {
	set, c := s.set, s.census()
	s.settled = !s.cut && c.occupied == int(s.count) && c.serving == int(s.count)
	if s.settled {
		s.svc.FailedStarts, s.svc.PauseUntil = 0, time.Time{}
	}
	set.Images = s.svc.Primary().Images
	set.FailedStarts, set.PauseUntil, set.LastPlacement = s.svc.FailedStarts, s.svc.PauseUntil, s.svc.LastPlacement
	if set.SaidCount != s.count {
		set.SaidCount = s.count
		p.out.Events = append(p.out.Events, updatedCount(p.svc.Name, set.ID, s.count))
	}
	p.out.Events = append(p.out.Events, s.events...)
	// A task on a host that cannot be reached is replaced, and still shown as
	// RUNNING: then there are more than there should be (stabilityStatus, seed 000).
	stability := ecs.StabilityStatusSTABILIZING
	if s.settled && !s.draining() && len(s.members) == int(s.count) {
		stability = ecs.StabilityStatusSTEADYSTATE
	}
	if set.Stability != stability {
		set.Stability, set.StabilityAt = stability, p.Now
		if stability == ecs.StabilityStatusSTEADYSTATE {
			p.out.Events = append(p.out.Events, updatedState(p.svc.Name, set.ID, stability))
		}
	}
	s.addChanges(&p.out)
	if s.begin.Count > 0 {
		p.out.Starts = append(p.out.Starts, SetStart{set.ID, s.begin.Count})
	}
	p.wake(s)
}

func (p *setsPlanner) wake(s *setPart) {
	at := s.planner.wake
	if s.cut {
		at = p.Now
	}
	if !at.IsZero() && (p.out.WakeAt.IsZero() || at.Before(p.out.WakeAt)) {
		p.out.WakeAt = at
	}
}

// concludeService drops the task sets that were deleted and have no tasks left, and
// writes down how far the service has come as a whole.
func (p *setsPlanner) concludeService() {
	emptied := map[model.DeploymentID]bool{}
	steady, empty := len(p.svc.TaskSets) > 0, true
	for _, s := range p.parts {
		steady = steady && s.settled
		occupied := s.cut || s.census().occupied > 0
		empty = empty && !occupied
		emptied[s.set.ID] = s.draining() && !occupied
	}
	p.svc.TaskSets = slices.DeleteFunc(p.svc.TaskSets, func(set model.TaskSet) bool { return emptied[set.ID] })
	if len(p.svc.TaskSets) == 0 {
		p.svc.TaskSets = nil
	}
	if p.svc.Status == model.StatusDraining {
		if empty && len(p.svc.TaskSets) == 0 {
			p.svc.Status = model.StatusInactive
		}
		return
	}
	if steady && !p.svc.SteadyReported {
		p.out.Events = append(p.out.Events, steadyState(p.svc.Name))
	}
	p.svc.SteadyReported = steady
}

// PlacedSet is Placed for the tasks of one task set.
func PlacedSet(s *model.Service, id model.DeploymentID, started []model.TaskID, miss *Miss) (*model.Service, []string) {
	set, ok := s.TaskSet(id)
	if !ok {
		return s, nil
	}
	view, events := Placed(setView(s, set), started, miss)
	if view.LastPlacement == set.LastPlacement {
		return s, events
	}
	next := *s
	next.TaskSets = slices.Clone(s.TaskSets)
	set, _ = next.TaskSet(id)
	set.LastPlacement = view.LastPlacement
	return &next, events
}
