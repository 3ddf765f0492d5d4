package controlplane

import (
	"context"
	"math"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestMemory_GarbageIsCollectedWhenItIsTwiceWhatIsInUseAndRequestsAreFew(t *testing.T) {
	const (
		mib  = 1 << 20
		most = 1024 * mib
	)
	for _, c := range []struct {
		memory
		atQuiet, atBusy bool
		look            time.Duration
	}{
		{memory{live: 1 * mib, heap: 30 * mib}, false, false, minLook}, // little garbage is left alone
		{memory{live: 1 * mib, heap: 33 * mib}, true, false, minLook},
		{memory{live: 100 * mib, stacks: 50 * mib, heap: 399 * mib}, false, false, minLook},
		{memory{live: 100 * mib, stacks: 50 * mib, heap: 400 * mib}, true, false, minLook},
		{memory{live: 100 * mib, stacks: 50 * mib, heap: 1023 * mib}, true, false, minLook},
		{memory{live: 100 * mib, stacks: 50 * mib, heap: 1024 * mib}, true, true, minLook},
		{memory{live: 1024 * mib, heap: 2048 * mib}, false, false, time.Second / 2},
		{memory{live: 4096 * mib, heap: 4096 * mib}, false, false, maxLook},
	} {
		quiet, busy, look := c.memory.due(true, most), c.memory.due(false, most), c.memory.look()
		if quiet != c.atQuiet || busy != c.atBusy || look != c.look {
			t.Errorf("%+v: due at a quiet time %v, at a busy one %v, look after %v; want %v, %v, %v", c.memory, quiet, busy, look, c.atQuiet, c.atBusy, c.look)
		}
	}
}

func TestMostHeap_NothingIsPutOffWithoutALimit(t *testing.T) {
	if most := mostHeap(math.MaxInt64); !(memory{heap: 100 << 20}).due(false, most) {
		t.Errorf("without a limit garbage is put off until the heap has %d bytes", most)
	}
	if most := mostHeap(1 << 30); most != 1<<29 {
		t.Errorf("of 1 GiB the heap may become %d bytes, want a half", most)
	}
}

func TestGrowth_ItIsQuietWhenTheHeapHasGrownSlowlyForAWhile(t *testing.T) {
	const mib = 1 << 20
	now := time.Now()
	g := growth{heap: 90 * mib, at: now, busy: now}
	for _, c := range []struct {
		after time.Duration
		heap  uint64
		quiet bool
	}{
		{0, 100 * mib, false},
		{time.Second, 110 * mib, false},
		{time.Second, 120 * mib, true}, // two seconds of 10 MiB each
		{time.Second, 140 * mib, false},
		{time.Second, 150 * mib, false},
		{time.Second / 2, 160 * mib, false}, // 20 MiB a second
		{2 * time.Second, 20 * mib, true},   // it was collected
	} {
		now = now.Add(c.after)
		g = g.next(c.heap, now)
		if g.quiet() != c.quiet {
			t.Errorf("%v later, with a heap of %d MiB: quiet %v, want %v", c.after, c.heap/mib, g.quiet(), c.quiet)
		}
	}
}

// kept is what the test's garbage passes through, so that it is on the heap.
var kept []byte

func TestCollectGarbage_CollectsThoughTheRuntimeDoesNot(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(512 << 20)) // it is never quiet here
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		new(ControlPlane).CollectGarbage(ctx)
	}()
	var start, now runtime.MemStats
	runtime.ReadMemStats(&start)
	for deadline := time.Now().Add(30 * time.Second); now.NumForcedGC <= start.NumForcedGC; runtime.ReadMemStats(&now) {
		if time.Now().After(deadline) {
			t.Fatal("garbage gathers and is not collected")
		}
		kept = make([]byte, 1<<20)
	}
	cancel()
	<-ended
	if percent := debug.SetGCPercent(100); percent != 100 {
		t.Errorf("GOGC is %d afterwards, want 100 as before", percent)
	}
}
