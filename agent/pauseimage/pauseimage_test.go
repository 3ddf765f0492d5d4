package pauseimage_test

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/longshore/longshore/agent/pauseimage"
)

// unpack returns the program of a layer.
func unpack(t *testing.T, architecture string) []byte {
	t.Helper()
	layer, err := pauseimage.Layer(architecture)
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(bytes.NewReader(layer))
	header, err := archive.Next()
	if err != nil || "/"+header.Name != pauseimage.EntryPoint()[0] || header.Mode != 0o755 {
		t.Fatalf("first file %+v, %v", header, err)
	}
	content, err := io.ReadAll(archive)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Next(); err != io.EOF {
		t.Errorf("after the program: %v, want the end", err)
	}
	return content
}

func TestLayer_HasAnExecutableForEachArchitecture(t *testing.T) {
	for architecture, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		file, err := elf.NewFile(bytes.NewReader(unpack(t, architecture)))
		if err != nil {
			t.Errorf("%s: %v", architecture, err)
			continue
		}
		load := file.Progs[0]
		if file.Machine != machine || file.Type != elf.ET_EXEC || len(file.Progs) != 1 || file.Entry < load.Vaddr || file.Entry >= load.Vaddr+load.Filesz {
			t.Errorf("%s: %+v, %+v", architecture, file.FileHeader, load.ProgHeader)
		}
	}
	if _, err := pauseimage.Layer("mips"); err == nil {
		t.Error("a program for an architecture that there is none for")
	}
}

func TestProgram_SleepsAndLetsTheKernelClearChildrenAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pause")
	if err := os.WriteFile(path, unpack(t, runtime.GOARCH), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// It is asleep for good, with the signal ignored, or it has crashed.
	for {
		state, ignored := status(t, cmd.Process.Pid)
		if state == "Z" {
			t.Fatalf("it ended: %v", cmd.Wait())
		}
		if state == "S" && ignored&(1<<(syscall.SIGCHLD-1)) != 0 {
			break
		}
		runtime.Gosched()
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("it ended with %v, want it killed", err)
	}
}

// status reads the state of a process and the signals that it ignores.
func status(t *testing.T, pid int) (state string, ignored uint64) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch fields := strings.Fields(value); name {
		case "State":
			state = fields[0]
		case "SigIgn":
			if ignored, err = strconv.ParseUint(fields[0], 16, 64); err != nil {
				t.Fatal(err)
			}
		}
	}
	return state, ignored
}
