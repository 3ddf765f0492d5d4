package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// step is one line of progress: what is done, and the doing. What it writes to
// out appears below the line.
type step struct {
	title string
	do    func(ctx context.Context, out io.Writer) error
}

// up takes the steps to a running sample and shows it.
func up(ctx context.Context, c config) error {
	sample := func(verb string) func(context.Context, io.Writer) error {
		return func(ctx context.Context, out io.Writer) error {
			record, err := c.dev().read()
			if err != nil {
				return err
			}
			url, err := front(c)
			if err != nil {
				return err
			}
			return command(ctx, c, out, filepath.Join(c.runDir, "bin", "sample"), "-endpoint", "http://"+record.APIAddr, "-front", url, verb)
		}
	}
	steps := []step{
		{"Build bin/longshore (the first time takes minutes)", func(ctx context.Context, out io.Writer) error { return build(ctx, c, out) }},
		{"Find or start a Docker engine", func(ctx context.Context, out io.Writer) error {
			return command(ctx, c, out, "scripts/setup-docker.sh", "start", "run")
		}},
		{"Make the sample's image", func(ctx context.Context, out io.Writer) error {
			return command(ctx, c, out, filepath.Join(c.runDir, "bin", "mkimage"),
				"-tag", "longshore-sample:latest", "-entrypoint", "/web", "./deploy/sample/web")
		}},
		{"Start longshore dev", func(ctx context.Context, out io.Writer) error { return ensureDev(ctx, c, out) }},
		{"Start HAProxy in front of the target group " + proxied, func(ctx context.Context, out io.Writer) error { return ensureProxy(ctx, c, out) }},
		{"Create the service web of 3 tasks", sample("create")},
		{"Wait until all tasks run and answer", sample("wait")},
	}
	if err := take(ctx, os.Stdout, steps); err != nil {
		return err
	}
	if err := sample("show")(ctx, os.Stdout); err != nil {
		return err
	}
	fmt.Printf("\nlongshore dev goes on in the background (log: %s).\nStop it, and what was started for it, with: make stop\n",
		c.short(c.dev().logPath()))
	return nil
}

// take does the steps in order, with a line and the seconds for each.
func take(ctx context.Context, out io.Writer, steps []step) error {
	for i, s := range steps {
		fmt.Fprintf(out, "[%d/%d] %s …", i+1, len(steps), s.title)
		below := &indenter{out: out}
		begun := time.Now()
		err := s.do(ctx, below)
		err = errors.Join(err, below.finish())
		seconds := time.Since(begun).Seconds()
		if err != nil {
			fmt.Fprintf(out, " failed after %.1f s\n", seconds)
			return fmt.Errorf("step %d, %s: %w", i+1, s.title, err)
		}
		fmt.Fprintf(out, " %.1f s\n", seconds)
	}
	return nil
}

// build makes all programs that the later steps need.
func build(ctx context.Context, c config, out io.Writer) error {
	if err := command(ctx, c, out, "make", "--silent", "--no-print-directory", "build"); err != nil {
		return err
	}
	return command(ctx, c, out, "go", "build", "-o", filepath.Join(c.runDir, "bin")+"/", "./scripts/sample", "./scripts/mkimage")
}

// command runs a program in the checkout; all that it prints goes to out.
func command(ctx context.Context, c config, out io.Writer, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = c.root
	cmd.Stdout, cmd.Stderr = out, out
	// The polite signal, and time to tidy up, for what is interrupted.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 15 * time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	return nil
}

// short writes a path the way one would type it in the checkout.
func (c config) short(path string) string {
	if relative, err := filepath.Rel(c.root, path); err == nil && filepath.IsLocal(relative) {
		return relative
	}
	return path
}
