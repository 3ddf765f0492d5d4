package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"
)

const (
	readyLimit = 2 * time.Minute
	// stopLimit leaves containers their 30 s to end, and the rest its turn.
	stopLimit = 90 * time.Second
)

// readyLine is the promise of longshore dev: a line with this word on its
// standard output once a task could be placed.
var readyLine = regexp.MustCompile(`(?m)^.*\bready\b.*\n`)

// dev is the longshore dev that is started here.
func (c config) dev() program { return program{name: "dev", dir: c.runDir} }

// ensureDev starts longshore dev, unless the one of an earlier run is there,
// and waits until it is ready.
func ensureDev(ctx context.Context, c config, out io.Writer) error {
	r, err := c.dev().running()
	if err != nil {
		return err
	}
	if r != nil {
		fmt.Fprintf(out, "It runs already (process %d, API at http://%s) and is used as it is.\n", r.PID, r.APIAddr)
		if r.APIAddr != c.apiAddr {
			fmt.Fprintf(out, "LONGSHORE_API_ADDR=%s takes effect after make stop.\n", c.apiAddr)
		}
	} else if r, err = startDev(c); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	if err := awaitReady(ctx, c.dev(), *r); err != nil {
		return errors.Join(err, showTail(out, c.dev().outPath()), showTail(out, c.dev().logPath()))
	}
	return nil
}

func startDev(c config) (*record, error) {
	cmd := exec.Command(filepath.Join(c.root, "bin", "longshore"), "dev", "--data-dir", c.dataDir,
		"--api-addr", c.apiAddr, "--agent-addr", c.agentAddr, "--ops-addr", c.opsAddr,
		"--endpoints-addr", c.endpointsAddr)
	cmd.Dir = c.root
	return c.dev().start(cmd, record{APIAddr: c.apiAddr, Endpoints: c.endpointsAddr})
}

// awaitReady reads what longshore dev prints until it says that it is ready.
func awaitReady(ctx context.Context, p program, r record) error {
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		// Alive first: what it printed before it ended is then complete.
		alive, err := r.alive()
		if err != nil {
			return err
		}
		printed, err := os.ReadFile(p.outPath())
		switch {
		case err != nil:
			return fmt.Errorf("read what longshore dev prints: %w", err)
		case !alive:
			return errors.New("longshore dev ended; the last lines of its output are above")
		case readyLine.Match(printed):
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("longshore dev (process %d) is not ready: %w", r.PID, context.Cause(ctx))
		case <-poll.C:
		}
	}
}

// stopDev tells longshore dev to end and waits until it has.
func stopDev(ctx context.Context, c config) error {
	r, err := c.dev().running()
	if err != nil {
		return err
	}
	if r == nil {
		fmt.Println("longshore dev is not running.")
		return nil
	}
	fmt.Printf("Stopping longshore dev (process %d) and its tasks …", r.PID)
	begun := time.Now()
	if err := c.dev().stop(ctx, *r, stopLimit); err != nil {
		return fmt.Errorf("%w; see %s (kill -9 %d loses nothing)", err, c.short(c.dev().logPath()), r.PID)
	}
	fmt.Printf(" %.1f s\nIts state is kept in %s: make run goes on from there.\n", time.Since(begun).Seconds(), c.short(c.dataDir))
	return nil
}
