package agent_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/longshore/longshore/agent"
	"github.com/longshore/longshore/agent/agenttest"
	"github.com/longshore/longshore/agent/docker"
	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/runtime"
	agentv1 "github.com/longshore/longshore/proto/agent/v1"
	"github.com/longshore/longshore/proto/ecs"
)

// dockerHost is a host whose engine is the machine's Docker daemon.
type dockerHost struct {
	*host
	engine runtime.Runtime
	images agenttest.Images
	unique string
}

// TestDocker runs agents on the machine's Docker daemon. Its parts share the
// images, which take a while to make.
func TestDocker(t *testing.T) {
	address := agenttest.DockerHost(t)
	images := agenttest.ImportImages(t, address)
	for name, part := range map[string]func(*testing.T, *dockerHost){
		"ExitCodesAndDynamicPorts":                   exitCodesAndDynamicPorts,
		"StopSendsSIGTERMAndThenSIGKILL":             stopSendsSIGTERMAndThenSIGKILL,
		"RestartAdoptsWhatRunsAndReportsWhatEnded":   restartAdoptsWhatRunsAndReportsWhatEnded,
		"TheEndOfAnEssentialContainerStopsTheOthers": theEndOfAnEssentialContainerStopsTheOthers,
		"LinksVolumesFromAndVolumes":                 linksVolumesFromAndVolumes,
		"FailuresHaveECSsReasons":                    failuresHaveECSsReasons,
		"WhatNobodyNamesIsRemoved":                   whatNobodyNamesIsRemoved,
		"ContainersHaveWhatTheyAskTheKernelFor":      containersHaveWhatTheyAskTheKernelFor,
		"ContainersAreLimited":                       containersAreLimited,
		"RestartPolicyRunsTheSameContainerAgain":     restartPolicyRunsTheSameContainerAgain,
		"LogDriversReachTheEngine":                   logDriversReachTheEngine,
		"PortRangesAndNoNetwork":                     portRangesAndNoNetwork,
	} {
		t.Run(name, func(t *testing.T) { part(t, newDockerHost(t, address, images)) })
	}
}

