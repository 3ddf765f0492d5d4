//go:build linux

package docker

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/longshore/longshore/agent/agenttest"
	"github.com/longshore/longshore/agent/runtime"
)

// engine is a Docker daemon that a test may kill.
type engine struct {
	dir    string
	host   string
	daemon *daemon // nil while it is down
}

// newEngine starts a daemon of the test's own. It has a network namespace of
// its own, too: a daemon changes the bridge and the packet filter that another
// one may be using, and with --bridge=none it even removes that bridge.
func newEngine(t *testing.T) *engine {
	t.Helper()
	agenttest.DockerHost(t) // where there is no Docker, no second one starts
	if os.Geteuid() != 0 {
		t.Skip("needs root, to start a Docker daemon of its own")
	}
	needBinaries(t, "dockerd", "containerd")
	// The paths of sockets are short, and t.TempDir's are long.
	dir, err := os.MkdirTemp("", "longshore-dockerd-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// A daemon that is killed leaves its data mounted on itself.
		for syscall.Unmount(filepath.Join(dir, "data"), syscall.MNT_DETACH) == nil {
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove the daemon's files: %v", err)
		}
	})
	e := &engine{dir: dir, host: "unix://" + filepath.Join(dir, "d.sock")}
	e.startContainerd(t)
	t.Cleanup(func() {
		if e.daemon == nil {
			e.start(t) // it ends what its containers left running
		}
		e.stop(t)
	})
	e.start(t)
	return e
}

// startContainerd starts what keeps containers when the daemon is killed, as
// on most hosts.
func (e *engine) startContainerd(t *testing.T) {
	t.Helper()
	config := filepath.Join(e.dir, "containerd.toml")
	text := "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	containerd, _ := startDaemon(t, "containerd successfully booted", exec.Command("containerd", "--config", config,
		"--address", e.containerd(), "--root", filepath.Join(e.dir, "root"), "--state", filepath.Join(e.dir, "state")))
	t.Cleanup(func() { containerd.stop(t) })
}

func (e *engine) containerd() string { return filepath.Join(e.dir, "c.sock") }

// start returns when the daemon says that it listens.
func (e *engine) start(t *testing.T) {
	t.Helper()
	cmd := exec.Command("dockerd", "-H", e.host, "--containerd", e.containerd(),
		"--data-root", filepath.Join(e.dir, "data"), "--exec-root", filepath.Join(e.dir, "exec"),
		"--pidfile", filepath.Join(e.dir, "pid"), "--bridge=none", "--iptables=false", "--ip6tables=false")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	e.daemon, _ = startDaemon(t, "API listen on", cmd)
}

// kill is the daemon's crash.
func (e *engine) kill(t *testing.T) {
	t.Helper()
	e.daemon.kill(t)
	e.daemon = nil
}

// stop ends the daemon and its containers in good order.
func (e *engine) stop(t *testing.T) {
	t.Helper()
	e.daemon.stop(t)
	e.daemon = nil
}

func (e *engine) create(t *testing.T, rt *Runtime, name, image string) string {
	t.Helper()
	id, err := rt.Create(t.Context(), runtime.Spec{
		Name: name, Image: image, NetworkMode: "none", Labels: map[string]string{"longshore.test": "engine"},
	})
	if err != nil {
		t.Fatalf("Create(%s) = %v", name, err)
	}
	return id
}

