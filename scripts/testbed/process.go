package testbed

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Patience bounds what works within moments on a machine that is not busy.
const Patience = 2 * time.Minute

// Build builds the programs as they are shipped, and returns the path of longshore in a new
// folder, which is the caller's to remove.
func Build() (string, error) {
	dir, err := os.MkdirTemp("", "longshore-bin-")
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-trimpath", "-o", dir+"/", "github.com/longshore/longshore/cmd/...")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building longshore: %w\n%s", err, out)
	}
	return filepath.Join(dir, "longshore"), nil
}

// Process is a longshore that runs.
type Process struct {
	tb           testing.TB
	cmd          *exec.Cmd
	log          Buffer
	ready, ended chan struct{}
}

// Start runs the program with arguments. It is killed when the test ends, and what
// it printed is logged if the test has failed.
func Start(tb testing.TB, binary string, args ...string) *Process {
	tb.Helper()
	p := &Process{tb: tb, cmd: exec.Command(binary, args...), ready: make(chan struct{}), ended: make(chan struct{})}
	p.cmd.Stderr = &p.log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go p.follow(out)
	tb.Cleanup(func() {
		p.Kill()
		if tb.Failed() {
			tb.Logf("longshore %s:\n%s", strings.Join(args, " "), p.Log())
		}
	})
	return p
}

// follow reads the output to its end, and then waits for the process.
func (p *Process) follow(out io.Reader) {
	defer close(p.ended)
	seen := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		fmt.Fprintln(&p.log, lines.Text())
		if !seen && strings.Contains(lines.Text(), "ready") {
			seen = true
			close(p.ready)
		}
	}
	_ = p.cmd.Wait() // how it ended is in its ProcessState
}

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Log is what the process has printed so far, to either stream.
func (p *Process) Log() string { return p.log.String() }

// AwaitReady waits for the line that says ready.
func (p *Process) AwaitReady() *Process {
	p.tb.Helper()
	select {
	case <-p.ready:
	case <-p.ended:
		p.tb.Fatal("longshore ended before it was ready")
	case <-time.After(Patience):
		p.tb.Fatal("longshore is not ready")
	}
	return p
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends the process a signal. The test has failed if that is not possible.
func (p *Process) Signal(signal os.Signal) {
	p.tb.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		p.tb.Errorf("sending %v to longshore: %v", signal, err)
	}
}

// Kill ends the process as kill -9 does, and waits.
func (p *Process) Kill() {
	p.cmd.Process.Kill() // fails if it has ended already, which is as good
	<-p.ended
}

// Stop ends the process as a user would, and waits. The test has failed if the
// process had ended by itself, does not end, or ends with an error.
func (p *Process) Stop() {
	p.tb.Helper()
	select {
	case <-p.ended:
		p.tb.Error("longshore ended by itself")
		return
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.tb.Errorf("ending longshore: %v", err)
	}
	select {
	case <-p.ended:
	case <-time.After(Patience):
		p.Kill()
		p.tb.Fatal("longshore did not end on SIGTERM")
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		p.tb.Errorf("longshore ended with %d on SIGTERM", code)
	}
}

// Buffer is a buffer that several goroutines may use.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write appends.
func (l *Buffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String is all that was written so far.
func (l *Buffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
