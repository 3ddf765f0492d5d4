package lifecycle_test

import (
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/runtime"
	"github.com/longshore/longshore/proto/ecs"
)

func ptr[T any](v T) *T { return &v }

func compile(t *testing.T, in lifecycle.Input) lifecycle.Task {
	t.Helper()
	task, err := lifecycle.Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

func TestCompile_EveryMember(t *testing.T) {
	definition := ecs.TaskDefinition{
		Volumes: []ecs.Volume{
			{Name: "etc", Host: &ecs.HostVolumeProperties{SourcePath: "/srv/etc"}},
			{Name: "data", Host: &ecs.HostVolumeProperties{}},
		},
		ContainerDefinitions: []ecs.ContainerDefinition{{
			Name: "web", Image: "nginx:1", Cpu: 256, Memory: ptr[int32](64), MemoryReservation: ptr[int32](32),
			Links:        []string{"db:database", "cache"},
			PortMappings: []ecs.PortMapping{{ContainerPort: ptr[int32](80)}, {ContainerPort: ptr[int32](53), HostPort: ptr[int32](5353), Protocol: "udp"}},
			EntryPoint:   []string{"/run"}, Command: []string{"a"},
			Environment: []ecs.KeyValuePair{{Name: "A", Value: ptr("1")}, {Name: "EMPTY"}},
			MountPoints: []ecs.MountPoint{{SourceVolume: "etc", ContainerPath: "/etc/app", ReadOnly: ptr(true)}, {SourceVolume: "data", ContainerPath: "/data"}},
			VolumesFrom: []ecs.VolumeFrom{{SourceContainer: "db", ReadOnly: ptr(true)}},
			Hostname:    "h", User: "1000:1000", WorkingDirectory: "/w", Privileged: ptr(true), ReadonlyRootFilesystem: ptr(true),
			DnsServers: []string{"1.1.1.1"}, DnsSearchDomains: []string{"lan"}, ExtraHosts: []ecs.HostEntry{{Hostname: "x", IpAddress: "10.0.0.1"}},
			DockerSecurityOptions: []string{"no-new-privileges"}, Interactive: ptr(true), PseudoTerminal: ptr(true),
			DockerLabels:    map[string]string{"mine": "1", lifecycle.LabelCluster: "forged"},
			Ulimits:         []ecs.Ulimit{{Name: "nofile", SoftLimit: 1, HardLimit: 2}},
			HealthCheck:     &ecs.HealthCheck{Command: []string{"CMD", "true"}, Interval: ptr[int32](10), Timeout: ptr[int32](2), Retries: ptr[int32](4), StartPeriod: ptr[int32](9)},
			LinuxParameters: &ecs.LinuxParameters{InitProcessEnabled: ptr(true)},
			StopTimeout:     ptr[int32](5), StartTimeout: ptr[int32](6),
		}, {Name: "db", Image: "db"}, {Name: "cache", Image: "cache"}},
	}
	task := compile(t, input(definition))
	web := task.Units[0]
	name := func(container string) string {
		for _, u := range task.Units {
			if u.Name == container {
				return u.Spec.Name
			}
		}
		return "?"
	}
	want := runtime.Spec{
		Name: web.Spec.Name, Hash: web.Spec.Hash, Image: "nginx:1",
		Labels: map[string]string{
			"mine": "1", "com.amazonaws.ecs.cluster": "prod", "com.amazonaws.ecs.task-arn": task.ARN,
			"com.amazonaws.ecs.container-name": "web", "com.amazonaws.ecs.task-definition-family": "app",
			"com.amazonaws.ecs.task-definition-version": "7", "longshore.instance": "arn:instance",
		},
		EntryPoint: []string{"/run"}, Command: []string{"a"}, Env: []string{"A=1", "EMPTY="},
		User: "1000:1000", WorkingDir: "/w", Hostname: "h",
		CPUShares: 256, MemoryBytes: 64 << 20, MemoryReservation: 32 << 20, NetworkMode: "bridge",
		Links:      []string{name("db") + ":database", name("cache") + ":cache"},
		Ports:      []runtime.PortMapping{{ContainerPort: 80, Protocol: "tcp"}, {ContainerPort: 53, HostPort: 5353, Protocol: "udp"}},
		DNSServers: []string{"1.1.1.1"}, DNSSearch: []string{"lan"}, ExtraHosts: []string{"x:10.0.0.1"},
		Mounts:      []runtime.Mount{{Source: "/srv/etc", Target: "/etc/app", ReadOnly: true}, {Source: task.VolumeNames()[0], Target: "/data"}},
		VolumesFrom: []string{name("db") + ":ro"},
		Ulimits:     []runtime.Ulimit{{Name: "nofile", Soft: 1, Hard: 2}},
		Privileged:  true, ReadonlyRootFS: true, SecurityOptions: []string{"no-new-privileges"}, Init: true, OpenStdin: true, TTY: true,
		HealthCheck: &runtime.HealthCheck{Test: []string{"CMD", "true"}, Interval: 10 * time.Second, Timeout: 2 * time.Second, StartPeriod: 9 * time.Second, Retries: 4},
	}
	if !reflect.DeepEqual(web.Spec, want) {
		t.Errorf("spec\n%+v\nwant\n%+v", web.Spec, want)
	}
	if web.StopTimeout != 5*time.Second || web.StartTimeout != 6*time.Second || !web.NeedsSetup || !web.HealthChecked {
		t.Errorf("unit %+v", web)
	}
	if db := task.Units[1]; db.StopTimeout != 30*time.Second || db.Spec.CPUShares != 2 || db.Spec.MemoryBytes != 0 {
		t.Errorf("defaults %+v", db)
	}
	if !regexp.MustCompile(`^ecs-app-7-web-[0-9a-f]{20}$`).MatchString(web.Spec.Name) {
		t.Errorf("container is called %s", web.Spec.Name)
	}
	if len(task.VolumeNames()) != 1 || !regexp.MustCompile(`^ecs-app-7-data-[0-9a-f]{20}$`).MatchString(task.VolumeNames()[0]) {
		t.Errorf("volumes are called %s", task.VolumeNames())
	}
}

func TestCompile_Overrides(t *testing.T) {
	in := input(task(ecs.ContainerDefinition{
		Name: "web", Image: "i", Cpu: 10, Memory: ptr[int32](64), Command: []string{"a", "b"},
		Environment: []ecs.KeyValuePair{{Name: "A", Value: ptr("1")}, {Name: "B", Value: ptr("2")}},
	}))
	plain := compile(t, in).Units[0].Spec
	in.Overrides = &ecs.TaskOverride{ContainerOverrides: []ecs.ContainerOverride{{
		Name: "web", Command: []string{"c"}, Cpu: ptr[int32](20), Memory: ptr[int32](128), MemoryReservation: ptr[int32](100),
		Environment: []ecs.KeyValuePair{{Name: "C", Value: ptr("3")}, {Name: "A", Value: ptr("x")}},
	}}}
	got := compile(t, in).Units[0].Spec
	if !reflect.DeepEqual(got.Command, []string{"c"}) || !reflect.DeepEqual(got.Env, []string{"A=x", "B=2", "C=3"}) ||
		got.CPUShares != 20 || got.MemoryBytes != 128<<20 || got.MemoryReservation != 100<<20 {
		t.Errorf("overridden: %+v", got)
	}
	if got.Hash == plain.Hash || got.Name != plain.Name {
		t.Errorf("hash %s and %s, name %s and %s: want another hash under the same name", got.Hash, plain.Hash, got.Name, plain.Name)
	}
	if again := compile(t, in).Units[0].Spec; again.Hash != got.Hash {
		t.Errorf("the hash of the same changed from %s to %s", got.Hash, again.Hash)
	}
}

func TestCompile_HostNetworkReportsPortsWithoutMappingThem(t *testing.T) {
	definition := task(container("web", func(c *ecs.ContainerDefinition) {
		c.PortMappings = []ecs.PortMapping{{ContainerPort: ptr[int32](80), HostPort: ptr[int32](80)}}
	}))
	definition.NetworkMode = ecs.NetworkModeHost
	s := play(t, definition)
	if spec := s.task.Units[0].Spec; spec.NetworkMode != "host" || spec.Ports != nil {
		t.Errorf("spec %+v", spec)
	}
	s.run("web")
	b := lifecycle.Report(s.task, s.state).Containers[0].NetworkBindings
	if len(b) != 1 || b[0].HostPort != 80 || b[0].ContainerPort != 80 || b[0].Protocol != "tcp" {
		t.Errorf("bindings %v", b)
	}
}

func TestCompile_NamesStayWithinWhatAnEngineStores(t *testing.T) {
	long := strings.Repeat("x", 255)
	definition := task(container(long), container(long[:254]+"y"))
	in := input(definition)
	in.Definition.Family = long
	task := compile(t, in)
	a, b := task.Units[0].Spec.Name, task.Units[1].Spec.Name
	if len(a) > 255 || a == b {
		t.Errorf("names %s and %s", a, b)
	}
	in.ARN += "4"
	if other := compile(t, in).Units[0].Spec.Name; other == a {
		t.Error("two tasks share a name")
	}
}

func TestCompile_RefusesWhatItCannotRun(t *testing.T) {
	awsvpc := task(container("a"))
	awsvpc.NetworkMode = ecs.NetworkModeAwsvpc
	memory := task(container("a"))
	memory.Memory = "much"
	limited := task(container("a"))
	limited.Cpu = "256"
	odd := task(container("a"))
	odd.NetworkMode = "odd"
	tests := []struct {
		definition ecs.TaskDefinition
		want       string
	}{
		{awsvpc, "offers none of the subnets"},
		{odd, `network mode "odd" is not supported`},
		{memory, `memory of the task is "much"`},
		{limited, "cannot limit the cpu and memory of a task"},
		{task(container("a", linked("b")), container("b", linked("a"))), "circle: a → b → a"},
		{task(container("a", linked("c"))), `refers to the container "c"`},
		{task(container("a", after("a2", "START"))), `refers to the container "a2"`},
		{task(container("a"), container("b", after("a", "SOMETIME"))), "unknown condition SOMETIME"},
		{task(container("a", func(c *ecs.ContainerDefinition) {
			c.MountPoints = []ecs.MountPoint{{SourceVolume: "v"}}
		})), `names the volume "v"`},
		{task(container("a", func(c *ecs.ContainerDefinition) {
			c.PortMappings = []ecs.PortMapping{{ContainerPort: ptr[int32](70000)}}
		})), "out of range"},
	}
	for _, test := range tests {
		if _, err := lifecycle.Compile(input(test.definition)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want one with %q", err, test.want)
		}
	}
}

func TestParseStatus_KnowsEveryStatusOfECS(t *testing.T) {
	for name, want := range map[string]lifecycle.Status{
		"PROVISIONING": lifecycle.Pending, "PENDING": lifecycle.Pending, "ACTIVATING": lifecycle.Pending, "RUNNING": lifecycle.Running,
		"DEACTIVATING": lifecycle.Stopping, "STOPPING": lifecycle.Stopping, "DEPROVISIONING": lifecycle.Stopping, "STOPPED": lifecycle.Stopped,
	} {
		if got, err := lifecycle.ParseStatus(name); err != nil || got != want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if _, err := lifecycle.ParseStatus("ASLEEP"); err == nil {
		t.Error("an unknown status is taken")
	}
}
