package controlplane

import (
	"context"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestMemory_GarbageIsCollectedWhenItIsTwiceWhatIsInUse(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		memory
		due  bool
		look time.Duration
	}{
		{memory{live: 1 * mib, heap: 30 * mib}, false, minLook}, // little garbage is left alone
		{memory{live: 1 * mib, heap: 33 * mib}, true, minLook},
		{memory{live: 100 * mib, stacks: 50 * mib, heap: 399 * mib}, false, minLook},
		{memory{live: 100 * mib, stacks: 50 * mib, heap: 400 * mib}, true, minLook},
		{memory{live: 1024 * mib, heap: 2048 * mib}, false, time.Second / 2},
		{memory{live: 4096 * mib, heap: 4096 * mib}, false, maxLook},
	} {
		if due, look := c.memory.due(), c.memory.look(); due != c.due || look != c.look {
			t.Errorf("%+v: due %v, look after %v; want %v, %v", c.memory, due, look, c.due, c.look)
		}
	}
}

// kept is what the test's garbage passes through, so that it is on the heap.
var kept []byte

func TestCollectGarbage_CollectsThoughTheRuntimeDoesNot(t *testing.T) {
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
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
