package docker

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/strslice"
	"github.com/docker/go-connections/nat"

	"github.com/longshore/longshore/agent/agenttest"
	"github.com/longshore/longshore/agent/runtime"
)

// inspector returns a function that creates a container from a spec and gives
// what Docker itself says of it.
func inspector(t *testing.T) (create func(runtime.Spec) container.InspectResponse, rt *Runtime, image string) {
	t.Helper()
	host := agenttest.DockerHost(t)
	image = agenttest.ImportImages(t, host).Serve
	rt = newRuntime(t, host)
	return func(spec runtime.Spec) container.InspectResponse {
		t.Helper()
		own := testSpec(image)
		spec.Name, spec.Labels, spec.Image = own.Name, own.Labels, own.Image
		id, err := rt.Create(t.Context(), spec)
		if err != nil {
			t.Fatalf("Create(%+v) = %v", spec, err)
		}
		t.Cleanup(func() { removeContainer(t, rt, id) })
		found, err := rt.client().ContainerInspect(t.Context(), id)
		if err != nil {
			t.Fatalf("inspect %s: %v", id, err)
		}
		return found
	}, rt, image
}

func TestSpec_EveryFieldArrivesInDocker(t *testing.T) {
	create, rt, image := inspector(t)
	source := testSpec(image)
	sourceID, err := rt.Create(t.Context(), source)
	if err != nil {
		t.Fatalf("Create() = %v", err)
	}
	t.Cleanup(func() { removeContainer(t, rt, sourceID) })
	volume := "spec-test-" + rand()
	t.Cleanup(func() { removeVolume(t, rt, volume) })
	hostPath := t.TempDir()

	for name, test := range map[string]struct {
		spec runtime.Spec
		got  func(container.InspectResponse) any
		want any
	}{
		"entry point": {
			runtime.Spec{EntryPoint: []string{"/program", "x y"}, Command: []string{"z"}},
			func(c container.InspectResponse) any { return append(c.Config.Entrypoint, c.Config.Cmd...) },
			strslice.StrSlice{"/program", "x y", "z"},
		},
		"image's entry point": {
			runtime.Spec{Command: []string{"exit", "1"}},
			func(c container.InspectResponse) any { return append(c.Config.Entrypoint, c.Config.Cmd...) },
			strslice.StrSlice{"/program", "exit", "1"},
		},
		"image's command": {
			runtime.Spec{},
			func(c container.InspectResponse) any { return append(c.Config.Entrypoint, c.Config.Cmd...) },
			strslice.StrSlice{"/program", "serve"},
		},
		"environment": {
			runtime.Spec{Env: []string{"A=1", "B=x=y z"}},
			func(c container.InspectResponse) any { return slices.Contains(c.Config.Env, "B=x=y z") },
			true,
		},
		"user, directory, host name, stdin, terminal": {
			runtime.Spec{User: "1000:1000", WorkingDir: "/work", Hostname: "web-1", OpenStdin: true, TTY: true},
			func(c container.InspectResponse) any {
				return []any{c.Config.User, c.Config.WorkingDir, c.Config.Hostname, c.Config.OpenStdin, c.Config.Tty}
			},
			[]any{"1000:1000", "/work", "web-1", true, true},
		},
		"hash": {
			runtime.Spec{Hash: "h"},
			func(c container.InspectResponse) any { return c.Config.Labels[runtime.LabelSpecHash] },
			"h",
		},
		"resources": {
			runtime.Spec{CPUShares: 512, MemoryBytes: 64 << 20, MemoryReservation: 32 << 20},
			func(c container.InspectResponse) any {
				r := c.HostConfig.Resources
				return []int64{r.CPUShares, r.Memory, r.MemoryReservation}
			},
			[]int64{512, 64 << 20, 32 << 20},
		},
		"resources of the engine": {
			runtime.Spec{},
			func(c container.InspectResponse) any {
				return []any{c.HostConfig.CPUShares, c.HostConfig.Memory, c.HostConfig.Init, c.HostConfig.Privileged,
					c.HostConfig.ReadonlyRootfs, c.HostConfig.RestartPolicy.IsNone(), c.HostConfig.AutoRemove, c.Config.Healthcheck}
			},
			[]any{int64(0), int64(0), (*bool)(nil), false, false, true, false, (*container.HealthConfig)(nil)},
		},
		"ulimits": {
			runtime.Spec{Ulimits: []runtime.Ulimit{{Name: "nofile", Soft: 100, Hard: 200}}},
			func(c container.InspectResponse) any { return c.HostConfig.Ulimits },
			[]*container.Ulimit{{Name: "nofile", Soft: 100, Hard: 200}},
		},
		"ports": {
			runtime.Spec{Ports: []runtime.PortMapping{
				{ContainerPort: 80, Protocol: "tcp"},
				{ContainerPort: 81, HostPort: 8081, Protocol: "tcp"},
				{ContainerPort: 81, HostPort: 8082, Protocol: "tcp"},
				{ContainerPort: 53, HostPort: 5353, Protocol: "udp"},
			}},
			func(c container.InspectResponse) any {
				return []any{c.HostConfig.PortBindings, len(c.Config.ExposedPorts)}
			},
			[]any{nat.PortMap{
				"80/tcp": {{}}, "81/tcp": {{HostPort: "8081"}, {HostPort: "8082"}}, "53/udp": {{HostPort: "5353"}},
			}, 3},
		},
		"names": {
			runtime.Spec{
				NetworkMode: "bridge", DNSServers: []string{"10.0.0.2"}, DNSSearch: []string{"example.org"}, ExtraHosts: []string{"db:10.0.0.3"},
			},
			func(c container.InspectResponse) any {
				return []any{c.HostConfig.NetworkMode, c.HostConfig.DNS, c.HostConfig.DNSSearch, c.HostConfig.ExtraHosts}
			},
			[]any{container.NetworkMode("bridge"), []string{"10.0.0.2"}, []string{"example.org"}, []string{"db:10.0.0.3"}},
		},
		"what the kernel is asked for": {
			runtime.Spec{
				CapAdd: []string{"SYS_PTRACE"}, CapDrop: []string{"CHOWN", "KILL"}, ShmSizeBytes: 33 << 20,
				Tmpfs:   map[string]string{"/t": "noexec,size=5m"},
				Sysctls: map[string]string{"net.core.somaxconn": "321"},
				Devices: []runtime.Device{{HostPath: "/dev/null", ContainerPath: "/dev/nothing", Permissions: "rm"}},
			},
			func(c container.InspectResponse) any {
				h := c.HostConfig
				return []any{h.CapAdd, h.CapDrop, h.ShmSize, h.Tmpfs, h.Sysctls, h.Devices}
			},
			[]any{
				strslice.StrSlice{"CAP_SYS_PTRACE"}, strslice.StrSlice{"CAP_CHOWN", "CAP_KILL"}, int64(33 << 20),
				map[string]string{"/t": "noexec,size=5m"}, map[string]string{"net.core.somaxconn": "321"},
				[]container.DeviceMapping{{PathOnHost: "/dev/null", PathInContainer: "/dev/nothing", CgroupPermissions: "rm"}},
			},
		},
		"swap": {
			runtime.Spec{MemoryBytes: 32 << 20, MemorySwapBytes: 48 << 20, Swappiness: new(int64)},
			func(c container.InspectResponse) any {
				return []int64{c.HostConfig.Memory, c.HostConfig.MemorySwap, *c.HostConfig.MemorySwappiness}
			},
			[]int64{32 << 20, 48 << 20, 0},
		},
		"GPUs": {
			runtime.Spec{GPUs: []string{"GPU-1", "GPU-2"}},
			func(c container.InspectResponse) any { return c.HostConfig.DeviceRequests },
			[]container.DeviceRequest{{Driver: "nvidia", DeviceIDs: []string{"GPU-1", "GPU-2"}, Capabilities: [][]string{{"gpu"}}}},
		},
		"log driver": {
			runtime.Spec{LogDriver: "local", LogOptions: map[string]string{"max-size": "1m"}},
			func(c container.InspectResponse) any { return c.HostConfig.LogConfig },
			container.LogConfig{Type: "local", Config: map[string]string{"max-size": "1m"}},
		},
		"log driver of the engine": {
			runtime.Spec{},
			func(c container.InspectResponse) any { return c.HostConfig.LogConfig.Type != "" },
			true,
		},
		"no network": {
			runtime.Spec{NetworkDisabled: true},
			func(c container.InspectResponse) any { return c.Config.NetworkDisabled },
			true,
		},
		"host network": {
			runtime.Spec{NetworkMode: "host"},
			func(c container.InspectResponse) any { return c.HostConfig.NetworkMode },
			container.NetworkMode("host"),
		},
		"links and volumes from": {
			runtime.Spec{Links: []string{source.Name + ":db"}, VolumesFrom: []string{source.Name + ":ro"}},
			func(c container.InspectResponse) any {
				return []any{len(c.HostConfig.Links), strings.HasPrefix(c.HostConfig.Links[0], "/"+source.Name+":"), c.HostConfig.VolumesFrom}
			},
			[]any{1, true, []string{source.Name + ":ro"}},
		},
		"binds": {
			runtime.Spec{Mounts: []runtime.Mount{
				{Source: hostPath, Target: "/a"}, {Source: hostPath, Target: "/b", ReadOnly: true},
			}},
			func(c container.InspectResponse) any { return c.HostConfig.Binds },
			[]string{hostPath + ":/a", hostPath + ":/b:ro"},
		},
		"volumes": {
			runtime.Spec{Mounts: []runtime.Mount{{Source: volume, Target: "/v", ReadOnly: true}}},
			func(c container.InspectResponse) any {
				return []any{len(c.Mounts), c.Mounts[0].Type, c.Mounts[0].Name, c.Mounts[0].Destination, c.Mounts[0].RW}
			},
			[]any{1, mount.TypeVolume, volume, "/v", false},
		},
		"privileges": {
			runtime.Spec{Privileged: true, ReadonlyRootFS: true, Init: true, SecurityOptions: []string{"no-new-privileges"}},
			func(c container.InspectResponse) any {
				h := c.HostConfig
				return []any{h.Privileged, h.ReadonlyRootfs, h.Init != nil && *h.Init, slices.Contains(h.SecurityOpt, "no-new-privileges")}
			},
			[]any{true, true, true, true},
		},
		"health check": {
			runtime.Spec{HealthCheck: &runtime.HealthCheck{
				Test: []string{"CMD-SHELL", "true"}, Interval: 5 * time.Second, Timeout: 2 * time.Second, StartPeriod: time.Second, Retries: 4,
			}},
			func(c container.InspectResponse) any { return c.Config.Healthcheck },
			&container.HealthConfig{
				Test: []string{"CMD-SHELL", "true"}, Interval: 5 * time.Second, Timeout: 2 * time.Second, StartPeriod: time.Second, Retries: 4,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.got(create(test.spec)); !reflect.DeepEqual(got, test.want) {
				t.Errorf("Docker has %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestSpec_HostPathThatIsMissingIsMade(t *testing.T) {
	create, rt, _ := inspector(t)
	missing := filepath.Join(t.TempDir(), "not", "there")
	found := create(runtime.Spec{Mounts: []runtime.Mount{{Source: missing, Target: "/data"}}})
	if err := rt.Start(t.Context(), found.ID); err != nil {
		t.Fatalf("Start() = %v", err)
	}
	if info, err := os.Stat(missing); err != nil || !info.IsDir() {
		t.Errorf("host path: %v, %v; want a directory", info, err)
	}
}

func TestSpec_HostPathWithColonIsMountedAsItIs(t *testing.T) {
	create, _, _ := inspector(t)
	odd := filepath.Join(t.TempDir(), "a:b")
	if err := os.Mkdir(odd, 0o755); err != nil {
		t.Fatal(err)
	}
	found := create(runtime.Spec{Mounts: []runtime.Mount{{Source: odd, Target: "/data", ReadOnly: true}}})
	if len(found.Mounts) != 1 || found.Mounts[0].Source != odd || found.Mounts[0].Destination != "/data" || found.Mounts[0].RW {
		t.Errorf("mounts = %+v, want %s read-only at /data", found.Mounts, odd)
	}
}
