package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/longshore/longshore/agent"
	"github.com/longshore/longshore/cmd/internal/agentcmd"
	"github.com/longshore/longshore/cmd/internal/program"
	"github.com/longshore/longshore/controlplane"
)

// stopPatience bounds how long dev waits for its tasks at the end: longer than
// the longest stopTimeout that ECS allows.
const stopPatience = 150 * time.Second

func newDev() *cobra.Command {
	var planeFlags controlPlaneFlags
	var agentSettings agentcmd.Flags
	var logs program.Logs
	var dataDir string
	var keepTasks bool
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run everything on this machine: control plane, etcd and agent",
		Long: `Run everything on this machine in one process. The line with "ready" on standard
output says that a task could be placed. Ctrl-C or SIGTERM stops the tasks and
ends; services keep their desired count and are filled again at the next start.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			log, err := logs.Logger()
			if err != nil {
				return err
			}
			if err := planeFlags.secrets.makeKey(dataDir); err != nil {
				return err
			}
			cfg, err := planeFlags.config(filepath.Join(dataDir, "controlplane"), log)
			if err != nil {
				return err
			}
			agentSettings.AnySubnet = true    // commands written for AWS run as they are
			agentSettings.RegisterAnew = true // there is no other host, and nobody else to bring it back
			a, closeAgent, err := agentSettings.Agent(cmd.Context(), agentcmd.Surroundings{
				ControlPlane: []string{cfg.Agents.Addr().String()}, DataDir: filepath.Join(dataDir, "agent"),
				Version: version, Log: log, Registry: prometheus.NewRegistry(),
			})
			if err != nil {
				closeListeners(cfg)
				return err
			}
			defer func() { err = errors.Join(err, closeAgent()) }()
			plane, err := controlplane.New(cmd.Context(), cfg)
			if err != nil {
				closeListeners(cfg)
				return err
			}
			d := dev{plane: plane, agent: a, cfg: cfg, cluster: agentSettings.Cluster, keepTasks: keepTasks, log: log}
			return d.run(cmd.Context())
		},
	}
	planeFlags.add(cmd.Flags())
	agentSettings.Add(cmd.Flags(), "prefer-cached")
	logs.Add(cmd.Flags())
	cmd.Flags().StringVar(&dataDir, "data-dir", "longshore-data", "folder that holds everything; start with the same one to go on")
	cmd.Flags().BoolVar(&keepTasks, "keep-tasks", false, "leave tasks running at the end; the next start adopts them")
	return cmd
}

// dev is a control plane and an agent in one process.
type dev struct {
	plane     *controlplane.ControlPlane
	agent     *agent.Agent
	cfg       controlplane.Config
	cluster   string
	keepTasks bool
	log       *slog.Logger
}

// run serves until stop ends; the tasks are stopped before anything else is.
func (d *dev) run(stop context.Context) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(stop))
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return d.plane.Run(ctx) })
	group.Go(func() error { return d.agent.Run(ctx) })
	group.Go(func() error {
		if err := d.plane.WaitPlaceable(ctx); err != nil {
			return err
		}
		fmt.Printf("longshore dev is ready: ECS API http://%s, operations http://%s, cluster %s\n", d.cfg.API.Addr(), d.cfg.Ops.Addr(), d.cluster)
		return nil
	})
	group.Go(func() error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-stop.Done():
		}
		d.stopTasks(ctx)
		cancel()
		return nil
	})
	err := group.Wait()
	if stop.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (d *dev) stopTasks(ctx context.Context) {
	if d.keepTasks {
		return
	}
	fmt.Println("longshore dev is stopping its tasks (again Ctrl-C: at once, tasks are left running)")
	ctx, cancel := context.WithTimeout(ctx, stopPatience)
	defer cancel()
	if err := d.plane.StopTasks(ctx, "longshore dev was stopped"); err != nil {
		d.log.Error("some tasks are left running", "error", err)
	}
}
