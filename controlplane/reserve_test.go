package controlplane

import (
	"context"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestMemory_AReserveIsKeptByWhoUsesMuch(t *testing.T) {
	const (
		mib  = 1 << 20
		most = 1024 * mib
	)
	for _, c := range []struct {
		memory memory
		wanted uint64
		short  bool
	}{
		{memory{live: 20 * mib, stacks: 10 * mib, taken: 20 * mib}, 0, false}, // it uses little
		{memory{live: 40 * mib, stacks: 40 * mib, taken: 40 * mib}, 360 * mib, true},
		{memory{live: 40 * mib, stacks: 40 * mib, taken: 60 * mib, free: 209 * mib}, 360 * mib, true},
		{memory{live: 40 * mib, stacks: 40 * mib, taken: 60 * mib, free: 210 * mib}, 360 * mib, false},
		{memory{live: 40 * mib, stacks: 40 * mib, taken: 300 * mib}, 360 * mib, false},
		{memory{live: 300 * mib, stacks: 100 * mib, taken: 300 * mib}, most, true},
	} {
		if wanted, short := c.memory.wanted(most), c.memory.short(most); wanted != c.wanted || short != c.short {
			t.Errorf("%+v: wanted %d, short %v; want %d, %v", c.memory, wanted, short, c.wanted, c.short)
		}
	}
	if wanted := (memory{live: 1 << 30}).wanted(mostHeap(math.MaxInt64)); wanted != 0 {
		t.Errorf("without a limit %d bytes are wanted, want none", wanted)
	}
}

func TestReserve_WhatItTookIsFreeAfterACollection(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	debug.FreeOSMemory()
	size := readMemory().taken + 256<<20
	if !new(ControlPlane).reserve(t.Context(), size) {
		t.Fatal("the reserve was not taken, though nothing was in the way")
	}
	if m := readMemory(); m.taken < size {
		t.Errorf("the heap has %d bytes, want %d at least", m.taken, size)
	}
	if there := resident(t); there < size {
		t.Errorf("the kernel has given %d bytes, want %d at least", there, size)
	}
	runtime.GC()
	const much = 9.0 / 10 // others take some meanwhile
	if m := readMemory(); float64(m.taken+m.free) < much*float64(size) {
		t.Errorf("after a collection the heap has %d bytes in use and %d free, want %d in all", m.taken, m.free, size)
	}
}

func TestReserve_SeveralRequestsEndIt(t *testing.T) {
	c := new(ControlPlane)
	size := readMemory().taken + 64<<20
	c.answering.Add(2)
	if c.reserve(t.Context(), size) {
		t.Error("a reserve was taken while two requests were under way")
	}
	c.answering.Add(-1)
	if !c.reserve(t.Context(), size) {
		t.Error("no reserve was taken while one request was under way")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if c.reserve(ended, size+64<<20) {
		t.Error("a reserve was taken after the end")
	}
}

// resident is how much memory of this process is there, in bytes.
func resident(t *testing.T) uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseUint(strings.Fields(string(text))[1], 10, 64) // proc(5)
	if err != nil {
		t.Fatal(err)
	}
	return pages * uint64(os.Getpagesize())
}

func TestCollectGarbage_KeepsAReserveAtAQuietTime(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(4 << 30))
	kept = make([]byte, minReserving)
	defer func() { kept = nil }()
	runtime.GC() // which finds that in use
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		new(ControlPlane).CollectGarbage(ctx)
	}()
	defer func() {
		cancel()
		<-ended
	}()
	const least = 4 * minReserving // of what is wanted, five times as much as is in use
	m := readMemory()
	for deadline := time.Now().Add(30 * time.Second); m.taken >= least || m.taken+m.free < least; m = readMemory() {
		if time.Now().After(deadline) {
			t.Fatalf("the heap has %d bytes in use and %d free, want %d in all", m.taken, m.free, least)
		}
		time.Sleep(minLook)
	}
}
