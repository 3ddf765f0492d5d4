package docker

import (
	"reflect"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"

	"github.com/longshore/longshore/agent/runtime"
)

func TestObservedState_OnlyMovesForward(t *testing.T) {
	const never, once = "0001-01-01T00:00:00Z", "2024-05-06T07:08:09.123456789Z"
	for name, test := range map[string]struct {
		state container.State
		want  runtime.State
	}{
		"created":                  {container.State{Status: "created", StartedAt: never}, runtime.Created},
		"could not be started":     {container.State{Status: "created", StartedAt: never, Error: "no", ExitCode: 127}, runtime.Exited},
		"running":                  {container.State{Status: "running", Running: true, StartedAt: once}, runtime.Running},
		"paused":                   {container.State{Status: "paused", Running: true, Paused: true, StartedAt: once}, runtime.Running},
		"exited":                   {container.State{Status: "exited", StartedAt: once, FinishedAt: once}, runtime.Exited},
		"being removed":            {container.State{Status: "removing", StartedAt: once, FinishedAt: once}, runtime.Exited},
		"dead before it ran":       {container.State{Status: "dead", Dead: true, StartedAt: never}, runtime.Exited},
		"removed before its start": {container.State{Status: "removing", StartedAt: never}, runtime.Created},
	} {
		t.Run(name, func(t *testing.T) {
			if got := observedState(&test.state); got != test.want {
				t.Errorf("observedState(%+v) = %v, want %v", test.state, got, test.want)
			}
		})
	}
}

func TestObservedPorts_OneBindingPerPublishedPort(t *testing.T) {
	got := observedPorts(nat.PortMap{
		"8080/tcp": {{HostIP: "0.0.0.0", HostPort: "32768"}, {HostIP: "::", HostPort: "32768"}},
		"53/udp":   {{HostIP: "::", HostPort: "53"}},
		"53/tcp":   {{HostIP: "::", HostPort: "49154"}, {HostIP: "0.0.0.0", HostPort: "49153"}}, // as some 20.10 engines do
		"80/tcp":   {{HostIP: "0.0.0.0", HostPort: "81"}, {HostIP: "127.0.0.1", HostPort: "80"}},
		"9/tcp":    nil, // exposed, not published
		"7/tcp":    {{HostIP: "0.0.0.0", HostPort: ""}},
	})
	want := []runtime.PortBinding{
		{BindIP: "0.0.0.0", ContainerPort: 53, HostPort: 49153, Protocol: "tcp"},
		{BindIP: "::", ContainerPort: 53, HostPort: 53, Protocol: "udp"},
		{BindIP: "127.0.0.1", ContainerPort: 80, HostPort: 80, Protocol: "tcp"},
		{BindIP: "0.0.0.0", ContainerPort: 80, HostPort: 81, Protocol: "tcp"},
		{BindIP: "0.0.0.0", ContainerPort: 8080, HostPort: 32768, Protocol: "tcp"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("observedPorts() = %+v, want %+v", got, want)
	}
}

func TestManifestDigest_IsThatOfTheRepositoryAskedFor(t *testing.T) {
	const a, b = "sha256:" + "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "sha256:" + "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	digests := []string{"127.0.0.1:5000/web@" + a, "web@" + b}
	for ref, want := range map[string]string{
		"127.0.0.1:5000/web:2":  a,
		"web":                   b,
		"docker.io/library/web": b,
		a:                       a,  // by id: any
		"alias:1":               "", // a tag given here: no registry has it by that digest
	} {
		if got := manifestDigest(ref, digests); got != want {
			t.Errorf("manifestDigest(%q) = %q, want %q", ref, got, want)
		}
	}
	if got := manifestDigest("web", nil); got != "" {
		t.Errorf("manifestDigest() of an image never pulled = %q, want none", got)
	}
}

func TestGoArchitecture_NamesMachinesAsGoDoes(t *testing.T) {
	for machine, want := range map[string]string{
		"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386", "riscv64": "riscv64", "amd64": "amd64",
	} {
		if got := goArchitecture(machine); got != want {
			t.Errorf("goArchitecture(%q) = %q, want %q", machine, got, want)
		}
	}
}

func TestSecurityNames_LeaveOptionsOut(t *testing.T) {
	got := securityNames([]string{"name=seccomp,profile=default", "name=apparmor", "name=cgroupns"})
	if want := []string{"seccomp", "apparmor", "cgroupns"}; !reflect.DeepEqual(got, want) {
		t.Errorf("securityNames() = %v, want %v", got, want)
	}
}
