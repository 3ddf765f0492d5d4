package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// buildProgram builds a program of the module.
func buildProgram(tb testing.TB, dir string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), filepath.Base(dir))
	build := exec.Command("go", "build", "-o", path, "github.com/longshore/longshore/"+dir)
	if out, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("building %s: %v\n%s", dir, err, out)
	}
	return path
}

// metric is one of the control plane's metrics, without labels.
func (p *plane) metric(tb testing.TB, name string) float64 {
	tb.Helper()
	text, err := get(tb, "http://"+p.ops+"/metrics")
	if err != nil {
		tb.Fatal(err)
	}
	return metric(tb, text, name)
}

// heap is how many bytes of the control plane's heap are in use after a collection, with
// what is pooled. A second one right after it would find that nearly nothing is garbage, upon
// which the runtime gives all memory that is free back to the kernel, and the next requests
// would take it anew: a third of the processors' time went into that.
func (p *plane) heap(tb testing.TB) float64 {
	tb.Helper()
	const name = "# HeapAlloc = "
	text, err := get(tb, "http://"+p.ops+"/debug/pprof/heap?gc=1&debug=1")
	if err != nil {
		tb.Fatal(err)
	}
	_, after, _ := bytes.Cut(text, []byte("\n"+name))
	line, _, _ := bytes.Cut(after, []byte("\n"))
	n, err := strconv.ParseFloat(string(line), 64)
	if err != nil {
		tb.Fatalf("reading the heap's size: %v", err)
	}
	return n
}

// bucket is some of a histogram's values: how many are at most so large.
type bucket struct {
	atMost float64
	count  float64
}

// syncs tells how long etcd's commits to the disk have taken so far, in seconds, by ascending bounds.
func (p *plane) syncs(tb testing.TB) []bucket {
	tb.Helper()
	text, err := get(tb, "http://"+p.ops+"/metrics")
	if err != nil {
		tb.Fatal(err)
	}
	const name = "etcd_disk_wal_fsync_duration_seconds_bucket{"
	var buckets []bucket
	for line := range strings.Lines(string(text)) {
		labels, found := strings.CutPrefix(line, name)
		if !found {
			continue
		}
		var b bucket
		if _, err := fmt.Sscanf(labels, `le="%g"} %g`, &b.atMost, &b.count); err != nil {
			tb.Fatalf("reading %q: %v", line, err)
		}
		buckets = append(buckets, b)
	}
	if len(buckets) == 0 {
		tb.Fatal("the metrics do not tell how long commits to the disk take")
	}
	return buckets
}

// slowest is the bound of the slowest one that came after before, in milliseconds: a disk, too, may
// stand still for a while.
func slowest(before, after []bucket) float64 {
	bound := 0.0
	for i := range after {
		below := 0.0
		if i > 0 {
			below = after[i-1].count - before[i-1].count
		}
		if after[i].count-before[i].count > below {
			bound = after[i].atMost * 1e3
		}
	}
	return bound
}

// processSeconds is the processor time that a process has used so far.
func processSeconds(tb testing.TB, pid int) float64 {
	tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		tb.Fatal(err)
	}
	const user, system, ticksASecond = 11, 12, 100 // proc(5), counted behind the program's name
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	total := 0.0
	for _, i := range []int{user, system} {
		ticks, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			tb.Fatalf("reading the processor time of process %d: %v", pid, err)
		}
		total += ticks / ticksASecond
	}
	return total
}

// paced is load with a rate in calls a second; 0 is as fast as the clients may. A
// call's time begins when it is due, so that one which had to wait for a client is
// not taken for a quick one.
func paced(ctx context.Context, a *api, operation string, clients int, bodies [][]byte, rate float64) ([]answer, error) {
	if rate == 0 {
		return load(ctx, a, operation, clients, bodies)
	}
	answers := make([]answer, len(bodies))
	var next atomic.Int64
	began := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for range clients {
		group.Go(func() error {
			timer := time.NewTimer(0)
			defer timer.Stop()
			for {
				i := int(next.Add(1)) - 1
				if i >= len(bodies) {
					return nil
				}
				due := began.Add(time.Duration(float64(i) / rate * float64(time.Second)))
				timer.Reset(time.Until(due))
				select {
				case <-timer.C:
				case <-ctx.Done():
					return ctx.Err()
				}
				body, err := a.post(ctx, operation, bodies[i])
				if err != nil {
					return err
				}
				answers[i] = answer{body: body, took: time.Since(due)}
			}
		})
	}
	return answers, group.Wait()
}

// readOften makes the same call, readsASec times a second, until stop is closed; once at least.
func readOften(ctx context.Context, a *api, operation string, body []byte, stop <-chan struct{}) ([]answer, error) {
	ticker := time.NewTicker(time.Second / readsASec)
	defer ticker.Stop()
	var answers []answer
	for {
		began := time.Now()
		if _, err := a.post(ctx, operation, body); err != nil {
			return nil, err
		}
		answers = append(answers, answer{took: time.Since(began)})
		select {
		case <-stop:
			return answers, nil
		case <-ticker.C:
		}
	}
}
