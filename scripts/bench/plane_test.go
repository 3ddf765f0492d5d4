package bench

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/longshore/longshore/scripts/testbed"
)

// buildLongshore builds the program under test.
func buildLongshore(b testing.TB) string {
	b.Helper()
	path, err := testbed.Build()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(filepath.Dir(path)) })
	return path
}

// plane is a running longshore that serves the API.
type plane struct {
	api     *api
	agents  string // host:port
	ops     string // host:port
	process *testbed.Process
}

// startPlane runs longshore with the arguments, which begin with the
// subcommand, on addresses and a folder of its own. It ends with the benchmark.
func startPlane(b testing.TB, binary string, args ...string) *plane {
	b.Helper()
	p := &plane{agents: testbed.FreeAddress(b), ops: testbed.FreeAddress(b)}
	address := testbed.FreeAddress(b)
	p.api = newAPI(b, address)
	args = append(args, "--data-dir", filepath.Join(b.TempDir(), "data"),
		"--api-addr", address, "--agent-addr", p.agents, "--ops-addr", p.ops,
		"--endpoints-addr", "127.0.0.1:0")
	c := testbed.Start(b, binary, args...).AwaitReady()
	b.Cleanup(c.Stop)
	p.process = c
	return p
}

// cpuSeconds is the processor time that the process has used so far.
func (p *plane) cpuSeconds(b testing.TB) float64 {
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
func ownCPUSeconds(b testing.TB) float64 {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatalf("reading the processor time: %v", err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

func get(b testing.TB, url string) ([]byte, error) {
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

// await asks again and again until something holds: from outside there is no
// other way to see it. The period bounds how late that is noticed.
func await(b testing.TB, what string, period time.Duration, holds func() bool) {
	b.Helper()
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	deadline := time.After(testbed.Patience)
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			b.Fatalf("waited in vain: %s", what)
		}
	}
}
