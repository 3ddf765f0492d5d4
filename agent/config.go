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

	// RegisterAnew: an agent that starts and finds its instance deregistered makes a new
	// one of the host, and clears away what the tasks of the former have left. Without,
	// such a host stays away, as on ECS.
	RegisterAnew bool

	InstanceName string // shown as ec2InstanceId; the host's name
	// AdvertiseAddress is where others reach the host's ports; default: the address from
	// which the host reaches the control plane.
	AdvertiseAddress string
	AvailabilityZone string            // "local-1a", as if the machine room were the zone a of a region "local-1"
	Attributes       map[string]string // more of them, or other values of those that the agent finds out
	Version          string            // of the agent

	CPUUnits          int      // CPU units to offer, 1024 a core; all of the host's
	MemoryMiB         int      // to offer; all of the host's but the reserve
	ReservedMemoryMiB int      // of the host's memory, not offered; 0
	GPUs              []string // ids of the NVIDIA devices to offer, as its container toolkit takes them; none
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

	DNS *DNSConfig // nil: containers have the host's resolvers

	TaskCleanupWait time.Duration // how long stopped containers are kept; 3 h
	StopTimeout     time.Duration // between stop signal and kill where the definition does not say; 30 s
	// How long the engine may take before the task fails with DockerTimeoutError;
	// stopping, which is tried again, has that long beyond its grace.
	CreateTimeout, StartTimeout, StopMargin time.Duration // 4 min, 3 min, 2 min

	PullBehavior   PullBehavior
	PullInactivity time.Duration // how long a pull may stand still (ECS_IMAGE_PULL_INACTIVITY_TIMEOUT); 1 min
	MaxPulls       int           // at a time; 3
	ImageCleanup   ImageCleanup

	// EnvironmentFiles are asked in their order; none: tasks that name such files fail.
	EnvironmentFiles []envfile.Source

	Metadata *MetadataConfig // nil: tasks get neither metadata nor credentials

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
	PullOnce         PullBehavior = "once"          // once in the life of the data directory, if it is not gone since
	PullPreferCached PullBehavior = "prefer-cached" // only if it is not on the host
)

// ImageCleanup says which images are removed from the host, as the settings of
// the ECS agent's automated image cleanup do. PullPreferCached turns it off, as there.
type ImageCleanup struct {
	Disabled   bool          // ECS_DISABLE_IMAGE_CLEANUP
	Interval   time.Duration // ECS_IMAGE_CLEANUP_INTERVAL, 10 min at least; 30 min
	MinimumAge time.Duration // since the pull, ECS_IMAGE_MINIMUM_CLEANUP_AGE; 1 h
	PerCycle   int           // images at a time, ECS_NUM_IMAGES_DELETE_PER_CYCLE; 5
	Exclude    []string      // names of images that are never removed, ECS_EXCLUDE_UNTRACKED_IMAGE

	Untracked           bool          // images that the agent did not pull, too; ECS_ENABLE_UNTRACKED_IMAGE_CLEANUP
	UntrackedMinimumAge time.Duration // since they were built, NON_ECS_IMAGE_MINIMUM_CLEANUP_AGE; 1 h

	// LowWaterPercent: while less than that of the engine's disk is free, images
	// are removed whatever their age and number; 10, and below 0 never.
	LowWaterPercent int
	// FreePercent measures the disk of a folder; the file system's own word.
	FreePercent func(path string) (float64, error)
}

func (c *ImageCleanup) complete() error {
	set(&c.Interval, 30*time.Minute)
	set(&c.MinimumAge, time.Hour)
	set(&c.PerCycle, 5)
	set(&c.UntrackedMinimumAge, time.Hour)
	set(&c.LowWaterPercent, 10)
	if c.FreePercent == nil {
		c.FreePercent = freePercent
	}
	switch {
	case c.Interval < 10*time.Minute:
		return fmt.Errorf("the interval of the image cleanup is %s, and at least 10m", c.Interval)
	case c.PerCycle < 1 || c.MinimumAge < 0 || c.UntrackedMinimumAge < 0:
		return errors.New("ages of the image cleanup can not be negative, and it removes one image at a time at least")
	case c.LowWaterPercent > 99:
		return fmt.Errorf("the image cleanup can not keep %d %% of the disk free", c.LowWaterPercent)
	}
	return nil
}

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
	case c.CreateTimeout < 0 || c.StartTimeout < 0 || c.StopMargin < 0 || c.PullInactivity < 0:
		return errors.New("time limits can not be negative")
	case c.CPUUnits < 0 || c.MemoryMiB < 0 || c.ReservedMemoryMiB < 0 || c.MaxPulls < 0:
		return errors.New("CPU units, memory and the number of pulls can not be negative")
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
	set(&c.CreateTimeout, lifecycle.DefaultLimits.Create)
	set(&c.StartTimeout, lifecycle.DefaultLimits.Start)
	set(&c.StopMargin, lifecycle.DefaultLimits.Stop)
	set(&c.PullBehavior, PullDefault)
	set(&c.PullInactivity, time.Minute)
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
		return c.ImageCleanup.complete()
	}
	return fmt.Errorf("unknown pull behaviour %q", c.PullBehavior)
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
