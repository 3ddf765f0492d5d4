package lifecycle_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/runtime"
	"github.com/longshore/longshore/proto/ecs"
)

const pause = lifecycle.PauseName

var testHost = lifecycle.Host{
	PauseImage:  "pause:1",
	Networks:    map[string]string{"subnet-default": "net-default", "subnet-lan": "lan"},
	GroupParent: func(name string) string { return "/groups/" + name },
	FileSystems: map[string]lifecycle.FileSystem{"fs-1": {Server: "nas", Path: "/export"}},
}

// connected is a definition in awsvpc mode.
func connected(containers ...ecs.ContainerDefinition) ecs.TaskDefinition {
	d := task(containers...)
	d.NetworkMode = ecs.NetworkModeAwsvpc
	return d
}

func onHost(d ecs.TaskDefinition, subnets ...string) lifecycle.Input {
	in := input(d)
	in.Host, in.Subnets = testHost, subnets
	return in
}

func playOnHost(t *testing.T, d ecs.TaskDefinition) *script {
	t.Helper()
	s := &script{t: t, task: compile(t, onHost(d, "subnet-lan")), now: start, open: map[string]lifecycle.Action{}}
	s.state = lifecycle.NewState(s.task, lifecycle.Pending, nil, s.now)
	s.next()
	return s
}

func TestPause_HoldsTheNetworkOfATaskFromBeginToEnd(t *testing.T) {
	s := playOnHost(t, connected(container("web"), container("log")))
	s.expect("pull web", "pull log", "pull "+pause)
	reported := func(want string) {
		t.Helper()
		if got := lifecycle.Report(s.task, s.state); got.Status != want {
			t.Fatalf("reported %s, want %s", got.Status, want)
		}
	}
	reported("PROVISIONING")
	s.ok("pull web", "pull log")
	s.expect("pull " + pause) // nothing can be created in a namespace that nobody holds
	s.ok("pull "+pause, "create "+pause)
	s.expect("create web", "create log", "start "+pause)
	s.ok("create web", "create log")
	s.expect("start " + pause)
	running := s.container(pause, runtime.Running, 0)
	running.IPAddress, running.MACAddress = "10.1.2.3", "02:42:0a:01:02:03"
	s.end("start "+pause, lifecycle.Result{Container: running})
	reported("PENDING")
	s.ok("start web", "start log")
	s.status(lifecycle.Running)

	r := lifecycle.Report(s.task, s.state)
	if len(r.Containers) != 2 || r.Status != "RUNNING" {
		t.Errorf("reported %v, want the containers of the definition", r)
	}
	if n := r.NetworkInterface; n.GetSubnet() != "subnet-lan" || n.GetIpv4Address() != "10.1.2.3" || n.GetMacAddress() != "02:42:0a:01:02:03" {
		t.Errorf("interface %v", n)
	}
	s.task.Stop = true
	s.next()
	s.expect("stop web", "stop log")
	reported("STOPPING")
	s.ok("stop web")
	s.expect("stop log")
	s.ok("stop log")
	s.expect("stop " + pause)
	reported("DEPROVISIONING")
	s.ok("stop " + pause)
	reported("STOPPED")
	if lifecycle.Report(s.task, s.state).NetworkInterface == nil {
		t.Error("the address of a task that has ended is forgotten")
	}
}

func TestPause_ItsEndIsTheTasks(t *testing.T) {
	s := playOnHost(t, connected(container("web", sidecar), container("main")))
	s.run(pause)
	s.run("web")
	s.run("main")
	s.state.Observe(s.task, []runtime.Container{*s.container(pause, runtime.Exited, 137)}, s.now)
	s.next()
	s.expect("stop web", "stop main")
	s.verdict(essentialExited, "The pause container, which holds the namespaces of the task, ended")
}

func TestPause_ItsEndBeforeAnyContainerRanIsAFailureToStart(t *testing.T) {
	s := playOnHost(t, connected(container("web", sidecar), container("main")))
	s.run(pause)
	s.state.Observe(s.task, []runtime.Container{*s.container(pause, runtime.Exited, 137)}, s.now)
	s.next()
	s.verdict(failedToStart, "ResourceInitializationError: The pause container, which holds the namespaces of the task, ended")
}

