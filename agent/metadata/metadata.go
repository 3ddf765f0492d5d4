// Package metadata is what a task can ask of its host: the task metadata
// endpoint (versions 3 and 4), credentials for its task role, and the task
// protection endpoint, with ECS's paths and answers.
//
// It owns the address at which containers find it and shares that address with
// the other agents of the host; the ids in its paths, which are all that a
// request is recognised by; and the credentials of roles. What tasks there are
// and how they stand it asks of the agent: it keeps no state of theirs, calls no
// container engine but for statistics, and decides nothing.
package metadata

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/longshore/longshore/agent/lifecycle"
	agentv1 "github.com/longshore/longshore/proto/agent/v1"
	"github.com/longshore/longshore/proto/ecs"
)

// WellKnown is the address that AWS's SDKs ask for credentials, always at port 80.
var WellKnown = netip.AddrFrom4([4]byte{169, 254, 170, 2})

// Config is what a Server depends on.
type Config struct {
	DataDir string // of the agent: the key of the ids is kept there
	// Address is link-local; the zero value is WellKnown if the host lets it be
	// set up, and the address of Docker's bridge otherwise.
	Address netip.Addr
	RunDir  string // where the agents of a host find one another; DefaultRunDir

	// Lookup returns how a task stands for one of its containers, which is
	// started as far as the answer goes; ErrGone if there is no such task any more.
	Lookup func(ctx context.Context, arn string, container int) (Task, error)
	// Stats is the engine's statistics of a running container, as runtime.Runtime has it.
	Stats        func(ctx context.Context, id string) ([]byte, error)
	Roles        *Roles // nil: no role has credentials
	ControlPlane ControlPlane
	Logger       *slog.Logger
}

// ControlPlane is what is asked of the control plane for a task.
type ControlPlane interface {
	TaskProtection(ctx context.Context, task string, update *agentv1.ProtectionUpdate) (*agentv1.TaskProtectionResponse, error)
	TaskTags(ctx context.Context, task string) (*agentv1.TaskTagsResponse, error)
}

// Task is a task of the host at one moment.
type Task struct {
	Spec  lifecycle.Task
	State lifecycle.State
	Facts
}

// Facts are what the control plane said of a task. They never change.
type Facts struct {
	Cluster          string // name
	Group            string
	LaunchType       string
	AvailabilityZone string
	Definition       *ecs.TaskDefinition
	Overrides        *ecs.TaskOverride // may be nil
	ContainerARNs    []string          // as Spec.Units
}

// ErrGone: the agent does not know the task (any more).
var ErrGone = errors.New("the task is gone")

// Server answers the tasks of one agent.
type Server struct {
	Config
	key   key
	door  *door
	names registry
	stats sampler
	http  *http.Server
}

// Open makes the endpoint reachable; Run answers. An error that wraps
// ErrNoAddress says that this host can not have it.
func Open(c Config) (*Server, error) {
	if c.RunDir == "" {
		c.RunDir = DefaultRunDir
	}
	key, err := openKey(c.DataDir)
	if err != nil {
		return nil, err
	}
	s := &Server{Config: c, key: key, stats: sampler{fetch: c.Stats, last: map[string]sample{}}}
	s.names.init()
	if s.door, err = openDoor(c, key.tag); err != nil {
		return nil, err
	}
	s.http = newHTTP(s)
	return s, nil
}

// newHTTP bounds each request: by the times in which SDKs give up, and then some.
func newHTTP(s *Server) *http.Server {
	return &http.Server{
		Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10,
		ErrorLog:    slog.NewLogLogger(s.Logger.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
	}
}

// connKey finds the connection of a request in its context.
type connKey struct{}

// GivesRoles tells whether SDKs can get credentials of roles here.
func (s *Server) GivesRoles() bool { return s.Roles != nil && s.door.wellKnown() }

// Base is what the URIs of the endpoint begin with.
func (s *Server) Base() string { return s.door.base }

// Repair sets up anew what is gone of the host's address and its rules, which a
// restart of a firewall or of the container engine can take away.
func (s *Server) Repair(ctx context.Context) error { return s.door.repair(ctx) }

// Run answers until ctx ends, and then gives the address back.
func (s *Server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, l := range s.door.listeners() {
		group.Go(func() error {
			if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve task metadata at %s: %w", l.Addr(), err)
			}
			return ctx.Err()
		})
	}
	group.Go(func() error {
		<-ctx.Done()
		return errors.Join(s.http.Close(), ctx.Err())
	})
	err := group.Wait()
	if failed := s.Close(); failed != nil {
		s.Logger.Error("the address of the task metadata endpoint is not given back", "error", failed)
	}
	return err
}

// Close gives the address back. It may be called again, and without Run.
func (s *Server) Close() error { return s.door.close() }
