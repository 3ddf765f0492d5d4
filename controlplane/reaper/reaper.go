// Package reaper ends what nobody else will end: the tasks of hosts that stay
// silent for too long, the records of tasks that stopped long ago, client tokens
// after a day, targets that were deregistered and are drained, and task definitions
// that were deleted once nothing uses them. It is a loop of the leader, driven by the store's changes and by the next moment at
// which something falls due; it holds no state of its own.
package reaper

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
)

// Config is what a reaper needs.
type Config struct {
	Store *store.Store
	// GiveUpAfter is how long a host may be silent before its tasks are STOPPED.
	GiveUpAfter time.Duration
	// StoppedTaskRetention is how long a STOPPED task can be described, and at
	// least a task definition that was deleted. ECS promises an hour of tasks.
	StoppedTaskRetention time.Duration
	Logger               *slog.Logger
}

// Reaper is the loop.
type Reaper struct{ cfg Config }

// New makes a reaper.
func New(cfg Config) *Reaper { return &Reaper{cfg} }

// chunk bounds the records of one transaction, and taskChunk the tasks, which cost less.
const chunk, taskChunk = 100, 500

// Run works until ctx ends or the store does.
func (r *Reaper) Run(ctx context.Context) error {
	changed, stop := r.cfg.Store.Subscribe()
	defer stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-timer.C:
		}
		due, err := r.reap(ctx, time.Now())
		if err != nil {
			return err
		}
		timer.Reset(time.Until(due))
	}
}

// reap does what is due and returns when something will be next. All indexes
// are ordered by time, so that a look costs no more than what is due.
func (r *Reaper) reap(ctx context.Context, now time.Time) (next time.Time, err error) {
	next = now.Add(time.Hour)
	view := r.cfg.Store.View()
	for i := range view.SilentInstances() {
		due := i.SilentSince.Add(r.cfg.GiveUpAfter)
		if due.After(now) {
			next = earlier(next, due)
			break
		}
		if err := r.giveUp(ctx, i, now); err != nil {
			return now, err
		}
	}
	if next, err = r.reapDefinitions(ctx, view, now, next); err != nil {
		return now, err
	}
	if next, err = r.reapSecrets(ctx, view, now, next); err != nil {
		return now, err
	}
	if next, err = r.reapTargets(ctx, view, now, next); err != nil {
		return now, err
	}
	if next, err = r.reapTokens(ctx, view, now, next); err != nil {
		return now, err
	}
	for t := range view.StoppedTasks() {
		due := t.StoppedAt.Add(r.cfg.StoppedTaskRetention)
		if due.After(now) {
			return earlier(next, due), nil
		}
		return now, r.forget(ctx, now)
	}
	return next, nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// giveUp ends the tasks of a silent host. The instance stays registered: when
// its agent comes back, it is told that nothing should run there.
func (r *Reaper) giveUp(ctx context.Context, silent *model.Instance, now time.Time) error {
	for {
		ended := 0
		err := r.cfg.Store.Update(ctx, func(tx *store.Tx) error {
			i, ok := tx.Instance(silent.Cluster, silent.ID)
			if !ok || i.SilentSince.IsZero() {
				return nil // it came back
			}
			for _, t := range first(taskChunk, tx.LiveTasksOnInstance(i.Cluster, i.ID)) {
				next := *t
				next.EndLost(fmt.Sprintf("Host EC2 (instance %s) terminated.", hostName(i)), now)
				tx.PutTask(&next)
				ended++
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("giving up instance %s: %w", silent.ID, err)
		}
		if ended > 0 {
			r.cfg.Logger.Warn("host given up", "cluster", silent.Cluster, "instance", silent.ID, "tasks", ended, "silent_since", silent.SilentSince)
		}
		if ended < taskChunk {
			return nil
		}
	}
}

func hostName(i *model.Instance) string {
	if i.EC2InstanceID != "" {
		return i.EC2InstanceID
	}
	return string(i.ID)
}

// forget deletes the records of tasks whose time is up, one transaction's worth.
func (r *Reaper) forget(ctx context.Context, now time.Time) error {
	err := r.cfg.Store.Update(ctx, func(tx *store.Tx) error {
		for _, t := range first(taskChunk, tx.StoppedTasks()) {
			if t.StoppedAt.Add(r.cfg.StoppedTaskRetention).After(now) {
				break
			}
			tx.DeleteTask(t)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("forgetting stopped tasks: %w", err)
	}
	return nil
}

// first takes up to n records, so that the table may be changed while they are used.
func first[T any](n int, records iter.Seq[T]) []T {
	var out []T
	for r := range records {
		if len(out) == n {
			break
		}
		out = append(out, r)
	}
	return out
}
