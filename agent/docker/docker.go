// Package docker implements runtime.Runtime on the Docker Engine API. It owns
// everything that is peculiar to Docker: API versions, the words of its
// errors, its idea of a container's state, its event stream. It knows nothing
// of tasks or of ECS, decides nothing (no retries, no deadlines of its own),
// and is the only package that may import the Docker client.
package docker

import (
	"fmt"
	"log/slog"
	"sync"

	"github.com/docker/docker/client"

	"github.com/longshore/longshore/agent/runtime"
)

// Config says which engine to talk to.
type Config struct {
	// Host is the engine's address, like unix:///var/run/docker.sock. Empty
	// means DOCKER_HOST, and without that Docker's own default. The
	// certificates of DOCKER_CERT_PATH are used in either case.
	Host string
	// Logger may be nil.
	Logger *slog.Logger
}

// Runtime is a Docker engine. The zero value is of no use; call New.
type Runtime struct {
	log     *slog.Logger
	options []client.Opt

	mu     sync.Mutex
	engine *client.Client // replaced when the engine changes its API version

	// fresh has the ids that this process created and has not tried to start:
	// they need no look before a start.
	fresh    sync.Map
	ports    dynamicPorts
	creating turns // by container name
	starting turns // by container id
}

var _ runtime.Runtime = (*Runtime)(nil)

// New returns a Runtime for the engine that config names. The engine need not
// be up: until it is, calls answer runtime.ErrUnavailable.
func New(config Config) (*Runtime, error) {
	logger := config.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	options := []client.Opt{
		client.WithTLSClientConfigFromEnv(),
		client.WithHostFromEnv(),
		client.WithVersionFromEnv(),
		client.WithAPIVersionNegotiation(),
	}
	if config.Host != "" {
		options = append(options, client.WithHost(config.Host))
	}
	engine, err := client.NewClientWithOpts(options...)
	if err != nil {
		return nil, fmt.Errorf("set up a client of Docker at %q: %w", config.Host, err)
	}
	return &Runtime{log: logger, options: options, engine: engine}, nil
}

// Close releases the idle connections to the engine. Calls under way go on.
func (r *Runtime) Close() error {
	if err := r.client().Close(); err != nil {
		return fmt.Errorf("close the client of Docker: %w", err)
	}
	return nil
}

func (r *Runtime) client() *client.Client {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.engine
}

// renegotiate makes later calls agree on an API version anew. A client does
// that once in its life, but an engine may be replaced by an older or a newer
// one under an agent that goes on running.
func (r *Runtime) renegotiate(stale *client.Client) {
	replacement, err := client.NewClientWithOpts(r.options...)
	if err != nil {
		// The same options worked in New; only files that they name can have
		// changed. The old client stays, and the caller has an error already.
		r.log.Error("set up a new client of Docker", "error", err)
		return
	}
	r.mu.Lock()
	current := r.engine
	if current == stale {
		r.engine = replacement
	}
	r.mu.Unlock()

	unused := replacement
	if current == stale {
		unused = stale
		r.log.Warn("the engine refuses the API version in use, negotiating anew", "version", stale.ClientVersion())
	}
	if err := unused.Close(); err != nil {
		r.log.Warn("close a client of Docker", "error", err)
	}
}
