package agent_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/longshore/longshore/agent"
	"github.com/longshore/longshore/agent/agenttest"
	"github.com/longshore/longshore/agent/cgroup"
	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/runtime"
	agentv1 "github.com/longshore/longshore/proto/agent/v1"
	"github.com/longshore/longshore/proto/ecs"
)

// TestDockerTasks is TestDocker for what concerns a task as a whole.
func TestDockerTasks(t *testing.T) {
	address := agenttest.DockerHost(t)
	images := agenttest.ImportImages(t, address)
	for name, part := range map[string]func(*testing.T, *dockerHost){
		"ATaskHasANetworkOfItsOwn":             aTaskHasANetworkOfItsOwn,
		"TheEndOfThePauseContainerEndsTheTask": theEndOfThePauseContainerEndsTheTask,
		"ANetworkedTaskIsAdopted":              aNetworkedTaskIsAdopted,
		"TheTasksMemoryIsALimit":               theTasksMemoryIsALimit,
		"TheTasksProcessorTimeIsALimit":        theTasksProcessorTimeIsALimit,
		"GroupsThatNobodyNamesAreRemoved":      groupsThatNobodyNamesAreRemoved,
		"TheContainersOfATaskSeeOneAnother":    theContainersOfATaskSeeOneAnother,
		"SharedVolumesStayAndTaskVolumesGo":    sharedVolumesStayAndTaskVolumesGo,
	} {
		t.Run(name, func(t *testing.T) {
			part(t, newDockerHost(t, address, images, func(config *agent.Config) {
				config.CgroupRoot = cgroup.DefaultRoot
				config.TaskCleanupWait = time.Second
			}))
		})
	}
}

// fetch asks a server of the tests, whose answer is awaited: a container runs a
// moment before its program listens.
func (h *dockerHost) fetch(address, path string, query ...string) string {
	h.t.Helper()
	values := url.Values{}
	for i := 0; i < len(query); i += 2 {
		values.Set(query[i], query[i+1])
	}
	client := http.Client{Timeout: 10 * time.Second}
	deadline := time.After(h.c.patience)
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		answer, err := client.Get("http://" + address + path + "?" + values.Encode())
		if err == nil {
			text, err := io.ReadAll(answer.Body)
			answer.Body.Close()
			if err == nil {
				return strings.TrimSpace(string(text))
			}
		}
		select {
		case <-retry.C:
		case <-deadline:
			h.t.Fatalf("no answer from %s%s: %v", address, path, err)
		}
	}
}

func awsvpc(containers ...ecs.ContainerDefinition) ecs.TaskDefinition {
	d := definition(containers...)
	d.NetworkMode = ecs.NetworkModeAwsvpc
	return d
}

// left are the containers on the engine of a task, the pause container included.
func (h *dockerHost) left(id string) []runtime.Container {
	h.t.Helper()
	found, err := h.engine.List(h.t.Context(), map[string]string{lifecycle.LabelTask: id})
	if err != nil {
		h.t.Fatal(err)
	}
	return found
}

// gone waits until a task has been cleaned up to the last container and group.
func (h *dockerHost) gone(id string) {
	h.t.Helper()
	h.c.remove(id)
	labels := map[string]string{lifecycle.LabelTask: id}
	removed := make(chan struct{}, 10)
	ctx, cancel := context.WithCancel(h.t.Context())
	watched, ready := make(chan error, 1), make(chan struct{})
	go func() {
		watched <- h.engine.Watch(ctx, labels, func() { close(ready) }, func(string, map[string]string) { removed <- struct{}{} })
	}()
	defer func() { cancel(); <-watched }()
	<-ready
	deadline := time.After(h.c.patience)
	for len(h.left(id)) > 0 {
		select {
		case <-removed:
		case <-deadline:
			h.t.Fatalf("left: %+v", h.left(id))
		}
	}
}