func newDockerHost(t *testing.T, address string, images agenttest.Images, edit ...func(*agent.Config)) *dockerHost {
	t.Helper()
	engine, err := docker.New(docker.Config{Host: address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	c := newControlPlane(t)
	t.Cleanup(func() { clear(t, c, engine) }) // after the agent has been stopped
	edit = append(edit, func(config *agent.Config) { config.StopTimeout = 20 * time.Second })
	return &dockerHost{host: newHost(t, c, engine, edit...), engine: engine, images: images, unique: strings.ToLower(rand.Text())}
}

// clear removes what the test's instances have left on the engine.
func clear(t *testing.T, c *controlPlane, engine runtime.Runtime) {
	ctx, cancel := context.WithTimeout(context.Background(), c.patience)
	defer cancel()
	for instance := range c.instances {
		labels := map[string]string{lifecycle.LabelInstance: instance}
		left, err := engine.List(ctx, labels)
		if err != nil {
			t.Error(err)
		}
		for _, found := range left {
			if err := engine.Remove(ctx, found.ID); err != nil {
				t.Error(err)
			}
		}
		volumes, err := engine.ListVolumes(ctx, labels)
		if err != nil {
			t.Error(err)
		}
		for _, name := range volumes {
			if err := engine.RemoveVolume(ctx, name); err != nil {
				t.Error(err)
			}
		}
	}
}

// arn makes an ARN that no other test on this daemon has.
func (h *dockerHost) arn(id string) string { return arn(id + "-" + h.unique) }

func get(port uint32, path string) (string, error) {
	client := http.Client{Timeout: 10 * time.Second}
	answer, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d%s", port, path))
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return strings.TrimSpace(string(text)), err
}

// served waits until the server behind a host port answers: a container runs
// a moment before its program listens.
func (h *dockerHost) served(port uint32) {
	h.t.Helper()
	deadline := time.After(h.c.patience)
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		text, err := get(port, "/")
		if err == nil && text == "served" {
			return
		}
		select {
		case <-retry.C:
		case <-deadline:
			h.t.Fatalf("the server answers %q, %v", text, err)
		}
	}
}

// exit makes the server behind a host port end by itself.
func (h *dockerHost) exit(port uint32, code int) {
	h.t.Helper()
	h.served(port)
	if text, err := get(port, fmt.Sprint("/exit/", code)); err == nil {
		h.t.Fatalf("the server answered %q instead of exiting", text)
	}
}

func exitCodesAndDynamicPorts(t *testing.T, h *dockerHost) {
	job, web := h.arn("job"), h.arn("web")
	h.c.run(job, definition(container("main", h.images.Exit3)))
	h.c.run(web, definition(container("main", h.images.Serve, port(8080, 0))))
	if s := h.c.becomes(job, "STOPPED"); s.Containers[0].GetExitCode() != 3 || s.StopCode != "EssentialContainerExited" || s.StartedAt == 0 {
		t.Errorf("job: %v", s)
	}
	s := h.c.becomes(web, "RUNNING")
	b := s.Containers[0].NetworkBindings
	if len(b) != 1 || b[0].ContainerPort != 8080 || b[0].HostPort == 0 || b[0].BindIp != "0.0.0.0" || b[0].Protocol != "tcp" {
		t.Fatalf("bindings %v", b)
	}
	h.exit(b[0].HostPort, 7)
	if s := h.c.becomes(web, "STOPPED"); s.Containers[0].GetExitCode() != 7 {
		t.Errorf("web: %v", s)
	}
	h.c.wentForward(web)
}

func stopSendsSIGTERMAndThenSIGKILL(t *testing.T, h *dockerHost) {
	polite, stubborn := h.arn("polite"), h.arn("stubborn")
	h.c.run(polite, definition(container("main", h.images.Serve, port(8080, 0))))
	h.c.run(stubborn, definition(container("main", h.images.IgnoreStop, func(d *ecs.ContainerDefinition) { d.StopTimeout = ptr[int32](1) })))
	h.served(h.c.becomes(polite, "RUNNING").Containers[0].NetworkBindings[0].HostPort)
	h.c.becomes(stubborn, "RUNNING")
	before := time.Now()
	h.c.stop(polite)
	h.c.stop(stubborn)
	if s := h.c.becomes(polite, "STOPPED"); s.Containers[0].GetExitCode() != 0 || s.StopCode != "" {
		t.Errorf("polite: %v", s)
	}
	if s := h.c.becomes(stubborn, "STOPPED"); s.Containers[0].GetExitCode() != 137 {
		t.Errorf("stubborn: %v", s)
	}
	if took := time.Since(before); took > 15*time.Second {
		t.Errorf("the stops took %v, with 1 s of grace", took)
	}
}

func restartAdoptsWhatRunsAndReportsWhatEnded(t *testing.T, h *dockerHost) {
	stays, ends := h.arn("stays"), h.arn("ends")
	h.c.run(stays, definition(container("main", h.images.Serve)))
	h.c.run(ends, definition(container("main", h.images.Serve, port(8080, 0))))
	id := h.c.becomes(stays, "RUNNING").Containers[0].RuntimeId
	other := h.c.becomes(ends, "RUNNING").Containers[0]
	h.stop()
	if c, err := h.engine.Inspect(t.Context(), id); err != nil || c.State != runtime.Running {
		t.Fatalf("after the agent has stopped: %+v, %v", c, err)
	}
	h.exit(other.NetworkBindings[0].HostPort, 9)
	h.start()
	s := h.c.becomes(ends, "STOPPED")
	if got := s.Containers[0]; got.GetExitCode() != 9 || got.RuntimeId != other.RuntimeId {
		t.Errorf("ended meanwhile: %v", s)
	}
	if got := h.c.becomes(stays, "RUNNING").Containers[0].RuntimeId; got != id {
		t.Errorf("adopted %s, want %s", got, id)
	}
	h.c.stop(stays)
	h.c.becomes(stays, "STOPPED")
	h.c.wentForward(stays)
	h.c.wentForward(ends)
}

func theEndOfAnEssentialContainerStopsTheOthers(t *testing.T, h *dockerHost) {
	id := h.arn("pair")
	h.c.run(id, definition(container("web", h.images.Serve, port(8080, 0)), container("side", h.images.Serve, port(8080, 0))))
	s := h.c.becomes(id, "RUNNING")
	h.served(s.Containers[1].NetworkBindings[0].HostPort)
	h.exit(s.Containers[0].NetworkBindings[0].HostPort, 4)
	s = h.c.becomes(id, "STOPPED")
	if s.Reason != "Essential container in task exited" || s.Containers[0].GetExitCode() != 4 || s.Containers[1].ExitCode == nil || s.Containers[1].GetExitCode() != 0 {
		t.Errorf("reported %v", s)
	}
}

func linksVolumesFromAndVolumes(t *testing.T, h *dockerHost) {
	id := h.arn("linked")
	shared := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(shared, "tool"), "./docker/testdata/program")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the tool: %v\n%s", err, output)
	}
	no := false
	d := definition(
		// Its program comes from a host volume by way of another container, so
		// its exit code says that all of it is there.
		container("main", h.images.Serve, func(c *ecs.ContainerDefinition) {
			c.Links = []string{"db:database"}
			c.VolumesFrom = []ecs.VolumeFrom{{SourceContainer: "db"}}
			c.EntryPoint = []string{"/shared/tool"}
			c.Command = []string{"exit", "1"}
		}),
		container("db", h.images.Serve, mount("host", "/shared"), mount("own", "/own"), func(c *ecs.ContainerDefinition) { c.Essential = &no }),
	)
	d.Volumes = []ecs.Volume{{Name: "host", Host: &ecs.HostVolumeProperties{SourcePath: shared}}, {Name: "own"}}
	h.c.run(id, d, ecs.ContainerOverride{Name: "main", Command: []string{"exit", "6"}})
	s := h.c.becomes(id, "STOPPED")
	if s.Containers[0].GetExitCode() != 6 {
		t.Errorf("reported %v", s)
	}
	volumes, err := h.engine.ListVolumes(t.Context(), map[string]string{lifecycle.LabelTask: id})
	if err != nil || len(volumes) != 1 || !strings.HasPrefix(volumes[0], "ecs-app-1-own-") {
		t.Errorf("volumes %v, %v", volumes, err)
	}
}

