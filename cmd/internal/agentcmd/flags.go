package agentcmd

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"

	"github.com/longshore/longshore/agent"
	"github.com/longshore/longshore/agent/cgroup"
	"github.com/longshore/longshore/agent/docker"
	"github.com/longshore/longshore/agent/lifecycle"
)

// Flags are the settings of an agent, alone or beside a control plane.
type Flags struct {
	Cluster      string
	dockerHost   string
	instanceName string
	address      string
	containerDNS string
	attributes   map[string]string
	zone         string
	cpus, memory int
	reservedMem  int
	gpus         []string
	cleanupWait  time.Duration
	stopTimeout  time.Duration
	pulls        string
	maxPulls     int
	envFiles     envFileFlags
	limits       limitFlags
	images       imageFlags

	subnets      map[string]string
	defaultRange string
	fargate      bool
	cgroups      string
	efs          map[string]string
	metadata     metadataFlags

	// The program's to set:
	RegisterAnew bool // after a deregistration, see agent.Config
	AnySubnet    bool // any subnet that is not there stands for subnet-default
}

// Add registers the flags; pulls is the default of --image-pull.
func (f *Flags) Add(flags *pflag.FlagSet, pulls string) {
	flags.StringVar(&f.Cluster, "cluster", "default", "cluster to register with")
	flags.StringVar(&f.dockerHost, "docker-host", "", "Docker daemon, like unix:///var/run/docker.sock (default: DOCKER_HOST, or that)")
	flags.StringVar(&f.instanceName, "instance-name", "", "the host's own id, shown as ec2InstanceId (default: its host name)")
	flags.StringVar(&f.address, "advertise-address", "", "where load balancers reach this host's ports (default: the address from which it reaches the control plane)")
	flags.StringVar(&f.containerDNS, "container-dns", "auto", "IPv4 address of this host at which the agent answers its containers' DNS, on port 53; auto: that of docker0, for containers that start while there are namespaces; off: containers have the host's resolvers")
	flags.StringToStringVar(&f.attributes, "attribute", nil, "NAME=VALUE, a custom attribute of the container instance; may be repeated")
	flags.StringVar(&f.zone, "availability-zone", "", "value of the attribute ecs.availability-zone (default: local-1a)")
	flags.IntVar(&f.cpus, "cpus", 0, "processors to offer (default: all; 1024 CPU units each)")
	flags.IntVar(&f.memory, "memory", 0, "MiB of memory to offer (default: all but the reserve)")
	flags.IntVar(&f.reservedMem, "reserved-memory", 0, "MiB of the host's memory that tasks do not get")
	flags.StringSliceVar(&f.gpus, "gpus", []string{gpusAuto}, "ids of the NVIDIA devices to offer, comma-separated; auto (those of the machine) or none")
	flags.DurationVar(&f.cleanupWait, "task-cleanup-wait", 3*time.Hour, "how long the containers of a STOPPED task are kept, for their logs")
	flags.DurationVar(&f.stopTimeout, "stop-timeout", 30*time.Second, "time between SIGTERM and SIGKILL for containers without a stopTimeout")
	flags.StringVar(&f.pulls, "image-pull", pulls, "when images are pulled: default (always; if that fails, the cached image is used), always, once or prefer-cached")
	flags.IntVar(&f.maxPulls, "max-pulls", 3, "images pulled at a time")
	f.envFiles.add(flags, "us-east-1")
	f.limits.add(flags)
	f.images.add(flags)
	flags.StringToStringVar(&f.subnets, "subnet", nil, "NAME=DOCKER_NETWORK, a subnet that tasks in awsvpc mode can ask for; may be repeated. subnet-default is there without")
	flags.StringVar(&f.defaultRange, "subnet-default-range", "", "address range of the network that is made for subnet-default, like 10.20.0.0/16 (default: Docker chooses)")
	flags.BoolVar(&f.fargate, "fargate", true, "take tasks of the launch type FARGATE")
	flags.StringVar(&f.cgroups, "cgroup-root", cgroup.DefaultRoot, "where the Docker host's control groups are mounted, for tasks with a cpu or memory of their own; empty: take none of these")
	flags.StringToStringVar(&f.efs, "efs", nil, "FILE_SYSTEM_ID=SERVER:/PATH, the NFS server that stands for an EFS file system; may be repeated")
	f.metadata.add(flags)
}

