// Package controlplane puts a control plane together: etcd, the election, and,
// while it leads, the store with everything that works on it; the API, agent and
// operations servers around that. It is wiring only and decides nothing about
// what ECS does.
package controlplane

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/longshore/longshore/controlplane/api"
	"github.com/longshore/longshore/controlplane/cloudmap"
	"github.com/longshore/longshore/controlplane/elbv2"
	"github.com/longshore/longshore/controlplane/leader"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/proxies"
	"github.com/longshore/longshore/controlplane/proxies/catalog"
	"github.com/longshore/longshore/controlplane/resolve"
	"github.com/longshore/longshore/controlplane/secrets"
	"github.com/longshore/longshore/controlplane/secretsapi"
	"github.com/longshore/longshore/controlplane/store"
)

// Config is what a control plane is told. Zero values mean the defaults named here.
type Config struct {
	Owner   model.Owner
	DataDir string // holds the embedded etcd and this control plane's name
	// EtcdEndpoints of an external cluster; without, etcd runs in this process.
	EtcdEndpoints []string
	EtcdTLS       *tls.Config
	EtcdLimits    store.Limits // of transactions of the external cluster; default store.DefaultLimits

	API, Agents, Ops net.Listener
	// Endpoints is where target groups are served to proxies; without, they are not.
	Endpoints     proxies.Listeners
	EndpointsZone string // of the names there; default longshore.internal
	// DNS and DNSOverTCP answer for the namespaces; nil: this control plane answers no DNS.
	DNS        net.PacketConn
	DNSOverTCP net.Listener
	// AdvertiseAPI and AdvertiseAgents are the addresses by which other control
	// planes and agents reach this one. Default: the listeners' own.
	AdvertiseAPI, AdvertiseAgents, AdvertiseEndpoints string
	AgentTLS                                          *tls.Config       // nil: agents connect without TLS
	Keys                                              map[string]string // access key id → secret; empty: callers are not checked

	DisconnectAfter      time.Duration // silence after which an agent is not connected; default 5 s
	ReplaceAfter         time.Duration // silence after which its service tasks are replaced; default 15 s
	GiveUpAfter          time.Duration // silence after which its tasks are STOPPED; default 10 min
	HealthyAfter         time.Duration // time RUNNING after which a task without health check is healthy; default 2 s
	StoppedTaskRetention time.Duration // how long STOPPED tasks are kept; default 1 h

	// SecretsKeys seal the values of secrets in etcd; nil: secrets are neither taken nor given.
	SecretsKeys *secrets.Keyring
	// RemoteSecrets are asked for the secrets that the store does not have.
	RemoteSecrets resolve.RemoteConfig

	MaxRequest int64   // size of an API request in bytes; default 8 MiB
	APIRate    float64 // API requests a second of one caller; 0: no limit
	APIBurst   int     // API requests of one caller at once, with APIRate

	Logger *slog.Logger
}

