package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"unsafe"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"golang.org/x/sys/unix"
)

// prepareMemory bounds what a control plane takes of memory to half of the machine's, or of what its
// control group may take, unless GOMEMLIMIT says what, and has the kernel give it in huge pages.
func prepareMemory(log *slog.Logger) {
	if os.Getenv("GOMEMLIMIT") == "" {
		if memory, err := availableMemory(); err == nil {
			debug.SetMemoryLimit(int64(memory / 2))
		} else {
			log.Warn("how much memory there is could not be found out; GOMEMLIMIT can say it", "error", err)
		}
	}
	limit := debug.SetMemoryLimit(-1)
	if limit == math.MaxInt64 || !hugePagesOnAdvice() {
		return
	}
	if err := adviseHugePages(int(min(limit/2, mostAdvised, math.MaxInt))); err != nil {
		log.Debug("memory comes in small pages", "error", err)
	}
}

// availableMemory is what the machine has, or the process's control group may take, in bytes.
func availableMemory() (uint64, error) {
	machine, err := memlimit.FromSystem()
	if err != nil {
		return 0, err
	}
	group, err := memlimit.FromCgroup()
	if errors.Is(err, memlimit.ErrNoLimit) || errors.Is(err, memlimit.ErrNoCgroup) || errors.Is(err, memlimit.ErrCgroupsNotSupported) {
		return machine, nil
	}
	if err != nil {
		return 0, err
	}
	return min(machine, group), nil
}

const (
	// mostAdvised is the most memory that is advised, in bytes: more than a control plane with 10,000 hosts
	// and 100,000 tasks takes. The runtime notes something about each page of it, a thousandth in all.
	mostAdvised  = 4 << 30
	hugePageSize = 2 << 20
)

// hugePagesOnAdvice tells whether the kernel gives huge pages to those who ask for them, and to nobody else.
func hugePagesOnAdvice() bool {
	setting, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled")
	return err == nil && bytes.Contains(setting, []byte("[madvise]"))
}

// adviseHugePages has the kernel back the addresses that the heap comes to use next with huge pages, in
// place of five hundred small ones each: then a burst that needs new memory interrupts the control plane less
// often, and a collection finds its way faster. The runtime does not ask for them itself
// (Go 1.21.1 took that back). It uses the lowest free addresses first, and advice stays with addresses:
// so it is given for a slice that is dropped at once, and that nobody has written to.
func adviseHugePages(size int) error {
	if size < 2*hugePageSize {
		return fmt.Errorf("%d bytes need not hold a huge page of %d", size, hugePageSize)
	}
	if err := canMap(size); err != nil {
		return err
	}
	defer debug.FreeOSMemory()
	room := make([]byte, size)
	start := -uintptr(unsafe.Pointer(unsafe.SliceData(room))) % hugePageSize
	if err := unix.Madvise(room[start:], unix.MADV_HUGEPAGE); err != nil {
		return fmt.Errorf("asking for huge pages: %w", err)
	}
	return nil
}

// canMap tells whether the process may have so many more addresses. The runtime, if it were refused,
// would end the process.
func canMap(size int) error {
	tried, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return fmt.Errorf("mapping %d bytes: %w", size, err)
	}
	return unix.Munmap(tried)
}
