package services

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/longshore/longshore/controlplane/launch"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/rollout"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// errOutdated: what a plan was made from changed before its transaction. The service is
// planned anew.
var errOutdated = errors.New("planned on an outdated service")

// maxEvents is how many events of a service are kept (ECS shows the latest 100).
const maxEvents = 100

// outlook is what a look at a service says of the next one.
type outlook struct {
	wakeAt time.Time     // when to look again though nothing has changed; zero for never
	cost   time.Duration // what planning took, the commit not included
	again  bool          // at once: there is more to do, or the plan was outdated
}

// tend looks after one service once. The plan is made on a snapshot, while
// others write; its transaction checks that the snapshot still holds for all
// that it replaces, and for what it rests on.
func (l *Loop) tend(ctx context.Context, key model.ServiceKey) (next outlook, err error) {
	now := time.Now()
	view, roster := l.news.catchUp(key)
	service, ok := view.Service(key)
	if !ok || !store.ServiceLive(service) {
		l.note(l.blocked, key, false)
		l.note(l.byTasks, key, false)
		l.news.forget(key)
		return outlook{}, nil
	}
	in := l.input(view, service, now)
	in.Roster = roster
	out := rollout.Plan(in)
	next = outlook{wakeAt: out.WakeAt, cost: time.Since(now), again: out.WakeAt.Equal(now)}
	if out.Service == service && len(out.Tasks)+len(out.Events) == 0 && !out.StartsAny() {
		return next, nil
	}
	err = l.carryOut(ctx, groundsOf(view, in, out), out, sharesOf(in, out))
	if errors.Is(err, errOutdated) {
		next.again = true
		return next, nil
	}
	return next, err
}

// carryOut writes a plan, in as many transactions as it has steps. It leaves the rest to the next plan
// when a task found no place, or what the plan rests on has changed.
func (l *Loop) carryOut(ctx context.Context, rests grounds, out rollout.Output, have shares) error {
	planned, missed := rests.in.Service, false
	write := func(step rollout.Output) error {
		return l.cfg.Store.Update(ctx, func(tx *store.Tx) (err error) {
			if !rests.hold(tx) {
				return errOutdated
			}
			planned, missed, err = l.apply(tx, planned, step, have, time.Now())
			rests.renew(tx)
			return err
		})
	}
	if err := write(out); err != nil {
		return err
	}
	for _, s := range out.Later {
		if missed || !out.LaterUntil.IsZero() && time.Now().After(out.LaterUntil) {
			return nil
		}
		step := rollout.Output{Service: planned, Tasks: s.Tasks, Replaced: s.Replaced, Events: s.Events, Start: s.Start}
		if err := write(step); err != nil {
			return err
		}
	}
	return nil
}

func (l *Loop) input(view *store.Tables, s *model.Service, now time.Time) rollout.Input {
	in := rollout.Input{
		Now:            now,
		Service:        s,
		Instance:       func(id model.InstanceID) (*model.Instance, bool) { return view.Instance(s.Cluster, id) },
		Drain:          func(arn model.TargetGroupARN) time.Duration { return drainOf(view, arn) },
		HealthChecked:  func(ref model.DefinitionRef) bool { return healthChecked(view, ref) },
		NextDeployment: model.NewDeploymentID(),
		Settings:       l.cfg.Settings,
	}
	switch {
	case isDaemon(s):
		in.Eligible = l.eligible(view, s)
	case spreadsEvenly(s):
		in.Zones = func() []string { return l.zones(view, s) }
	}
	return in
}

// drainOf is how long the targets of a group are drained; one that was deleted has none.
func drainOf(view *store.Tables, arn model.TargetGroupARN) time.Duration {
	g, ok := view.TargetGroupByARN(arn)
	if !ok {
		return 0
	}
	return time.Duration(g.DeregistrationDelay) * time.Second
}

func healthChecked(view *store.Tables, ref model.DefinitionRef) bool {
	def, ok := view.Definition(ref)
	return ok && slices.ContainsFunc(def.Shape.ContainerDefinitions, func(c ecs.ContainerDefinition) bool {
		return c.HealthCheck != nil && (c.Essential == nil || *c.Essential)
	})
}

// apply writes a plan, unless what it replaces has changed. It returns the service as it is
// then, and whether a task found no place.
func (l *Loop) apply(tx *store.Tx, planned *model.Service, out rollout.Output, have shares, now time.Time) (*model.Service, bool, error) {
	if s, ok := tx.Service(planned.Key()); !ok || s != planned {
		return nil, false, errOutdated
	}
	for i, t := range out.Tasks {
		if current, ok := tx.Task(t.Cluster, t.ID); !ok || current != out.Replaced[i] {
			return nil, false, errOutdated
		}
		tx.PutTask(t)
	}
	service, events, missed, err := l.startAll(tx, out, have, now)
	if err != nil {
		return nil, false, err
	}
	if len(events) > 0 {
		service = appendEvents(tx, service, events, now)
	}
	if service != planned {
		tx.PutService(service)
	}
	return service, missed, nil
}

