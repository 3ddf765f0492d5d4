// Package runtime says what the agent asks of a container engine: one small
// interface, the specification of a container, and what can be observed of
// one. It knows neither Docker nor ECS. agent/docker implements it on the
// Docker Engine API, agent/agenttest in memory; both pass the conformance
// suite in agent/agenttest.
package runtime

import (
	"context"
	"errors"
	"time"
)

// Errors that implementations wrap, so that callers can tell with errors.Is
// what to do next. Anything else is the engine's refusal of this one
// operation, and its text is fit to be shown to the user.
var (
	// ErrNotFound: the container, image or volume does not exist.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the name is taken by something that is not what was asked for.
	ErrConflict = errors.New("name already in use")
	// ErrUnavailable: the engine could not be reached, or went away before it
	// answered; the operation may or may not have happened. Try again once
	// the engine is back.
	ErrUnavailable = errors.New("container engine unavailable")
)

// Runtime is a container engine. All methods are safe for concurrent use and
// honour their context.
type Runtime interface {
	// Info describes the engine and its host.
	Info(ctx context.Context) (Info, error)

	// Image looks an image up in the engine's own store. ErrNotFound if it is not there.
	Image(ctx context.Context, ref string) (Image, error)
	// Pull fetches an image from its registry; auth and progress may be nil.
	// progress is called in turn, not after Pull has returned, and must not block.
	Pull(ctx context.Context, ref string, auth *Auth, progress func(PullProgress)) error
	// ListImages returns every image in the engine's store.
	ListImages(ctx context.Context) ([]StoredImage, error)
	// RemoveImage takes a name from an image and deletes the image with its last
	// one; given an id, it deletes the image with its names. What is not there is
	// no error. An image that is used is not deleted: ErrInUse.
	RemoveImage(ctx context.Context, nameOrID string) error

	// Create makes a container and returns its id. If a container of that name
	// exists already with the same LabelSpecHash it is the answer (the first
	// answer may have been lost); with another one the error is ErrConflict.
	Create(ctx context.Context, spec Spec) (id string, err error)
	// Start starts a container that was never started. Starting one that is
	// running or has ended does nothing: only Restart runs it again.
	Start(ctx context.Context, id string) error
	// Restart starts a container once more whose last run has ended. began is when
	// that run began (Container.StartedAt): the container that has been started
	// since, or is running, is left alone, so that an answer that was lost can be
	// asked for again. One that was never started is left alone, too.
	Restart(ctx context.Context, id string, began time.Time) error
	// Stop sends the stop signal, waits up to grace, then kills. It returns when the
	// container has ended; one that is not running or not there is no error.
	Stop(ctx context.Context, id string, grace time.Duration) error
	// Remove deletes a container, running or not, with its anonymous volumes.
	// One that is not there is no error.
	Remove(ctx context.Context, id string) error
	// Inspect returns what is true of a container now. ErrNotFound if there is none.
	Inspect(ctx context.Context, id string) (Container, error)
	// Stats returns the resources that a running container has used so far, as JSON
	// in the shape of Docker's container statistics. It is one look: there are no
	// rates and no precpu_stats. ErrNotFound if there is no such container.
	Stats(ctx context.Context, id string) ([]byte, error)
	// List returns every container, in any state, that carries all the given labels.
	List(ctx context.Context, labels map[string]string) ([]Container, error)

	// Watch calls changed with the id and labels of each container with the given
	// labels whenever its state may have changed (started, ended, health,
	// removed). A start that failed is told by Start alone. ready is called once,
	// when changes are no longer missed, and never beside changed. Watch
	// returns when ctx ends (its error) or the engine's stream breaks
	// (ErrUnavailable). It says that something changed, never what: callers
	// Inspect.
	Watch(ctx context.Context, labels map[string]string, ready func(), changed func(id string, labels map[string]string)) error

	// Import makes an image of one layer, given as a tar archive, that runs
	// entryPoint. An image that had the reference before loses it.
	Import(ctx context.Context, ref string, layer []byte, entryPoint []string) error

	// EnsureNetwork makes a bridge network, unless there is one of that name, which
	// is left as it is. Made at once by several, there is one in the end.
	EnsureNetwork(ctx context.Context, network Network) error
	// Network looks a network up by its name. ErrNotFound if there is none.
	Network(ctx context.Context, name string) (Network, error)

	// CreateVolume makes a named volume; one of that name is left as it is.
	CreateVolume(ctx context.Context, volume Volume) error
	// Volume looks a volume up by its name. ErrNotFound if there is none.
	Volume(ctx context.Context, name string) (Volume, error)
	// RemoveVolume deletes a named volume. One that is not there is no error.
	RemoveVolume(ctx context.Context, name string) error
	// ListVolumes returns the names of the volumes that carry all the given labels.
	ListVolumes(ctx context.Context, labels map[string]string) ([]string, error)
}

// LabelSpecHash is the label under which Create keeps Spec.Hash, by which it
// recognises its own work.
const LabelSpecHash = "longshore.spec-hash"

// Info describes an engine and its host.
type Info struct {
	EngineVersion string // for example "20.10.24"
	APIVersion    string // for example "1.41"
	CPUs          int    // logical processors
	MemoryBytes   int64  // physical memory
	OSType        string // "linux"
	Architecture  string // in Go's names: "amd64", "arm64"
	Hostname      string
	CgroupVersion string   // "1" or "2"
	CgroupDriver  string   // "cgroupfs" or "systemd"
	LogDrivers    []string // log drivers that the engine offers
	VolumeDrivers []string // "local" and those of plug-ins
	DataRoot      string   // folder of the engine's store on this machine; empty: elsewhere
	SecurityOpts  []string // "apparmor", "seccomp", "selinux", … without their options
}

