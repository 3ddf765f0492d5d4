package controlplane

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/longshore/longshore/controlplane/api"
	"github.com/longshore/longshore/controlplane/dispatch"
	"github.com/longshore/longshore/controlplane/endpoints"
	"github.com/longshore/longshore/controlplane/leader"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/names"
	"github.com/longshore/longshore/controlplane/reaper"
	"github.com/longshore/longshore/controlplane/rollout"
	"github.com/longshore/longshore/controlplane/services"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// term is what exists only while this control plane leads.
type term struct {
	store      *store.Store
	dispatcher *dispatch.Dispatcher
	names      *names.Feed
	registry   *prometheus.Registry
	endpoints  *endpoints.Index
	stopLoops  context.CancelFunc // ends the service loop; tasks are not replaced any more
}

// lead runs one term of leadership. It returns when ctx ends or a part fails,
// with everything of the term ended.
func (c *ControlPlane) lead(ctx context.Context, t leader.Term) error {
	registry := prometheus.NewRegistry()
	log := c.cfg.Logger
	start := time.Now()
	s, err := store.Load(ctx, store.Config{Client: c.etcd.client, Fence: t.Fence, Limits: c.etcd.limits, Logger: log, Registry: registry})
	if err != nil {
		return err
	}
	feed := names.New(s.View())
	s.Observe(feed.Observe) // before the dispatcher, so that names are told of before tasks
	dispatcher := dispatch.New(dispatch.Config{
		Store: s, DisconnectAfter: c.cfg.DisconnectAfter, Busy: func() bool { return c.answering.Load() > 0 }, Logger: log, Registry: registry,
	})
	scheduler := services.New(services.Config{Store: s, Settings: c.rolloutSettings(), Logger: log, Registry: registry})
	targets := endpoints.NewIndex(s)
	reap := reaper.New(reaper.Config{Store: s, GiveUpAfter: c.cfg.GiveUpAfter, StoppedTaskRetention: c.cfg.StoppedTaskRetention, Logger: log})
	log.Info("state loaded", "seconds", time.Since(start).Seconds())

	group, ctx := errgroup.WithContext(ctx)
	loops, stopLoops := context.WithCancel(ctx)
	defer stopLoops()
	group.Go(func() error { return s.Run(ctx) })
	group.Go(func() error { return dispatcher.Run(ctx) })
	group.Go(func() error { return reap.Run(ctx) })
	group.Go(func() error {
		err := scheduler.Run(loops)
		if loops.Err() != nil {
			return nil // stopped on purpose, or with everything else
		}
		return err
	})
	c.announce(func() { c.term.Store(&term{s, dispatcher, feed, registry, targets, stopLoops}) })
	err = group.Wait()
	c.announce(func() { c.term.Store(nil) })
	return err
}

func (c *ControlPlane) rolloutSettings() rollout.Settings {
	settings := rollout.DefaultSettings()
	settings.SilentLimit = c.cfg.ReplaceAfter
	settings.HealthyAfter = c.cfg.HealthyAfter
	return settings
}

// preview is what the service loop would do, for the API.
func (c *ControlPlane) preview(tx *store.Tx, k model.ServiceKey, now time.Time) (api.ServicePreview, error) {
	p, err := services.Look(tx, k, c.rolloutSettings(), now)
	out := api.ServicePreview{Desired: p.Desired, AtLeast: p.AtLeast, AtMost: p.AtMost, Settled: p.Settled, Stuck: p.Stuck}
	for _, step := range p.Steps {
		out.Steps = append(out.Steps, api.ServiceStep(step))
	}
	return out, err
}

func (c *ControlPlane) currentStore() *store.Store {
	if t := c.term.Load(); t != nil {
		return t.store
	}
	return nil
}

func (c *ControlPlane) currentNames() *names.Feed {
	if t := c.term.Load(); t != nil {
		return t.names
	}
	return nil
}

func (c *ControlPlane) currentDispatcher() *dispatch.Dispatcher {
	if t := c.term.Load(); t != nil {
		return t.dispatcher
	}
	return nil
}

// WaitPlaceable waits until this control plane leads and a container instance is
// connected, so that a task could be placed.
func (c *ControlPlane) WaitPlaceable(ctx context.Context) error {
	for {
		change := c.changed()
		if t := c.term.Load(); t != nil {
			return waitFor(ctx, t.store, func(v *store.Tables) bool {
				for i := range v.AllLiveInstances() {
					if i.AgentConnected && i.Status == model.StatusActive {
						return true
					}
				}
				return false
			})
		}
		select {
		case <-change:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// WaitServing waits until this control plane answers requests: it leads, or it
// knows who does.
func (c *ControlPlane) WaitServing(ctx context.Context) error {
	for {
		change := c.changed()
		if a := c.leaderAddresses(); c.term.Load() != nil || a.Node != "" && a.Node != c.node {
			return nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// StopTasks ends the service loop and stops every task, and waits until all are
// STOPPED or ctx ends. It is for a control plane that is about to end together
// with its host's agent; the services stay as they are, and are filled again at
// the next start.
func (c *ControlPlane) StopTasks(ctx context.Context, reason string) error {
	t := c.term.Load()
	if t == nil {
		return errors.New("this control plane does not lead")
	}
	t.stopLoops()
	running := func(v *store.Tables) []*model.Task {
		var out []*model.Task
		for i := range v.AllLiveInstances() {
			for task := range v.LiveTasksOnInstance(i.Cluster, i.ID) {
				out = append(out, task)
			}
		}
		return out
	}
	tasks := running(t.store.View())
	for len(tasks) > 0 {
		part := tasks[:min(100, len(tasks))]
		tasks = tasks[len(part):]
		err := t.store.Update(ctx, func(tx *store.Tx) error {
			for _, task := range part {
				now, ok := tx.Task(task.Cluster, task.ID)
				if !ok || now.MayStop() {
					continue
				}
				next := *now
				next.Stop(ecs.TaskStopCodeUserInitiated, reason, time.Now())
				next.Version++
				if next.InTraffic() {
					next.EndTraffic() // nobody is left to wait for the end of its drain
				}
				tx.PutTask(&next)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("stopping tasks: %w", err)
		}
	}
	return waitFor(ctx, t.store, func(v *store.Tables) bool { return len(running(v)) == 0 })
}

// waitFor waits until a condition holds in the store's view.
func waitFor(ctx context.Context, s *store.Store, holds func(*store.Tables) bool) error {
	changed, stop := s.Subscribe()
	defer stop()
	for !holds(s.View()) {
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