func TestPause_ItsFailureIsThatOfTheTasksResources(t *testing.T) {
	s := playOnHost(t, connected(container("web")))
	s.ok("pull web", "pull "+pause, "create "+pause)
	s.end("start "+pause, lifecycle.Result{Err: errors.New("network lan not found")})
	s.verdict(failedToStart, "ResourceInitializationError: CannotStartContainerError: network lan not found")
}

func TestPause_ATaskWhoseContainersHaveAllEndedEndsWithoutWaitingForIt(t *testing.T) {
	s := playOnHost(t, connected(container("web")))
	s.run(pause)
	s.run("web")
	s.state.Observe(s.task, []runtime.Container{*s.container("web", runtime.Exited, 0)}, s.now)
	s.next()
	s.expect("stop " + pause)
}

func TestCompile_NamespacesOfTheTask(t *testing.T) {
	shared := "container:" + compile(t, onHost(connected(container("a")), "subnet-lan")).Units[1].Spec.Name
	for name, c := range map[string]struct {
		network            ecs.NetworkMode
		pid                ecs.PidMode
		ipc                ecs.IpcMode
		wantNetwork        string
		wantPID, wantIPC   string
		pauseNet, pauseIPC string // of no pause container: ""
	}{
		"bridge":              {"", "", "", "bridge", "", "", "", ""},
		"none":                {"none", "", "", "none", "", "", "", ""},
		"host":                {"host", "host", "host", "host", "host", "host", "", ""},
		"no IPC":              {"", "", "none", "bridge", "", "none", "", ""},
		"awsvpc":              {"awsvpc", "", "", shared, "", "", "lan", ""},
		"processes":           {"bridge", "task", "", "bridge", shared, "", "none", ""},
		"IPC":                 {"host", "", "task", "host", "", shared, "none", "shareable"},
		"all that the task's": {"awsvpc", "task", "task", shared, shared, shared, "lan", "shareable"},
	} {
		t.Run(name, func(t *testing.T) {
			d := task(container("a"))
			d.NetworkMode, d.PidMode, d.IpcMode = c.network, c.pid, c.ipc
			units := compile(t, onHost(d, "subnet-lan")).Units
			if got := units[0].Spec; got.NetworkMode != c.wantNetwork || got.PIDMode != c.wantPID || got.IPCMode != c.wantIPC {
				t.Errorf("network %q, PID %q, IPC %q", got.NetworkMode, got.PIDMode, got.IPCMode)
			}
			if c.pauseNet == "" {
				if len(units) != 1 {
					t.Fatalf("%d units, want no pause container", len(units))
				}
				return
			}
			if got := units[1].Spec; got.NetworkMode != c.pauseNet || got.IPCMode != c.pauseIPC || got.Image != "pause:1" {
				t.Errorf("pause container %+v", got)
			}
		})
	}
}

func TestCompile_NameServersAreThoseOfTheTasksNetwork(t *testing.T) {
	d := connected(
		container("a", func(c *ecs.ContainerDefinition) {
			c.DnsServers, c.DnsSearchDomains = []string{"1.1.1.1", "8.8.8.8"}, []string{"x"}
		}),
		container("b", func(c *ecs.ContainerDefinition) {
			c.DnsServers = []string{"8.8.8.8", "9.9.9.9"}
			c.PortMappings = []ecs.PortMapping{{ContainerPort: ptr[int32](80), HostPort: ptr[int32](80)}}
		}),
	)
	task := compile(t, onHost(d, "subnet-lan"))
	if got := task.Units[2].Spec; strings.Join(got.DNSServers, " ") != "1.1.1.1 8.8.8.8 9.9.9.9" || !slices.Equal(got.DNSSearch, []string{"x"}) {
		t.Errorf("pause container %+v", got)
	}
	for _, u := range task.Units[:2] {
		if u.Spec.DNSServers != nil || u.Spec.DNSSearch != nil || u.Spec.Ports != nil {
			t.Errorf("%s: %+v, which the engine refuses", u.Name, u.Spec)
		}
	}
}