func aTaskHasANetworkOfItsOwn(t *testing.T, h *dockerHost) {
	a, b := h.arn("a"), h.arn("b")
	// Both have the same ports, each at its own address.
	for _, id := range []string{a, b} {
		h.c.run(id, awsvpc(container("web", h.images.Serve, port(8080, 8080)), container("side", h.images.IgnoreStop, port(8081, 8081), func(c *ecs.ContainerDefinition) {
			c.StopTimeout = ptr[int32](1)
		})))
	}
	sa, sb := h.c.becomes(a, "RUNNING"), h.c.becomes(b, "RUNNING")
	na, nb := sa.NetworkInterface, sb.NetworkInterface
	if na.GetIpv4Address() == "" || na.GetMacAddress() == "" || na.GetSubnet() != "subnet-default" || na.GetIpv4Address() == nb.GetIpv4Address() {
		t.Fatalf("interfaces %v and %v", na, nb)
	}
	if len(sa.Containers) != 2 || len(sa.Containers[0].NetworkBindings) != 0 {
		t.Errorf("reported %v", sa.Containers)
	}
	for _, n := range []*agentv1.NetworkInterface{na, nb} {
		h.fetch(n.Ipv4Address+":8081", "/") // until it listens
		if got := h.fetch(n.Ipv4Address+":8080", "/get", "url", "http://localhost:8081/"); got != "served" {
			t.Errorf("a container says of the one beside it: %q", got)
		}
	}
	if got := h.fetch(na.Ipv4Address+":8080", "/get", "url", "http://"+nb.Ipv4Address+":8081/"); got != "served" {
		t.Errorf("a task says of another one: %q", got)
	}
	// The name that the metadata of a task tell is known in its network.
	for _, found := range h.left(b) {
		if found.Labels[lifecycle.LabelContainer] != lifecycle.PauseName {
			continue
		}
		if got := h.fetch(na.Ipv4Address+":8080", "/get", "url", "http://"+found.ID[:12]+":8081/"); got != "served" {
			t.Errorf("a task says of another one by its name: %q", got)
		}
	}
	if n := len(h.left(a)); n != 3 {
		t.Errorf("%d containers, want those of the definition and the one that holds the network", n)
	}
	h.c.stop(a)
	s := h.c.becomes(a, "STOPPED")
	if s.NetworkInterface.GetIpv4Address() != na.Ipv4Address {
		t.Errorf("after its end the address is %v", s.NetworkInterface)
	}
	h.c.wentForward(a)
	h.gone(a)
	if got := h.fetch(nb.Ipv4Address+":8080", "/"); got != "served" {
		t.Errorf("the other task says %q", got)
	}
}

