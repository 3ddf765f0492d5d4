package rollout

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

// tester is what *testing.T and *rapid.T have in common.
type tester interface {
	Helper()
	Fatalf(string, ...any)
}

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// world is a cluster with one service. It applies plans as the service loop
// does, and checks each against rules of its own that do not share its code.
type world struct {
	t         tester
	now       time.Time
	svc       *model.Service
	tasks     []*model.Task
	instances map[model.InstanceID]*model.Instance
	capacity  int // tasks that one instance takes
	checked   map[model.DefinitionRef]bool
	mute      map[model.DefinitionRef]bool // of those, the ones whose checks never say anything
	settings  Settings
	events    []string
	ids       int
	kept      keeper
	further   bool // the later steps of plans are applied, too
}

func def(revision int32) model.DefinitionRef {
	return model.DefinitionRef{Family: "web", Revision: revision}
}

func newWorld(t tester, desired, instances int) *world {
	w := &world{
		t: t, now: epoch, capacity: 1000, settings: DefaultSettings(),
		instances: map[model.InstanceID]*model.Instance{}, checked: map[model.DefinitionRef]bool{},
		mute: map[model.DefinitionRef]bool{},
	}
	for i := range instances {
		w.addInstance(i)
	}
	w.svc = &model.Service{
		Cluster: "c", Name: "web", Status: model.StatusActive, CreatedAt: epoch, DesiredCount: int32(desired),
		SchedulingStrategy: ecs.SchedulingStrategyREPLICA, LaunchType: ecs.LaunchTypeEC2,
	}
	w.percent(100, 200)
	w.deploy(1)
	return w
}

func (w *world) addInstance(n int) model.InstanceID {
	id, az := model.InstanceID(fmt.Sprintf("i%02d", n)), fmt.Sprintf("az%d", n%2)
	w.instances[id] = &model.Instance{
		ID: id, Cluster: "c", Status: model.StatusActive, AgentConnected: true,
		Attributes: []ecs.Attribute{{Name: "ecs.availability-zone", Value: &az}},
	}
	return id
}

// change replaces the service, as an API handler would.
func (w *world) change(f func(*model.Service)) {
	next := *w.svc
	f(&next)
	next = Renewed(next)
	w.svc = &next
}

func (w *world) percent(least, most int32) {
	w.change(func(s *model.Service) {
		s.DeploymentConfiguration.MinimumHealthyPercent, s.DeploymentConfiguration.MaximumPercent = &least, &most
	})
}

func (w *world) breaker(rollback bool) {
	w.change(func(s *model.Service) {
		s.DeploymentConfiguration.DeploymentCircuitBreaker = &ecs.DeploymentCircuitBreaker{Enable: true, Rollback: rollback}
	})
}

func (w *world) scale(n int32) { w.change(func(s *model.Service) { s.DesiredCount = n }) }

func (w *world) nextDeployment() model.DeploymentID {
	w.ids++
	return model.DeploymentID(fmt.Sprintf("ecs-svc/%d", w.ids))
}

func (w *world) deploy(revision int32) {
	next := Deploy(*w.svc, w.nextDeployment(), def(revision), w.now)
	w.svc = &next
}

func (w *world) input() Input {
	in := Input{
		Now: w.now, Service: w.svc, Settings: w.settings,
		HealthChecked:  func(d model.DefinitionRef) bool { return w.checked[d] },
		NextDeployment: model.DeploymentID(fmt.Sprintf("ecs-svc/%d", w.ids+1)),
		Instance: func(id model.InstanceID) (*model.Instance, bool) {
			i, ok := w.instances[id]
			return i, ok
		},
	}
	for _, t := range w.tasks {
		if t.LastStatus != model.TaskStopped || !t.OutcomeCounted {
			in.Tasks = append(in.Tasks, t)
		}
	}
	if w.svc.SchedulingStrategy == ecs.SchedulingStrategyDAEMON {
		in.Eligible = w.open()
	}
	in.Zones = w.zones
	return in
}

