package rollout

import (
	"iter"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

// Settings are the limits that an operator may set.
type Settings struct {
	// SilentLimit is how long the agent of an instance may be silent before the
	// tasks on it no longer count.
	SilentLimit time.Duration
	// HealthyAfter is how long a task without a health check must have been
	// RUNNING to count as healthy. A task that ends of itself before has failed
	// to start. ECS waits 40 s; zero takes RUNNING for healthy.
	HealthyAfter time.Duration
	// FreeTries is the number of rounds of starts that may fail in a row before
	// the service is slowed.
	FreeTries int32
	// BasePause is the first pause of a slowed service; each further round that
	// fails doubles it, up to MaxPause.
	BasePause, MaxPause time.Duration
	// MaxChanges bounds the tasks that one plan changes or starts, so that its
	// transaction holds others up for a moment only; at least 1.
	MaxChanges int
	// MaxSteps is how many more transactions a plan may fill with stops and starts.
	MaxSteps int
}

// DefaultSettings are the settings of a control plane whose operator set none.
func DefaultSettings() Settings {
	return Settings{
		SilentLimit:  15 * time.Second,
		HealthyAfter: 2 * time.Second,
		FreeTries:    3,
		BasePause:    time.Second,
		MaxPause:     15 * time.Minute,
		MaxChanges:   100,
		MaxSteps:     9,
	}
}

// Input is what a plan is made from. Nothing in it is changed, but that a plan keeps its notes in the Roster.
type Input struct {
	Now     time.Time
	Service *model.Service
	// Tasks are, in any order, the tasks of the service that are not STOPPED and
	// those STOPPED whose OutcomeCounted is not set. Their times must be those of
	// the clock that Now is read from.
	Tasks []*model.Task
	// Roster, if not nil, has the tasks in the place of Tasks, and is up to date.
	Roster *Roster
	// Instance finds a container instance of the service's cluster.
	Instance func(model.InstanceID) (*model.Instance, bool)
	// HealthChecked tells whether an essential container of a definition has a
	// health check.
	HealthChecked func(model.DefinitionRef) bool
	// Eligible are, for a DAEMON service, the ACTIVE and connected instances that
	// meet its constraints.
	Eligible []model.InstanceID
	// Zones are, of a service that is to be kept even over zones, those with an ACTIVE and
	// connected instance that meets its constraints, whether or not there is room; sorted.
	// Nil if nobody can tell.
	Zones func() []string
	// Drain is how long the targets of a group are drained.
	Drain func(model.TargetGroupARN) time.Duration
	// NextDeployment is a fresh id, for the case that a deployment is rolled back.
	NextDeployment model.DeploymentID
	Settings       Settings
}

// Output is what to do. Applied or not, the same input gives it again.
type Output struct {
	// Service is the record to store: the very pointer of the input if nothing
	// about it changed.
	Service *model.Service
	// Tasks are the records to store: tasks to stop (DesiredStatus STOPPED, with
	// code and reason, Version counted up), tasks that come into their target groups
	// or leave them, and notes that only the next plan
	// reads (OutcomeCounted, Lost). Replaced are the records of the input in whose
	// places they come, in the same order.
	Tasks, Replaced []*model.Task
	// Start says how many tasks to start.
	Start Start
	// Restore says how many to start of an older deployment. The caller does that first, and tells
	// Placed of both together.
	Restore Restore
	// Starts says it for each task set, if the service is made of such.
	Starts []SetStart
	// Moves say how many tasks to start in which zone; see [PlacedMoves].
	Moves []Move
	// Later are further transactions, in order, none of them to begin after LaterUntil unless that is
	// zero. They may as well be left out: whatever they would do, a later plan does.
	Later      []Step
	LaterUntil time.Time
	// Events are the messages to append, oldest first.
	Events []string
	// WakeAt is when to plan again though nothing has changed; zero for never.
	WakeAt time.Time
	// Desired is the number of tasks that the service is to have, AtLeast the number of
	// healthy ones that the plan keeps, AtMost the number that may be there when one is
	// started.
	Desired, AtLeast, AtMost int
}

// StartsAny tells whether tasks are to be started, now or in a later step.
func (o *Output) StartsAny() bool {
	return o.Start.Count+o.Restore.Count+len(o.Starts)+len(o.Moves) > 0 || slices.ContainsFunc(o.Later, func(s Step) bool { return s.Start.Count > 0 })
}

// AllTasks goes through the records to store, those of later steps too.
func (o *Output) AllTasks() iter.Seq[*model.Task] {
	return func(yield func(*model.Task) bool) {
		for _, t := range o.Tasks {
			if !yield(t) {
				return
			}
		}
		for _, s := range o.Later {
			for _, t := range s.Tasks {
				if !yield(t) {
					return
				}
			}
		}
	}
}

// Start asks for tasks of the PRIMARY deployment.
type Start struct {
	Count int
	// Instances, if not nil, wants exactly one task on each of them (DAEMON).
	Instances []model.InstanceID
}

// Restore asks for tasks of an older deployment, in the places of some that it lost.
type Restore struct {
	Deployment model.DeploymentID
	Start
}

// Plan decides what the service must do now. It goes through all tasks, but with a
// Roster it reads only the records that have changed since the last plan.
func Plan(in Input) Output {
	if in.Service.Status == model.StatusInactive {
		return Output{Service: in.Service}
	}
	if in.Roster == nil {
		in.Roster = NewRoster(slices.Values(in.Tasks))
	}
	in.Roster.plan++
	if in.Service.HasTaskSets() {
		return planSets(in)
	}
	p := newPlanner(in, in.Roster.byID(), slices.Collect(maps.Values(in.Roster.ended)))
	p.later.room = in.Settings.MaxSteps * in.Settings.MaxChanges
	p.countOutcomes()
	p.pinImages()
	p.classify()
	p.settleCounters()
	p.countUnplaced()
	p.breakCircuit()
	p.aim()
	p.stopUnhealthy()
	p.stopUnwanted()
	p.stopSurplus()
	p.reportStops()
	p.markLost()
	p.directTraffic()
	p.start()
	p.rebalance()
	p.reportBlocked()
	p.conclude()
	return p.output()
}

// planner is one run of Plan.
type planner struct {
	Input
	svc     model.Service // the record as it is to become
	roster  *Roster
	members []*member     // the tasks that are not STOPPED, sorted by id
	ended   []*model.Task // those that are
	counts  census
	counted bool // the counts hold
	limits  limits
	hosts   *int               // that a DAEMON service is to have a task on; nil before they are counted
	free    []model.InstanceID // of those, with no task of it; sorted
	checked map[model.DefinitionRef]bool
	last    struct { // of checked, that was asked for last
		definition model.DefinitionRef
		checked    bool
	}

	changed map[model.TaskID]*model.Task
	order   []*model.Task // of which changed are copies, as they came
	left    int           // task records that may still be changed or started
	cut     bool          // the plan would have done more, had left allowed
	later   putOff
	stops   int
	spread  *spread
	begin   Start
	restore Restore
	moves   []Move
	moved   map[model.TaskID]bool // those stopped in favour of another zone
	events  []string
	gone    map[model.TargetGroupARN]int // targets that left with their tasks, by group
	wake    time.Time
}

// newPlanner begins a plan for those of the tasks of the roster that are given.
func newPlanner(in Input, members []*member, ended []*model.Task) *planner {
	p := &planner{
		Input: in, svc: *in.Service, roster: in.Roster, members: members, ended: ended, spread: newSpread(members),
		changed: map[model.TaskID]*model.Task{}, moved: map[model.TaskID]bool{}, left: in.Settings.MaxChanges,
		checked: map[model.DefinitionRef]bool{},
	}
	p.svc.Deployments = slices.Clone(in.Service.Deployments)
	return p
}

// change returns the copy of a task that the plan stores, or false if the plan
// is full.
func (p *planner) change(t *model.Task) (*model.Task, bool) {
	if c, ok := p.changed[t.ID]; ok {
		return c, true
	}
	if p.left == 0 {
		p.cut = true
		return nil, false
	}
	p.left--
	c := *t
	p.changed[t.ID] = &c
	p.order = append(p.order, t)
	return &c, true
}

// wakeAt asks for a plan at a moment to come.
func (p *planner) wakeAt(at time.Time) {
	if at.After(p.Now) && (p.wake.IsZero() || at.Before(p.wake)) {
		p.wake = at
	}
}

func (p *planner) event(message string) { p.events = append(p.events, message) }

// closing tells whether the service is being deleted.
func (p *planner) closing() bool { return p.svc.Status == model.StatusDraining }

// frozen tells whether the PRIMARY deployment has failed and was not rolled
// back: it starts nothing any more, and the older deployments keep their tasks.
func (p *planner) frozen() bool {
	return !p.closing() && p.svc.Primary().RolloutState == ecs.DeploymentRolloutStateFAILED
}

func (p *planner) daemon() bool {
	return p.svc.SchedulingStrategy == ecs.SchedulingStrategyDAEMON
}

func (p *planner) output() Output {
	out := Output{Service: p.Service, Start: p.begin, Restore: p.restore, Moves: p.moves, Events: p.events, WakeAt: p.wake,
		Desired: p.limits.desired, AtLeast: p.limits.least, AtMost: p.limits.most}
	p.addChanges(&out)
	out.Later, out.LaterUntil = p.steps(), p.later.until
	if p.cut {
		out.WakeAt = p.Now
	}
	p.stampDeployments()
	if !reflect.DeepEqual(p.svc, *p.Service) {
		out.Service = &p.svc
	}
	return out
}

// addChanges writes the changed tasks into an answer.
func (p *planner) addChanges(out *Output) {
	for _, t := range p.order {
		out.Tasks, out.Replaced = append(out.Tasks, p.changed[t.ID]), append(out.Replaced, t)
	}
}

// stampDeployments sets UpdatedAt where a deployment changed.
func (p *planner) stampDeployments() {
	before := make(map[model.DeploymentID]model.Deployment, len(p.Service.Deployments))
	for _, d := range p.Service.Deployments {
		before[d.ID] = d
	}
	for i := range p.svc.Deployments {
		if d := &p.svc.Deployments[i]; !reflect.DeepEqual(*d, before[d.ID]) {
			d.UpdatedAt = p.Now
		}
	}
}
