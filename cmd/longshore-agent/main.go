// Command longshore-agent is `longshore agent` as a program of its own, which leaves more of
// a host's memory to its tasks.
package main

import (
	"github.com/longshore/longshore/cmd/internal/agentcmd"
	"github.com/longshore/longshore/cmd/internal/program"
)

// version is set when the binary is built.
var version = "dev"

func main() {
	root := agentcmd.New("longshore-agent", version)
	root.Version = version
	root.SilenceUsage, root.SilenceErrors = true, true
	program.Main(root)
}
