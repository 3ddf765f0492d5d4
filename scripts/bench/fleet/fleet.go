// Package fleet simulates container instances, for measuring control planes: one
// process stands for hundreds of hosts. Each speaks the real protocol on a
// connection of its own, through agent/session, but has no container engine: a
// task runs some time after it was asked for, and has ended as soon as it is to
// stop. It says nothing of how fast a real agent is, and must not be used to
// show that one works.
package fleet

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/longshore/longshore/agent/session"
	"github.com/longshore/longshore/proto/ecs"
)

// Config describes a fleet of equal hosts.
type Config struct {
	ControlPlane []string // agent addresses
	Cluster      string   // must exist
	Name         string   // what the hosts' own ids begin with; default simulated
	Instances    int
	CPU          int32         // units that each offers
	MemoryMiB    int32         // that each offers
	StartTime    time.Duration // from PENDING to RUNNING
	Logger       *slog.Logger  // nil: nothing is logged
}

// Fleet is a number of simulated hosts.
type Fleet struct {
	cfg       Config
	instances []*instance
	absent    atomic.Int64 // instances that have not heard what is desired of them
	ready     chan struct{}
	door      chan struct{} // a slot for each instance that connects for the first time
}

// atOnce is how many hosts connect at a time: so many do not boot in the same moment,
// and whoever measures wants them connected, not to see how they get in one another's way.
const atOnce = 100

// New returns a fleet that Run registers and connects.
func New(cfg Config) *Fleet {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Name == "" {
		cfg.Name = "simulated"
	}
	f := &Fleet{cfg: cfg, ready: make(chan struct{}), door: make(chan struct{}, atOnce)}
	f.absent.Store(int64(cfg.Instances))
	if cfg.Instances == 0 {
		close(f.ready)
	}
	for i := range cfg.Instances {
		f.instances = append(f.instances, f.newInstance(fmt.Sprintf("%s-%05d", cfg.Name, i)))
	}
	return f
}

func (f *Fleet) newInstance(name string) *instance {
	i := &instance{startTime: f.cfg.StartTime, tasks: map[string]*task{}, wake: make(chan struct{}, 1)}
	var once sync.Once
	i.session = session.New(session.Config{
		Addresses: f.cfg.ControlPlane,
		Cluster:   f.cfg.Cluster,
		Dial:      []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())},
		Registration: func(context.Context) (*ecs.RegisterContainerInstanceRequest, error) {
			return f.registration(name), nil
		},
		Registered: func(string) error { return nil }, // it lives no longer than this process
		Desired: func(d session.Desired) {
			i.desire(d, time.Now())
			once.Do(f.arrived)
		},
		Delivered: func(string) {}, // what is over is forgotten when it is Removed
		Logger:    f.cfg.Logger,
		Registry:  prometheus.NewRegistry(),
	})
	return i
}

// registration says what an agent on a Linux host with Docker says, and no more.
func (f *Fleet) registration(name string) *ecs.RegisterContainerInstanceRequest {
	request := &ecs.RegisterContainerInstanceRequest{
		InstanceIdentityDocument: fmt.Sprintf(`{"instanceId":%q}`, name),
		TotalResources: []ecs.Resource{
			{Name: "CPU", Type: "INTEGER", IntegerValue: f.cfg.CPU},
			{Name: "MEMORY", Type: "INTEGER", IntegerValue: f.cfg.MemoryMiB},
			{Name: "PORTS", Type: "STRINGSET", StringSetValue: []string{"22"}},
			{Name: "PORTS_UDP", Type: "STRINGSET", StringSetValue: []string{}},
		},
		VersionInfo: &ecs.VersionInfo{AgentVersion: "simulated"},
	}
	for _, attribute := range []string{
		"com.amazonaws.ecs.capability.docker-remote-api.1.17",
		"com.amazonaws.ecs.capability.docker-remote-api.1.18",
		"com.amazonaws.ecs.capability.logging-driver.json-file",
	} {
		request.Attributes = append(request.Attributes, ecs.Attribute{Name: attribute})
	}
	zone := "local-1a"
	request.Attributes = append(request.Attributes, ecs.Attribute{Name: "ecs.availability-zone", Value: &zone})
	return request
}

func (f *Fleet) arrived() {
	<-f.door
	if f.absent.Add(-1) == 0 {
		close(f.ready)
	}
}

// Ready is closed once every instance is registered and has had a session.
func (f *Fleet) Ready() <-chan struct{} { return f.ready }

// Tasks returns how many tasks the control plane names at present.
func (f *Fleet) Tasks() int {
	total := 0
	for _, i := range f.instances {
		total += i.count()
	}
	return total
}

// Run keeps every instance connected until ctx ends, and returns its error.
func (f *Fleet) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, i := range f.instances {
		group.Go(func() error {
			select {
			case f.door <- struct{}{}:
				return i.session.Run(ctx)
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		group.Go(func() error { return i.run(ctx) })
	}
	return group.Wait()
}
