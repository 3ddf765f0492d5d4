package agent

import (
	"context"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/metadata"
	"github.com/longshore/longshore/agent/runtime"
	agentv1 "github.com/longshore/longshore/proto/agent/v1"
)

// worker looks after one task, from when it is heard of until nothing of it is
// left on the host. It turns as long as something happens: take in what came,
// ask lifecycle what follows, begin that, report.
type worker struct {
	table   *table
	arn     string
	volumes []string // of the task's own
	groups  []string
	born    time.Time
	silent  bool // nobody is to be told of the task
	wake    chan struct{}
	release func() // of the images that the task needs
	// news of a unit's container, one slot each: Start waits for it shortly.
	news  []chan struct{}
	about *metadata.Facts // nil: nobody said
	gone  chan struct{}   // closed when run has returned

	mu    sync.Mutex
	inbox inbox

	// Of run alone:
	task     lifecycle.Task
	state    lifecycle.State
	asked    []question
	cancels  []context.CancelFunc // of the actions under way, by unit
	checks   checks
	reported *agentv1.TaskState
	held     time.Time // since when a report is held back; zero: none is
	counted  lifecycle.Status
}

// inbox is what others have told a worker that it has not yet taken in.
type inbox struct {
	wishes    []func(*lifecycle.Task)
	abandoned bool
	noticed   []bool // by unit: its container may have changed
	refreshed bool
	listed    []runtime.Container // if refreshed
	done      []outcome
	checks    *[]*agentv1.TargetCheck // if they are to be others than before
	found     []finding
	asked     []question
}

// finding is what a check of a target has found.
type finding struct {
	key   targetKey
	state *agentv1.TargetState
}

type outcome struct {
	action lifecycle.Action
	result lifecycle.Result
}

func newWorker(t *table, task lifecycle.Task, state lifecycle.State, now time.Time) *worker {
	w := &worker{
		table: t, arn: task.ARN, volumes: task.VolumeNames(), groups: groupNames(task.Groups), born: now,
		wake: make(chan struct{}, 1), gone: make(chan struct{}),
		task: task, state: state, counted: state.Status,
		cancels: make([]context.CancelFunc, len(task.Units)),
	}
	w.inbox.noticed = make([]bool, len(task.Units))
	for range task.Units {
		w.news = append(w.news, make(chan struct{}, 1))
	}
	return w
}

// imageRefs are the images that the task is made of. Those of an orphan are not
// known, and used by its containers.
func (w *worker) imageRefs() []string {
	var refs []string
	for i := range w.task.Units {
		if ref := w.task.Units[i].Spec.Image; ref != "" {
			refs = append(refs, ref)
		}
	}
	return refs
}

// tell changes the inbox and wakes the worker.
func (w *worker) tell(change func(*inbox)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.inbox)
	poke(w.wake)
}

// wish changes what is wanted of the task.
func (w *worker) wish(change func(*lifecycle.Task)) {
	w.tell(func(in *inbox) { in.wishes = append(in.wishes, change) })
}

// check says how the task's targets are to be checked.
func (w *worker) check(wanted []*agentv1.TargetCheck) {
	w.tell(func(in *inbox) { in.checks = &wanted })
}

// found takes what a check of a target has found.
func (w *worker) found(key targetKey, state *agentv1.TargetState) {
	w.tell(func(in *inbox) { in.found = append(in.found, finding{key, state}) })
}

// abandon says that the control plane has done with the task.
func (w *worker) abandon() { w.tell(func(in *inbox) { in.abandoned = true }) }

// refresh says that the engine was out of sight, and what it has of the task now.
func (w *worker) refresh(listed []runtime.Container) {
	w.tell(func(in *inbox) { in.refreshed, in.listed = true, listed })
}

// notice says that something happened to the container of that name.
func (w *worker) notice(name string) {
	unit := slices.IndexFunc(w.task.Units, func(u lifecycle.Unit) bool { return u.Name == name })
	if unit < 0 {
		return
	}
	w.tell(func(in *inbox) { in.noticed[unit] = true })
	poke(w.news[unit])
}

// run returns when nothing of the task is left, or when ctx ends; containers
// are left as they are then.
func (w *worker) run(ctx context.Context) {
	var actions sync.WaitGroup
	defer actions.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w.table.metrics.tasks.WithLabelValues(w.counted.String()).Inc()
	defer func() { w.table.metrics.tasks.WithLabelValues(w.counted.String()).Dec() }()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		recheck := w.takeIn(time.Now())
		w.state.Serving = w.state.Serving || len(w.checks.wanted) > 0
		plan := lifecycle.Next(w.task, w.state, time.Now())
		w.state.Commit(plan)
		if w.state.Status >= lifecycle.Stopping && len(w.checks.wanted) > 0 {
			w.checks.wanted, recheck = nil, true
		}
		if recheck {
			w.checks.follow(ctx, &actions, w.found)
		}
		for _, a := range plan.Actions {
			w.begin(ctx, &actions, a)
		}
		w.count()
		w.table.runs.note(&w.task, &w.state)
		w.report(time.Now())
		w.answer()
		if plan.Done {
			return
		}
		var alarm <-chan time.Time
		if next := w.next(plan); !next.IsZero() {
			timer.Reset(time.Until(next))
			alarm = timer.C
		}
		if await(ctx, w.wake, alarm) != nil {
			return
		}
	}
}

