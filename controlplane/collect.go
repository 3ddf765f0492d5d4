package controlplane

import (
	"context"
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
// whoever takes some has to help: with the goroutines of 10,000 agents that keeps all
// processors from requests for half a second. These here begin with room to spare, and
// agents are told nothing meanwhile.
func (c *ControlPlane) CollectGarbage(ctx context.Context) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		m := readMemory()
		if m.due() {
			c.undisturbed(runtime.GC)
			m = readMemory()
		}
		timer.Reset(m.look())
	}
}

// undisturbed runs f while agents are told nothing.
func (c *ControlPlane) undisturbed(f func()) {
	if d := c.currentDispatcher(); d != nil {
		d.Pause(f)
		return
	}
	f()
}

// memory is what the process has taken, in bytes.
type memory struct {
	live   uint64 // found in use by the last collection
	heap   uint64 // in use, or garbage
	stacks uint64
}

func readMemory() memory {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(samples)
	return memory{live: samples[0].Value.Uint64(), heap: samples[1].Value.Uint64(), stacks: samples[2].Value.Uint64()}
}

// limit is how large the heap may become. Stacks count as memory in use, since a collection
// looks through them, too.
func (m memory) limit() uint64 {
	return m.live + max(minGarbage, garbageFactor*(m.live+m.stacks))
}

func (m memory) due() bool { return m.heap >= m.limit() }

// look is when it may be time for a collection at the earliest.
func (m memory) look() time.Duration {
	if m.due() {
		return minLook
	}
	left := time.Duration(float64(m.limit()-m.heap) / fastestGarbage * float64(time.Second))
	return min(max(left, minLook), maxLook)
}
