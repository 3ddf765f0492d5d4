package agent_test

import (
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/runtime"
	agentv1 "github.com/longshore/longshore/proto/agent/v1"
	"github.com/longshore/longshore/proto/ecs"
)

// inside runs a server with the given definition, and returns what reads a file
// in its container.
func (h *dockerHost) inside(id string, edit func(*ecs.ContainerDefinition)) func(path string) string {
	h.t.Helper()
	arn := h.arn(id)
	h.c.run(arn, definition(container("main", h.images.Serve, port(8080, 0), edit)))
	bound := h.c.becomes(arn, "RUNNING").Containers[0].NetworkBindings[0].HostPort
	h.served(bound)
	return func(path string) string {
		h.t.Helper()
		text, err := get(bound, "/read"+(&url.URL{Path: path}).EscapedPath())
		if err != nil || strings.HasPrefix(text, "error: ") {
			h.t.Fatalf("read %s in the container: %q, %v", path, text, err)
		}
		return text
	}
}

// line is the line of a text that begins with the given words.
func line(text, begin string) string {
	for l := range strings.Lines(text) {
		if strings.HasPrefix(l, begin) {
			return strings.Join(strings.Fields(l), " ")
		}
	}
	return ""
}

func containersHaveWhatTheyAskTheKernelFor(t *testing.T, h *dockerHost) {
	read := h.inside("kernel", func(c *ecs.ContainerDefinition) {
		c.LinuxParameters = &ecs.LinuxParameters{
			Capabilities:     &ecs.KernelCapabilities{Add: []string{"CHOWN", "SYS_PTRACE"}, Drop: []string{"ALL"}},
			SharedMemorySize: ptr[int32](7), InitProcessEnabled: ptr(true),
			Devices: []ecs.Device{{HostPath: "/dev/zero", ContainerPath: "/dev/nothing", Permissions: []ecs.DeviceCgroupPermission{ecs.DeviceCgroupPermissionRead}}},
			Tmpfs:   []ecs.Tmpfs{{ContainerPath: "/scratch", Size: 3, MountOptions: []string{"noexec"}}},
		}
		c.SystemControls = []ecs.SystemControl{{Namespace: "net.core.somaxconn", Value: "321"}}
		c.ReadonlyRootFilesystem = ptr(true)
	})
	status := read("/proc/self/status")
	if got := line(status, "CapEff:"); got != "CapEff: 0000000000080001" { // CAP_SYS_PTRACE is 19, CAP_CHOWN 0
		t.Errorf("capabilities %s", got)
	}
	if got := line(status, "PPid:"); got != "PPid: 1" {
		t.Errorf("without an init process: %s", got)
	}
	mounts := read("/proc/mounts")
	for _, want := range []struct{ mount, options string }{{"shm /dev/shm tmpfs", "size=7168k"}, {"tmpfs /scratch tmpfs", "size=3072k"}} {
		if got := line(mounts, want.mount); !strings.Contains(got, want.options) {
			t.Errorf("mount %q, want %s with %s", got, want.mount, want.options)
		}
	}
	if got := read("/proc/sys/net/core/somaxconn"); got != "321" {
		t.Errorf("net.core.somaxconn = %s", got)
	}
	root := ""
	for l := range strings.Lines(mounts) {
		if f := strings.Fields(l); len(f) > 3 && f[1] == "/" {
			root = f[3]
		}
	}
	if !strings.HasPrefix(root, "ro,") {
		t.Errorf("the root is mounted with %s, want it read-only", root)
	}
}

func containersAreLimited(t *testing.T, h *dockerHost) {
	info, err := h.engine.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	read := h.inside("limits", func(c *ecs.ContainerDefinition) {
		c.Memory, c.LinuxParameters = ptr[int32](64), &ecs.LinuxParameters{MaxSwap: ptr[int32](16), Swappiness: ptr[int32](33)}
		c.Ulimits = []ecs.Ulimit{{Name: ecs.UlimitNameNofile, SoftLimit: 1111, HardLimit: 2222}}
	})
	// Go's programs raise their soft limit themselves.
	if got := line(read("/proc/self/limits"), "Max open files"); !strings.HasSuffix(got, " 2222 files") {
		t.Errorf("limits %q", got)
	}
	if info.CgroupVersion != "1" {
		t.Skip("the files of the memory limit are looked for where cgroup v1 has them")
	}
	for file, want := range map[string]string{
		"memory.limit_in_bytes": "67108864", "memory.memsw.limit_in_bytes": "83886080", "memory.swappiness": "33",
	} {
		if got := read("/sys/fs/cgroup/memory/" + file); got != want {
			t.Errorf("%s = %s, want %s", file, got, want)
		}
	}
}

// outlast waits until a run has lasted so long that its end leads to a restart:
// real time has to pass for that.
func outlast(t *testing.T, h *dockerHost, id string, period time.Duration) runtime.Container {
	t.Helper()
	seen, err := h.engine.Inspect(t.Context(), id)
	if err != nil || seen.State != runtime.Running {
		t.Fatalf("container %+v, %v", seen, err)
	}
	<-time.After(time.Until(seen.StartedAt.Add(period)))
	return seen
}

