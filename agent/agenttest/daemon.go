package agenttest

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// DaemonOptions are what a Daemon can differ in.
type DaemonOptions struct {
	LiveRestore bool // containers go on while the daemon is down
	// Networks lets containers have networks that the test or the agent makes, which
	// are reached by Dial. Their namespace is there until the host is rebooted.
	Networks bool
	// DiskMiB, if not 0, is the size of the file system that the daemon's data is on.
	DiskMiB int
}

// Daemon is a Docker daemon of a test's own, with a containerd of its own, that
// the test may kill, hang and restart, and whose host it may reboot. It has a
// network namespace of its own, too: a daemon changes the bridge and the packet
// filter that another one may be using. Without Networks, its containers have the
// network mode "none". Everything ends and goes when the test ends.
type Daemon struct {
	Host    string // unix://…
	Data    string // the folder of its data
	dir     string
	options DaemonOptions

	dockerd, containerd *exec.Cmd
	net                 *namespace // of Networks
}

// NewDaemon starts a daemon. Where there is no Docker at all the test is
// skipped, or fails, as DockerHost has it.
func NewDaemon(t testing.TB, options DaemonOptions) *Daemon {
	t.Helper()
	DockerHost(t)
	if os.Geteuid() != 0 {
		t.Skip("needs root, to start a Docker daemon of its own")
	}
	for _, name := range []string{"dockerd", "containerd"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("needs %s: %v", name, err)
		}
	}
	dir, err := os.MkdirTemp("", "longshore-daemon-") // t.TempDir's are too long for sockets
	if err != nil {
		t.Fatal(err)
	}
	if options.Networks {
		if _, err := exec.LookPath("nsenter"); err != nil {
			t.Skip("needs nsenter: ", err)
		}
	}
	d := &Daemon{Host: "unix://" + filepath.Join(dir, "d.sock"), Data: filepath.Join(dir, "data"), dir: dir, options: options}
	t.Cleanup(func() { d.remove(t) })
	if err := os.MkdirAll(d.Data, 0o700); err != nil {
		t.Fatal(err)
	}
	d.mountDisk(t)
	d.Boot(t)
	return d
}

func (d *Daemon) mountDisk(t testing.TB) {
	t.Helper()
	if d.options.DiskMiB == 0 {
		return
	}
	if err := syscall.Mount("tmpfs", d.Data, "tmpfs", 0, "size="+strconv.Itoa(d.options.DiskMiB)+"m"); err != nil {
		t.Skipf("needs a file system of its own: %v", err)
	}
}

// Boot starts everything after Crash.
func (d *Daemon) Boot(t testing.TB) {
	t.Helper()
	config := filepath.Join(d.dir, "containerd.toml")
	text := "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d.containerd = exec.Command("containerd", "--config", config, "--address", filepath.Join(d.dir, "c.sock"),
		"--root", filepath.Join(d.dir, "root"), "--state", filepath.Join(d.dir, "state"))
	await(t, d.containerd, "containerd successfully booted")
	if d.options.Networks {
		d.net = newNamespace(t)
	}
	d.Start(t)
}

// Start starts the daemon, and returns when it listens.
func (d *Daemon) Start(t testing.TB) {
	t.Helper()
	args := []string{
		"-H", d.Host, "--containerd", filepath.Join(d.dir, "c.sock"), "--data-root", d.Data, "--exec-root", filepath.Join(d.dir, "exec"),
		"--pidfile", filepath.Join(d.dir, "pid"), "--bridge=none", "--iptables=false", "--ip6tables=false",
	}
	if d.options.LiveRestore {
		args = append(args, "--live-restore")
	}
	if d.net != nil {
		d.dockerd = d.net.command("dockerd", args...)
	} else {
		d.dockerd = exec.Command("dockerd", args...)
		d.dockerd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	}
	await(t, d.dockerd, "API listen on")
}

// await starts a program, and returns when it has written a line with ready in it.
func await(t testing.TB, cmd *exec.Cmd, ready string) {
	t.Helper()
	output, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	found, ended := make(chan struct{}), make(chan []string, 1)
	go func() { ended <- readLog(bufio.NewScanner(output), ready, found) }()
	select {
	case <-found:
	case last := <-ended:
		t.Fatalf("%s ended before it was ready: %v\n%s", cmd.Path, cmd.Wait(), strings.Join(last, "\n"))
	}
}

