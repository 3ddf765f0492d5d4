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
	"net"
	"net/http"
	"net/http/pprof"
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
	profiles := flag.String("pprof", "", "host:port where profiles of this program are served; none by default")
	flag.Parse()

	if *profiles != "" {
		stop, err := serveProfiles(*profiles)
		if err != nil {
			return err
		}
		defer stop()
	}
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

// serveProfiles serves the program's profiles until stop is called.
func serveProfiles(address string) (stop func(), err error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("serving profiles: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	server := &http.Server{Handler: mux}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		server.Serve(l) // ends with ErrServerClosed
	}()
	return func() {
		server.Close()
		<-ended
	}, nil
}
