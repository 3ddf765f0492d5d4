package lifecycle_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/runtime"
	agentv1 "github.com/longshore/longshore/proto/agent/v1"
	"github.com/longshore/longshore/proto/ecs"
)

func TestCompile_LinuxParameters(t *testing.T) {
	for name, c := range map[string]struct {
		linux *ecs.LinuxParameters
		check func(runtime.Spec) any
		want  any
	}{
		"capabilities": {
			&ecs.LinuxParameters{Capabilities: &ecs.KernelCapabilities{Add: []string{"SYS_PTRACE"}, Drop: []string{"ALL"}}},
			func(s runtime.Spec) any { return [][]string{s.CapAdd, s.CapDrop} }, [][]string{{"SYS_PTRACE"}, {"ALL"}},
		},
		"devices": {
			&ecs.LinuxParameters{Devices: []ecs.Device{
				{HostPath: "/dev/a"}, {HostPath: "/dev/b", ContainerPath: "/dev/c", Permissions: []ecs.DeviceCgroupPermission{ecs.DeviceCgroupPermissionMknod, ecs.DeviceCgroupPermissionRead}},
			}},
			func(s runtime.Spec) any { return s.Devices },
			[]runtime.Device{{HostPath: "/dev/a", ContainerPath: "/dev/a", Permissions: "rwm"}, {HostPath: "/dev/b", ContainerPath: "/dev/c", Permissions: "rm"}},
		},
		"shared memory and init": {
			&ecs.LinuxParameters{SharedMemorySize: ptr[int32](64), InitProcessEnabled: ptr(true)},
			func(s runtime.Spec) any { return []any{s.ShmSizeBytes, s.Init} }, []any{int64(64 << 20), true},
		},
		"tmpfs": {
			&ecs.LinuxParameters{Tmpfs: []ecs.Tmpfs{{ContainerPath: "/a", Size: 5}, {ContainerPath: "/b", Size: 6, MountOptions: []string{"noexec", "mode=700"}}}},
			func(s runtime.Spec) any { return s.Tmpfs }, map[string]string{"/a": "size=5m", "/b": "noexec,mode=700,size=6m"},
		},
		"no swap": {
			&ecs.LinuxParameters{MaxSwap: ptr[int32](0)},
			func(s runtime.Spec) any { return []int64{s.MemorySwapBytes, *s.Swappiness} }, []int64{64 << 20, 60},
		},
		"some swap": {
			&ecs.LinuxParameters{MaxSwap: ptr[int32](10), Swappiness: ptr[int32](0)},
			func(s runtime.Spec) any { return []int64{s.MemorySwapBytes, *s.Swappiness} }, []int64{74 << 20, 0},
		},
		"swappiness alone": {
			&ecs.LinuxParameters{Swappiness: ptr[int32](10)},
			func(s runtime.Spec) any { return []any{s.MemorySwapBytes, s.Swappiness} }, []any{int64(0), (*int64)(nil)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			spec := compile(t, input(task(container("web", func(d *ecs.ContainerDefinition) {
				d.Memory, d.LinuxParameters = ptr[int32](64), c.linux
			})))).Units[0].Spec
			if got := c.check(spec); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestCompile_SwapIsAddedToTheMemoryThatHolds(t *testing.T) {
	in := input(task(container("web", func(d *ecs.ContainerDefinition) {
		d.Memory, d.LinuxParameters = ptr[int32](64), &ecs.LinuxParameters{MaxSwap: ptr[int32](8)}
	})))
	in.Overrides = &ecs.TaskOverride{ContainerOverrides: []ecs.ContainerOverride{{Name: "web", Memory: ptr[int32](100)}}}
	if got := compile(t, in).Units[0].Spec.MemorySwapBytes; got != 108<<20 {
		t.Errorf("memory and swap of %d bytes, want 108 MiB", got)
	}
	in.Overrides, in.Definition.ContainerDefinitions[0].Memory = nil, nil
	if got := compile(t, in).Units[0].Spec; got.MemorySwapBytes != 0 || got.Swappiness != nil {
		t.Errorf("without a limit on memory: %+v", got)
	}
}

func TestCompile_LogConfiguration(t *testing.T) {
	awslogs := func(more map[string]string) *ecs.LogConfiguration {
		options := map[string]string{"awslogs-group": "g", "awslogs-region": "r"}
		for name, value := range more {
			options[name] = value
		}
		return &ecs.LogConfiguration{LogDriver: ecs.LogDriverAwslogs, Options: options}
	}
	type want struct {
		driver         string
		options        map[string]string
		group, stream  string
		region, prefix string
	}
	for name, c := range map[string]struct {
		log     *ecs.LogConfiguration
		drivers []string
		want    want
	}{
		"none": {nil, []string{"local"}, want{}},
		"passed through": {&ecs.LogConfiguration{LogDriver: "syslog", Options: map[string]string{"tag": "x"}}, []string{"local"},
			want{driver: "syslog", options: map[string]string{"tag": "x"}}},
		"awslogs": {awslogs(map[string]string{"awslogs-stream-prefix": "p", "awslogs-create-group": "true"}), []string{"json-file", "local"},
			want{driver: "local", group: "g", region: "r", prefix: "p", stream: "p/web/0123"}},
		"awslogs without a prefix": {awslogs(nil), []string{"local"}, want{driver: "local", group: "g", region: "r"}},
		"awslogs without local":    {awslogs(nil), []string{"json-file"}, want{driver: "json-file", group: "g", region: "r"}},
		"a buffer": {awslogs(map[string]string{"max-buffer-size": "1m"}), []string{"local"},
			want{driver: "local", options: map[string]string{"mode": "non-blocking", "max-buffer-size": "1m"}, group: "g", region: "r"}},
		"a mode": {awslogs(map[string]string{"mode": "blocking"}), []string{"local"},
			want{driver: "local", options: map[string]string{"mode": "blocking"}, group: "g", region: "r"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(task(container("web", func(d *ecs.ContainerDefinition) { d.LogConfiguration = c.log })))
			in.LogDrivers = c.drivers
			s := compile(t, in).Units[0].Spec
			got := want{s.LogDriver, s.LogOptions, s.Labels[lifecycle.LabelLogGroup], s.Labels[lifecycle.LabelLogStream],
				s.Labels[lifecycle.LabelLogRegion], s.Labels[lifecycle.LabelLogPrefix]}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestCompile_WhatIsAssigned(t *testing.T) {
	const digest = "sha256:1"
	for image, want := range map[string]string{
		"web": "web@" + digest, "web:1": "web@" + digest, "host:5000/web": "host:5000/web@" + digest,
		"host:5000/a/web:x": "host:5000/a/web@" + digest, "web:1@sha256:2": "web:1@sha256:2",
	} {
		in := input(task(ecs.ContainerDefinition{Name: "web", Image: image, Environment: []ecs.KeyValuePair{{Name: "NVIDIA_VISIBLE_DEVICES", Value: ptr("all")}}}))
		plain := compile(t, in).Units[0].Spec
		in.Assigned = map[string]lifecycle.Assigned{"web": {GPUs: []string{"GPU-1", "GPU-2"}, ImageDigest: digest}}
		got := compile(t, in).Units[0].Spec
		if got.Image != want || plain.Image != image {
			t.Errorf("image %s, want %s; without a digest %s", got.Image, want, plain.Image)
		}
		if !slices.Equal(got.GPUs, []string{"GPU-1", "GPU-2"}) || !slices.Equal(got.Env, []string{"NVIDIA_VISIBLE_DEVICES=GPU-1,GPU-2"}) {
			t.Errorf("GPUs %v, environment %v", got.GPUs, got.Env)
		}
		if got.Hash != plain.Hash {
			t.Error("what is assigned is part of the hash")
		}
	}
}

func TestCompile_NetworkOffAndKernelParameters(t *testing.T) {
	s := compile(t, input(task(container("web", func(d *ecs.ContainerDefinition) {
		d.DisableNetworking = ptr(true)
		d.SystemControls = []ecs.SystemControl{{Namespace: "net.a", Value: "1"}, {Namespace: "kernel.sem", Value: "2"}}
	})))).Units[0].Spec
	if !s.NetworkDisabled || !reflect.DeepEqual(s.Sysctls, map[string]string{"net.a": "1", "kernel.sem": "2"}) {
		t.Errorf("got %+v", s)
	}
}

func TestReport_PortRangesAreShownAsSuch(t *testing.T) {
	s := play(t, task(container("web", func(d *ecs.ContainerDefinition) {
		d.PortMappings = []ecs.PortMapping{{ContainerPortRange: "8000-8003"}, {ContainerPort: ptr[int32](80)}}
	})))
	spec := s.task.Units[0].Spec
	if want := []runtime.PortRange{{From: 8000, To: 8003, Protocol: "tcp"}}; len(spec.Ports) != 1 || !slices.Equal(spec.PortRanges, want) {
		t.Fatalf("published are %v and %v, want one port and %v", spec.Ports, spec.PortRanges, want)
	}
	s.ok("pull web")
	s.ok("create web")
	running := s.container("web", runtime.Running, 0)
	for i, host := range []uint16{100, 200, 201, 202, 204} {
		running.Ports = append(running.Ports, runtime.PortBinding{
			BindIP: "0.0.0.0", ContainerPort: []uint16{80, 8000, 8001, 8002, 8003}[i], HostPort: host, Protocol: "tcp",
		})
	}
	s.end("start web", lifecycle.Result{Container: running})
	var got []string
	for _, b := range lifecycle.Report(s.task, s.state).Containers[0].NetworkBindings {
		got = append(got, show(b))
	}
	want := []string{"80 100  ", "0 0 8000-8002 200-202", "0 0 8003-8003 204-204"}
	if !slices.Equal(got, want) {
		t.Errorf("bindings %q, want %q", got, want)
	}
}

func show(b *agentv1.NetworkBinding) string {
	return fmt.Sprint(b.ContainerPort) + " " + fmt.Sprint(b.HostPort) + " " + b.ContainerPortRange + " " + b.HostPortRange
}
