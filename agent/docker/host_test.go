package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/longshore/longshore/agent/agenttest"
	"github.com/longshore/longshore/agent/runtime"
)

func TestPorts_AnswerOnTheHost(t *testing.T) {
	host := agenttest.DockerHost(t)
	rt := newRuntime(t, host)
	spec := testSpec(agenttest.ImportImages(t, host).Serve)
	spec.Ports = []runtime.PortMapping{{ContainerPort: 8080, Protocol: "tcp"}}
	spec.HealthCheck = &runtime.HealthCheck{Test: []string{"CMD", "/program", "ask"}, Interval: 100 * time.Millisecond}
	id, err := rt.Create(t.Context(), spec)
	if err != nil {
		t.Fatalf("Create() = %v", err)
	}
	defer removeContainer(t, rt, id)
	if err := rt.Start(t.Context(), id); err != nil {
		t.Fatalf("Start() = %v", err)
	}
	awaitHealthy(t, rt, id)
	seen, err := rt.Inspect(t.Context(), id)
	if err != nil || len(seen.Ports) != 1 {
		t.Fatalf("Inspect() = %+v, %v; want one port", seen, err)
	}
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", seen.Ports[0].HostPort))
	if err != nil {
		t.Fatalf("ask the container: %v", err)
	}
	text, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil || string(text) != "served\n" {
		t.Errorf("the container answers %q, %v", text, err)
	}
}

func awaitHealthy(t *testing.T, rt *Runtime, id string) {
	t.Helper()
	ctx, enough := context.WithTimeout(t.Context(), time.Minute)
	defer enough()
	healthy := false
	look := func() {
		seen, err := rt.Inspect(ctx, id)
		if healthy = err == nil && seen.Health == "healthy"; healthy {
			enough()
		}
	}
	err := rt.Watch(ctx, nil, look, func(changed string, _ map[string]string) {
		if changed == id && !healthy {
			look()
		}
	})
	if !healthy {
		t.Fatalf("container is not healthy: Watch() = %v", err)
	}
}

func TestRemove_TakesAnonymousVolumesAlong(t *testing.T) {
	host := agenttest.DockerHost(t)
	rt := newRuntime(t, host)
	serve := agenttest.ImportImages(t, host).Serve
	base, err := rt.Create(t.Context(), testSpec(serve))
	if err != nil {
		t.Fatalf("Create() = %v", err)
	}
	defer removeContainer(t, rt, base)
	id := createWithAnonymousVolume(t, rt, base)
	found, err := rt.client().ContainerInspect(t.Context(), id)
	if err != nil || len(found.Mounts) != 1 {
		t.Fatalf("inspect: %+v, %v; want one volume", found.Mounts, err)
	}
	volume := found.Mounts[0].Name
	if err := rt.Remove(t.Context(), id); err != nil {
		t.Fatalf("Remove() = %v", err)
	}
	if _, err := rt.client().VolumeInspect(t.Context(), volume); err == nil {
		removeVolume(t, rt, volume)
		t.Errorf("volume %s is still there", volume)
	}
}

// createWithAnonymousVolume makes a container of an image with a VOLUME.
func createWithAnonymousVolume(t *testing.T, rt *Runtime, base string) string {
	t.Helper()
	ref := "longshore-test/volume:" + rand()
	commit := container.CommitOptions{Reference: ref, Changes: []string{"VOLUME /data"}}
	if _, err := rt.client().ContainerCommit(t.Context(), base, commit); err != nil {
		t.Fatalf("commit %s: %v", ref, err)
	}
	t.Cleanup(func() { removeImage(t, rt, ref) })
	id, err := rt.Create(t.Context(), testSpec(ref))
	if err != nil {
		t.Fatalf("Create() = %v", err)
	}
	t.Cleanup(func() { removeContainer(t, rt, id) })
	return id
}