func failuresHaveECSsReasons(t *testing.T, h *dockerHost) {
	first := h.arn("first")
	h.c.run(first, definition(container("main", h.images.Serve, port(8080, 0))))
	taken := int32(h.c.becomes(first, "RUNNING").Containers[0].NetworkBindings[0].HostPort)
	for _, test := range []struct {
		id, prefix, contains string
		d                    ecs.TaskDefinition
	}{
		{"missing", "CannotPullContainerError: ", "connection refused", definition(container("main", h.images.Missing))},
		{"taken", "CannotStartContainerError: ", "port is already allocated", definition(container("main", h.images.Serve, port(8080, taken)))},
		{"command", "CannotStartContainerError: ", "no-such-program", definition(container("main", h.images.NoCommand))},
	} {
		id := h.arn(test.id)
		h.c.run(id, test.d)
		s := h.c.becomes(id, "STOPPED")
		if s.StopCode != "TaskFailedToStart" || !strings.HasPrefix(s.Reason, test.prefix) || !strings.Contains(s.Reason, test.contains) {
			t.Errorf("%s: %v", test.id, s)
		}
		if s.Containers[0].Reason != s.Reason || s.Containers[0].ExitCode != nil {
			t.Errorf("%s: container %v", test.id, s.Containers[0])
		}
	}
	h.c.until(first, "still running", func(s *agentv1.TaskState) bool { return s.Status == "RUNNING" })
}

func whatNobodyNamesIsRemoved(t *testing.T, h *dockerHost) {
	id := h.arn("orphan")
	d := definition(container("main", h.images.Serve, mount("own", "/own")))
	d.Volumes = []ecs.Volume{{Name: "own"}}
	h.c.run(id, d)
	h.c.becomes(id, "RUNNING")
	h.stop()
	h.c.remove(id)

	gone := make(chan struct{}, 10)
	ctx, cancel := context.WithCancel(t.Context())
	watched := make(chan error, 1)
	ready := make(chan struct{})
	labels := map[string]string{lifecycle.LabelTask: id}
	go func() {
		watched <- h.engine.Watch(ctx, labels, func() { close(ready) }, func(string, map[string]string) { gone <- struct{}{} })
	}()
	defer func() { cancel(); <-watched }()
	<-ready
	h.start()
	for deadline := time.After(h.c.patience); ; {
		left, err := h.engine.List(t.Context(), labels)
		if err != nil {
			t.Fatal(err)
		}
		if len(left) == 0 {
			break
		}
		select {
		case <-gone:
		case <-deadline:
			t.Fatalf("left: %+v", left)
		}
	}
}
