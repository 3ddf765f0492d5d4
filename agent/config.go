package agent

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/longshore/longshore/agent/envfile"
	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/runtime"
)

// Config is what an Agent depends on. Where a default is named, the zero value
// means the default.
type Config struct {
	ControlPlane []string // host:port of the agent addresses of one or more control planes
	Cluster      string   // "default"
	DataDir      string   // for the agent's identity; made if it is not there
	Runtime      runtime.Runtime
	TLS          *tls.Config // nil: plain text
	DialOptions  []grpc.DialOption

	InstanceName     string            // shown as ec2InstanceId; the host's name
	AvailabilityZone string            // "local-1a", as if the machine room were the zone a of a region "local-1"
	Attributes       map[string]string // more of them, or other values of those that the agent finds out
	Version          string            // of the agent

	CPUs              int      // CPU units to offer, 1024 a core; all of the host's
	MemoryMiB         int      // to offer; all of the host's but the reserve
	ReservedMemoryMiB int      // of the host's memory, not offered; 0
	ReservedPorts     []uint16 // TCP, never given to tasks; 22, 2375, 2376, 51678–51680

	// Subnets are networks of the engine, by the names under which tasks ask for
	// them. Every host offers subnet-default, a bridge network that the agent makes
	// in DefaultSubnetRange (CIDR; the engine chooses) unless it is among Subnets.
	Subnets            map[string]string
	DefaultSubnetRange string
	AnySubnet          bool // subnets that are not offered are taken for subnet-default
	NoFargate          bool // tasks of the launch type FARGATE do not come here
	// CgroupRoot is where the host's control groups are mounted. Empty: tasks with a
	// cpu or memory of their own do not come here.
	CgroupRoot  string
	FileSystems map[string]lifecycle.FileSystem // NFS servers, by ids of EFS file systems

	TaskCleanupWait time.Duration // how long stopped containers are kept; 3 h
	StopTimeout     time.Duration // between stop signal and kill where the definition does not say; 30 s
	PullBehavior    PullBehavior
	MaxPulls        int // at a time; 3

	// EnvironmentFiles are asked in their order; none: tasks that name such files fail.
	EnvironmentFiles []envfile.Source

	Logger   *slog.Logger          // slog.Default
	Registry prometheus.Registerer // a registry of its own
}

// PullBehavior says when an image is fetched from its registry, as
// ECS_IMAGE_PULL_BEHAVIOR does. An image that is on the host and never came from a
// registry is not asked for anywhere, except by PullAlways.
type PullBehavior string

// The pull behaviours.
const (
	PullDefault      PullBehavior = "default"       // for each task; if that fails, what is on the host is used
	PullAlways       PullBehavior = "always"        // for each task; if that fails, so does the task
	PullOnce         PullBehavior = "once"          // once in the life of the agent, if it is not gone since
	PullPreferCached PullBehavior = "prefer-cached" // only if it is not on the host
)

// defaultReservedPorts are those of SSH, of Docker and of the ECS agent.
var defaultReservedPorts = [...]uint16{22, 2375, 2376, 51678, 51679, 51680}

func (c *Config) complete() error {
	switch {
	case len(c.ControlPlane) == 0:
		return errors.New("no control plane address is configured")
	case c.DataDir == "":
		return errors.New("no data directory is configured")
	case c.Runtime == nil:
		return errors.New("no container engine is configured")
	case c.CPUs < 0 || c.MemoryMiB < 0 || c.ReservedMemoryMiB < 0 || c.MaxPulls < 0:
		return errors.New("CPUs, memory and the number of pulls can not be negative")
	}
	if c.InstanceName == "" {
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("find the host's name: %w", err)
		}
		c.InstanceName = name
	}
	set(&c.Cluster, "default")
	set(&c.AvailabilityZone, "local-1a")
	set(&c.Version, "dev")
	set(&c.TaskCleanupWait, 3*time.Hour)
	set(&c.StopTimeout, lifecycle.DefaultStopTimeout)
	set(&c.PullBehavior, PullDefault)
	set(&c.MaxPulls, 3)
	set(&c.Logger, slog.Default())
	if c.ReservedPorts == nil {
		c.ReservedPorts = slices.Clone(defaultReservedPorts[:])
	}
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
	}
	switch c.PullBehavior {
	case PullDefault, PullAlways, PullOnce, PullPreferCached:
		return nil
	}
	return fmt.Errorf("unknown pull behaviour %q", c.PullBehavior)
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
