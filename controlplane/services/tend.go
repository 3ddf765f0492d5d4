package services

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/longshore/longshore/controlplane/launch"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/placement"
	"github.com/longshore/longshore/controlplane/rollout"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// errOutdated: the service changed between the plan and its transaction. The
// change has marked the service, so that it is planned anew.
var errOutdated = errors.New("planned on an outdated service")

// maxEvents is how many events of a service are kept (ECS shows the latest 100).
const maxEvents = 100

// tend looks after one service once. The plan is made on a snapshot, while
// others write; its transaction checks that the snapshot still holds for all
// that it replaces.
func (l *Loop) tend(ctx context.Context, key model.ServiceKey) (wakeAt time.Time, err error) {
	now := time.Now()
	view := l.cfg.Store.View()
	service, ok := view.Service(key)
	if !ok || !store.ServiceLive(service) {
		l.note(l.blocked, key, false)
		return time.Time{}, nil
	}
	in := l.input(view, service, now)
	out := rollout.Plan(in)
	if out.Service == service && len(out.Tasks)+len(out.Events)+out.Start.Count == 0 {
		return out.WakeAt, nil
	}
	before := map[model.TaskID]*model.Task{}
	for _, t := range in.Tasks {
		before[t.ID] = t
	}
	err = l.cfg.Store.Update(ctx, func(tx *store.Tx) error {
		return l.apply(tx, service, before, out, now)
	})
	if errors.Is(err, errOutdated) {
		return now, nil
	}
	return out.WakeAt, err
}

func (l *Loop) input(view *store.Tables, s *model.Service, now time.Time) rollout.Input {
	in := rollout.Input{
		Now:            now,
		Service:        s,
		Tasks:          slices.Collect(view.OpenTasksOfService(s.Key())),
		Instance:       func(id model.InstanceID) (*model.Instance, bool) { return view.Instance(s.Cluster, id) },
		HealthChecked:  func(ref model.DefinitionRef) bool { return healthChecked(view, ref) },
		NextDeployment: model.NewDeploymentID(),
		Settings:       l.cfg.Settings,
	}
	if isDaemon(s) {
		in.Eligible = eligible(view, s)
	}
	return in
}

func healthChecked(view *store.Tables, ref model.DefinitionRef) bool {
	def, ok := view.Definition(ref)
	return ok && slices.ContainsFunc(def.Shape.ContainerDefinitions, func(c ecs.ContainerDefinition) bool {
		return c.HealthCheck != nil && (c.Essential == nil || *c.Essential)
	})
}

// eligible lists the instances that a DAEMON service belongs on: those that may
// take its tasks, whether or not they have the room.
func eligible(view *store.Tables, s *model.Service) []model.InstanceID {
	def, ok := view.Definition(s.Primary().Definition)
	if !ok {
		return nil
	}
	order, err := launch.ForService(s, def)
	if err != nil {
		return nil
	}
	request := order.Request(1, nil)
	// Whether there is room is no question here: a task that is there takes it.
	request.CPU, request.MemoryMiB, request.TCP, request.UDP, request.GPUCount, request.DistinctInstance = 0, 0, nil, nil, 0, false
	fleet := view.Fleet(s.Cluster)
	var out []model.InstanceID
	for i := range view.LiveInstances(s.Cluster, "") {
		if _, fits := placement.Explain(fleet, request, string(i.ID)); fits {
			out = append(out, i.ID)
		}
	}
	return out
}

// apply writes a plan, unless what it rests on has changed.
func (l *Loop) apply(tx *store.Tx, planned *model.Service, before map[model.TaskID]*model.Task, out rollout.Output, now time.Time) error {
	if s, ok := tx.Service(planned.Key()); !ok || s != planned {
		return errOutdated
	}
	for _, t := range out.Tasks {
		if current, ok := tx.Task(t.Cluster, t.ID); !ok || current != before[t.ID] {
			return errOutdated
		}
		tx.PutTask(t)
	}
	service, events := out.Service, out.Events
	if out.Start.Count > 0 {
		started, miss, err := l.start(tx, service, out.Start, now)
		if err != nil {
			return err
		}
		var more []string
		service, more = rollout.Placed(service, started, miss)
		events = append(slices.Clone(events), more...)
		l.note(l.blocked, service.Key(), miss != nil)
	}
	if len(events) > 0 {
		service = appendEvents(tx, service, events, now)
	}
	if service != planned {
		tx.PutService(service)
	}
	return nil
}

// start places tasks of the PRIMARY deployment and makes their records.
func (l *Loop) start(tx *store.Tx, s *model.Service, want rollout.Start, now time.Time) ([]model.TaskID, *rollout.Miss, error) {
	deployment := s.Primary()
	def, ok := tx.Definition(deployment.Definition)
	if !ok {
		return nil, nil, errors.New("the task definition " + deployment.Definition.String() + " is not in the store")
	}
	order, err := launch.ForService(s, def)
	if err != nil {
		return nil, nil, err
	}
	source := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	var started []model.TaskID
	var miss *rollout.Miss
	for _, portion := range order.Portions(want.Count, byProvider(tx, s), tx.PoolOfProvider) {
		result := portion.PlaceOn(tx.Fleet(s.Cluster), want.Instances, source)
		for _, a := range result.Assignments {
			t := portion.Task(model.NewTaskID(), a, now)
			tx.PutTask(t)
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
	return started, miss, nil
}

// byProvider counts the tasks of the PRIMARY deployment that are to go on, by the
// capacity provider that they run on.
func byProvider(tx *store.Tx, s *model.Service) map[string]int {
	primary := s.Primary()
	if len(primary.CapacityProviderStrategy) == 0 {
		return nil
	}
	have := map[string]int{}
	for t := range tx.LiveTasksOfService(s.Key()) {
		if t.Deployment == primary.ID && t.DesiredStatus != model.TaskStopped && !t.Lost {
			have[string(t.CapacityProvider)]++
		}
	}
	return have
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
