package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/longshore/longshore/agent"
	"github.com/longshore/longshore/agent/docker"
)

// agentFlags are the settings of an agent, alone or in dev.
type agentFlags struct {
	cluster      string
	dockerHost   string
	instanceName string
	attributes   map[string]string
	zone         string
	cpus, memory int
	reservedMem  int
	cleanupWait  time.Duration
	stopTimeout  time.Duration
	pulls        string
	maxPulls     int
	metadata     metadataFlags
}

func (f *agentFlags) add(flags *pflag.FlagSet, pulls string) {
	flags.StringVar(&f.cluster, "cluster", "default", "cluster to register with")
	flags.StringVar(&f.dockerHost, "docker-host", "", "Docker daemon, like unix:///var/run/docker.sock (default: DOCKER_HOST, or that)")
	flags.StringVar(&f.instanceName, "instance-name", "", "the host's own id, shown as ec2InstanceId (default: its host name)")
	flags.StringToStringVar(&f.attributes, "attribute", nil, "NAME=VALUE, a custom attribute of the container instance; may be repeated")
	flags.StringVar(&f.zone, "availability-zone", "", "value of the attribute ecs.availability-zone (default: local-1a)")
	flags.IntVar(&f.cpus, "cpus", 0, "processors to offer (default: all; 1024 CPU units each)")
	flags.IntVar(&f.memory, "memory", 0, "MiB of memory to offer (default: all but the reserve)")
	flags.IntVar(&f.reservedMem, "reserved-memory", 0, "MiB of the host's memory that tasks do not get")
	flags.DurationVar(&f.cleanupWait, "task-cleanup-wait", 3*time.Hour, "how long the containers of a STOPPED task are kept, for their logs")
	flags.DurationVar(&f.stopTimeout, "stop-timeout", 30*time.Second, "time between SIGTERM and SIGKILL for containers without a stopTimeout")
	flags.StringVar(&f.pulls, "image-pull-behavior", pulls, "default (pull, else the cached image), always, once or prefer-cached")
	flags.IntVar(&f.maxPulls, "max-pulls", 3, "images pulled at a time")
	f.metadata.add(flags)
}

func (f *agentFlags) config(runtime *docker.Runtime, dataDir string, controlPlane []string, log *slog.Logger, registry prometheus.Registerer) agent.Config {
	return agent.Config{
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
		Version:           version,
		Logger:            log,
		Registry:          registry,
	}
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
			cfg := flags.config(runtime, dataDir, controlPlane, log, registry)
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
