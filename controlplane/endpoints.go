package controlplane

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/proxies"
	"github.com/longshore/longshore/controlplane/proxies/membership"
)

// followPause is how long a standby waits before it asks the leader again.
const followPause = time.Second

// serveEndpoints serves the target groups to proxies, whether this control plane
// leads or not.
func (c *ControlPlane) serveEndpoints(ctx context.Context) error {
	if c.cfg.Endpoints.Stream == nil {
		return nil
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return proxies.Run(ctx, proxies.Config{
			Catalog: c.targets, Listeners: c.cfg.Endpoints, Zone: c.cfg.EndpointsZone,
			// A name of this life: a version of an earlier one could mean something else.
			Version: model.NewUUID(), Logger: c.cfg.Logger,
		})
	})
	group.Go(func() error { return c.followTargets(ctx) })
	return group.Wait()
}

// followTargets fills the catalog: from the store while this control plane leads,
// from the one that leads while another does. While nobody can be reached it
// stays as it was. Only this loop writes to it, so that nothing late of one
// leader overwrites what the next one says.
func (c *ControlPlane) followTargets(ctx context.Context) error {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for ctx.Err() == nil {
		change := c.changed()
		if fill := c.source(client); fill != nil {
			c.fill(ctx, fill, change)
			continue
		}
		select {
		case <-change:
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// source returns what fills the catalog at present; nil if nothing does.
func (c *ControlPlane) source(client *http.Client) func(context.Context) error {
	if t := c.term.Load(); t != nil {
		return func(ctx context.Context) error { return membership.Publish(ctx, t.endpoints, c.targets) }
	}
	a := c.leaderAddresses()
	if a.Endpoints == "" || a.Node == c.node {
		return nil
	}
	return func(ctx context.Context) error {
		return c.targets.Follow(ctx, client, "http://"+a.Endpoints+proxies.FollowPath)
	}
}

// fill runs one source until it ends or who leads changes.
func (c *ControlPlane) fill(ctx context.Context, source func(context.Context) error, change <-chan struct{}) {
	filling, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- source(filling) }()
	select {
	case <-change:
		cancel()
		<-ended
		return
	case err := <-ended:
		if ctx.Err() != nil {
			return
		}
		c.cfg.Logger.Warn("following the target groups of the leader", "error", err)
	}
	pause := time.NewTimer(followPause)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-change:
	case <-ctx.Done():
	}
}