func (c *Config) setDefaults() {
	for _, d := range []struct {
		value    *time.Duration
		standard time.Duration
	}{
		{&c.DisconnectAfter, 5 * time.Second}, {&c.ReplaceAfter, 15 * time.Second},
		{&c.GiveUpAfter, 10 * time.Minute}, {&c.HealthyAfter, 2 * time.Second},
		{&c.StoppedTaskRetention, time.Hour},
	} {
		if *d.value == 0 {
			*d.value = d.standard
		}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.AdvertiseAPI == "" {
		c.AdvertiseAPI = c.API.Addr().String()
	}
	if c.AdvertiseAgents == "" {
		c.AdvertiseAgents = c.Agents.Addr().String()
	}
	if c.AdvertiseEndpoints == "" && c.Endpoints.Stream != nil {
		c.AdvertiseEndpoints = c.Endpoints.Stream.Addr().String()
	}
	if c.EndpointsZone == "" {
		c.EndpointsZone = "longshore.internal"
	}
}

// ControlPlane is one control plane process.
type ControlPlane struct {
	cfg      Config
	node     string // this control plane's name in the election
	etcd     etcd
	closers  []func() error
	api      *api.Server
	registry *prometheus.Registry
	targets  *catalog.Catalog // the target groups, whoever leads

	answering atomic.Int64 // requests of the API that are under way

	term   atomic.Pointer[term] // nil while it does not lead
	mu     sync.Mutex
	leader leader.Addresses // who leads, as far as is known
	change chan struct{}    // closed when term or leader changes
}

// New takes the data folder and opens etcd.
func New(ctx context.Context, cfg Config) (*ControlPlane, error) {
	cfg.setDefaults()
	c := &ControlPlane{cfg: cfg, registry: prometheus.NewRegistry(), targets: catalog.New(), change: make(chan struct{})}
	if err := c.open(ctx); err != nil {
		return nil, errors.Join(err, c.close())
	}
	c.api = api.New(api.Config{
		Owner:         cfg.Owner,
		Store:         c.currentStore,
		AgentEndpoint: func() string { return c.leaderAddresses().Agent },
		Preview:       c.preview,
		Keys:          cfg.Keys,
		Services: append(secretsapi.New(secretsapi.Config{Owner: cfg.Owner, Keys: cfg.SecretsKeys}),
			cloudmap.New(cloudmap.Config{Owner: cfg.Owner}), elbv2.New(elbv2.Config{Owner: cfg.Owner})),
		MaxBody:  cfg.MaxRequest,
		Rate:     cfg.APIRate,
		Burst:    cfg.APIBurst,
		Logger:   cfg.Logger,
		Registry: c.registry,
	})
	return c, nil
}

func (c *ControlPlane) open(ctx context.Context) error {
	node, unlock, err := takeFolder(c.cfg.DataDir)
	if err != nil {
		return err
	}
	c.node = node
	c.closers = append(c.closers, unlock)
	if c.etcd, err = openEtcd(ctx, c.cfg, filepath.Join(c.cfg.DataDir, "etcd")); err != nil {
		return err
	}
	c.closers = append(c.closers, c.etcd.close)
	return nil
}

// close undoes open, last things first.
func (c *ControlPlane) close() error {
	var errs []error
	for i := len(c.closers) - 1; i >= 0; i-- {
		errs = append(errs, c.closers[i]())
	}
	return errors.Join(errs...)
}

// Run serves until ctx ends, and then gives everything back. Tasks run on.
func (c *ControlPlane) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.serveAPI(ctx) })
	group.Go(func() error { return c.serveAgents(ctx) })
	group.Go(func() error { return c.serveOps(ctx) })
	group.Go(func() error { return c.serveEndpoints(ctx) })
	group.Go(func() error { return c.serveDNS(ctx) })
	group.Go(func() error { return leader.Observe(ctx, c.etcd.client, c.learnLeader) })
	group.Go(func() error {
		if err := c.checkSecrets(ctx); err != nil {
			return err
		}
		return leader.Run(ctx, leader.Config{
			Client:    c.etcd.client,
			Node:      c.node,
			TTL:       c.etcd.ttl,
			Addresses: leader.Addresses{API: c.cfg.AdvertiseAPI, Agent: c.cfg.AdvertiseAgents, Endpoints: c.cfg.AdvertiseEndpoints},
			Logger:    c.cfg.Logger,
		}, c.lead)
	})
	err := group.Wait()
	if closeErr := c.close(); closeErr != nil {
		err = errors.Join(err, fmt.Errorf("closing: %w", closeErr))
	}
	return err
}

// Changed returns a channel that is closed at the next change of who leads.
func (c *ControlPlane) changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.change
}

func (c *ControlPlane) announce(update func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	update()
	close(c.change)
	c.change = make(chan struct{})
}

func (c *ControlPlane) learnLeader(a leader.Addresses) {
	c.cfg.Logger.Info("leader known", "node", a.Node, "api", a.API, "agents", a.Agent)
	c.announce(func() { c.leader = a })
}

func (c *ControlPlane) leaderAddresses() leader.Addresses {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leader
}