// open are the instances that take tasks, sorted.
func (w *world) open() []model.InstanceID {
	var ids []model.InstanceID
	for id, i := range w.instances {
		if i.Status == model.StatusActive && i.AgentConnected {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// zones are those of the instances that take tasks, sorted.
func (w *world) zones() []string {
	var zones []string
	for _, id := range w.open() {
		zones = append(zones, zone(w.instances[id]))
	}
	slices.Sort(zones)
	return slices.Compact(zones)
}

// plan plans once and applies the plan.
func (w *world) plan() Output {
	w.t.Helper()
	in := w.input()
	before := w.snapshot()
	out := Plan(in)
	if after := w.snapshot(); !reflect.DeepEqual(before, after) {
		w.t.Fatalf("the plan changed its input")
	}
	w.checkRepeatable(in, out)
	w.checkKept(in, out)
	w.checkSize(out)
	w.checkLimits(in, out)
	w.checkLimits(in, whole(out))
	if out.Service.Primary().ID == in.NextDeployment {
		w.ids++
	}
	w.events = append(w.events, out.Events...)
	for _, t := range out.Tasks {
		i := slices.IndexFunc(w.tasks, func(o *model.Task) bool { return o.ID == t.ID })
		w.tasks[i] = t
	}
	w.svc = out.Service
	if out.Start.Count+out.Restore.Count > 0 {
		w.place(out.Restore, out.Start)
	}
	w.placeMoves(out.Moves)
	if w.further && w.svc.LastPlacement == "" {
		w.applyLater(out.Later)
	}
	return out
}

// applyLater applies the steps that follow a plan's first.
func (w *world) applyLater(steps []Step) {
	for _, s := range steps {
		w.events = append(w.events, s.Events...)
		for _, t := range s.Tasks {
			w.tasks[slices.IndexFunc(w.tasks, func(o *model.Task) bool { return o.ID == t.ID })] = t
		}
		if s.Start.Count > 0 {
			w.place(Restore{}, s.Start)
		}
		if w.svc.LastPlacement != "" {
			return
		}
	}
}

// whole is a plan with its later steps in its first.
func whole(out Output) Output {
	out.Tasks, out.Start.Instances = slices.Clone(out.Tasks), slices.Clone(out.Start.Instances)
	for _, s := range out.Later {
		out.Tasks = append(out.Tasks, s.Tasks...)
		out.Start.Count += s.Start.Count
		out.Start.Instances = append(out.Start.Instances, s.Start.Instances...)
	}
	return out
}

// checkSize checks that every step fits its transaction.
func (w *world) checkSize(out Output) {
	w.t.Helper()
	starts := out.Start.Count + out.Restore.Count
	for _, m := range out.Moves {
		starts += m.Count
	}
	if n := len(out.Tasks) + starts; n > w.settings.MaxChanges {
		w.t.Fatalf("a plan of %d changes; at most %d are allowed", n, w.settings.MaxChanges)
	}
	if len(out.Later) > w.settings.MaxSteps+1 { // one of them may have the last stops, and another the first starts
		w.t.Fatalf("%d later steps; at most %d are allowed", len(out.Later), w.settings.MaxSteps)
	}
	for _, s := range out.Later {
		if n := len(s.Tasks) + s.Start.Count; n == 0 || n > w.settings.MaxChanges || len(s.Tasks) != len(s.Replaced) {
			w.t.Fatalf("a step of %d changes; at most %d are allowed", n, w.settings.MaxChanges)
		}
	}
}

func (w *world) snapshot() []any {
	all := []any{*w.svc, slices.Clone(w.svc.Deployments)}
	for _, t := range w.tasks {
		all = append(all, *t)
	}
	return all
}

func (w *world) checkRepeatable(in Input, out Output) {
	w.t.Helper()
	in.Tasks = slices.Clone(in.Tasks)
	in.Eligible = slices.Clone(in.Eligible)
	r := rand.New(rand.NewPCG(1, uint64(len(w.events))))
	r.Shuffle(len(in.Tasks), func(i, j int) { in.Tasks[i], in.Tasks[j] = in.Tasks[j], in.Tasks[i] })
	r.Shuffle(len(in.Eligible), func(i, j int) { in.Eligible[i], in.Eligible[j] = in.Eligible[j], in.Eligible[i] })
	if again := Plan(in); !reflect.DeepEqual(out, again) {
		w.t.Fatalf("the same input gave\n%+v\nand\n%+v", out, again)
	}
}

// away tells whether the host of a task no longer counts.
func (w *world) away(t *model.Task) bool {
	i, ok := w.instances[t.Instance]
	return !ok || i.Status == model.StatusInactive ||
		!i.SilentSince.IsZero() && !i.SilentSince.Add(w.settings.SilentLimit).After(w.now)
}

// serves tells whether a task is RUNNING and healthy.
func (w *world) serves(t *model.Task) bool {
	if t.LastStatus != model.TaskRunning || t.DesiredStatus != model.TaskRunning || w.away(t) || t.HealthStatus == ecs.HealthStatusUNHEALTHY {
		return false
	}
	if w.checked[t.Definition] {
		return t.HealthStatus == ecs.HealthStatusHEALTHY
	}
	return w.now.Sub(t.StartedAt) >= w.settings.HealthyAfter
}

// shields tells whether protection keeps a task from being stopped.
func (w *world) shields(t *model.Task) bool {
	i, ok := w.instances[t.Instance]
	return w.now.Before(t.ProtectedUntil) && t.HealthStatus != ecs.HealthStatusUNHEALTHY && !w.away(t) &&
		ok && i.Status == model.StatusActive && w.svc.Status == model.StatusActive
}

// protect does what UpdateTaskProtection does.
func (w *world) protect(id model.TaskID, d time.Duration) {
	w.set(id, func(t *model.Task) { t.ProtectedUntil = w.now.Add(d) })
}

// checkLimits checks what a plan may never do.
func (w *world) checkLimits(in Input, out Output) {
	w.t.Helper()
	starts := out.Start.Count + out.Restore.Count
	for _, m := range out.Moves {
		starts += m.Count
	}
	serving, held := 0, 0
	for _, t := range in.Tasks {
		if w.serves(t) {
			serving++
		}
		if t.LastStatus != model.TaskStopped && !w.away(t) {
			held++
		}
	}
	stopped := 0
	for _, t := range out.Tasks {
		i := slices.IndexFunc(in.Tasks, func(o *model.Task) bool { return o.ID == t.ID })
		if old := in.Tasks[i]; w.shields(old) && old.DesiredStatus == model.TaskRunning && t.DesiredStatus == model.TaskStopped {
			w.t.Fatalf("the protected task %s is stopped: %s", t.ID, t.StoppedReason)
		}
		if old := in.Tasks[i]; w.serves(old) && t.DesiredStatus == model.TaskStopped {
			stopped++
		}
	}
	c := out.Service.DeploymentConfiguration
	desired := int(out.Service.DesiredCount)
	least := (desired*int(*c.MinimumHealthyPercent) + 99) / 100
	if stopped > 0 && serving-stopped < least {
		w.t.Fatalf("%d of %d serving tasks are stopped; %d must stay", stopped, serving, least)
	}
	w.checkFailing(in, out, desired, least, serving-stopped, held)
	for _, id := range out.Start.Instances {
		if n := w.on(id); n > 0 {
			w.t.Fatalf("a DAEMON task is started on %s beside %d", id, n)
		}
	}
	if out.Start.Instances != nil {
		return
	}
	if most := desired * int(*c.MaximumPercent) / 100; starts > 0 && held+starts > max(most, desired) {
		w.t.Fatalf("%d tasks are started beside %d; at most %d may be there", starts, held, most)
	}
}

// checkFailing checks that tasks that fail their health checks are stopped only if others
// serve in their places, or to make room for such.
func (w *world) checkFailing(in Input, out Output, desired, least, serving, held int) {
	w.t.Helper()
	stopped, left, leaving := 0, 0, 0
	for _, t := range in.Tasks {
		switch {
		case t.LastStatus == model.TaskStopped || w.away(t):
		case t.DesiredStatus == model.TaskStopped || t.LastStatus == model.TaskStopping:
			leaving++
		case t.LastStatus == model.TaskRunning && t.HealthStatus == ecs.HealthStatusUNHEALTHY:
			if slices.ContainsFunc(out.Tasks, func(c *model.Task) bool { return c.ID == t.ID && c.DesiredStatus == model.TaskStopped }) {
				stopped++
			} else {
				left++
			}
		}
	}
	if stopped == 0 || serving+left >= desired {
		return
	}
	most := max(desired*int(*out.Service.DeploymentConfiguration.MaximumPercent)/100, desired)
	if daemon := out.Service.SchedulingStrategy == ecs.SchedulingStrategyDAEMON; !daemon && held < most {
		w.t.Fatalf("%d failing tasks are stopped though %d serve, %d are wanted, and there is room for %d more", stopped, serving, desired, most-held)
	}
	if leaving+stopped > max(1, desired-least) {
		w.t.Fatalf("%d failing tasks are stopped and %d end, of %d, of which %d are to serve", stopped, leaving, desired, least)
	}
}

// place makes the tasks of a start on the instances with the fewest, and reports
// what had no room.
func (w *world) place(older Restore, s Start) {
	w.t.Helper()
	var started []model.TaskID
	var miss *Miss
	for _, part := range []Restore{older, {w.svc.Primary().ID, s}} {
		for n := range part.Count {
			at := w.emptiest(w.open())
			if part.Instances != nil {
				at = part.Instances[n]
			}
			if at == "" {
				miss = &Miss{NoInstances: len(w.instances) == 0, Instance: "i00", Reason: "RESOURCE:CPU"}
				break
			}
			i := slices.IndexFunc(w.svc.Deployments, func(d model.Deployment) bool { return d.ID == part.Deployment })
			started = append(started, w.addOf(&w.svc.Deployments[i], at).ID)
		}
	}
	var events []string
	w.svc, events = Placed(w.svc, started, miss)
	w.events = append(w.events, events...)
}

// placeMoves makes the tasks of moves in their zones.
func (w *world) placeMoves(moves []Move) {
	if len(moves) == 0 {
		return
	}
	var results []MoveResult
	for _, m := range moves {
		r := MoveResult{Zone: m.Zone}
		in := slices.DeleteFunc(w.open(), func(id model.InstanceID) bool { return zone(w.instances[id]) != m.Zone })
		for range m.Count {
			at := w.emptiest(in)
			if at == "" {
				r.Miss = &Miss{Instance: "i00", Reason: "RESOURCE:CPU"}
				break
			}
			r.Started = append(r.Started, w.add(at).ID)
		}
		results = append(results, r)
	}
	var events []string
	w.svc, events = PlacedMoves(w.svc, results)
	w.events = append(w.events, events...)
}

func (w *world) emptiest(among []model.InstanceID) model.InstanceID {
	best, least := model.InstanceID(""), w.capacity
	for _, id := range among {
		if n := w.on(id); n < least {
			best, least = id, n
		}
	}
	return best
}

// on counts the tasks that an instance holds.
func (w *world) on(id model.InstanceID) int {
	n := 0
	for _, t := range w.tasks {
		if t.Instance == id && t.LastStatus != model.TaskStopped {
			n++
		}
	}
	return n
}

// add makes a PENDING task of the PRIMARY deployment.
func (w *world) add(at model.InstanceID) *model.Task { return w.addOf(w.svc.Primary(), at) }

func (w *world) addOf(d *model.Deployment, at model.InstanceID) *model.Task {
	w.ids++
	t := &model.Task{
		ID: model.TaskID(fmt.Sprintf("t%04d", w.ids)), Cluster: "c", Service: w.svc.Name, Instance: at,
		Definition: d.Definition, Deployment: d.ID, CreatedAt: w.now,
		DesiredStatus: model.TaskRunning, LastStatus: model.TaskPending,
	}
	w.tasks = append(w.tasks, t)
	return t
}

// set replaces a task record, as a report of an agent would.
func (w *world) set(id model.TaskID, f func(*model.Task)) {
	i := slices.IndexFunc(w.tasks, func(t *model.Task) bool { return t.ID == id })
	next := *w.tasks[i]
	f(&next)
	w.tasks[i] = &next
}

func (w *world) run(id model.TaskID) {
	w.set(id, func(t *model.Task) {
		t.LastStatus, t.StartedAt, t.HealthStatus = model.TaskRunning, w.now, ecs.HealthStatusUNKNOWN
	})
}

func (w *world) health(id model.TaskID, h ecs.HealthStatus) {
	w.set(id, func(t *model.Task) { t.HealthStatus = h })
}

// end makes a task STOPPED; code is used if nobody had stopped it before.
func (w *world) end(id model.TaskID, code ecs.TaskStopCode) {
	w.set(id, func(t *model.Task) {
		t.LastStatus, t.StoppedAt, t.DesiredStatus = model.TaskStopped, w.now, model.TaskStopped
		if t.StopCode == "" {
			t.StopCode = code
		}
	})
}

func (w *world) instance(id model.InstanceID, f func(*model.Instance)) {
	next := *w.instances[id]
	f(&next)
	w.instances[id] = &next
}

func (w *world) drain(id model.InstanceID) {
	w.instance(id, func(i *model.Instance) { i.Status = model.StatusDraining })
}

func (w *world) silence(id model.InstanceID) {
	w.instance(id, func(i *model.Instance) { i.AgentConnected, i.SilentSince = false, w.now })
}

func (w *world) recover(id model.InstanceID) {
	w.instance(id, func(i *model.Instance) {
		i.Status, i.AgentConnected, i.SilentSince = model.StatusActive, true, time.Time{}
	})
}

func (w *world) pass(d time.Duration) { w.now = w.now.Add(d) }

// obey lets every reachable agent do what it is told, and all goes well.
func (w *world) obey() {
	for _, t := range slices.Clone(w.tasks) {
		i, ok := w.instances[t.Instance]
		switch {
		case t.LastStatus == model.TaskStopped || ok && !i.AgentConnected:
		case t.DesiredStatus == model.TaskStopped:
			w.end(t.ID, ecs.TaskStopCodeEssentialContainerExited)
		case t.LastStatus.Starting():
			w.run(t.ID)
		}
		if t.DesiredStatus == model.TaskRunning && w.checked[t.Definition] && !w.mute[t.Definition] && ok && i.AgentConnected {
			w.health(t.ID, ecs.HealthStatusHEALTHY)
		}
	}
}

// settle plans until nothing more happens, agents obeying, and returns the
// number of plans. A plan that says nothing must leave the service as it is.
func (w *world) settle() int {
	w.t.Helper()
	for n := range 300 {
		service := w.svc
		out := w.plan()
		quiet := len(out.Tasks) == 0 && !out.StartsAny() && len(out.Events) == 0
		if quiet && out.WakeAt.IsZero() && w.svc == service && w.resting() {
			return n
		}
		w.obey()
		if out.WakeAt.After(w.now) {
			w.now = out.WakeAt
		}
	}
	w.t.Fatalf("no rest after 300 plans; service %+v", *w.svc)
	return 0
}

// resting tells whether no agent has anything left to do or to report.
func (w *world) resting() bool {
	for _, t := range w.tasks {
		if i := w.instances[t.Instance]; t.LastStatus == model.TaskStopped || i != nil && !i.AgentConnected {
			continue
		}
		if t.LastStatus != model.TaskRunning || t.DesiredStatus == model.TaskStopped ||
			w.checked[t.Definition] && t.HealthStatus != ecs.HealthStatusHEALTHY {
			return false
		}
	}
	return true
}

// live are the tasks that are to go on, by id.
func (w *world) live() []*model.Task {
	var live []*model.Task
	for _, t := range w.tasks {
		if t.DesiredStatus == model.TaskRunning && t.LastStatus != model.TaskStopped {
			live = append(live, t)
		}
	}
	return live
}

func (w *world) takeEvents() []string {
	events := w.events
	w.events = nil
	return events
}

func wantEvents(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("events\n%q\nwant\n%q", got, want)
	}
}