// cgroupRoot is where control groups are made: nowhere if the daemon is on another machine.
func (f *Flags) cgroupRoot() string {
	if host := cmp.Or(f.dockerHost, os.Getenv("DOCKER_HOST")); host != "" && !strings.HasPrefix(host, "unix://") {
		return ""
	}
	return f.cgroups
}

// fileSystems reads the NFS servers.
func (f *Flags) fileSystems() (map[string]lifecycle.FileSystem, error) {
	out := map[string]lifecycle.FileSystem{}
	for id, target := range f.efs {
		server, path, ok := strings.Cut(target, ":/")
		if !ok || server == "" || strings.ContainsAny(server, ", ") {
			return nil, fmt.Errorf("--efs %s=%s: the server is given as SERVER:/PATH", id, target)
		}
		out[id] = lifecycle.FileSystem{Server: server, Path: "/" + path}
	}
	return out, nil
}

// Surroundings are what an agent does not learn from its flags.
type Surroundings struct {
	ControlPlane []string    // agent addresses of control planes
	DataDir      string      // of the agent's identity
	TLS          *tls.Config // nil: none
	Version      string      // of this program
	Log          *slog.Logger
	Registry     prometheus.Registerer
}

// Agent makes the agent that the flags describe. Once it has run, close gives back what it
// had open.
func (f *Flags) Agent(ctx context.Context, in Surroundings) (_ *agent.Agent, close func() error, err error) {
	runtime, err := docker.New(docker.Config{Host: f.dockerHost})
	if err != nil {
		return nil, nil, err
	}
	files, closeFiles, err := f.envFiles.sources()
	if err != nil {
		return nil, nil, errors.Join(err, runtime.Close())
	}
	close = func() error { return errors.Join(closeFiles(), runtime.Close()) }
	cfg, err := f.config(in)
	if err != nil {
		return nil, nil, errors.Join(err, close())
	}
	cfg.Runtime = runtime
	cfg.EnvironmentFiles = files
	cfg.GPUs = f.devices(ctx, in.Log)
	a, err := agent.New(cfg)
	if err != nil {
		return nil, nil, errors.Join(err, close())
	}
	return a, close, nil
}

func (f *Flags) config(in Surroundings) (agent.Config, error) {
	fileSystems, err := f.fileSystems()
	if err != nil {
		return agent.Config{}, err
	}
	dns, err := containerDNS(f.containerDNS)
	if err != nil {
		return agent.Config{}, err
	}
	tasksAsk, err := f.metadata.config()
	if err != nil {
		return agent.Config{}, err
	}
	c := agent.Config{
		DNS:      dns,
		Metadata: tasksAsk,

		Subnets:            f.subnets,
		DefaultSubnetRange: f.defaultRange,
		RegisterAnew:       f.RegisterAnew,
		AnySubnet:          f.AnySubnet,
		NoFargate:          !f.fargate,
		CgroupRoot:         f.cgroupRoot(),
		FileSystems:        fileSystems,

		ControlPlane:      in.ControlPlane,
		Cluster:           f.Cluster,
		DataDir:           in.DataDir,
		TLS:               in.TLS,
		Attributes:        f.attributes,
		AvailabilityZone:  f.zone,
		CPUUnits:          1024 * f.cpus,
		MemoryMiB:         f.memory,
		ReservedMemoryMiB: f.reservedMem,
		TaskCleanupWait:   f.cleanupWait,
		StopTimeout:       f.stopTimeout,
		PullBehavior:      agent.PullBehavior(f.pulls),
		MaxPulls:          f.maxPulls,
		InstanceName:      f.instanceName,
		AdvertiseAddress:  f.address,
		Version:           in.Version,
		Logger:            in.Log,
		Registry:          in.Registry,
	}
	f.limits.apply(&c)
	f.images.apply(&c)
	return c, nil
}

// What --gpus takes in place of ids.
const (
	gpusAuto = "auto"
	gpusNone = "none"
)

// devices are the GPUs to offer. A machine whose GPUs cannot be found out about
// runs its other tasks all the same.
func (f *Flags) devices(ctx context.Context, log *slog.Logger) []string {
	switch {
	case len(f.gpus) != 1 || f.gpus[0] != gpusAuto && f.gpus[0] != gpusNone:
		return f.gpus
	case f.gpus[0] == gpusNone:
		return nil
	}
	found, err := agent.FindGPUs(ctx, "/")
	if err != nil {
		log.Warn("offering no GPUs", "error", err)
	}
	return found
}
