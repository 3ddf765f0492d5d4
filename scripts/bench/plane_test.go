package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds what works within moments on a machine that is not busy.
const patience = 2 * time.Minute

// buildLongshore builds the program under test.
func buildLongshore(b *testing.B) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "longshore")
	build := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-o", path, "github.com/longshore/longshore/cmd/longshore")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("building longshore: %v\n%s", err, out)
	}
	return path
}

// plane is a running longshore that serves the API.
type plane struct {
	api    *api
	agents string // host:port
	ops    string // host:port
}

// startPlane runs longshore with the arguments, which begin with the
// subcommand, on addresses and a folder of its own. It ends with the benchmark.
func startPlane(b *testing.B, binary string, args ...string) *plane {
	b.Helper()
	p := &plane{agents: freeAddress(b), ops: freeAddress(b)}
	address := freeAddress(b)
	p.api = newAPI(b, address)
	args = append(args, "--data-dir", filepath.Join(b.TempDir(), "data"),
		"--api-addr", address, "--agent-addr", p.agents, "--ops-addr", p.ops)
	c := startChild(b, binary, args)
	b.Cleanup(func() { c.stop(b) })
	select {
	case <-c.ready:
	case <-c.ended:
		b.Fatal("longshore ended before it was ready")
	case <-time.After(patience):
		b.Fatal("longshore is not ready")
	}
	return p
}

// child is a process with a line on its output that says when it is ready.
type child struct {
	cmd          *exec.Cmd
	log          string // file with its standard error
	ready, ended chan struct{}
}

func startChild(b *testing.B, binary string, args []string) *child {
	b.Helper()
	log, err := os.Create(filepath.Join(b.TempDir(), "longshore.log"))
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	c := &child{cmd: exec.Command(binary, args...), log: log.Name(), ready: make(chan struct{}), ended: make(chan struct{})}
	c.cmd.Stderr = log
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	go c.follow(out)
	return c
}

// follow reads the output to its end, and then waits for the process.
func (c *child) follow(out io.Reader) {
	defer close(c.ended)
	seen := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if !seen && strings.Contains(lines.Text(), "ready") {
			seen = true
			close(c.ready)
		}
	}
	_ = c.cmd.Wait() // how it ended is in its ProcessState
}

// stop ends it as a user would. A process that does not end is killed, and the
// benchmark has failed; so it has if the process had ended by itself.
func (c *child) stop(b *testing.B) {
	b.Helper()
	select {
	case <-c.ended:
		b.Error("longshore ended by itself")
	default:
		if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			b.Errorf("ending longshore: %v", err)
		}
	}
	select {
	case <-c.ended:
	case <-time.After(patience):
		b.Error("longshore does not end on SIGTERM")
		if err := c.cmd.Process.Kill(); err != nil {
			b.Errorf("killing longshore: %v", err)
		}
		<-c.ended
	}
	if b.Failed() {
		log, err := os.ReadFile(c.log)
		b.Logf("the end of longshore's log (%v):\n%s", err, log[max(0, len(log)-8<<10):])
	}
}

// cpuSeconds is the processor time that the process has used so far.
func (p *plane) cpuSeconds(b *testing.B) float64 {
	b.Helper()
	metrics, err := get(b, "http://"+p.ops+"/metrics")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(metrics)) {
		value, found := strings.CutPrefix(line, "process_cpu_seconds_total ")
		if !found {
			continue
		}
		seconds, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			b.Fatalf("reading the processor time: %v", err)
		}
		return seconds
	}
	b.Fatal("the metrics do not tell the processor time")
	return 0
}

// ownCPUSeconds is the processor time that the benchmark itself has used so far.
func ownCPUSeconds(b *testing.B) float64 {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatalf("reading the processor time: %v", err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

func get(b *testing.B, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the answer of %s: %w", url, err)
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %s", url, answer.Status, bytes.TrimSpace(body))
	}
	return body, nil
}

func freeAddress(b *testing.B) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// await asks again and again until something holds: from outside there is no
// other way to see it. The period bounds how late that is noticed.
func await(b *testing.B, what string, period time.Duration, holds func() bool) {
	b.Helper()
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			b.Fatalf("waited in vain: %s", what)
		}
	}
}
