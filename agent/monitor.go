package agent

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/runtime"
)

// How long the monitor waits between attempts to reach the engine, and what it
// gives the engine to list everything.
const (
	firstReconnect = 100 * time.Millisecond
	lastReconnect  = 5 * time.Second
	listDeadline   = 5 * time.Minute
)

// monitor keeps an eye on the engine: it is subscribed to what changes, and
// each time that it had to subscribe anew it lists everything, because what
// changed in between is not known.
type monitor struct {
	runtime runtime.Runtime
	tasks   *table
	metrics *metrics
	log     *slog.Logger
	wake    chan struct{} // one slot: instances has changed

	mu        sync.Mutex
	instances []string // ARNs; the first is the present one
}

// listing is everything of ours that the engine has.
type listing struct {
	containers []runtime.Container
	volumes    []string
}

func newMonitor(c Config, m *metrics, tasks *table) *monitor {
	return &monitor{runtime: c.Runtime, tasks: tasks, metrics: m, log: c.Logger, wake: make(chan struct{}, 1)}
}

// watchOver says whose containers to watch, before the first registration none.
func (m *monitor) watchOver(instances []string) {
	m.mu.Lock()
	same := len(instances) > 0 && len(m.instances) > 0 && instances[0] == m.instances[0]
	m.instances = instances
	m.mu.Unlock()
	if !same {
		poke(m.wake)
	}
}

func (m *monitor) run(ctx context.Context) error {
	for attempt := 0; ; {
		select {
		case <-m.wake: // said before what is read now
		default:
		}
		m.mu.Lock()
		instances := m.instances
		m.mu.Unlock()
		if len(instances) == 0 {
			if err := await(ctx, m.wake, nil); err != nil {
				return err
			}
			continue
		}
		listed, err := m.watch(ctx, instances)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errMoved):
			attempt = 0
			continue
		case listed:
			attempt = 0
		}
		delay := min(firstReconnect<<min(attempt, 10), lastReconnect)
		attempt++
		m.log.Warn("lost sight of the container engine", "instance", instances[0], "error", err, "retry_in", delay)
		if err := pause(ctx, delay); err != nil {
			return err
		}
	}
}

// errMoved ends a watch when the host has been registered anew.
var errMoved = errors.New("the container instance has changed")

// watch subscribes, lists, and passes on what changes until that breaks.
func (m *monitor) watch(ctx context.Context, instances []string) (listed bool, err error) {
	group, ctx := errgroup.WithContext(ctx)
	subscribed := make(chan struct{})
	group.Go(func() error {
		err := m.runtime.Watch(ctx, map[string]string{lifecycle.LabelInstance: instances[0]},
			func() { close(subscribed) }, m.tasks.changed)
		m.metrics.called("watch", err)
		return err
	})
	group.Go(func() error {
		if err := await(ctx, subscribed, nil); err != nil {
			return err
		}
		found, err := m.list(ctx, instances)
		if err != nil {
			return err
		}
		listed = true
		m.tasks.listed(found)
		m.tasks.endpoint.repair(ctx)
		if err := await(ctx, m.wake, nil); err != nil {
			return err
		}
		return errMoved
	})
	err = group.Wait()
	return listed, err
}

func (m *monitor) list(ctx context.Context, instances []string) (listing, error) {
	ctx, cancel := context.WithTimeout(ctx, listDeadline)
	defer cancel()
	var all listing
	for _, instance := range instances {
		labels := map[string]string{lifecycle.LabelInstance: instance}
		containers, err := m.runtime.List(ctx, labels)
		m.metrics.called("list", err)
		if err != nil {
			return listing{}, err
		}
		volumes, err := m.runtime.ListVolumes(ctx, labels)
		m.metrics.called("list_volumes", err)
		if err != nil {
			return listing{}, err
		}
		all.containers = append(all.containers, containers...)
		all.volumes = append(all.volumes, volumes...)
	}
	return all, nil
}

// poke fills a channel of one slot: what is to be looked at is looked at once
// more, however often it changed.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// await waits for one of two channels, or the end of ctx, whose error it returns.
func await(ctx context.Context, a <-chan struct{}, b <-chan time.Time) error {
	select {
	case <-a:
		return nil
	case <-b:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	return await(ctx, nil, timer.C)
}