// readLog reads to the end, closes found at a line with ready in it, and returns the last lines.
func readLog(lines *bufio.Scanner, ready string, found chan<- struct{}) (last []string) {
	lines.Buffer(nil, 1<<20)
	seen := false
	for lines.Scan() {
		if !seen && strings.Contains(lines.Text(), ready) {
			seen = true
			close(found)
		}
		last = append(last, lines.Text())
		last = last[max(0, len(last)-20):]
	}
	return last
}

// Stop ends the daemon in good order; without LiveRestore, its containers first.
func (d *Daemon) Stop(t testing.TB) { d.end(t, d.dockerd, syscall.SIGTERM) }

// Kill is the daemon's crash. Containers go on until it is back.
func (d *Daemon) Kill(t testing.TB) { d.end(t, d.dockerd, syscall.SIGKILL) }

// Hang makes the daemon answer nothing until Resume; it takes connections all the while.
func (d *Daemon) Hang(t testing.TB) { d.signal(t, d.dockerd, syscall.SIGSTOP) }

// Resume lets the daemon go on.
func (d *Daemon) Resume(t testing.TB) { d.signal(t, d.dockerd, syscall.SIGCONT) }

func (d *Daemon) signal(t testing.TB, cmd *exec.Cmd, s syscall.Signal) {
	t.Helper()
	if err := cmd.Process.Signal(s); err != nil {
		t.Fatalf("signal %s to %s: %v", s, cmd.Path, err)
	}
}

func (d *Daemon) end(t testing.TB, cmd *exec.Cmd, s syscall.Signal) {
	t.Helper()
	d.signal(t, cmd, s)
	_ = cmd.Wait() // that it was killed is what it says
}

// Crash ends everything at once, as loss of power does: daemon, containerd and
// containers, and what the kernel held of them. Boot brings the host back.
func (d *Daemon) Crash(t testing.TB) {
	t.Helper()
	for _, cmd := range []*exec.Cmd{d.dockerd, d.containerd} {
		if cmd != nil && cmd.Process != nil && cmd.ProcessState == nil {
			d.end(t, cmd, syscall.SIGKILL)
		}
	}
	for _, pid := range d.containers() {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Errorf("kill %d of the daemon's containers: %v", pid, err)
		}
	}
	if d.net != nil {
		d.net.close(t)
		d.net = nil
	}
	for _, path := range d.mounts() {
		if path == d.Data && d.options.DiskMiB > 0 {
			continue // the disk itself
		}
		if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
			t.Errorf("unmount %s: %v", path, err)
		}
	}
	for _, name := range []string{"exec", "state", "pid", "d.sock", "c.sock", "c.sock.ttrpc"} { // what is in memory on a host
		if err := os.RemoveAll(filepath.Join(d.dir, name)); err != nil {
			t.Errorf("clear %s: %v", name, err)
		}
	}
}

// containers are the processes of the daemon's containers: containerd starts a
// keeper for each, whose arguments have its own address.
func (d *Daemon) containers() []int {
	parents := map[int]int{}
	var keepers []int
	entries, _ := filepath.Glob("/proc/[0-9]*") // the pattern is right
	for _, entry := range entries {
		pid, err := strconv.Atoi(filepath.Base(entry))
		if err != nil {
			continue
		}
		args, err := os.ReadFile(filepath.Join(entry, "cmdline"))
		if err != nil {
			continue // it has ended
		}
		if strings.Contains(string(args), "containerd-shim") && strings.Contains(string(args), d.dir+"/") {
			keepers = append(keepers, pid)
		}
		if stat, err := os.ReadFile(filepath.Join(entry, "stat")); err == nil {
			_, rest, _ := strings.Cut(string(stat), ") ")
			if fields := strings.Fields(rest); len(fields) > 1 {
				parents[pid], _ = strconv.Atoi(fields[1])
			}
		}
	}
	all := slices.Clone(keepers)
	for pid, parent := range parents {
		if slices.Contains(keepers, parent) {
			all = append(all, pid)
		}
	}
	return all
}

// mounts are the mount points below the daemon's folder, the deepest first.
func (d *Daemon) mounts() (paths []string) {
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && strings.HasPrefix(fields[1], d.dir+"/") {
			paths = append(paths, fields[1])
		}
	}
	slices.SortFunc(paths, func(a, b string) int { return len(b) - len(a) })
	return paths
}

func (d *Daemon) remove(t testing.TB) {
	d.Crash(t)
	if d.options.DiskMiB > 0 {
		if err := syscall.Unmount(d.Data, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
			t.Errorf("unmount the daemon's disk: %v", err)
		}
	}
	if err := os.RemoveAll(d.dir); err != nil {
		t.Errorf("remove the daemon's files: %v", err)
	}
}