func restartPolicyRunsTheSameContainerAgain(t *testing.T, h *dockerHost) {
	id := h.arn("restarted")
	const period = time.Second
	h.c.run(id, definition(container("main", h.images.Serve, port(8080, 0), func(c *ecs.ContainerDefinition) {
		c.RestartPolicy = &ecs.ContainerRestartPolicy{Enabled: ptr(true), IgnoredExitCodes: []int32{5}, RestartAttemptPeriod: ptr(int32(period / time.Second))}
	})))
	first := h.c.becomes(id, "RUNNING").Containers[0]
	again := func(have *agentv1.ContainerState) *agentv1.ContainerState {
		return h.c.until(id, "another port after the restart", func(s *agentv1.TaskState) bool {
			b := s.Containers[0].NetworkBindings
			return s.Status == "RUNNING" && len(b) == 1 && b[0].HostPort != have.NetworkBindings[0].HostPort
		}).Containers[0]
	}
	h.served(first.NetworkBindings[0].HostPort)
	before := outlast(t, h, first.RuntimeId, period)
	h.exit(first.NetworkBindings[0].HostPort, 3)
	second := again(first)
	if second.RuntimeId != first.RuntimeId || second.Status != "RUNNING" || second.ExitCode != nil {
		t.Errorf("restarted as %v, want %s running", second, first.RuntimeId)
	}
	h.served(second.NetworkBindings[0].HostPort)
	if now := outlast(t, h, second.RuntimeId, period); !now.StartedAt.After(before.StartedAt) {
		t.Errorf("started at %v, before at %v", now.StartedAt, before.StartedAt)
	}

	// What ends while no agent is there is restarted by the next one.
	h.stop()
	h.exit(second.NetworkBindings[0].HostPort, 3)
	h.start()
	third := again(second)
	h.served(third.NetworkBindings[0].HostPort)
	outlast(t, h, third.RuntimeId, period)
	h.exit(third.NetworkBindings[0].HostPort, 5)
	if s := h.c.becomes(id, "STOPPED"); s.Containers[0].GetExitCode() != 5 || s.StopCode != "EssentialContainerExited" {
		t.Errorf("after an ignored exit code: %v", s)
	}
	h.c.wentForward(id)
}

func logDriversReachTheEngine(t *testing.T, h *dockerHost) {
	logged := h.arn("logged")
	h.c.run(logged, definition(container("main", h.images.Exit0, func(c *ecs.ContainerDefinition) {
		c.LogConfiguration = &ecs.LogConfiguration{LogDriver: ecs.LogDriverAwslogs, Options: map[string]string{
			"awslogs-group": "group", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "prefix", "mode": "non-blocking",
		}}
	})))
	s := h.c.becomes(logged, "STOPPED")
	seen, err := h.engine.Inspect(t.Context(), s.Containers[0].RuntimeId)
	if err != nil {
		t.Fatal(err)
	}
	for label, want := range map[string]string{
		lifecycle.LabelLogGroup: "group", lifecycle.LabelLogRegion: "us-east-1", lifecycle.LabelLogPrefix: "prefix",
		lifecycle.LabelLogStream: "prefix/main/" + logged[strings.LastIndex(logged, "/")+1:],
	} {
		if seen.Labels[label] != want {
			t.Errorf("label %s is %q, want %q", label, seen.Labels[label], want)
		}
	}

	// Nothing listens on port 1: that the engine says so shows that it was asked.
	elsewhere := h.arn("elsewhere")
	h.c.run(elsewhere, definition(container("main", h.images.Serve, func(c *ecs.ContainerDefinition) {
		c.LogConfiguration = &ecs.LogConfiguration{LogDriver: ecs.LogDriverFluentd, Options: map[string]string{"fluentd-address": "127.0.0.1:1"}}
	})))
	if s := h.c.becomes(elsewhere, "STOPPED"); !strings.HasPrefix(s.Reason, "CannotStartContainerError: ") || !strings.Contains(s.Reason, "127.0.0.1:1") {
		t.Errorf("a log driver without its server: %v", s)
	}
	wrong := h.arn("wrong")
	h.c.run(wrong, definition(container("main", h.images.Serve, func(c *ecs.ContainerDefinition) {
		c.LogConfiguration = &ecs.LogConfiguration{LogDriver: ecs.LogDriverJsonFile, Options: map[string]string{"no-such-option": "x"}}
	})))
	if s := h.c.becomes(wrong, "STOPPED"); !strings.HasPrefix(s.Reason, "CannotCreateContainerError: ") || !strings.Contains(s.Reason, "no-such-option") {
		t.Errorf("an option that the driver does not have: %v", s)
	}
}

func portRangesAndNoNetwork(t *testing.T, h *dockerHost) {
	ranged := h.arn("ranged")
	h.c.run(ranged, definition(container("main", h.images.Serve, func(c *ecs.ContainerDefinition) {
		c.PortMappings = []ecs.PortMapping{{ContainerPortRange: "8080-8082"}}
	})))
	bindings := h.c.becomes(ranged, "RUNNING").Containers[0].NetworkBindings
	if len(bindings) != 1 || bindings[0].ContainerPortRange != "8080-8082" || bindings[0].ContainerPort != 0 {
		t.Fatalf("bindings %v", bindings)
	}
	first, _, _ := strings.Cut(bindings[0].HostPortRange, "-")
	number, err := strconv.ParseUint(first, 10, 16)
	if err != nil {
		t.Fatalf("host ports %q", bindings[0].HostPortRange)
	}
	h.served(uint32(number))
	alone := h.arn("alone")
	h.c.run(alone, definition(container("main", h.images.Serve, func(c *ecs.ContainerDefinition) { c.DisableNetworking = ptr(true) })))
	id := h.c.becomes(alone, "RUNNING").Containers[0].RuntimeId
	if seen, err := h.engine.Inspect(t.Context(), id); err != nil || seen.IPAddress != "" {
		t.Errorf("without a network: %+v, %v", seen, err)
	}
}
