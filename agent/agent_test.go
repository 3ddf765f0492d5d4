package agent_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/longshore/longshore/agent"
	"github.com/longshore/longshore/agent/agenttest"
	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/runtime"
	agentv1 "github.com/longshore/longshore/proto/agent/v1"
	"github.com/longshore/longshore/proto/ecs"
)

// host is a machine whose agent can be stopped and started again.
type host struct {
	t      *testing.T
	c      *controlPlane
	config agent.Config
	cancel context.CancelFunc
	ended  chan error
}

func newHost(t *testing.T, c *controlPlane, rt runtime.Runtime, edit ...func(*agent.Config)) *host {
	t.Helper()
	h := &host{t: t, c: c, config: agent.Config{
		ControlPlane: []string{address},
		DataDir:      t.TempDir(),
		Runtime:      rt,
		InstanceName: "machine",
		DialOptions:  []grpc.DialOption{grpc.WithContextDialer(c.dial)},
		Logger:       slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelInfo})),
	}}
	for _, e := range edit {
		e(&h.config)
	}
	t.Cleanup(h.stop)
	h.start()
	return h
}

// testWriter logs to the test.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", strings.TrimSpace(string(b)))
	return len(b), nil
}

// start starts the agent and waits until it is ready.
func (h *host) start() {
	h.t.Helper()
	a := h.launch()
	select {
	case <-a.Ready():
	case err := <-h.ended:
		h.t.Fatalf("Run: %v", err)
	case <-time.After(h.c.patience):
		h.t.Fatal("the agent does not get ready")
	}
}

func (h *host) launch() *agent.Agent {
	h.t.Helper()
	h.config.Registry = prometheus.NewRegistry()
	a, err := agent.New(h.config)
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel, h.ended = cancel, make(chan error, 1)
	go func() { h.ended <- a.Run(ctx) }()
	return a
}

// stop ends the agent, if it runs.
func (h *host) stop() {
	if h.cancel == nil {
		return
	}
	h.cancel()
	h.cancel = nil
	if err := <-h.ended; !errors.Is(err, context.Canceled) {
		h.t.Errorf("Run: %v", err)
	}
}

// bubble runs a test with a clock of its own, on an engine in memory.
func bubble(t *testing.T, f func(t *testing.T, c *controlPlane, m *agenttest.Memory)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := agenttest.NewMemory(runtime.Info{})
		m.AddImage("server:1", agenttest.Program{})
		m.AddImage("stubborn:1", agenttest.Program{IgnoresStop: true})
		m.AddImage("job:1", agenttest.Program{ExitsAtOnce: true})
		m.AddImage("failure:1", agenttest.Program{ExitsAtOnce: true, ExitCode: 3})
		m.AddImage("broken:1", agenttest.Program{StartError: "exec: no such file"})
		c := newControlPlane(t)
		c.patience = 24 * time.Hour // of the bubble's
		f(t, c, m)
	})
}

func arn(id string) string { return "arn:aws:ecs:us-east-1:000000000000:task/default/" + id }

func container(name, image string, edit ...func(*ecs.ContainerDefinition)) ecs.ContainerDefinition {
	c := ecs.ContainerDefinition{Name: name, Image: image}
	for _, e := range edit {
		e(&c)
	}
	return c
}

func definition(containers ...ecs.ContainerDefinition) ecs.TaskDefinition {
	return ecs.TaskDefinition{Family: "app", Revision: 1, ContainerDefinitions: containers}
}

func ptr[T any](v T) *T { return &v }

func port(container, host int32) func(*ecs.ContainerDefinition) {
	return func(c *ecs.ContainerDefinition) {
		c.PortMappings = append(c.PortMappings, ecs.PortMapping{ContainerPort: &container, HostPort: &host})
	}
}

func mount(volume, path string) func(*ecs.ContainerDefinition) {
	return func(c *ecs.ContainerDefinition) {
		c.MountPoints = append(c.MountPoints, ecs.MountPoint{SourceVolume: volume, ContainerPath: path})
	}
}

// all returns every container that the engine has.
func all(t *testing.T, m runtime.Runtime) []runtime.Container {
	t.Helper()
	found, err := m.List(t.Context(), map[string]string{lifecycle.LabelCluster: "default"})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestAgent_RegistersWhatTheHostHas(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, _ *agenttest.Memory) {
		m := agenttest.NewMemory(runtime.Info{
			EngineVersion: "20.10.24", APIVersion: "1.41", CPUs: 2, MemoryBytes: 4 << 30, Architecture: "arm64",
			LogDrivers: []string{"json-file", "journald"}, SecurityOpts: []string{"apparmor", "seccomp"},
		})
		newHost(t, c, m, func(config *agent.Config) {
			config.ReservedMemoryMiB = 96
			config.Attributes = map[string]string{"rack": "7"}
			config.Version = "1.2.3"
		})
		r := c.registrations[0]
		if r.Cluster != "default" || *r.VersionInfo != (ecs.VersionInfo{AgentVersion: "1.2.3", DockerVersion: "DockerVersion: 20.10.24"}) {
			t.Errorf("registered %+v, %+v", r, r.VersionInfo)
		}
		want := "[{CPU INTEGER 0 0 2048 []} {MEMORY INTEGER 0 0 4000 []} {PORTS STRINGSET 0 0 0 [22 2375 2376 51678 51679 51680]} {PORTS_UDP STRINGSET 0 0 0 []}]"
		if got := fmt.Sprint(r.TotalResources); got != want {
			t.Errorf("resources %s, want %s", got, want)
		}
		attributes := map[string]string{}
		for _, a := range r.Attributes {
			attributes[a.Name] = "-"
			if a.Value != nil {
				attributes[a.Name] = *a.Value
			}
		}
		for name, want := range map[string]string{
			"ecs.availability-zone": "local-1a", "ecs.os-type": "linux", "ecs.cpu-architecture": "arm64", "rack": "7",
			"com.amazonaws.ecs.capability.privileged-container":    "-",
			"com.amazonaws.ecs.capability.docker-remote-api.1.17":  "-",
			"com.amazonaws.ecs.capability.docker-remote-api.1.41":  "-",
			"com.amazonaws.ecs.capability.docker-remote-api.1.42":  "",
			"com.amazonaws.ecs.capability.logging-driver.journald": "-",
			"com.amazonaws.ecs.capability.apparmor":                "-",
			"com.amazonaws.ecs.capability.seccomp":                 "",
		} {
			if got := attributes[name]; got != want {
				t.Errorf("attribute %s is %q, want %q", name, got, want)
			}
		}
	})
}

