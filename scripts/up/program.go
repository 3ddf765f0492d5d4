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
	"syscall"
	"time"
)

// program is one that is started here, and goes on in the background.
type program struct {
	name string // of its files in the run directory
	dir  string
}

// record is what is remembered of a program that was started here.
type record struct {
	PID   int    `json:"pid"`
	Birth string `json:"birth"`
	// APIAddr is where longshore dev answers.
	APIAddr string `json:"apiAddr,omitempty"`
	// Listen and Endpoints are where a proxy listens, and where it asks for targets.
	Listen    string `json:"listen,omitempty"`
	Endpoints string `json:"endpoints,omitempty"`
}

func (p program) recordPath() string { return filepath.Join(p.dir, p.name+".json") }
func (p program) outPath() string    { return filepath.Join(p.dir, p.name+".out") }
func (p program) logPath() string    { return filepath.Join(p.dir, p.name+".log") }

func (p program) read() (record, error) {
	var r record
	text, err := os.ReadFile(p.recordPath())
	if err != nil {
		return record{}, fmt.Errorf("read which %s runs: %w", p.name, err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return record{}, fmt.Errorf("read which %s runs: %s: %w", p.name, p.recordPath(), err)
	}
	return r, nil
}

func (p program) write(r record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("record process %d: %w", r.PID, err)
	}
	if err := os.WriteFile(p.recordPath(), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("record process %d: %w", r.PID, err)
	}
	return nil
}

// running returns the record of the program if it runs, and nil otherwise.
func (p program) running() (*record, error) {
	r, err := p.read()
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

// start starts a command in a session of its own, so that it outlives this program
// and its terminal. The logs of the one before are kept once.
func (p program) start(cmd *exec.Cmd, r record) (_ *record, err error) {
	stdout, err := freshLog(p.outPath())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stdout.Close()) }()
	stderr, err := freshLog(p.logPath())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stderr.Close()) }()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	r.PID = cmd.Process.Pid
	if r.Birth, err = birth(r.PID); err != nil {
		return nil, err
	}
	return &r, p.write(r)
}

func freshLog(path string) (*os.File, error) {
	if err := os.Rename(path, path+".1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("keep the log of the run before: %w", err)
	}
	return os.Create(path)
}

// stop tells a program that runs to end, and waits until it has.
func (p program) stop(ctx context.Context, r record, limit time.Duration) error {
	if err := syscall.Kill(r.PID, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop process %d: %w", r.PID, err)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := awaitEnd(ctx, r); err != nil {
		return err
	}
	return os.Remove(p.recordPath())
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