func theEndOfThePauseContainerEndsTheTask(t *testing.T, h *dockerHost) {
	id := h.arn("task")
	h.c.run(id, awsvpc(container("web", h.images.Serve)))
	h.c.becomes(id, "RUNNING")
	for _, c := range h.left(id) {
		if c.Labels[lifecycle.LabelContainer] == lifecycle.PauseName {
			if err := h.engine.Stop(t.Context(), c.ID, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := h.c.becomes(id, "STOPPED")
	if s.StopCode != "EssentialContainerExited" || !strings.HasPrefix(s.Reason, "The pause container") || s.Containers[0].ExitCode == nil {
		t.Errorf("reported %v", s)
	}
}

func aNetworkedTaskIsAdopted(t *testing.T, h *dockerHost) {
	id := h.arn("task")
	d := awsvpc(container("web", h.images.Serve))
	d.Memory = "128"
	h.c.run(id, d)
	before := h.c.becomes(id, "RUNNING")
	h.fetch(before.NetworkInterface.GetIpv4Address()+":8080", "/") // by then it deals with signals
	h.stop()
	h.start()
	h.c.stop(id)
	after := h.c.becomes(id, "STOPPED")
	if after.Containers[0].RuntimeId != before.Containers[0].RuntimeId || after.Containers[0].GetExitCode() != 0 ||
		after.NetworkInterface.GetIpv4Address() != before.NetworkInterface.GetIpv4Address() {
		t.Errorf("before %v, after %v", before, after)
	}
	h.c.wentForward(id)
	h.gone(id)
	h.noGroups()
}

// noGroups waits until this host has no control groups of tasks in any hierarchy.
func (h *dockerHost) noGroups() {
	h.t.Helper()
	deadline := time.After(h.c.patience)
	retry := time.NewTicker(20 * time.Millisecond) // the kernel tells nobody
	defer retry.Stop()
	for {
		left := h.groups()
		if len(left) == 0 {
			return
		}
		select {
		case <-retry.C:
		case <-deadline:
			h.t.Fatalf("control groups are left: %v", left)
		}
	}
}

// groups are the directories of control groups that belong to the test's instances.
func (h *dockerHost) groups() []string {
	h.t.Helper()
	var found []string
	for _, depth := range []string{"longshore", "*/longshore"} {
		for instance := range h.c.instances {
			some, err := filepath.Glob(filepath.Join(cgroup.DefaultRoot, depth, lifecycle.GroupOwner(instance)+"*"))
			if err != nil {
				h.t.Fatal(err)
			}
			found = append(found, some...)
		}
	}
	return found
}

// canLimit skips a test where this process cannot make control groups.
func (h *dockerHost) canLimit() {
	h.t.Helper()
	registered := h.c.registrations[len(h.c.registrations)-1].Attributes
	if !slices.ContainsFunc(registered, func(a ecs.Attribute) bool { return a.Name == "ecs.capability.task-cpu-mem-limit" }) {
		if os.Getenv("LONGSHORE_REQUIRE_DOCKER") == "1" {
			h.t.Fatal("no control groups can be made here")
		}
		h.t.Skip("no control groups can be made here: that takes root on the daemon's host")
	}
}

func theTasksMemoryIsALimit(t *testing.T, h *dockerHost) {
	h.canLimit()
	greedy, modest := h.arn("greedy"), h.arn("modest")
	for _, id := range []string{greedy, modest} {
		// Neither container has a limit of its own.
		d := awsvpc(container("web", h.images.Serve), container("side", h.images.IgnoreStop, func(c *ecs.ContainerDefinition) { c.StopTimeout = ptr[int32](1) }))
		d.Memory = "96"
		for i := range d.ContainerDefinitions {
			d.ContainerDefinitions[i].Memory = nil
		}
		h.c.run(id, d)
	}
	eater := h.c.becomes(greedy, "RUNNING").NetworkInterface.GetIpv4Address() + ":8080"
	other := h.c.becomes(modest, "RUNNING").NetworkInterface.GetIpv4Address() + ":8080"
	h.fetch(eater, "/")
	client := http.Client{Timeout: h.c.patience}
	if answer, err := client.Get("http://" + eater + "/eat?mib=200"); err == nil {
		answer.Body.Close()
		t.Error("a task has eaten more than its memory")
	}
	s := h.c.becomes(greedy, "STOPPED")
	if c := s.Containers[0]; c.GetExitCode() != 137 || !strings.HasPrefix(c.Reason, "OutOfMemoryError") {
		t.Errorf("the container that ate: %v", c)
	}
	if got := h.fetch(other, "/eat", "mib", "20"); got != "eaten" {
		t.Errorf("the other task: %q", got)
	}
	h.c.stop(modest)
	h.c.becomes(modest, "STOPPED")
	h.gone(greedy)
	h.gone(modest)
	h.noGroups()
}

func theTasksProcessorTimeIsALimit(t *testing.T, h *dockerHost) {
	h.canLimit()
	id := h.arn("task")
	d := definition(container("web", h.images.Serve))
	d.Cpu = "256"
	h.c.run(id, d)
	h.c.becomes(id, "RUNNING")
	found := false
	for _, dir := range h.groups() {
		for file, want := range map[string]string{"cpu.cfs_quota_us": "25000", "cpu.max": "25000 100000"} {
			text, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				continue // of the other version, or another hierarchy
			}
			found = true
			if got := strings.TrimSpace(string(text)); got != want {
				t.Errorf("%s of %s is %q, want %q", file, dir, got, want)
			}
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		container := h.left(id)[0].ID
		if !slices.ContainsFunc(entries, func(e os.DirEntry) bool { return strings.Contains(e.Name(), container) }) {
			t.Errorf("the container is not in %s", dir)
		}
	}
	if !found {
		t.Errorf("no limit in %v", h.groups())
	}
	h.c.stop(id)
	h.c.becomes(id, "STOPPED")
	h.gone(id)
	h.noGroups()
}

func groupsThatNobodyNamesAreRemoved(t *testing.T, h *dockerHost) {
	h.canLimit()
	id := h.arn("task")
	d := definition(container("web", h.images.Serve))
	d.Memory = "64"
	h.c.run(id, d)
	h.c.becomes(id, "RUNNING")
	h.stop()
	for _, c := range h.left(id) { // of another task, the containers are gone as well
		if err := h.engine.Remove(t.Context(), c.ID); err != nil {
			t.Fatal(err)
		}
	}
	if len(h.groups()) == 0 {
		t.Fatal("the task has no group")
	}
	h.c.remove(id)
	h.start()
	h.noGroups()
}

func theContainersOfATaskSeeOneAnother(t *testing.T, h *dockerHost) {
	together, apart := h.arn("together"), h.arn("apart")
	for _, id := range []string{together, apart} {
		d := definition(container("web", h.images.Serve, port(8080, 0)), container("side", h.images.IgnoreStop, func(c *ecs.ContainerDefinition) {
			c.StopTimeout = ptr[int32](1)
		}))
		if id == together {
			d.PidMode, d.IpcMode = ecs.PidModeTask, ecs.IpcModeTask
		}
		h.c.run(id, d)
	}
	processes := func(id string) string {
		t.Helper()
		bindings := h.c.becomes(id, "RUNNING").Containers[0].NetworkBindings
		if len(bindings) != 1 {
			t.Fatalf("bindings %v", bindings)
		}
		deadline := time.Now().Add(h.c.patience)
		for {
			got := h.fetch(fmt.Sprint("127.0.0.1:", bindings[0].HostPort), "/processes")
			// A container that has been started is the engine's own program for a moment.
			if !strings.Contains(got, "runc init") || time.Now().After(deadline) {
				return got
			}
		}
	}
	if got := processes(together); !strings.HasPrefix(got, "/pause") || !strings.Contains(got, "/program serve") || !strings.Contains(got, "/program ignore-term") {
		t.Errorf("together: %s", got)
	}
	if got := processes(apart); got != "/program serve" {
		t.Errorf("apart: %s", got)
	}
	h.c.stop(together)
	h.c.becomes(together, "STOPPED")
	h.gone(together)
}

func sharedVolumesStayAndTaskVolumesGo(t *testing.T, h *dockerHost) {
	yes := true
	name := "longshore-test-" + h.unique
	t.Cleanup(func() {
		if err := h.engine.RemoveVolume(context.Background(), name); err != nil {
			t.Error(err)
		}
	})
	definitionOf := func(shared *ecs.DockerVolumeConfiguration) ecs.TaskDefinition {
		d := awsvpc(container("web", h.images.Serve, mount(name, "/shared"), mount("own", "/own")))
		shared.Scope = ecs.ScopeShared
		d.Volumes = []ecs.Volume{
			{Name: name, DockerVolumeConfiguration: shared},
			{Name: "own", DockerVolumeConfiguration: &ecs.DockerVolumeConfiguration{Driver: "local", Labels: map[string]string{"who": "me"}}},
		}
		return d
	}
	none := h.arn("none")
	h.c.run(none, definitionOf(&ecs.DockerVolumeConfiguration{}))
	want := "CannotCreateVolumeError: volume detection failed, volume '" + name + "' does not exist and autoprovision is set to false"
	if s := h.c.becomes(none, "STOPPED"); s.Reason != want || s.StopCode != "TaskFailedToStart" {
		t.Errorf("reported %v", s)
	}
	made := &ecs.DockerVolumeConfiguration{Autoprovision: &yes, Driver: "local", Labels: map[string]string{"a": "b"}}
	first, second := h.arn("first"), h.arn("second")
	h.c.run(first, definitionOf(made))
	address := h.c.becomes(first, "RUNNING").NetworkInterface.GetIpv4Address() + ":8080"
	for _, dir := range []string{"shared", "own"} {
		if got := h.fetch(address, "/write", "path", "/"+dir+"/file", "text", "kept"); got != "written" {
			t.Errorf("%s: %q", dir, got)
		}
	}
	own, err := h.engine.ListVolumes(t.Context(), map[string]string{lifecycle.LabelTask: first, "who": "me"})
	if err != nil || len(own) != 1 {
		t.Fatalf("volumes of the task %v, %v", own, err)
	}
	h.c.stop(first)
	h.c.becomes(first, "STOPPED")
	h.gone(first)

	h.c.run(second, definitionOf(&ecs.DockerVolumeConfiguration{})) // it is there now
	address = h.c.becomes(second, "RUNNING").NetworkInterface.GetIpv4Address() + ":8080"
	if got := h.fetch(address, "/read", "path", "/shared/file"); got != "kept" {
		t.Errorf("from the shared volume: %q", got)
	}
	if got := h.fetch(address, "/read", "path", "/own/file"); got == "kept" {
		t.Error("the task's own volume has what another one left")
	}
	other := h.arn("other")
	h.c.run(other, definitionOf(&ecs.DockerVolumeConfiguration{Autoprovision: &yes}))
	if s := h.c.becomes(other, "STOPPED"); !strings.Contains(s.Reason, "exists with another driver, driverOpts or labels") {
		t.Errorf("reported %v", s)
	}
	h.c.stop(second)
	h.c.becomes(second, "STOPPED")
	h.gone(second)
}

// A host offers the networks of the engine that the operator names, and not those
// that are not there.
func TestDocker_OffersTheNetworksThatThereAre(t *testing.T) {
	address := agenttest.DockerHost(t)
	h := newDockerHost(t, address, agenttest.Images{})
	h.stop()
	name := "longshore-test-" + h.unique
	if err := h.engine.EnsureNetwork(t.Context(), runtime.Network{Name: name}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { agenttest.RemoveNetwork(t, address, name) })
	h.config = withSubnets(h.config, map[string]string{"subnet-lan": name, "subnet-gone": name + "-gone"})
	h.start()
	var offered []string
	for _, a := range h.c.registrations[len(h.c.registrations)-1].Attributes {
		if subnet, ok := strings.CutPrefix(a.Name, "longshore.subnet."); ok {
			offered = append(offered, subnet)
		}
	}
	if !slices.Equal(offered, []string{"subnet-default", "subnet-lan"}) {
		t.Errorf("offered %v", offered)
	}
}

func withSubnets(c agent.Config, subnets map[string]string) agent.Config {
	c.Subnets = subnets
	return c
}
