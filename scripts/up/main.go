// Command up is `make run`: from a fresh checkout to a running sample service,
// one step after the other, and with -stop the way back. It only starts other
// programs and watches them, with the standard library alone, so that it is
// compiled and talking in a moment. What it starts stays when it ends; a second
// run finds that by the records in the run directory and uses it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	stop := flag.Bool("stop", false, "end longshore dev and the proxy instead of starting them")
	flag.Parse()
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer release()
	if err := run(ctx, *stop); err != nil {
		fmt.Fprintln(os.Stderr, "up:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, stop bool) error {
	c, err := configFromEnvironment()
	if err != nil {
		return err
	}
	unlock, err := lock(ctx, filepath.Join(c.runDir, "lock"))
	if err != nil {
		return err
	}
	if stop {
		err = errors.Join(stopProxy(ctx, c), stopDev(ctx, c))
	} else {
		err = up(ctx, c)
	}
	return errors.Join(err, unlock())
}

// config is where things are; each setting has its variable in the Makefile.
type config struct {
	root      string // the checkout
	runDir    string // records, logs, helper programs
	dataDir   string // the state of longshore dev
	apiAddr   string
	agentAddr string
	opsAddr   string
	// endpointsAddr is where proxies learn of targets.
	endpointsAddr string
	proxyAddr     string // where the sample is reached, however many tasks it has
}

func configFromEnvironment() (config, error) {
	root, err := os.Getwd()
	if err != nil {
		return config{}, fmt.Errorf("find the checkout: %w", err)
	}
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		return config{}, fmt.Errorf("start this in the root of the checkout: %w", err)
	}
	setting := func(name, otherwise string) string {
		if value := os.Getenv(name); value != "" {
			return value
		}
		return otherwise
	}
	c := config{
		root:      root,
		runDir:    setting("LONGSHORE_RUN_DIR", filepath.Join(root, ".run")),
		apiAddr:   setting("LONGSHORE_API_ADDR", "127.0.0.1:7470"),
		agentAddr: setting("LONGSHORE_AGENT_ADDR", "127.0.0.1:7471"),
		opsAddr:   setting("LONGSHORE_OPS_ADDR", "127.0.0.1:7472"),

		endpointsAddr: setting("LONGSHORE_ENDPOINTS_ADDR", "127.0.0.1:7473"),
		proxyAddr:     setting("LONGSHORE_PROXY_ADDR", "127.0.0.1:8080"),
	}
	c.dataDir = setting("LONGSHORE_DATA_DIR", filepath.Join(c.runDir, "dev"))
	if err := os.MkdirAll(filepath.Join(c.runDir, "bin"), 0o755); err != nil {
		return config{}, fmt.Errorf("make the run directory: %w", err)
	}
	return c, nil
}
