// Package agentcmd is the command that runs an agent, and its flags: `longshore agent`,
// the program longshore-agent, and the agent in `longshore dev` have them from here. It
// must not import a control plane, nor what only that needs, because whatever it imports
// takes memory on every host.
package agentcmd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"

	"github.com/longshore/longshore/agent"
	"github.com/longshore/longshore/cmd/internal/program"
)

// New is the command, by the name under which a program of that version has it.
func New(name, version string) *cobra.Command {
	var flags Flags
	var logs program.Logs
	var secure program.TLS
	var in Surroundings
	var opsAddr string
	cmd := &cobra.Command{
		Use:   name,
		Short: "Make this host a container instance and run its tasks in Docker",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			ctx := cmd.Context()
			beSmall()
			if in.Log, err = logs.Logger(); err != nil {
				return err
			}
			if in.TLS, err = secure.Config(); err != nil {
				return err
			}
			registry := prometheus.NewRegistry()
			in.Registry, in.Version = registry, version
			a, closeAgent, err := flags.Agent(ctx, in)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, closeAgent()) }()
			if opsAddr != "" {
				stop, err := serveOps(opsAddr, registry)
				if err != nil {
					return err
				}
				defer stop()
			}
			return program.Ended(ctx, run(ctx, a))
		},
	}
	flags.Add(cmd.Flags(), "default")
	logs.Add(cmd.Flags())
	secure.Add(cmd.Flags(), "tls", "agents and control planes")
	cmd.Flags().StringVar(&in.DataDir, "data-dir", "/var/lib/longshore/agent", "folder of this agent's identity")
	cmd.Flags().StringSliceVar(&in.ControlPlane, "controlplane", []string{"127.0.0.1:7471"}, "agent addresses of one or more control planes, comma-separated")
	cmd.Flags().StringVar(&opsAddr, "ops-addr", "", "address of the agent's metrics and health (default: none)")
	return cmd
}

// beSmall has the collector run four times as often as by default: the agent has
// processor time to spare, and the memory of its host is for tasks. GOGC overrides it.
func beSmall() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(25)
	}
}

// run runs an agent and says when it is ready.
func run(ctx context.Context, a *agent.Agent) error {
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

func serveOps(address string, registry *prometheus.Registry) (stop func(), err error) {
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
