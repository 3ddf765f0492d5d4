// Package dispatch holds the sessions of agents during one term of leadership:
// what each container instance should run, what it reported, and whether it is
// there at all. It speaks no protocol; agentgrpc is the thin layer that puts a
// Session on a gRPC stream, and another wire would be another such layer.
package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// Config is what a dispatcher needs.
type Config struct {
	Store *store.Store
	// DisconnectAfter is how long an agent may be silent before its instance is
	// shown as not connected and gets no new tasks; up to three times as long in a
	// large fleet, see Session.Pace. Default 5 s.
	DisconnectAfter time.Duration
	// Busy tells whether requests of the API are under way; while some are, agents are told things less
	// often. Default: there always are.
	Busy     func() bool
	Logger   *slog.Logger
	Registry prometheus.Registerer // may be nil
}

// ErrUnknownInstance: the instance is not registered (any more).
var ErrUnknownInstance = errors.New("container instance is not registered")

// InstanceKey names a container instance in the account.
type InstanceKey struct {
	Cluster model.ClusterName
	ID      model.InstanceID
}

// Dispatcher knows all sessions of one term.
type Dispatcher struct {
	cfg    Config
	rounds rounds
	intake intake

	mu       sync.Mutex
	sessions map[InstanceKey]*Session
	watched  map[InstanceKey]*presence // of instances that count as connected
	silent   map[InstanceKey]time.Time // whose time is up, and when they were last heard
	wake     chan struct{}
	closed   bool
}

// New makes a dispatcher and registers it as an observer of the store, which
// must not run yet.
func New(cfg Config) *Dispatcher {
	if cfg.DisconnectAfter == 0 {
		cfg.DisconnectAfter = 5 * time.Second
	}
	if cfg.Busy == nil {
		cfg.Busy = func() bool { return true }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	d := &Dispatcher{
		cfg:      cfg,
		rounds:   rounds{busy: cfg.Busy},
		sessions: map[InstanceKey]*Session{},
		watched:  map[InstanceKey]*presence{},
		silent:   map[InstanceKey]time.Time{},
		wake:     make(chan struct{}, 1),
		intake:   intake{store: cfg.Store},
	}
	d.register(cfg.Registry)
	cfg.Store.Observe(d.observe)
	return d
}

// Run notes which agents have fallen silent until ctx ends; all sessions end
// with it.
func (d *Dispatcher) Run(ctx context.Context) error {
	defer d.closeAll()
	if err := d.startAnew(ctx); err != nil {
		return err
	}
	for {
		select {
		case <-d.wake:
			if err := d.noteSilent(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// startAnew starts the time limits of silent hosts at the beginning of a term:
// while nobody led, nobody could hear them.
func (d *Dispatcher) startAnew(ctx context.Context) error {
	var longSilent []InstanceKey
	for i := range d.cfg.Store.View().AllLiveInstances() {
		key := InstanceKey{i.Cluster, i.ID}
		if i.AgentConnected {
			d.watch(key)
		} else {
			longSilent = append(longSilent, key)
		}
	}
	now := time.Now()
	return d.updateInstances(ctx, longSilent, func(i *model.Instance) bool {
		if i.AgentConnected {
			return false
		}
		i.SilentSince = now
		return true
	})
}

// updateInstances changes instances in transactions of a size that etcd takes.
func (d *Dispatcher) updateInstances(ctx context.Context, keys []InstanceKey, change func(*model.Instance) bool) error {
	const chunk = 100
	for len(keys) > 0 {
		part := keys[:min(chunk, len(keys))]
		keys = keys[len(part):]
		err := d.cfg.Store.Update(ctx, func(tx *store.Tx) error {
			for _, k := range part {
				i, ok := tx.Instance(k.Cluster, k.ID)
				if !ok || !store.InstanceLive(i) {
					continue
				}
				next := *i
				if change(&next) {
					next.Version++
					tx.PutInstance(&next)
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("noting which agents are connected: %w", err)
		}
	}
	return nil
}

// noteSilent records the instances whose clocks ran out.
func (d *Dispatcher) noteSilent(ctx context.Context) error {
	d.mu.Lock()
	silent := d.silent
	d.silent = map[InstanceKey]time.Time{}
	keys := make([]InstanceKey, 0, len(silent))
	for k := range silent {
		if _, back := d.watched[k]; !back {
			keys = append(keys, k)
			d.cfg.Logger.Warn("agent is silent", "cluster", k.Cluster, "instance", k.ID)
		}
	}
	d.mu.Unlock()
	return d.updateInstances(ctx, keys, func(i *model.Instance) bool {
		if !i.AgentConnected {
			return false
		}
		i.AgentConnected, i.SilentSince = false, silent[InstanceKey{i.Cluster, i.ID}]
		return true
	})
}

// observe tells sessions which of their tasks changed in what is desired. It
// runs in the store's commit loop.
func (d *Dispatcher) observe(view *store.Tables, changes []store.Change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range changes {
		switch next := c.New.(type) {
		case *model.Task:
			old := c.Old.(*model.Task)
			if t := concerns(old, next); t != nil {
				if s := d.sessions[InstanceKey{t.Cluster, t.Instance}]; s != nil {
					s.mark(t.ID)
				}
			}
		case *model.TargetGroup:
			d.groupChanged(view, c.Old.(*model.TargetGroup), next)
		case *model.Instance:
			if next != nil && !store.InstanceLive(next) {
				if s := d.sessions[InstanceKey{next.Cluster, next.ID}]; s != nil {
					s.end(ErrUnknownInstance)
				}
			}
		}
	}
}

// groupChanged tells sessions which of their tasks are to be checked in another way.
func (d *Dispatcher) groupChanged(view *store.Tables, old, next *model.TargetGroup) {
	if old == nil || next == nil || old.HealthCheck == next.HealthCheck {
		return
	}
	for t := range view.TasksInGroup(next.ARN) {
		if s := d.sessions[InstanceKey{t.Cluster, t.Instance}]; s != nil {
			s.mark(t.ID)
		}
	}
}

// concerns returns the task if the change is one that its agent must know; what
// the agent itself reported is not. Nor is the end of a task whose host was given
// up: its containers are left running when that was by force
// (DeregisterContainerInstance, seed 000).
func concerns(old, next *model.Task) *model.Task {
	switch {
	case next == nil:
		return old
	case next.StopCode == ecs.TaskStopCodeTerminationNotice && !store.TaskLive(next):
		return nil
	case old == nil, old.MayStop() != next.MayStop(), store.TaskLive(old) != store.TaskLive(next),
		old.RegisteredAt.IsZero() != next.RegisteredAt.IsZero(), old.DrainUntil.IsZero() != next.DrainUntil.IsZero():
		return next
	}
	return nil
}

// Pause has agents told nothing, not even that the control plane is alive, while f runs, which is to
// take a few seconds at most: it is for what needs the processors, so that requests of the API find one.
func (d *Dispatcher) Pause(f func()) {
	d.rounds.pause(true)
	defer d.rounds.pause(false)
	f()
}

func (d *Dispatcher) closeAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.watched {
		p.timer.Stop()
	}
	clear(d.watched)
	for _, s := range d.sessions {
		s.end(errors.New("this control plane does not lead any more"))
	}
	d.closed = true
	d.rounds.close()
}
