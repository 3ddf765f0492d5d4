package controlplane

import (
	"context"
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// garbageFactor is for how many times as much as is in use garbage may become before it is
	// collected, and minGarbage what it may become in any case, in bytes.
	garbageFactor = 2
	minGarbage    = 32 << 20
	// Where garbage comes faster than busyGarbage, in bytes a second, requests do: some hundred
	// tasks a second. They are left alone until that has not been so for quietFor, unless the heap
	// has become 1/mostShare of what the process may take (debug.SetMemoryLimit).
	busyGarbage = 16 << 20
	quietFor    = 2 * time.Second
	mostShare   = 2
	// fastestGarbage is faster than garbage comes into being, in bytes a second: when to look
	// again follows from it, since the runtime tells nobody. It is not looked oftener than each
	// minLook: what comes into being in that time does no harm.
	fastestGarbage = 2 << 30
	minLook        = 200 * time.Millisecond
	maxLook        = time.Second
)

// CollectGarbage collects this process's garbage until ctx ends. The runtime's own
// collections, which are switched off meanwhile unless memory reaches its limit
// (debug.SetMemoryLimit), begin when memory has nearly become what it may, so that
// whoever takes some has to help, and at the busiest time, since then memory is taken: with the
// goroutines of 10,000 agents that keeps all processors from requests for half a second. These here
// begin with room to spare, when requests have become few, if memory allows for that, and agents are told
// nothing meanwhile. What memory requests will need is taken before them, then, too (reserve).
func (c *ControlPlane) CollectGarbage(ctx context.Context) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	most := mostHeap(debug.SetMemoryLimit(-1))
	timer := time.NewTimer(0)
	defer timer.Stop()
	last := growth{at: time.Now(), busy: time.Now()}
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		m := readMemory()
		last = last.next(m.heap, time.Now())
		quiet := last.quiet()
		due := m.due(quiet, most)
		if quiet && (due || m.short(most)) {
			due = c.reserve(ctx, m.wanted(most)) || due
		}
		if due {
			c.undisturbed(runtime.GC)
			m = readMemory()
			last = last.next(m.heap, time.Now())
		}
		timer.Reset(m.look())
	}
}

// mostHeap is how large the heap may become at a busy time, by what the process may take; nothing is
// put off where that is not known.
func mostHeap(limit int64) uint64 {
	if limit == math.MaxInt64 {
		return 0
	}
	return uint64(limit) / mostShare
}

// undisturbed runs f while agents are told nothing.
func (c *ControlPlane) undisturbed(f func()) {
	if d := c.currentDispatcher(); d != nil {
		d.Pause(f)
		return
	}
	f()
}

// growth is how the heap has grown of late.
type growth struct {
	heap uint64    // at the last look
	at   time.Time // of that
	busy time.Time // the last look at which much had come since the one before
}

func (g growth) next(heap uint64, now time.Time) growth {
	n := growth{heap: heap, at: now, busy: g.busy}
	if float64(heap)-float64(g.heap) > busyGarbage*now.Sub(g.at).Seconds() {
		n.busy = now
	}
	return n
}

// quiet tells whether requests have been few for long enough.
func (g growth) quiet() bool { return g.at.Sub(g.busy) >= quietFor }

// memory is what the process has taken, in bytes.
type memory struct {
	live   uint64 // found in use by the last collection
	heap   uint64 // in use, or garbage
	stacks uint64
	taken  uint64 // by the heap, with what is free between objects
	free   uint64 // that the kernel has not been given back
}

func readMemory() memory {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/stacks:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples)
	value := func(i int) uint64 { return samples[i].Value.Uint64() }
	return memory{live: value(0), heap: value(1), stacks: value(2), taken: value(1) + value(3), free: value(4)}
}

// limit is how large the heap may become at a quiet time. Stacks count as memory in use, since a
// collection looks through them, too.
func (m memory) limit() uint64 {
	return m.live + max(minGarbage, garbageFactor*(m.live+m.stacks))
}

// due tells whether it is time for a collection; most is how large the heap may become at a
// busy time.
func (m memory) due(quiet bool, most uint64) bool {
	return m.heap >= m.limit() && (quiet || m.heap >= most)
}

// look is when it may be time for a collection at the earliest.
func (m memory) look() time.Duration {
	limit := m.limit()
	if m.heap >= limit {
		return minLook
	}
	left := time.Duration(float64(limit-m.heap) / fastestGarbage * float64(time.Second))
	return min(max(left, minLook), maxLook)
}
