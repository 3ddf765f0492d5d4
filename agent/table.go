package agent

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/longshore/longshore/agent/cgroup"
	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/runtime"
	"github.com/longshore/longshore/agent/session"
)

// maxStarts bounds how many containers are created and started at a time.
const maxStarts = 64

// table holds a worker for each task on this host. What it is told comes from
// the control plane and from the engine; it takes it in only once it has heard
// from both, for either alone would mislead it.
type table struct {
	config  Config
	runtime runtime.Runtime
	images  *images
	runs    *runNotes
	metrics *metrics
	log     *slog.Logger
	session *session.Session
	// endpoint is set before anything runs.
	endpoint *endpoint
	resolver *resolver // nil: containers have the host's resolvers
	starts   *semaphore.Weighted
	wake     chan struct{}

	mu       sync.Mutex
	instance string             // ARN under which new containers are made
	workers  map[string]*worker // by task ARN
	desires  []session.Desired  // not yet taken in, oldest first
	listing  *listing           // not yet taken in
	// known tells that a full Desired has come: what is not named is nobody's.
	known bool
	seen  bool // a listing has come
	// found are containers of tasks that nobody has named yet.
	found   map[string][]runtime.Container
	volumes []string // as listed last
	offer   offer    // of the host; known before anything is desired
	strays  []string // groups of ours on the host when it was looked at last
	// touched are tasks without a worker of which the engine had news: what was
	// listed of them may be out of date by the time that they get one.
	touched map[string]bool
}

func newTable(c Config, m *metrics, im *images, runs *runNotes) *table {
	return &table{
		config: c, runtime: c.Runtime, images: im, runs: runs, metrics: m, log: c.Logger,
		starts: semaphore.NewWeighted(maxStarts), wake: make(chan struct{}, 1), workers: map[string]*worker{}, touched: map[string]bool{},
	}
}

// own says which container instance this is.
func (t *table) own(instance string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.instance = instance
}

// furnish takes what the host offers, and the groups of ours that are on it.
func (t *table) furnish(o offer, groups []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.offer, t.strays = o, groups
}

func (t *table) groups() cgroup.Groups {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.offer.groups
}

// desire takes what the control plane wants.
func (t *table) desire(d session.Desired) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d.Full {
		t.desires = nil // it says it all
	}
	t.desires = append(t.desires, d)
	poke(t.wake)
}

// listed takes what the engine has.
func (t *table) listed(l listing) {
	t.images.flush()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.listing = &l
	poke(t.wake)
}

// changed is told that something happened to a container.
func (t *table) changed(_ string, labels map[string]string) {
	arn := labels[lifecycle.LabelTask]
	t.mu.Lock()
	w := t.workers[arn]
	if w == nil {
		t.touched[arn] = true
	}
	t.mu.Unlock()
	if w != nil {
		w.notice(labels[lifecycle.LabelContainer])
	}
}

// delivered is told that the control plane has the end of a task for good.
func (t *table) delivered(arn string) {
	t.mu.Lock()
	w := t.workers[arn]
	t.mu.Unlock()
	if w != nil {
		w.wish(func(task *lifecycle.Task) { task.Released = true })
	}
}

// run runs the workers until ctx ends.
func (t *table) run(ctx context.Context) error {
	var workers sync.WaitGroup
	defer workers.Wait()
	for {
		if err := await(ctx, t.wake, nil); err != nil {
			return err
		}
		for _, w := range t.reconcile(time.Now()) {
			workers.Go(func() {
				w.run(ctx)
				t.ended(w)
			})
		}
	}
}

func (t *table) ended(w *worker) {
	w.release()
	close(w.gone)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.workers[w.arn] == w {
		t.endpoint.forget(w.arn)
		delete(t.workers, w.arn)
	}
}

// reconcile takes in what has come, and returns the workers to start.
func (t *table) reconcile(now time.Time) []*worker {
	t.mu.Lock()
	defer t.mu.Unlock()
	var started []*worker
	if t.listing != nil {
		t.takeListing(now)
	}
	if !t.seen {
		return nil
	}
	for _, d := range t.desires {
		started = append(started, t.takeDesired(d, now)...)
	}
	t.desires = nil
	if t.known {
		started = append(started, t.takeOrphans(now)...)
		clear(t.touched) // all that was found has a worker now
		t.endpoint.complete()
	}
	return started
}

// takeListing tells the workers what the engine has, and keeps the rest.
func (t *table) takeListing(now time.Time) {
	byTask, there := map[string][]runtime.Container{}, map[string]bool{}
	for _, c := range t.listing.containers {
		arn := c.Labels[lifecycle.LabelTask]
		byTask[arn] = append(byTask[arn], c)
		there[c.ID] = true
	}
	if !t.seen { // later, it may be older than a container
		t.runs.prune(there)
	}
	for arn, w := range t.workers {
		w.refresh(byTask[arn])
		delete(byTask, arn)
	}
	t.found, t.volumes, t.listing, t.seen = byTask, t.listing.volumes, nil, true
}