// startAll starts the tasks that a plan asks for. It returns the service and the
// events to store, and whether a task found no place.
func (l *Loop) startAll(tx *store.Tx, out rollout.Output, have shares, now time.Time) (service *model.Service, events []string, missed bool, err error) {
	service, events = out.Service, slices.Clone(out.Events)
	if out.Start.Count+out.Restore.Count > 0 {
		started, miss := l.startRestore(tx, service, out.Restore, have, now)
		if out.Start.Count > 0 {
			fresh, m := l.startOf(tx, service, service.Primary().Definition, launch.ForService, out.Start, have, now)
			started, miss = append(started, fresh...), cmp.Or(miss, m)
		}
		var more []string
		service, more = rollout.Placed(service, started, miss)
		events, missed = append(events, more...), miss != nil
	}
	for _, want := range out.Starts {
		set, ok := service.TaskSet(want.Set)
		if !ok {
			return nil, nil, false, errors.New("tasks are to be started of the task set " + string(want.Set) + ", which the service has not")
		}
		forSet := func(s *model.Service, d *model.Definition) (*launch.Order, error) {
			return launch.ForTaskSet(s, set, d)
		}
		started, miss := l.startOf(tx, service, set.Definition, forSet, rollout.Start{Count: want.Count}, have, now)
		var more []string
		service, more = rollout.PlacedSet(service, want.Set, started, miss)
		events, missed = append(events, more...), missed || miss != nil
	}
	if len(out.Moves) > 0 {
		moved, miss := l.startMoves(tx, service, out.Moves, have, now)
		var more []string
		service, more = rollout.PlacedMoves(service, moved)
		events, missed = append(events, more...), missed || miss
	}
	if out.StartsAny() {
		l.note(l.blocked, service.Key(), missed)
	}
	return service, events, missed, nil
}

// startRestore starts tasks of an older deployment.
func (l *Loop) startRestore(tx *store.Tx, s *model.Service, want rollout.Restore, have shares, now time.Time) ([]model.TaskID, *rollout.Miss) {
	i := slices.IndexFunc(s.Deployments, func(d model.Deployment) bool { return d.ID == want.Deployment })
	if want.Count == 0 || i < 0 {
		return nil, nil
	}
	older := &s.Deployments[i]
	kind := func(s *model.Service, d *model.Definition) (*launch.Order, error) {
		return launch.ForDeployment(s, older, d)
	}
	return l.startOf(tx, s, older.Definition, kind, want.Start, have, now)
}

// startOf starts tasks of a definition. A service that no task can be made for is told so
// and waits: it must not stand in the way of all the others.
func (l *Loop) startOf(tx *store.Tx, s *model.Service, ref model.DefinitionRef, kind orderKind, want rollout.Start, have shares, now time.Time) ([]model.TaskID, *rollout.Miss) {
	order, err := orderFor(tx.Tables, s, ref, kind)
	if err != nil {
		return nil, &rollout.Miss{Obstacle: err.Error()}
	}
	return l.start(tx, order, want, have, now)
}

// startMoves starts tasks in the zones that have too few of them, and tells whether one
// found no place.
func (l *Loop) startMoves(tx *store.Tx, s *model.Service, moves []rollout.Move, have shares, now time.Time) (results []rollout.MoveResult, missed bool) {
	for _, m := range moves {
		inZone := func(s *model.Service, d *model.Definition) (*launch.Order, error) {
			o, err := launch.ForService(s, d)
			if err != nil {
				return nil, err
			}
			o.Zone = m.Zone
			return o, nil
		}
		started, miss := l.startOf(tx, s, s.Primary().Definition, inZone, rollout.Start{Count: m.Count}, have, now)
		results = append(results, rollout.MoveResult{Zone: m.Zone, Started: started, Miss: miss})
		missed = missed || miss != nil
	}
	return results, missed
}

// orderKind makes an order for tasks of a part of a service.
type orderKind func(*model.Service, *model.Definition) (*launch.Order, error)

// orderFor makes an order for tasks of a definition, or says to the service's owner why
// there can be none.
func orderFor(t *store.Tables, s *model.Service, ref model.DefinitionRef, kind orderKind) (*launch.Order, error) {
	def, ok := t.Definition(ref)
	if !ok {
		return nil, errors.New("the task definition " + ref.String() + " does not exist")
	}
	o, err := kind(s, def)
	if err != nil {
		return nil, err
	}
	return o, o.Locate(func(attribute string) bool { return t.AttributeOffered(s.Cluster, attribute) })
}

// start places tasks and makes their records, and says why one found no place.
func (l *Loop) start(tx *store.Tx, order *launch.Order, want rollout.Start, have shares, now time.Time) ([]model.TaskID, *rollout.Miss) {
	l.watchTasks(model.ServiceKey{Cluster: order.Cluster, Name: order.Service}, order)
	source := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	var started []model.TaskID
	var miss *rollout.Miss
	for _, portion := range order.Portions(want.Count, have[order.Deployment], tx.PoolOfProvider) {
		result := portion.PlaceOn(tx.Fleet(order.Cluster), want.Instances, source)
		for _, a := range result.Assignments {
			t := portion.Task(model.NewTaskID(), a, now)
			tx.PutTask(t)
			have.add(t)
			started = append(started, t.ID)
		}
		if len(result.Assignments) == portion.Count || miss != nil {
			continue
		}
		miss = &rollout.Miss{NoInstances: result.NoInstances, Provider: portion.CapacityProvider}
		if c := result.Closest; c != nil {
			miss.Instance, miss.Reason = model.InstanceID(c.InstanceID), string(c.Reason)
		}
	}
	return started, miss
}

// appendEvents adds events to a service and forgets those beyond the latest 100.
func appendEvents(tx *store.Tx, s *model.Service, messages []string, now time.Time) *model.Service {
	next := *s
	for _, m := range messages {
		next.LastEvent++
		tx.PutEvent(&model.ServiceEvent{
			Service: s.Key(), Sequence: next.LastEvent, ID: model.NewUUID(), CreatedAt: now, Message: m,
		})
	}
	var old []*model.ServiceEvent
	for e := range tx.Events(s.Key()) {
		if e.Sequence > next.LastEvent-maxEvents {
			break
		}
		old = append(old, e)
	}
	for _, e := range old {
		tx.DeleteEvent(e)
	}
	return &next
}
