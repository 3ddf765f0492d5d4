// Package agent runs the tasks of one host. It registers the host with the
// control plane, takes from it what should run, and keeps the container engine
// so: one worker per task asks package lifecycle what to do next, does it
// through a runtime.Runtime, and reports what became of it through package
// session.
//
// It keeps nothing on disk but its identity, the names that it answers for DNS, and notes of
// what no engine knows: which images it has pulled, and how often it restarted a
// container. What runs is read from the
// engine's labels when the agent starts and when the engine comes back, so that
// stopping, upgrading or killing the agent never touches a container. It never
// imports the control plane or a particular engine.
package agent

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/longshore/longshore/agent/session"
	"github.com/longshore/longshore/proto/ecs"
)

// Agent runs the tasks of one host.
type Agent struct {
	config  Config
	log     *slog.Logger
	metrics *metrics
	ready   chan struct{}
	once    sync.Once // closes ready

	endpoint *endpoint // of Run
}

// New returns an agent that Run starts.
func New(config Config) (*Agent, error) {
	if err := config.complete(); err != nil {
		return nil, fmt.Errorf("configure the agent: %w", err)
	}
	return &Agent{
		config:  config,
		log:     config.Logger,
		metrics: newMetrics(config.Registry),
		ready:   make(chan struct{}),
	}, nil
}

// Ready is closed once the host is registered and a session is open: from then
// on tasks can be placed on it.
func (a *Agent) Ready() <-chan struct{} { return a.ready }

// Run runs the agent until ctx ends, and returns its error; it can be called
// once. Containers go on without it.
func (a *Agent) Run(ctx context.Context) error {
	id, err := openIdentity(a.config.DataDir, a.config.Cluster)
	if err != nil {
		return err
	}
	defer id.close()

	images := newImages(a.config, a.metrics)
	runs := readRunNotes(a.config.DataDir, a.log)
	tasks := newTable(a.config, a.metrics, images, runs)
	monitor := newMonitor(a.config, a.metrics, tasks)
	tasks.own(id.saved.Instance)
	monitor.watchOver(id.instances())
	if tasks.resolver, err = a.openResolver(); err != nil {
		return err
	}
	tasks.session = session.New(session.Config{
		Addresses: a.config.ControlPlane,
		Cluster:   a.config.Cluster,
		Dial:      a.dialOptions(),
		Instance:  id.saved.Instance,

		RegisterAnew: a.config.RegisterAnew,
		Registration: func(ctx context.Context) (*ecs.RegisterContainerInstanceRequest, error) {
			info, err := a.info(ctx)
			if err != nil {
				return nil, err
			}
			o, err := a.look(ctx, info)
			if err != nil {
				return nil, err
			}
			images.provide(o.architecture)
			tasks.furnish(o, a.groupsOf(o.groups, id.instances()))
			return a.registration(info, &o)
		},
		Registered: func(instance string) error {
			if err := id.adopt(instance); err != nil {
				return err
			}
			tasks.own(instance)
			monitor.watchOver(id.instances())
			return nil
		},
		Desired: func(d session.Desired) {
			tasks.endpoint.check(&d)
			tasks.desire(d)
			a.once.Do(func() { close(a.ready) })
		},
		Names:     tasks.resolver.apply,
		Delivered: tasks.delivered,
		Logger:    a.log,
		Registry:  a.config.Registry,
	})

	if a.endpoint, err = a.openEndpoint(tasks); err != nil {
		return err
	}
	tasks.endpoint = a.endpoint

	group, ctx := errgroup.WithContext(ctx)
	if a.endpoint != nil {
		group.Go(func() error { return a.endpoint.server.Run(ctx) })
	}
	group.Go(func() error { return tasks.session.Run(ctx) })
	if tasks.resolver != nil {
		group.Go(func() error { return tasks.resolver.run(ctx) })
	}
	group.Go(func() error { return monitor.run(ctx) })
	group.Go(func() error { return tasks.run(ctx) })
	group.Go(func() error { return runs.run(ctx) })
	group.Go(func() error { return newSweeper(a.config, images).run(ctx) })
	return group.Wait()
}

func (a *Agent) dialOptions() []grpc.DialOption {
	transport := insecure.NewCredentials()
	if a.config.TLS != nil {
		transport = credentials.NewTLS(a.config.TLS)
	}
	return append([]grpc.DialOption{grpc.WithTransportCredentials(transport)}, a.config.DialOptions...)
}
