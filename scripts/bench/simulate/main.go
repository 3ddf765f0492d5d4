// Command simulate runs a simulated fleet against a control plane until it is told to
// end: hosts without containers, for measuring. It prints a line with the word ready
// once every host is connected. Killed or stopped by a signal, it is as many hosts
// that fall silent at once.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/longshore/longshore/scripts/bench/fleet"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(1)
	}
}

func run() error {
	controlPlane := flag.String("controlplane", "127.0.0.1:7471", "agent addresses of control planes, comma-separated")
	cluster := flag.String("cluster", "default", "cluster, which must exist")
	name := flag.String("name", "simulated", "what the hosts' own ids begin with")
	instances := flag.Int("instances", 10, "number of hosts")
	cpu := flag.Int("cpu", 1<<20, "CPU units of each")
	memory := flag.Int("memory", 1<<20, "MiB of each")
	start := flag.Duration("start", 100*time.Millisecond, "time that a task takes to start")
	flag.Parse()

	f := fleet.New(fleet.Config{
		ControlPlane: strings.Split(*controlPlane, ","), Cluster: *cluster, Name: *name, Instances: *instances,
		CPU: int32(*cpu), MemoryMiB: int32(*memory), StartTime: *start,
	})
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	ready := f.Ready()
	for {
		select {
		case <-ready:
			fmt.Printf("%d simulated hosts are ready\n", *instances)
			ready = nil
		case err := <-ended:
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		}
	}
}
