// Command longshore is the whole of Longshore: the control plane, the agent, and
// both in one process for a single machine. It reads flags, makes a
// configuration of them, and runs what it configures.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set when the binary is built.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	// After the first signal the next one has its usual effect, so that a second
	// Ctrl-C ends a shutdown that hangs.
	context.AfterFunc(ctx, stop)
	if err := newRoot().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "longshore:", err)
		os.Exit(1)
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "longshore",
		Short: "A self-hosted, ECS-compatible container orchestrator",
		Long: `Longshore runs Amazon ECS task definitions and services on your own machines.

  longshore dev            everything on this machine: control plane, etcd and agent
  longshore controlplane   the ECS API and the schedulers, with etcd embedded or external
  longshore agent          makes this host a container instance
  longshore plan           shows what a RunTask or an UpdateService would do
  longshore secret         puts, lists and removes secrets for tasks
  longshore target-group   makes, shows and deletes the groups that load balancers follow
  longshore namespace      creates, lists and deletes the namespaces of service discovery

Drive it with the tools you know:  aws ecs list-clusters --endpoint-url http://127.0.0.1:7470`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newDev(), newControlPlane(), newAgent(), newPlan(), newSecret(), newTargetGroup(), newNamespace())
	return root
}

// ended turns the end of a context, which is how everything here is stopped,
// into success.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