func TestCompile_TheFirstSubnetThatTheHostOffers(t *testing.T) {
	d := connected(container("a"))
	if task := compile(t, onHost(d, "subnet-x", "subnet-lan", "subnet-default")); task.Subnet != "subnet-lan" || task.Units[1].Spec.NetworkMode != "lan" {
		t.Errorf("subnet %s, network %s", task.Subnet, task.Units[1].Spec.NetworkMode)
	}
	in := onHost(d, "subnet-x", "subnet-y")
	if _, err := lifecycle.Compile(in); err == nil || !strings.Contains(err.Error(), "subnet-x, subnet-y") {
		t.Errorf("error %v", err)
	}
	in.Host.AnySubnet = true
	if task := compile(t, in); task.Subnet != "subnet-x" || task.Units[1].Spec.NetworkMode != "net-default" {
		t.Errorf("subnet %s, network %s", task.Subnet, task.Units[1].Spec.NetworkMode)
	}
}

func TestCompile_ASizeMakesAGroup(t *testing.T) {
	d := task(container("a", func(c *ecs.ContainerDefinition) { c.Cpu = 100 }), container("b", func(c *ecs.ContainerDefinition) { c.Memory = ptr[int32](16) }))
	d.Memory = "512"
	got := compile(t, onHost(d))
	want := lifecycle.Group{Name: "arn:instance_0123", Shares: 102, MemoryBytes: 512 << 20}
	if len(got.Groups) != 1 || got.Groups[0] != want {
		t.Errorf("groups %+v, want %+v", got.Groups, want)
	}
	if a, b := got.Units[0].Spec, got.Units[1].Spec; a.CgroupParent != "/groups/"+want.Name || a.MemoryBytes != 0 || b.MemoryBytes != 16<<20 {
		t.Errorf("containers %+v, %+v", a, b)
	}
	in := onHost(d)
	in.Overrides = &ecs.TaskOverride{Cpu: "512", Memory: "1024"}
	want.CPU, want.Shares, want.MemoryBytes = 512, 512, 1024<<20
	if got := compile(t, in).Groups; got[0] != want {
		t.Errorf("overridden: %+v, want %+v", got, want)
	}
}

func TestNext_TheGroupIsMadeFirstAndRemovedAtTheTasksEnd(t *testing.T) {
	d := task(container("a"))
	d.Cpu = "256"
	s := playOnHost(t, d)
	s.expect("create_volumes", "pull a")
	s.ok("pull a")
	s.expect("create_volumes")
	s.ok("create_volumes", "create a", "start a")
	s.status(lifecycle.Running)
	s.task.Stop = true
	s.next()
	s.expect("stop a") // nothing goes while a container runs
	s.ok("stop a")
	s.status(lifecycle.Stopped)
	s.expect("remove_groups") // though the container stays, and nobody knows of the end yet
	s.end("remove_groups", lifecycle.Result{Err: errors.New("device or resource busy")})
	s.expect()
	s.now = s.plan.Wake // the engine's own group was still in it
	s.next()
	s.ok("remove_groups")
	s.expect()
	s.task.Released, s.task.Discard = true, true
	s.next()
	s.expect("remove a")
	s.ok("remove a")
	s.expect("remove_volumes")
	s.ok("remove_volumes")
	if !s.plan.Done {
		t.Error("not done")
	}

	s = playOnHost(t, d)
	s.end("create_volumes", lifecycle.Result{Err: &lifecycle.SetupError{Err: errors.New("no space")}})
	s.verdict(failedToStart, "ResourceInitializationError: no space")
}