// Auth is what a private registry asks for.
type Auth struct {
	Username, Password string
}

// Image is an image in the engine's store.
type Image struct {
	ID     string // content address of the configuration, "sha256:…"
	Digest string // digest of the manifest as pulled, "sha256:…"; empty if it was never pulled or pushed
}

// Spec is everything the engine is told about a container. Zero values mean
// the image's or the engine's default.
type Spec struct {
	Name       string
	Image      string
	Hash       string // of the definition it was made from; kept under LabelSpecHash
	Labels     map[string]string
	EntryPoint []string // nil: the image's
	Command    []string // nil: the image's
	Env        []string // "NAME=value"
	User       string
	WorkingDir string
	Hostname   string

	CPUShares         int64 // relative weight
	MemoryBytes       int64 // hard limit
	MemoryReservation int64 // bytes, soft limit
	// MemorySwapBytes bounds memory and swap together. It is not less than
	// MemoryBytes, which must be set, too; the same forbids to swap.
	MemorySwapBytes int64
	Swappiness      *int64 // 0 to 100; hosts with cgroup v2 have none, and their engine drops it

	// CgroupParent is the control group that the container's own is made in: a path,
	// or with the systemd driver the name of a slice.
	CgroupParent string
	PIDMode      string // "", "host", or "container:ID"
	IPCMode      string // "", "host", "none", "shareable", or "container:ID" of a shareable one

	NetworkMode string   // "bridge", "host", "none", "container:ID", or the name of a network
	Links       []string // "container name:alias"
	Ports       []PortMapping
	PortRanges  []PortRange
	DNSServers  []string
	DNSSearch   []string
	ExtraHosts  []string // "host:ip"

	Mounts      []Mount
	VolumesFrom []string // "container name[:ro]"
	Ulimits     []Ulimit

	CapAdd, CapDrop []string // kernel capabilities without CAP_; "ALL" is one
	Devices         []Device
	GPUs            []string          // ids, as NVIDIA's tools name them
	ShmSizeBytes    int64             // of /dev/shm
	Tmpfs           map[string]string // mount options by path, "size=…" among them
	Sysctls         map[string]string // namespaced kernel parameters

	LogDriver  string // one of Info.LogDrivers; empty: the engine's own
	LogOptions map[string]string

	NetworkDisabled bool // no network but loopback, whatever NetworkMode says
	Privileged      bool
	ReadonlyRootFS  bool
	SecurityOptions []string
	Init            bool
	OpenStdin       bool
	TTY             bool
	HealthCheck     *HealthCheck
}

// PortMapping publishes a container port on the host.
type PortMapping struct {
	ContainerPort uint16
	HostPort      uint16 // 0: the engine chooses a free one
	Protocol      string // "tcp" or "udp"
}

// PortRange publishes consecutive container ports on as many consecutive host
// ports, which the runtime chooses when it creates the container.
type PortRange struct {
	From, To uint16 // container ports, both included
	Protocol string // "tcp" or "udp"
}

// Mount puts a host path or a named volume into a container.
type Mount struct {
	Source   string // absolute host path, or the name of a volume
	Target   string
	ReadOnly bool
}

// Network is a network that containers can be in.
type Network struct {
	Name   string
	Driver string // as the engine has it; EnsureNetwork makes bridges
	Subnet string // of EnsureNetwork: its range in CIDR form; empty: the engine chooses
	Labels map[string]string
}

// Volume is a named volume.
type Volume struct {
	Name    string
	Driver  string            // empty: "local"
	Options map[string]string // of the driver
	Labels  map[string]string
}

// Ulimit is one resource limit of a container's processes.
type Ulimit struct {
	Name       string
	Soft, Hard int64
}

// Device is a device of the host that a container may use.
type Device struct {
	HostPath      string
	ContainerPath string
	Permissions   string // of r, w and m (mknod)
}

// HealthCheck is how the engine finds out whether a container is healthy.
// Zero durations and retries mean the engine's default.
type HealthCheck struct {
	Test                           []string // as Docker has it: "CMD", "CMD-SHELL", "NONE" first
	Interval, Timeout, StartPeriod time.Duration
	Retries                        int
}

// State is where a container is in its life. It only moves forward, but for
// Restart, which makes an Exited container Running.
type State int

// The states of a container.
const (
	Created State = iota // exists, never started
	Running              // started (a paused one too)
	Exited               // has ended, or could not be started
)

// Container is what is true of one container at one moment.
type Container struct {
	ID      string
	Name    string // without a leading slash
	Image   string // as the container was created with
	ImageID string
	Labels  map[string]string
	State   State

	ExitCode  int    // meaningful when Exited
	OOMKilled bool   // meaningful when Exited
	Error     string // the engine's reason when the container could not be started

	// Zero: not yet. After a Restart, StartedAt is that of the new run.
	CreatedAt, StartedAt, FinishedAt time.Time
	Health                           string // "", "starting", "healthy", "unhealthy"
	Ports                            []PortBinding
	IPAddress                        string // on its network; "" if it has none of its own
	PrefixLength                     int    // of that network, in bits
	Gateway                          string // of that network; "" if it has none
	MACAddress                       string // of the interface with that address
}

// PortBinding is a published port as the engine made it.
type PortBinding struct {
	BindIP        string
	ContainerPort uint16
	HostPort      uint16
	Protocol      string
}