// takeIn empties the inbox into what is wanted and what is known, and tells whether
// other checks than before are wanted.
func (w *worker) takeIn(now time.Time) (recheck bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	in := &w.inbox
	for _, change := range in.wishes {
		change(&w.task)
	}
	if in.abandoned {
		w.task.Released = true
		if w.state.Status != lifecycle.Stopped { // otherwise it was expected, and is kept for a while
			w.task.Stop, w.task.Discard = true, true
		}
	}
	for _, o := range in.done {
		w.state.End(w.task, o.action, o.result, now)
		if o.action.Unit >= 0 {
			w.cancels[o.action.Unit] = nil
		}
	}
	if in.refreshed {
		w.state.Refresh(w.task, in.listed, now)
	}
	for unit, noticed := range in.noticed {
		// What is under way looks at the container itself when it is through.
		if noticed && w.state.Containers[unit].Doing == lifecycle.None {
			w.state.Doubt(unit)
			in.noticed[unit] = false
		}
	}
	for _, f := range in.found {
		w.checks.take(f.key, f.state)
	}
	if recheck = in.checks != nil; recheck {
		w.checks.wanted = *in.checks
	}
	w.asked = append(w.asked, in.asked...)
	w.inbox = inbox{noticed: in.noticed}
	return recheck
}

// begin starts an action; its outcome comes back through the inbox.
func (w *worker) begin(ctx context.Context, actions *sync.WaitGroup, a lifecycle.Action) {
	w.state.Begin(a, time.Now())
	if a.Op == lifecycle.Cancel {
		if cancel := w.cancels[a.Unit]; cancel != nil {
			cancel()
		}
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	job := job{table: w.table, worker: w, Action: a}
	if a.Unit >= 0 {
		w.cancels[a.Unit] = cancel
		job.unit = &w.task.Units[a.Unit]
		job.auth = w.state.AuthOf(a.Unit)
		if a.Op == lifecycle.Create {
			job.spec = w.state.SpecOf(w.task, a.Unit)
			job.hidden = w.state.SecretsOf(a.Unit)
			w.table.resolver.equip(&job.spec)
		}
		job.id = w.state.Containers[a.Unit].RuntimeID
	}
	actions.Go(func() {
		defer cancel()
		result := job.perform(ctx)
		w.tell(func(in *inbox) { in.done = append(in.done, outcome{a, result}) })
	})
}

// count keeps the metrics.
func (w *worker) count() {
	now := w.state.Status
	if now == w.counted {
		return
	}
	w.table.metrics.tasks.WithLabelValues(w.counted.String()).Dec()
	w.table.metrics.tasks.WithLabelValues(now.String()).Inc()
	if w.counted == lifecycle.Pending && now == lifecycle.Running {
		w.table.metrics.start.Observe(time.Since(w.born).Seconds())
	}
	w.counted = now
}

// next is when to turn even if nothing happens; zero: then not at all.
func (w *worker) next(plan lifecycle.Plan) time.Time {
	if w.held.IsZero() {
		return plan.Wake
	}
	due := w.held.Add(reportDelay)
	if plan.Wake.IsZero() || due.Before(plan.Wake) {
		return due
	}
	return plan.Wake
}

// reportDelay is how long the control plane may be left without news that
// change nothing for it: each report costs it a commit, and a container that
// has been created is mostly started within moments, which is reported at once.
const reportDelay = 250 * time.Millisecond

// report hands the newest truth to the session, if it is another one. The
// session drops it if the control plane does not name the task.
func (w *worker) report(now time.Time) {
	if w.silent {
		return
	}
	state := lifecycle.Report(w.task, w.state)
	state.Targets = w.checks.states()
	if w.reported != nil && proto.Equal(state, w.reported) {
		return
	}
	if lifecycle.Minor(state) {
		if w.held.IsZero() {
			w.held = now
		}
		if now.Before(w.held.Add(reportDelay)) {
			return
		}
	}
	w.held = time.Time{}
	if w.reported == nil || w.reported.Status != state.Status {
		w.table.log.Info("task status", "instance", w.task.Labels[lifecycle.LabelInstance], "task", w.arn,
			"status", state.Status, "stop_code", state.StopCode, "reason", state.Reason)
	}
	w.reported = state
	w.table.session.Report(state)
}