func TestRuntime_WorksOnAfterACrashOfTheDaemon(t *testing.T) {
	e := newEngine(t)
	rt := newRuntime(t, e.host)
	// The images go when the test ends, when the daemon must be there again.
	images := agenttest.ImportImages(t, e.host)
	running := e.create(t, rt, "running", images.IgnoreStop)
	created := e.create(t, rt, "created", images.Serve)
	if err := rt.Start(t.Context(), running); err != nil {
		t.Fatalf("Start() = %v", err)
	}
	ready, watched := make(chan struct{}), make(chan error, 1)
	go func() {
		watched <- rt.Watch(t.Context(), nil, func() { close(ready) }, func(string, map[string]string) {})
	}()
	<-ready
	stopped := make(chan error, 1)
	go func() { stopped <- rt.Stop(t.Context(), running, time.Hour) }()

	e.kill(t)

	for what, err := range map[string]error{"Watch": <-watched, "Stop under way": <-stopped} {
		if !errors.Is(err, runtime.ErrUnavailable) {
			t.Errorf("%s = %v, want ErrUnavailable", what, err)
		}
	}
	wantAllUnavailable(t, rt, running)

	e.start(t)

	seen, err := rt.Inspect(t.Context(), running)
	if err != nil {
		t.Fatalf("Inspect() after the restart = %v", err)
	}
	if seen.State != runtime.Exited || seen.ExitCode == 0 {
		t.Errorf("container that ran = %+v, want it exited with a code: this daemon does not keep them", seen)
	}
	if err := rt.Start(t.Context(), running); err != nil {
		t.Errorf("Start() of it = %v", err)
	}
	if again, err := rt.Inspect(t.Context(), running); err != nil || again.State != runtime.Exited {
		t.Errorf("container that ran = %+v, %v; want it exited still", again, err)
	}
	if err := rt.Start(t.Context(), created); err != nil {
		t.Errorf("Start() of the one that did not run = %v", err)
	}
	if seen, err := rt.Inspect(t.Context(), created); err != nil || seen.State != runtime.Running {
		t.Errorf("container that did not run = %+v, %v; want it running now", seen, err)
	}
	for _, id := range []string{running, created} {
		removeContainer(t, rt, id)
	}
}

func wantAllUnavailable(t *testing.T, rt *Runtime, id string) {
	t.Helper()
	ctx := t.Context()
	_, errInfo := rt.Info(ctx)
	_, errImage := rt.Image(ctx, "x")
	_, errCreate := rt.Create(ctx, runtime.Spec{Name: "x", Image: "x"})
	_, errInspect := rt.Inspect(ctx, id)
	_, errList := rt.List(ctx, nil)
	_, errVolumes := rt.ListVolumes(ctx, nil)
	_, errVolume := rt.Volume(ctx, "x")
	_, errNetwork := rt.Network(ctx, "x")
	for method, err := range map[string]error{
		"Volume": errVolume, "Network": errNetwork,
		"EnsureNetwork": rt.EnsureNetwork(ctx, runtime.Network{Name: "x"}),
		"Import":        rt.Import(ctx, "x:1", nil, []string{"/x"}),
		"Info":          errInfo, "Image": errImage, "Create": errCreate, "Inspect": errInspect, "List": errList,
		"Pull":         rt.Pull(ctx, "x", nil, nil),
		"Start":        rt.Start(ctx, id),
		"Stop":         rt.Stop(ctx, id, time.Second),
		"Remove":       rt.Remove(ctx, id),
		"Watch":        rt.Watch(ctx, nil, func() {}, func(string, map[string]string) {}),
		"CreateVolume": rt.CreateVolume(ctx, runtime.Volume{Name: "x"}),
		"RemoveVolume": rt.RemoveVolume(ctx, "x"),
		"ListVolumes":  errVolumes,
	} {
		if !errors.Is(err, runtime.ErrUnavailable) || errors.Is(err, runtime.ErrNotFound) {
			t.Errorf("%s() without a daemon = %v, want ErrUnavailable", method, err)
		}
	}
}

// A daemon that is told to go lets its containers end first; what is asked of
// it meanwhile is not refused, it is unavailable.
func TestRuntime_DaemonGoingDownIsUnavailable(t *testing.T) {
	e := newEngine(t)
	rt := newRuntime(t, e.host)
	images := agenttest.ImportImages(t, e.host)
	id := e.create(t, rt, "running", images.Serve)
	if err := rt.Start(t.Context(), id); err != nil {
		t.Fatalf("Start() = %v", err)
	}
	ready, watched := make(chan struct{}), make(chan error, 1)
	go func() {
		watched <- rt.Watch(t.Context(), nil, func() { close(ready) }, func(string, map[string]string) {})
	}()
	<-ready
	e.stop(t)
	if err := <-watched; !errors.Is(err, runtime.ErrUnavailable) {
		t.Errorf("Watch() = %v, want ErrUnavailable", err)
	}
	wantAllUnavailable(t, rt, id)

	e.start(t)
	if seen, err := rt.Inspect(t.Context(), id); err != nil || seen.State != runtime.Exited || seen.ExitCode != 0 {
		t.Errorf("container = %+v, %v; want it exited with 0", seen, err)
	}
	removeContainer(t, rt, id)
}
