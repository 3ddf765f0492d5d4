// Command longshore is the whole of Longshore: the control plane, the agent, and
// both in one process for a single machine. It reads flags, makes a
// configuration of them, and runs what it configures.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/longshore/longshore/cmd/internal/agentcmd"
	"github.com/longshore/longshore/cmd/internal/program"
)

// version is set when the binary is built.
var version = "dev"

func main() {
	if len(os.Args) > 1 && os.Args[1] == "agent" {
		becomeAgent(os.Args[2:])
	}
	program.Main(newRoot())
}

// becomeAgent goes on as the program longshore-agent if that lies beside this one. It is the
// same agent without the control plane, whose packages take 20 MiB even where nothing calls them.
func becomeAgent(args []string) {
	self, err := os.Executable()
	if err == nil {
		path := filepath.Join(filepath.Dir(self), "longshore-agent")
		err = syscall.Exec(path, append([]string{path}, args...), os.Environ())
	}
	if !errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintln(os.Stderr, "longshore: running the agent in this program:", err)
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
	root.AddCommand(newDev(), newControlPlane(), agentcmd.New("agent", version), newPlan(), newSecret(), newTargetGroup(), newNamespace())
	return root
}