func TestCompile_Volumes(t *testing.T) {
	yes := true
	d := task(container("a", func(c *ecs.ContainerDefinition) {
		for _, v := range []string{"own", "driven", "shared", "there", "efs"} {
			c.MountPoints = append(c.MountPoints, ecs.MountPoint{SourceVolume: v, ContainerPath: "/" + v})
		}
	}))
	options := map[string]string{"size": "1"}
	d.Volumes = []ecs.Volume{
		{Name: "own"}, {Name: "unused"},
		{Name: "driven", DockerVolumeConfiguration: &ecs.DockerVolumeConfiguration{Driver: "fast", DriverOpts: options, Labels: map[string]string{"a": "b"}}},
		{Name: "shared", DockerVolumeConfiguration: &ecs.DockerVolumeConfiguration{Scope: ecs.ScopeShared, Autoprovision: &yes}},
		{Name: "there", DockerVolumeConfiguration: &ecs.DockerVolumeConfiguration{Scope: ecs.ScopeShared}},
		{Name: "efs", EfsVolumeConfiguration: &ecs.EFSVolumeConfiguration{FileSystemId: "fs-1", RootDirectory: "/sub"}},
	}
	got := compile(t, onHost(d))
	if len(got.Volumes) != 5 || len(got.VolumeNames()) != 3 {
		t.Fatalf("volumes %+v", got.Volumes)
	}
	byName := map[string]lifecycle.Volume{}
	for i, m := range got.Units[0].Spec.Mounts {
		if m.Source != got.Volumes[i].Name {
			t.Errorf("mount %+v of volume %+v", m, got.Volumes[i])
		}
		byName[m.Target[1:]] = got.Volumes[i]
	}
	if v := byName["driven"]; v.Driver != "fast" || v.Options["size"] != "1" || v.Labels["a"] != "b" || v.Labels[lifecycle.LabelTask] == "" || v.Shared {
		t.Errorf("driven: %+v", v)
	}
	if v := byName["shared"]; v.Name != "shared" || !v.Shared || v.MustExist || v.Labels[lifecycle.LabelInstance] != "" {
		t.Errorf("shared: %+v", v)
	}
	if v := byName["there"]; v.Name != "there" || !v.Shared || !v.MustExist {
		t.Errorf("there: %+v", v)
	}
	if v := byName["efs"]; v.Options["device"] != ":/export/sub" || !strings.HasPrefix(v.Options["o"], "addr=nas,") || v.Options["type"] != "nfs" {
		t.Errorf("efs: %+v", v)
	}
	d.Volumes[5].EfsVolumeConfiguration.FileSystemId = "fs-2"
	if _, err := lifecycle.Compile(onHost(d)); err == nil || !strings.Contains(err.Error(), "no file system fs-2") {
		t.Errorf("error %v", err)
	}
}

func TestVolume_AcceptsWhatIsAsTheDefinitionSays(t *testing.T) {
	wanted := lifecycle.Volume{Volume: runtime.Volume{Name: "v", Labels: map[string]string{"a": "b"}}, Shared: true}
	same := runtime.Volume{Name: "v", Driver: "local", Labels: map[string]string{"a": "b"}}
	if err := wanted.Accept(same); err != nil {
		t.Error(err)
	}
	other := same
	other.Driver = "nfs"
	if err := wanted.Accept(other); err == nil {
		t.Error("a volume of another driver is taken")
	}
	wanted.MustExist = true
	if err := wanted.Accept(other); err != nil {
		t.Errorf("of a volume that the operator made: %v", err)
	}
}

func TestOrphan_ThePauseContainerIsStoppedLastAndWithoutGrace(t *testing.T) {
	running := func(name string) runtime.Container {
		return runtime.Container{ID: "id-" + name, State: runtime.Running, Labels: map[string]string{lifecycle.LabelTask: "a", lifecycle.LabelContainer: name}}
	}
	found := []runtime.Container{running(pause), running("web")}
	s := &script{t: t, now: start, open: map[string]lifecycle.Action{}, task: lifecycle.Orphan("a", found, nil, 0, 0)}
	s.state = lifecycle.NewState(s.task, lifecycle.Pending, found, s.now)
	s.next()
	s.expect("stop web")
	s.ok("stop web")
	s.expect("stop " + pause)
	if grace := s.open["stop "+pause].Grace; grace != 0 {
		t.Errorf("it has %v to end", grace)
	}
	if r := lifecycle.Report(s.task, s.state); len(r.Containers) != 1 {
		t.Errorf("reported %v", r.Containers)
	}
}

func TestReport_AContainerThatEndedWellWasNotKilledForMemory(t *testing.T) {
	s := playOnHost(t, connected(container("web"), container("side")))
	s.run(pause)
	s.run("web")
	s.run("side")
	killed, well := s.container("web", runtime.Exited, 137), s.container("side", runtime.Exited, 0)
	killed.OOMKilled, well.OOMKilled = true, true
	s.state.Observe(s.task, []runtime.Container{*killed, *well}, s.now)
	r := lifecycle.Report(s.task, s.state).Containers
	if r[0].Reason != "OutOfMemoryError: Container killed due to memory usage" || r[1].Reason != "" {
		t.Errorf("reasons %q and %q", r[0].Reason, r[1].Reason)
	}
}
