package agenttest

import (
	"context"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// namespace is a network namespace that lives as long as it is held open.
type namespace struct{ file *os.File }

func newNamespace(t testing.TB) *namespace {
	t.Helper()
	type made struct {
		file *os.File
		err  error
	}
	done := make(chan made)
	go func() {
		runtime.LockOSThread() // the thread ends with this goroutine, and its namespace stays by the file alone
		if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
			done <- made{nil, err}
			return
		}
		file, err := os.Open("/proc/thread-self/ns/net")
		done <- made{file, err}
	}()
	m := <-done
	if m.err != nil {
		t.Fatalf("make a network namespace: %v", m.err)
	}
	return &namespace{m.file}
}

// command is a program that is to run in the namespace. (ip netns exec hides the
// control groups, which a daemon needs.)
func (n *namespace) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("nsenter", append([]string{"--net=/proc/self/fd/3", name}, args...)...)
	cmd.ExtraFiles = []*os.File{n.file}
	return cmd
}

func (n *namespace) close(t testing.TB) {
	t.Helper()
	if err := n.file.Close(); err != nil {
		t.Errorf("close a network namespace: %v", err)
	}
}

// Dial connects to where the daemon's containers are reached, which with Networks is
// in the daemon's own namespace.
func (d *Daemon) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	type dialled struct {
		conn net.Conn
		err  error
	}
	done := make(chan dialled)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread is of no use to others
		if err := unix.Setns(int(d.net.file.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- dialled{nil, os.NewSyscallError("setns", err)}
			return
		}
		// Without fallbacks, which other threads would do.
		conn, err := (&net.Dialer{FallbackDelay: -1}).DialContext(ctx, network, address)
		done <- dialled{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}
