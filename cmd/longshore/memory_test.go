package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// advised tells whether the kernel was asked for huge pages at an address.
func advised(t *testing.T, address uintptr) bool {
	t.Helper()
	file, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	here := false
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var from, to uintptr
		if n, _ := fmt.Sscanf(lines.Text(), "%x-%x ", &from, &to); n == 2 {
			here = from <= address && address < to
		}
		if flags, found := strings.CutPrefix(lines.Text(), "VmFlags:"); found && here {
			return strings.Contains(flags+" ", " hg ")
		}
	}
	t.Fatalf("nothing is mapped at %x", address)
	return false
}

func TestAdviseHugePages_TheHeapGrowsIntoThem(t *testing.T) {
	if _, err := os.Stat("/sys/kernel/mm/transparent_hugepage"); err != nil {
		t.Skip("this kernel has no transparent huge pages:", err)
	}
	const size = 64 << 20
	if err := adviseHugePages(4 * size); err != nil {
		t.Fatal(err)
	}
	grown := make([]byte, size)
	if middle := &grown[size/2]; !advised(t, uintptr(unsafe.Pointer(middle))) {
		t.Error("new memory is not in huge pages")
	}
	runtime.KeepAlive(grown)
}

func TestAdviseHugePages_WhereMemoryIsLessThanAPageItIsLeftAlone(t *testing.T) {
	for _, size := range []int{0, 1, hugePageSize} {
		if err := adviseHugePages(size); err == nil {
			t.Errorf("%d bytes were taken for a huge page", size)
		}
	}
}

func TestAdviseHugePages_WhereAddressesAreFewItIsLeftAlone(t *testing.T) {
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_AS, &before); err != nil {
		t.Fatal(err)
	}
	few := before
	few.Cur = 8 << 30
	if err := unix.Setrlimit(unix.RLIMIT_AS, &few); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_AS, &before); err != nil {
			t.Error(err)
		}
	}()
	if err := adviseHugePages(16 << 30); err == nil {
		t.Error("16 GiB were had where 8 are allowed")
	}
}
