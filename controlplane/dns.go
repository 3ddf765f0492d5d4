package controlplane

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/longshore/longshore/controlplane/names"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/discovery"
	"github.com/longshore/longshore/proto/discovery/nameserver"
)

// namesPause is how long the name server waits before it reads etcd again after it
// lost sight of it. It answers with what it knows meanwhile.
const namesPause = time.Second

// serveDNS answers DNS with what etcd has, whether this control plane leads or not.
func (c *ControlPlane) serveDNS(ctx context.Context) error {
	if c.cfg.DNS == nil {
		return nil
	}
	known := discovery.New()
	ready := make(chan struct{})
	server := nameserver.New(nameserver.Config{Names: known, UDP: c.cfg.DNS, TCP: c.cfg.DNSOverTCP, Logger: c.cfg.Logger})
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		select {
		case <-ready: // before, it would deny what exists
		case <-ctx.Done():
			return ctx.Err()
		}
		return server.Run(ctx)
	})
	group.Go(func() error {
		first := true
		for {
			err := store.Follow(ctx, c.etcd.client, func(view *store.Tables) func(*store.Tables, []store.Change) {
				feed := names.New(view)
				follower := feed.Follow()
				known.Apply(follower.Update())
				if first {
					first = false
					close(ready)
				}
				return func(view *store.Tables, changes []store.Change) {
					feed.Observe(view, changes)
					if u := follower.Update(); !u.Empty() {
						known.Apply(u)
					}
				}
			})
			if ctx.Err() != nil {
				return ctx.Err()
			}
			c.cfg.Logger.Warn("names are not followed", "error", err, "retry_in", namesPause)
			if err := pause(ctx, namesPause); err != nil {
				return err
			}
		}
	})
	return group.Wait()
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
