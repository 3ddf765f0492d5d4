package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/runtime"
)

// progressPeriod is how often a pull that goes on is logged at most.
const progressPeriod = 15 * time.Second

// pull fetches an image when its turn has come. It ends when nothing comes in
// for the inactivity limit, as in the ECS agent: a registry that hangs would
// otherwise keep its task, and the turn, until PullDeadline.
func (im *images) pull(ctx context.Context, want wanted) error {
	ref := want.ref
	if err := im.turns.Acquire(ctx, 1); err != nil {
		return err
	}
	defer im.turns.Release(1)
	ctx, cancel := context.WithTimeout(ctx, lifecycle.PullDeadline)
	defer cancel()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	silent := fmt.Errorf("inactivity time exceeded timeout while pulling image %s: nothing came for %s", ref, im.inactivity)
	watchdog := time.AfterFunc(im.inactivity, func() { giveUp(silent) })
	defer watchdog.Stop()

	log := im.log.With("image", ref)
	log.Info("pulling image")
	began := time.Now()
	meter := pullMeter{log: log, logged: began, layers: map[string]int64{}}
	err := im.runtime.Pull(ctx, ref, want.credentials(), func(p runtime.PullProgress) {
		watchdog.Reset(im.inactivity)
		meter.take(p, time.Now())
	})
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, silent) {
		err = silent
	}
	im.metrics.called("pull", err)
	if err != nil {
		log.Warn("image was not pulled", "seconds", time.Since(began).Seconds(), "bytes", meter.bytes(), "error", err)
		return err
	}
	im.metrics.pulled(began)
	log.Info("image pulled", "seconds", time.Since(began).Seconds(), "bytes", meter.bytes())
	return nil
}

// pullMeter adds up what a pull has downloaded.
type pullMeter struct {
	log *slog.Logger

	mu     sync.Mutex
	logged time.Time
	layers map[string]int64 // bytes downloaded
}

func (m *pullMeter) take(p runtime.PullProgress, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p.Status == "Downloading" {
		m.layers[p.Layer] = max(m.layers[p.Layer], p.Current)
	}
	if now.Sub(m.logged) >= progressPeriod {
		m.logged = now
		m.log.Info("image pull goes on", "layer", p.Layer, "step", p.Status, "bytes", m.sum())
	}
}

func (m *pullMeter) bytes() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sum()
}

func (m *pullMeter) sum() (total int64) {
	for _, n := range m.layers {
		total += n
	}
	return total
}
