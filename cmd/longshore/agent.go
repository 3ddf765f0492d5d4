package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/longshore/longshore/agent"
	"github.com/longshore/longshore/agent/cgroup"
	"github.com/longshore/longshore/agent/docker"
	"github.com/longshore/longshore/agent/lifecycle"
)

// agentFlags are the settings of an agent, alone or in dev.
type agentFlags struct {
	cluster      string
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
	anySubnet    bool
	fargate      bool
	cgroups      string
	efs          map[string]string
	metadata     metadataFlags
}

func (f *agentFlags) add(flags *pflag.FlagSet, pulls string) {
	flags.StringVar(&f.cluster, "cluster", "default", "cluster to register with")
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
func (f *agentFlags) cgroupRoot() string {
	if host := cmp.Or(f.dockerHost, os.Getenv("DOCKER_HOST")); host != "" && !strings.HasPrefix(host, "unix://") {
		return ""
	}
	return f.cgroups
}

// fileSystems reads the NFS servers.
func (f *agentFlags) fileSystems() (map[string]lifecycle.FileSystem, error) {
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

func (f *agentFlags) config(runtime *docker.Runtime, dataDir string, controlPlane []string, log *slog.Logger, registry prometheus.Registerer) (agent.Config, error) {
	fileSystems, err := f.fileSystems()
	if err != nil {
		return agent.Config{}, err
	}
	dns, err := containerDNS(f.containerDNS)
	if err != nil {
		return agent.Config{}, err
	}
	c := agent.Config{
		DNS: dns,

		Subnets:            f.subnets,
		DefaultSubnetRange: f.defaultRange,
		AnySubnet:          f.anySubnet,
		NoFargate:          !f.fargate,
		CgroupRoot:         f.cgroupRoot(),
		FileSystems:        fileSystems,

		ControlPlane:      controlPlane,
		Cluster:           f.cluster,
		DataDir:           dataDir,
		Runtime:           runtime,
		Attributes:        f.attributes,
		AvailabilityZone:  f.zone,
		CPUs:              f.cpus,
		MemoryMiB:         f.memory,
		ReservedMemoryMiB: f.reservedMem,
		TaskCleanupWait:   f.cleanupWait,
		StopTimeout:       f.stopTimeout,
		PullBehavior:      agent.PullBehavior(f.pulls),
		MaxPulls:          f.maxPulls,
		InstanceName:      f.instanceName,
		AdvertiseAddress:  f.address,
		Version:           version,
		Logger:            log,
		Registry:          registry,
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
func (f *agentFlags) devices(ctx context.Context, log *slog.Logger) []string {
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

func newAgent() *cobra.Command {
	var flags agentFlags
	var logs logFlags
	var tls tlsFlags
	var dataDir, opsAddr string
	var controlPlane []string
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Make this host a container instance and run its tasks in Docker",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			beSmall()
			log, err := logs.logger()
			if err != nil {
				return err
			}
			runtime, err := docker.New(docker.Config{Host: flags.dockerHost})
			if err != nil {
				return err
			}
			defer runtime.Close()
			registry := prometheus.NewRegistry()
			cfg, err := flags.config(runtime, dataDir, controlPlane, log, registry)
			if err != nil {
				return err
			}
			cfg.GPUs = flags.devices(ctx, log)
			files, closeFiles, err := flags.envFiles.sources()
			if err != nil {
				return err
			}
			defer closeFiles()
			cfg.EnvironmentFiles = files
			if cfg.TLS, err = tls.config(); err != nil {
				return err
			}
			if cfg.Metadata, err = flags.metadata.config(); err != nil {
				return err
			}
			a, err := agent.New(cfg)
			if err != nil {
				return err
			}
			if opsAddr != "" {
				stop, err := serveAgentOps(opsAddr, registry)
				if err != nil {
					return err
				}
				defer stop()
			}
			return ended(ctx, runAgent(ctx, a))
		},
	}
	flags.add(cmd.Flags(), "default")
	logs.add(cmd.Flags())
	tls.add(cmd.Flags(), "tls", "agents and control planes")
	cmd.Flags().StringVar(&dataDir, "data-dir", "/var/lib/longshore/agent", "folder of this agent's identity")
	cmd.Flags().StringSliceVar(&controlPlane, "controlplane", []string{"127.0.0.1:7471"}, "agent addresses of one or more control planes, comma-separated")
	cmd.Flags().StringVar(&opsAddr, "ops-addr", "", "address of the agent's metrics and health (default: none)")
	return cmd
}

// beSmall has the collector run twice as often as by default: the agent has
// processor time to spare, and the memory of its host is for tasks. GOGC overrides it.
func beSmall() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
}

// runAgent runs an agent and says when it is ready.
func runAgent(ctx context.Context, a *agent.Agent) error {
	running := make(chan error, 1)
	go func() { running <- a.Run(ctx) }()
	select {
	case err := <-running:
		return err
	case <-a.Ready():
		fmt.Println("longshore agent is ready: registered and connected")
	}
	return <-running
}

func serveAgentOps(address string, registry *prometheus.Registry) (stop func(), err error) {
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--ops-addr: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(l)
	}()
	return func() { server.Close(); <-done }, nil
}