func TestAgent_RunsATaskToItsExitCode(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		newHost(t, c, m)
		c.run(arn("1"), definition(container("main", "failure:1")))
		s := c.becomes(arn("1"), "STOPPED")
		if s.StopCode != "EssentialContainerExited" || s.Reason != "Essential container in task exited" || s.Containers[0].GetExitCode() != 3 || s.StartedAt == 0 {
			t.Errorf("reported %v", s)
		}
		c.wentForward(arn("1"))
	})
}

func TestAgent_AStartedTaskCostsTheEngineOneCallOfEachKind(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		newHost(t, c, m)
		const n = 50
		for i := range n {
			c.run(arn(fmt.Sprint(i)), definition(container("main", "server:1", port(80, 0))))
		}
		for i := range n {
			s := c.becomes(arn(fmt.Sprint(i)), "RUNNING")
			if b := s.Containers[0].NetworkBindings; len(b) != 1 || b[0].HostPort == 0 {
				t.Errorf("bindings %v", b)
			}
		}
		synctest.Wait()
		calls := m.Calls()
		for op, want := range map[string]int{"Create": n, "Start": n, "Inspect": n, "Image": 1, "Pull": 0, "List": 1, "ListVolumes": 1, "Watch": 1} {
			if calls[op] != want {
				t.Errorf("%d calls of %s, want %d", calls[op], op, want)
			}
		}
	})
}

func TestAgent_StopsWithTheContainersOwnTimeoutAndThenKills(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		newHost(t, c, m)
		c.run(arn("1"), definition(container("main", "stubborn:1", func(d *ecs.ContainerDefinition) { d.StopTimeout = ptr[int32](7) })))
		c.becomes(arn("1"), "RUNNING")
		before := time.Now()
		c.stop(arn("1"))
		s := c.becomes(arn("1"), "STOPPED")
		if took := time.Since(before); took < 7*time.Second || took > 8*time.Second {
			t.Errorf("the stop took %v", took)
		}
		if s.Containers[0].GetExitCode() != 137 || s.StopCode != "" {
			t.Errorf("reported %v", s)
		}
	})
}

func TestAgent_HealthIsReportedWhenItChanges(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		newHost(t, c, m)
		c.run(arn("1"), definition(container("main", "server:1", func(d *ecs.ContainerDefinition) {
			d.HealthCheck = &ecs.HealthCheck{Command: []string{"CMD", "true"}}
		})))
		id := c.becomes(arn("1"), "RUNNING").Containers[0].RuntimeId
		for _, health := range []string{"HEALTHY", "UNHEALTHY"} {
			m.SetHealth(id, strings.ToLower(health))
			c.until(arn("1"), health, func(s *agentv1.TaskState) bool { return s.HealthStatus == health })
		}
	})
}

func TestRun_TwoAgentsDoNotShareADataDirectory(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		h := newHost(t, c, m)
		config := h.config
		config.Registry = prometheus.NewRegistry()
		a, err := agent.New(config)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "another agent uses the data directory") {
			t.Errorf("Run: %v", err)
		}
		h.stop()
		config.Cluster = "other"
		config.Registry = prometheus.NewRegistry()
		if a, err = agent.New(config); err != nil {
			t.Fatal(err)
		}
		if err := a.Run(t.Context()); err == nil || !strings.Contains(err.Error(), `belongs to cluster "default", not "other"`) {
			t.Errorf("Run: %v", err)
		}
		if _, err := os.Stat(config.DataDir + "/instance.json"); err != nil {
			t.Error(err)
		}
	})
}

func TestNew_RefusesAnIncompleteConfiguration(t *testing.T) {
	whole := agent.Config{ControlPlane: []string{"a:1"}, DataDir: "/d", Runtime: agenttest.NewMemory(runtime.Info{})}
	for name, edit := range map[string]func(*agent.Config){
		"control plane":  func(c *agent.Config) { c.ControlPlane = nil },
		"data directory": func(c *agent.Config) { c.DataDir = "" },
		"engine":         func(c *agent.Config) { c.Runtime = nil },
		"negative":       func(c *agent.Config) { c.MaxPulls = -1 },
		"sometimes":      func(c *agent.Config) { c.PullBehavior = "sometimes" },
	} {
		c := whole
		edit(&c)
		if _, err := agent.New(c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