func (t *table) takeDesired(d session.Desired, now time.Time) (started []*worker) {
	if d.Full {
		t.known = true
		named := make(map[string]bool, len(d.Tasks))
		for _, task := range d.Tasks {
			named[task.ARN] = true
		}
		for arn, w := range t.workers {
			if !named[arn] {
				w.abandon()
			}
		}
	}
	for _, arn := range d.Removed {
		if w := t.workers[arn]; w != nil {
			w.abandon()
		}
	}
	for _, task := range d.Tasks {
		if w := t.workers[task.ARN]; w != nil {
			w.wish(func(t *lifecycle.Task) { t.Stop = t.Stop || task.Stop })
			w.check(task.Checks)
			continue
		}
		if w := t.hire(task, now); w != nil {
			w.check(task.Checks)
			started = append(started, w)
		}
	}
	return started
}

// hire makes a worker for a task that the control plane names.
func (t *table) hire(want session.Task, now time.Time) *worker {
	found := t.found[want.ARN]
	delete(t.found, want.ARN)
	known, err := lifecycle.ParseStatus(want.KnownStatus)
	if err != nil {
		t.log.Error("the control plane names a status that this agent does not know", "task", want.ARN, "error", err)
		known = lifecycle.Running // it may have run, so nothing of it is started anew
	}
	if known == lifecycle.Stopped && len(found) == 0 {
		return nil // over and cleaned up long ago
	}
	task, err := t.compile(want)
	var state lifecycle.State
	if err != nil {
		t.log.Error("task can not be run", "task", want.ARN, "error", err)
		task = lifecycle.Orphan(want.ARN, found, nil, t.config.StopTimeout, t.config.TaskCleanupWait)
		task.Released, task.Discard = false, false
		state = lifecycle.NewState(task, known, found, now)
		state.Fault = lifecycle.FaultInitialize(err)
	} else {
		state = lifecycle.NewState(task, known, found, now)
		state.Recall(t.runs.of)
		t.endpoint.equip(&task, want)
	}
	task.Stop = want.Stop
	task.Limits = lifecycle.Limits{Create: t.config.CreateTimeout, Start: t.config.StartTimeout, Stop: t.config.StopMargin}
	w := t.employ(task, state, now)
	if want.Definition != nil {
		w.about = about(want, t.config)
	}
	return w
}

func (t *table) compile(want session.Task) (lifecycle.Task, error) {
	if want.Invalid != nil {
		return lifecycle.Task{}, want.Invalid
	}
	return lifecycle.Compile(lifecycle.Input{
		ARN: want.ARN, Cluster: want.Cluster, Instance: t.instance, Definition: want.Definition, Overrides: want.Overrides,
		Subnets: want.Subnets, Host: t.offer.Host, Assigned: want.Assigned, LogDrivers: t.offer.logDrivers,
		StopTimeout: t.config.StopTimeout, CleanupWait: t.config.TaskCleanupWait,
	})
}

// takeOrphans hires workers to do away with what nobody has named.
func (t *table) takeOrphans(now time.Time) (started []*worker) {
	for arn, found := range t.found {
		t.log.Info("clearing away a task that the control plane does not name", "instance", t.instance, "task", arn, "containers", len(found))
		task := lifecycle.Orphan(arn, found, nil, t.config.StopTimeout, t.config.TaskCleanupWait)
		task.Groups = namedGroups(t.straysOf(arn))
		started = append(started, t.clear(task, found, now))
	}
	t.found = nil
	volumes, groups := t.ownerless()
	if len(volumes)+len(groups) > 0 && t.workers[keeper] == nil {
		task := lifecycle.Orphan(keeper, nil, volumes, 0, 0)
		task.Groups = namedGroups(groups)
		started = append(started, t.clear(task, nil, now))
	}
	t.volumes, t.strays = nil, nil
	return started
}

// keeper stands for a task in the table: the one of the volumes and groups whose
// task is not known. Their removal is tried until no container uses them.
const keeper = "ownerless volumes and groups"

// straysOf returns the groups of a task.
func (t *table) straysOf(arn string) []string {
	var found []string
	for _, name := range t.strays {
		if strings.HasSuffix(name, lifecycle.GroupSuffix(arn)) {
			found = append(found, name)
		}
	}
	return found
}

// ownerless returns the listed volumes and groups that belong to no worker's task.
func (t *table) ownerless() (volumes, groups []string) {
	if len(t.volumes)+len(t.strays) == 0 {
		return nil, nil
	}
	owned := map[string]bool{}
	for _, w := range t.workers {
		for _, name := range slices.Concat(w.volumes, w.groups) {
			owned[name] = true
		}
	}
	left := func(names []string) []string {
		return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return owned[name] })
	}
	return left(t.volumes), left(t.strays)
}

func (t *table) clear(orphan lifecycle.Task, found []runtime.Container, now time.Time) *worker {
	w := t.employ(orphan, lifecycle.NewState(orphan, lifecycle.Pending, found, now), now)
	w.silent = true
	return w
}

func (t *table) employ(task lifecycle.Task, state lifecycle.State, now time.Time) *worker {
	w := newWorker(t, task, state, now)
	w.release = t.images.hold(w.imageRefs())
	if t.touched[task.ARN] {
		for unit := range w.inbox.noticed {
			w.inbox.noticed[unit] = true
		}
	}
	t.workers[task.ARN] = w
	return w
}
