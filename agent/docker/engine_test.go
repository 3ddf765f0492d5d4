//go:build linux

package docker

import (
	"errors"
	"testing"
	"time"

	"github.com/longshore/longshore/agent/agenttest"
	"github.com/longshore/longshore/agent/runtime"
)

func createOffline(t *testing.T, rt *Runtime, name, image string) string {
	t.Helper()
	id, err := rt.Create(t.Context(), runtime.Spec{
		Name: name, Image: image, NetworkMode: "none", Labels: map[string]string{"longshore.test": "engine"},
		HealthCheck: &runtime.HealthCheck{Test: []string{"CMD", "/program", "ask"}, Interval: 100 * time.Millisecond, Timeout: 10 * time.Second, Retries: 100},
	})
	if err != nil {
		t.Fatalf("Create(%s) = %v", name, err)
	}
	return id
}

func TestRuntime_WorksOnAfterACrashOfTheDaemon(t *testing.T) {
	d := agenttest.NewDaemon(t, agenttest.DaemonOptions{})
	rt := newRuntime(t, d.Host)
	// The images go when the test ends, when the daemon must be there again.
	images := agenttest.ImportImages(t, d.Host)
	running := createOffline(t, rt, "running", images.IgnoreStop)
	created := createOffline(t, rt, "created", images.Serve)
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

	d.Kill(t)

	for what, err := range map[string]error{"Watch": <-watched, "Stop under way": <-stopped} {
		if !errors.Is(err, runtime.ErrUnavailable) {
			t.Errorf("%s = %v, want ErrUnavailable", what, err)
		}
	}
	wantAllUnavailable(t, rt, running)

	d.Start(t)

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
	d := agenttest.NewDaemon(t, agenttest.DaemonOptions{})
	rt := newRuntime(t, d.Host)
	images := agenttest.ImportImages(t, d.Host)
	id := createOffline(t, rt, "running", images.Serve)
	ready, watched, news := make(chan struct{}), make(chan error, 1), make(chan struct{}, 1)
	go func() {
		watched <- rt.Watch(t.Context(), nil, func() { close(ready) }, func(string, map[string]string) {
			select {
			case news <- struct{}{}:
			default:
			}
		})
	}()
	<-ready
	if err := rt.Start(t.Context(), id); err != nil {
		t.Fatalf("Start() = %v", err)
	}
	// By the time that it is healthy it deals with signals.
	for {
		seen, err := rt.Inspect(t.Context(), id)
		if err != nil || seen.State != runtime.Running {
			t.Fatalf("container = %+v, %v; want it running", seen, err)
		}
		if seen.Health == "healthy" {
			break
		}
		select {
		case <-news:
		case <-time.After(time.Minute):
			t.Fatalf("container = %+v; want it healthy", seen)
		}
	}
	d.Stop(t)
	if err := <-watched; !errors.Is(err, runtime.ErrUnavailable) {
		t.Errorf("Watch() = %v, want ErrUnavailable", err)
	}
	wantAllUnavailable(t, rt, id)

	d.Start(t)
	if seen, err := rt.Inspect(t.Context(), id); err != nil || seen.State != runtime.Exited || seen.ExitCode != 0 {
		t.Errorf("container = %+v, %v; want it exited with 0", seen, err)
	}
	removeContainer(t, rt, id)
}
