package controlplane

import (
	"context"
	"os"
	"runtime"
	"time"
)

const (
	// A large control plane keeps reserveFactor times as much memory as is in use, so that
	// requests find some that the kernel need not clear first, which takes a virtual machine long;
	// as long as it has 1/enoughReserve of that, nothing is done. One that uses less than
	// minReserving, in bytes, hardly feels it, and keeps none.
	reserveFactor = 4
	enoughReserve = 4.0 / 3
	minReserving  = 32 << 20
	// The reserve is taken in pieces of reservePiece bytes, the size of the runtime's own pages, so
	// that no hole is left between them, and reserveStep pieces at a time, with a rest after
	// it that is as long.
	reservePiece = 8 << 10
	reserveStep  = 256
)

// wanted is how large the heap is to be with its reserve, in bytes; 0 is without any. The reserve does
// not make it larger than most.
func (m memory) wanted(most uint64) uint64 {
	use := m.live + m.stacks
	if use < minReserving {
		return 0
	}
	return min(m.live+reserveFactor*use, most)
}

// short tells whether much of the reserve is missing.
func (m memory) short(most uint64) bool {
	return float64(m.taken+m.free)*enoughReserve < float64(m.wanted(most))
}

// reserve makes the heap size bytes large, with garbage, and tells whether it is so then: several requests
// at a time end it, and what has been taken remains garbage until the next collection. After that it is
// free memory, which the runtime keeps: it gives back to the kernel only what the heap did not have
// when the collection marked it.
func (c *ControlPlane) reserve(ctx context.Context, size uint64) bool {
	type piece [reservePiece]byte
	var taken []*piece // which are not to be collected meanwhile
	defer runtime.KeepAlive(&taken)
	for readMemory().taken < size {
		if c.answering.Load() > 1 || ctx.Err() != nil {
			return false
		}
		began := time.Now()
		for range reserveStep {
			p := new(piece)
			for i := 0; i < len(p); i += os.Getpagesize() {
				p[i] = 1 // the kernel gives a page when it is written to
			}
			taken = append(taken, p)
		}
		time.Sleep(time.Since(began))
	}
	return true
}
