// Package services is the loop of the leader that keeps services as they should
// be. It watches the store, asks rollout what a service must do, places what is
// to be started, and writes that in a transaction, or in several if it is much, each of
// which checks that the plan still holds. It decides nothing itself: rollout and
// placement do.
package services

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/longshore/longshore/controlplane/launch"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/rollout"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// Config is what the loop needs.
type Config struct {
	Store    *store.Store
	Settings rollout.Settings
	Logger   *slog.Logger
	Registry prometheus.Registerer // may be nil
}

// Loop keeps services as they should be.
type Loop struct {
	cfg   Config
	queue *queue
	news  *news
	plans prometheus.Histogram

	mu sync.Mutex
	// blocked are the services whose last plan found no place for a task: they
	// are looked at again when something in their cluster gets free.
	blocked map[model.ClusterName]map[model.ServiceName]struct{}
	// daemons are the DAEMON services, which any change of an instance concerns.
	daemons map[model.ClusterName]map[model.ServiceName]struct{}
	// even are the services that are to be kept even over zones: an instance that comes
	// may be in a zone that has too few of their tasks.
	even map[model.ClusterName]map[model.ServiceName]struct{}
	// byTasks are the services whose constraints ask for the tasks on an instance: any
	// task that comes or goes concerns them.
	byTasks map[model.ClusterName]map[model.ServiceName]struct{}
}

// workers is how many services are worked on at once. Their time goes into
// waiting for commits, which are grouped.
const workers = 16

// New makes the loop and registers it as an observer of the store, which must
// not run yet.
func New(cfg Config) *Loop {
	l := newLoop(cfg)
	if cfg.Registry != nil {
		cfg.Registry.MustRegister(l.plans)
	}
	cfg.Store.Observe(l.observe)
	return l
}

func newLoop(cfg Config) *Loop {
	return &Loop{
		cfg:     cfg,
		queue:   newQueue(),
		news:    newNews(),
		blocked: map[model.ClusterName]map[model.ServiceName]struct{}{},
		daemons: map[model.ClusterName]map[model.ServiceName]struct{}{},
		even:    map[model.ClusterName]map[model.ServiceName]struct{}{},
		byTasks: map[model.ClusterName]map[model.ServiceName]struct{}{},
		plans: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "longshore_services_plan_seconds", Help: "Time to look after one service once, the commit included.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
		}),
	}
}

// Run works until ctx ends or the store does.
func (l *Loop) Run(ctx context.Context) error {
	defer l.queue.close()
	view := l.cfg.Store.View()
	l.news.begin(view)
	for s := range view.AllServices() {
		if store.ServiceLive(s) {
			l.note(l.daemons, s.Key(), isDaemon(s))
			l.note(l.even, s.Key(), spreadsEvenly(s))
			l.queue.mark(s.Key())
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	for range workers {
		group.Go(func() error { return l.work(ctx) })
	}
	return group.Wait()
}

func (l *Loop) work(ctx context.Context) error {
	for {
		key, err := l.queue.next(ctx)
		if err != nil {
			return err
		}
		start := time.Now()
		next, err := l.tend(ctx, key)
		l.queue.done(key, next)
		if err != nil {
			return fmt.Errorf("looking after service %s in cluster %s: %w", key.Name, key.Cluster, err)
		}
		l.plans.Observe(time.Since(start).Seconds())
	}
}

// A plan goes through all tasks of its service, and each of them may report at any moment.
// A service rests for restFactor times what its last plan took, so that it takes no more than
// a tenth of a processor however many reports come, and however many tasks are about to count as
// healthy; mostRest bounds how late that makes it.
// Below leastRest a rest saves less than its timer costs.
const (
	restFactor = 9
	leastRest  = time.Millisecond
	mostRest   = time.Second
)

// rest is how long the service is not to be looked at again, whatever happens.
func (o outlook) rest() time.Duration {
	rest := min(restFactor*o.cost, mostRest)
	if o.again || rest < leastRest {
		return 0
	}
	return rest
}

// observe marks the services that a change concerns. It runs in the store's
// commit loop.
func (l *Loop) observe(view *store.Tables, changes []store.Change) {
	l.news.hear(view, changes)
	for _, c := range changes {
		switch next := c.New.(type) {
		case *model.Task:
			l.taskChanged(c.Old.(*model.Task), next)
		case *model.Service:
			if next != nil {
				l.note(l.daemons, next.Key(), isDaemon(next) && store.ServiceLive(next))
				l.note(l.even, next.Key(), spreadsEvenly(next) && store.ServiceLive(next))
				l.queue.mark(next.Key())
			}
		case *model.Instance:
			l.instanceChanged(view, c.Old.(*model.Instance), next)
		}
	}
}

func (l *Loop) taskChanged(old, next *model.Task) {
	t := next
	if t == nil {
		t = old
	}
	if t.Service != "" {
		l.queue.mark(model.ServiceKey{Cluster: t.Cluster, Name: t.Service})
	}
	if old != nil && store.TaskLive(old) && (next == nil || !store.TaskLive(next)) {
		l.markAll(l.blocked, t.Cluster)
	}
	if wasLive, isLive := old != nil && store.TaskLive(old), next != nil && store.TaskLive(next); wasLive != isLive {
		l.markAll(l.byTasks, t.Cluster)
	}
}

// watchTasks notes whether a service's constraints depend on the tasks on an instance. The
// first time it is looked at once more: what changed before was not noticed.
func (l *Loop) watchTasks(k model.ServiceKey, o *launch.Order) {
	l.mu.Lock()
	_, known := l.byTasks[k.Cluster][k.Name]
	l.mu.Unlock()
	if known == o.DependsOnTasks() {
		return
	}
	l.note(l.byTasks, k, o.DependsOnTasks())
	l.queue.mark(k)
}

func (l *Loop) instanceChanged(view *store.Tables, old, next *model.Instance) {
	i := next
	if i == nil {
		i = old
	}
	for t := range view.LiveTasksOnInstance(i.Cluster, i.ID) {
		if t.Service != "" {
			l.queue.mark(model.ServiceKey{Cluster: t.Cluster, Name: t.Service})
		}
	}
	l.markAll(l.blocked, i.Cluster)
	l.markAll(l.daemons, i.Cluster)
	l.markAll(l.even, i.Cluster)
}

func isDaemon(s *model.Service) bool { return s.SchedulingStrategy == ecs.SchedulingStrategyDAEMON }

// note puts a service into a set or takes it out.
func (l *Loop) note(set map[model.ClusterName]map[model.ServiceName]struct{}, k model.ServiceKey, in bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !in {
		delete(set[k.Cluster], k.Name)
		if len(set[k.Cluster]) == 0 {
			delete(set, k.Cluster)
		}
		return
	}
	if set[k.Cluster] == nil {
		set[k.Cluster] = map[model.ServiceName]struct{}{}
	}
	set[k.Cluster][k.Name] = struct{}{}
}

func (l *Loop) markAll(set map[model.ClusterName]map[model.ServiceName]struct{}, c model.ClusterName) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name := range set[c] {
		l.queue.mark(model.ServiceKey{Cluster: c, Name: name})
	}
}
