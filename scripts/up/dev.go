package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
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

// record is what is remembered of the longshore dev that was started here.
type record struct {
	PID     int    `json:"pid"`
	Birth   string `json:"birth"`
	APIAddr string `json:"apiAddr"`
}

func (c config) recordPath() string { return filepath.Join(c.runDir, "dev.json") }
func (c config) outPath() string    { return filepath.Join(c.runDir, "dev.out") }
func (c config) logPath() string    { return filepath.Join(c.runDir, "dev.log") }

func readRecord(c config) (record, error) {
	var r record
	text, err := os.ReadFile(c.recordPath())
	if err != nil {
		return record{}, fmt.Errorf("read which longshore dev runs: %w", err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return record{}, fmt.Errorf("read which longshore dev runs: %s: %w", c.recordPath(), err)
	}
	return r, nil
}

// running returns the record of the longshore dev that runs, nil if none does.
func running(c config) (*record, error) {
	r, err := readRecord(c)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	alive, err := r.alive()
	if err != nil || !alive {
		return nil, err
	}
	return &r, nil
}

func (r record) alive() (bool, error) {
	now, err := birth(r.PID)
	return now != "" && now == r.Birth, err
}

// ensureDev starts longshore dev, unless the one of an earlier run is there,
// and waits until it is ready.
func ensureDev(ctx context.Context, c config, out io.Writer) error {
	r, err := running(c)
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
	if err := awaitReady(ctx, c, *r); err != nil {
		return errors.Join(err, showTail(out, c.outPath()), showTail(out, c.logPath()))
	}
	return nil
}

// startDev starts longshore dev in a session of its own, so that it outlives
// this program and its terminal. The logs of the one before are kept once.
func startDev(c config) (_ *record, err error) {
	stdout, err := freshLog(c.outPath())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stdout.Close()) }()
	stderr, err := freshLog(c.logPath())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stderr.Close()) }()

	cmd := exec.Command(filepath.Join(c.root, "bin", "longshore"), "dev", "--data-dir", c.dataDir,
		"--api-addr", c.apiAddr, "--agent-addr", c.agentAddr, "--ops-addr", c.opsAddr,
		"--endpoints-addr", c.endpointsAddr)
	cmd.Dir = c.root
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start longshore dev: %w", err)
	}
	r := record{PID: cmd.Process.Pid, APIAddr: c.apiAddr}
	if r.Birth, err = birth(r.PID); err != nil {
		return nil, err
	}
	return &r, writeRecord(c, r)
}

func freshLog(path string) (*os.File, error) {
	if err := os.Rename(path, path+".1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("keep the log of the run before: %w", err)
	}
	return os.Create(path)
}

func writeRecord(c config, r record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("record process %d: %w", r.PID, err)
	}
	if err := os.WriteFile(c.recordPath(), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("record process %d: %w", r.PID, err)
	}
	return nil
}

// awaitReady reads what longshore dev prints until it says that it is ready.
func awaitReady(ctx context.Context, c config, r record) error {
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		// Alive first: what it printed before it ended is then complete.
		alive, err := r.alive()
		if err != nil {
			return err
		}
		printed, err := os.ReadFile(c.outPath())
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

// showTail copies the last lines of a log.
func showTail(out io.Writer, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("show a log: %w", err)
	}
	_, err = out.Write(lastLines(text, 20))
	return err
}

func lastLines(text []byte, n int) []byte {
	end := len(bytes.TrimRight(text, "\n"))
	begin := end
	for ; n > 0 && begin >= 0; n-- {
		begin = bytes.LastIndexByte(text[:begin], '\n')
	}
	if end == 0 {
		return nil
	}
	return append(bytes.Clone(text[begin+1:end]), '\n')
}

// stopDev tells longshore dev to end and waits until it has.
func stopDev(ctx context.Context, c config) error {
	r, err := running(c)
	if err != nil {
		return err
	}
	if r == nil {
		fmt.Println("longshore dev is not running.")
		return nil
	}
	fmt.Printf("Stopping longshore dev (process %d) and its tasks …", r.PID)
	begun := time.Now()
	if err := syscall.Kill(r.PID, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop process %d: %w", r.PID, err)
	}
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	if err := awaitEnd(ctx, *r); err != nil {
		return fmt.Errorf("%w; see %s (kill -9 %d loses nothing)", err, c.short(c.logPath()), r.PID)
	}
	fmt.Printf(" %.1f s\nIts state is kept in %s: make run goes on from there.\n", time.Since(begun).Seconds(), c.short(c.dataDir))
	return os.Remove(c.recordPath())
}

func awaitEnd(ctx context.Context, r record) error {
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		if alive, err := r.alive(); err != nil || !alive {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("process %d has not ended: %w", r.PID, context.Cause(ctx))
		case <-poll.C:
		}
	}
}
