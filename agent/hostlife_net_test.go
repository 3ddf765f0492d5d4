package agent_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
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

// networked is a machine whose tasks have networks and control groups of their own.
type networked struct {
	*machine
	unique string // the control groups are in the kernel's one tree
}

func newNetworked(t *testing.T, options agenttest.DaemonOptions) *networked {
	t.Helper()
	options.Networks = true
	n := &networked{unique: strings.ToLower(rand.Text())}
	n.machine = newMachine(t, options, func(c *agent.Config) {
		c.CgroupRoot, c.TaskCleanupWait = cgroup.DefaultRoot, time.Hour
	})
	t.Cleanup(n.end)
	return n
}

func (n *networked) arn(id string) string { return arn(id + "-" + n.unique) }

// end ends all tasks, so that nothing of them is left in the kernel's tree: the
// end of their daemon would leave their groups.
func (n *networked) end() {
	if n.t.Failed() {
		return // how things stand is not known
	}
	n.c.mu.Lock()
	var left []string
	for id := range n.c.tasks {
		left = append(left, id)
	}
	n.c.mu.Unlock()
	for _, id := range left {
		n.c.stop(id)
		n.c.becomes(id, "STOPPED")
	}
	n.noGroups()
}

// forgetGroups does what a reboot does to the kernel's tree.
func (n *networked) forgetGroups() {
	n.t.Helper()
	for _, group := range n.groups() {
		var dirs []string
		err := filepath.WalkDir(group, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				dirs = append(dirs, path)
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil // two controllers can be one hierarchy
			}
			return err
		})
		for _, dir := range slices.Backward(dirs) {
			err = errors.Join(err, n.removeGroup(dir))
		}
		if err != nil {
			n.t.Fatalf("forget the control groups: %v", err)
		}
	}
}

// removeGroup waits for the processes that were killed in it.
func (n *networked) removeGroup(dir string) error {
	deadline := time.After(n.c.patience)
	again := time.NewTicker(20 * time.Millisecond) // the kernel tells nobody
	defer again.Stop()
	for {
		err := os.Remove(dir)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if !errors.Is(err, syscall.EBUSY) {
			return err
		}
		select {
		case <-again.C:
		case <-deadline:
			return err
		}
	}
}

// groups are the control groups of the machine's tasks.
func (n *networked) groups() (found []string) {
	for instance := range n.c.instances {
		for _, depth := range []string{"longshore", "*/longshore"} {
			some, err := filepath.Glob(filepath.Join(cgroup.DefaultRoot, depth, lifecycle.GroupOwner(instance)+"*"))
			if err != nil {
				n.t.Fatal(err)
			}
			found = append(found, some...)
		}
	}
	return found
}

// noGroups waits until the tasks have no control groups: their ends give them
// back, though their containers stay for an hour.
func (n *networked) noGroups() {
	n.t.Helper()
	deadline := time.After(n.c.patience)
	again := time.NewTicker(20 * time.Millisecond) // the kernel tells nobody
	defer again.Stop()
	for len(n.groups()) > 0 {
		select {
		case <-again.C:
		case <-deadline:
			n.t.Fatalf("control groups are left: %v", n.groups())
		}
	}
}

// limited is a task with a network and a control group of its own, whose container
// is started once more when it ends.
func limited() ecs.TaskDefinition {
	d := awsvpc(container("main", "serve:1", func(c *ecs.ContainerDefinition) {
		c.RestartPolicy = &ecs.ContainerRestartPolicy{Enabled: ptr(true), RestartAttemptPeriod: ptr(int32(1)), IgnoredExitCodes: []int32{0}}
	}))
	d.Memory = "128"
	return d
}

// runs starts a task, and returns its report once its container answers.
func (n *networked) runs(id string) *agentv1.TaskState {
	n.t.Helper()
	n.c.run(n.arn(id), limited())
	s := n.c.becomes(n.arn(id), "RUNNING")
	n.answers(s)
	return s
}

// answers waits until the container of a task answers at the task's address.
func (n *networked) answers(s *agentv1.TaskState) {
	n.t.Helper()
	if got, err := n.get(s, "/"); err != nil || got != "served" {
		n.t.Errorf("task %s at %s says %q, %v", s.Arn, s.NetworkInterface.GetIpv4Address(), got, err)
	}
}

// get asks the container of a task, which may not listen yet.
func (n *networked) get(s *agentv1.TaskState, path string) (string, error) {
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DialContext: n.daemon.Dial, DisableKeepAlives: true}}
	deadline := time.After(n.c.patience)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		answer, err := client.Get(fmt.Sprintf("http://%s:8080%s", s.NetworkInterface.GetIpv4Address(), path))
		if err == nil {
			text, err := io.ReadAll(answer.Body)
			answer.Body.Close()
			return strings.TrimSpace(string(text)), err
		}
		select {
		case <-again.C:
		case <-deadline:
			return "", err
		}
	}
}

// exits makes the container of a task end. It is asked once: asked again, it would end again.
func (n *networked) exits(s *agentv1.TaskState, code int) {
	n.t.Helper()
	conn, err := n.daemon.Dial(n.t.Context(), "tcp", s.NetworkInterface.GetIpv4Address()+":8080")
	if err != nil {
		n.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "GET /exit/%d HTTP/1.1\r\nHost: x\r\n\r\n", code); err != nil {
		n.t.Fatal(err)
	}
	if said, err := io.ReadAll(conn); len(said) > 0 {
		n.t.Errorf("it was to end, and said %q, %v", said, err)
	}
}

// found are all containers of a task, by name.
func (n *networked) found(id string) map[string]runtime.Container {
	n.t.Helper()
	list, err := n.engine.List(n.t.Context(), map[string]string{lifecycle.LabelTask: n.arn(id)})
	if err != nil {
		n.t.Fatal(err)
	}
	byName := map[string]runtime.Container{}
	for _, c := range list {
		if _, twice := byName[c.Labels[lifecycle.LabelContainer]]; twice {
			n.t.Errorf("task %s has two containers of one name: %+v", id, list)
		}
		byName[c.Labels[lifecycle.LabelContainer]] = c
	}
	return byName
}

// whole checks that a task runs as it did, none of its containers started anew,
// and answers where it did.
func (n *networked) whole(id string, s *agentv1.TaskState, before map[string]runtime.Container) {
	n.t.Helper()
	now := n.c.becomes(n.arn(id), "RUNNING")
	if now.NetworkInterface.GetIpv4Address() != s.NetworkInterface.GetIpv4Address() {
		n.t.Errorf("task %s has the address %v now, and had %v", id, now.NetworkInterface, s.NetworkInterface)
	}
	after := n.found(id)
	for name, c := range before {
		if after[name].ID != c.ID || after[name].State != runtime.Running || !after[name].StartedAt.Equal(c.StartedAt) {
			n.t.Errorf("container %s of %s is %+v, and was %+v", name, id, after[name], c)
		}
	}
	if len(after) != len(before) {
		n.t.Errorf("task %s has %d containers, and had %d", id, len(after), len(before))
	}
	n.answers(s)
	n.c.wentForward(n.arn(id))
}

func TestHost_DockerRestartWithLiveRestoreLeavesTasksTheirNetworks(t *testing.T) {
	n := newNetworked(t, agenttest.DaemonOptions{LiveRestore: true})
	s := n.runs("1")
	before := n.found("1")
	for late, end := range map[string]func(testing.TB){"stop": n.daemon.Stop, "kill": n.daemon.Kill} {
		end(t)
		n.answers(s) // also while there is no daemon
		n.c.run(n.arn(late), limited())
		n.daemon.Start(t)
		other := n.c.becomes(n.arn(late), "RUNNING")
		if other.NetworkInterface.GetIpv4Address() == s.NetworkInterface.GetIpv4Address() {
			t.Errorf("two tasks have the address %v", s.NetworkInterface)
		}
		n.answers(other)
		n.whole("1", s, before)
	}
	n.stop() // and the agent's restart
	n.start()
	n.whole("1", s, before)

	// A container that is started once more finds its namespace.
	main := before["main"]
	<-time.After(time.Until(main.StartedAt.Add(time.Second))) // a run has to last for the period
	n.exits(s, 3)
	if again := n.restarted("1", main); again.ID != main.ID || !again.StartedAt.After(main.StartedAt) {
		t.Errorf("started once more as %+v, was %+v", again, main)
	}
	n.answers(s)
	for _, id := range []string{"1", "stop", "kill"} {
		n.c.stop(n.arn(id))
		if s := n.c.becomes(n.arn(id), "STOPPED"); s.Containers[0].GetExitCode() != 0 {
			t.Errorf("stopped as %v", s)
		}
	}
	n.noGroups()
	if len(n.found("1")) != 2 {
		t.Error("its containers were to stay")
	}
}

func TestHost_DockerRestartWithoutLiveRestoreEndsTasksWithTheirNetworks(t *testing.T) {
	for name, end := range map[string]func(*agenttest.Daemon, testing.TB){
		"in good order": (*agenttest.Daemon).Stop, "by a crash": (*agenttest.Daemon).Kill,
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetworked(t, agenttest.DaemonOptions{})
			before := n.runs("1")
			end(n.daemon, t)
			n.daemon.Start(t)
			n.ended("1", before)
			n.noGroups()
			n.c.run(n.arn("2"), limited()) // as its service would have it
			n.answers(n.c.becomes(n.arn("2"), "RUNNING"))
			n.restartsNothing("1")
		})
	}
}

func TestHost_RebootEndsTasksWithTheirNetworks(t *testing.T) {
	n := newNetworked(t, agenttest.DaemonOptions{})
	before := n.runs("1")
	n.stop()
	n.daemon.Crash(t)
	n.forgetGroups()
	n.c.run(n.arn("2"), limited())
	n.daemon.Boot(t)
	n.start()
	n.ended("1", before)
	n.answers(n.c.becomes(n.arn("2"), "RUNNING"))
	n.restartsNothing("1")
}

// TestHost_ATaskThatWasUnderWayIsNeverHalfThere: its namespace was there, its
// container was not yet started, when Docker restarted.
func TestHost_ATaskThatWasUnderWayIsNeverHalfThere(t *testing.T) {
	for name, live := range map[string]bool{"with live-restore": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			n := newNetworked(t, agenttest.DaemonOptions{LiveRestore: live})
			n.stop()
			reached := make(chan struct{}, 1)
			down := make(chan struct{})
			n.config.Runtime = agenttest.Intercept(n.engine, agenttest.Hooks{
				Start: func(ctx context.Context, next runtime.Runtime, id string) error {
					if c, err := next.Inspect(ctx, id); err == nil && c.Labels[lifecycle.LabelContainer] == "main" {
						select {
						case reached <- struct{}{}:
						default:
						}
						select {
						case <-down:
						case <-ctx.Done():
							return ctx.Err()
						}
					}
					return next.Start(ctx, id)
				},
			})
			n.start()
			n.c.run(n.arn("1"), limited())
			<-reached
			n.daemon.Stop(t)
			close(down)
			n.daemon.Start(t)
			if live {
				s := n.c.becomes(n.arn("1"), "RUNNING")
				n.answers(s)
				n.whole("1", s, n.found("1"))
				return
			}
			s := n.c.becomes(n.arn("1"), "STOPPED")
			if s.StopCode != "TaskFailedToStart" || s.Containers[0].ExitCode != nil {
				t.Errorf("reported %v", s)
			}
			n.noGroups()
			n.restartsNothing("1")
			if c, ok := n.found("1")["main"]; ok && c.State == runtime.Running {
				t.Errorf("its container runs in a namespace that is gone: %+v", c)
			}
		})
	}
}

// restarted waits until the container runs again.
func (n *networked) restarted(id string, before runtime.Container) runtime.Container {
	n.t.Helper()
	deadline := time.After(n.c.patience)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		c := n.found(id)["main"]
		if c.State == runtime.Running && !c.StartedAt.Equal(before.StartedAt) {
			return c
		}
		select {
		case <-again.C:
		case <-deadline:
			return c
		}
	}
}

// ended checks that a task is STOPPED as its container ended.
func (n *networked) ended(id string, before *agentv1.TaskState) {
	n.t.Helper()
	s := n.c.becomes(n.arn(id), "STOPPED")
	if got := s.Containers[0]; got.RuntimeId != before.Containers[0].RuntimeId || got.ExitCode == nil ||
		s.StopCode != "EssentialContainerExited" || s.NetworkInterface.GetIpv4Address() != before.NetworkInterface.GetIpv4Address() {
		n.t.Errorf("reported %v, was %v", s, before)
	}
	n.c.wentForward(n.arn(id))
}

// restartsNothing checks that no container of a task that has ended runs.
func (n *networked) restartsNothing(id string) {
	n.t.Helper()
	for name, c := range n.found(id) {
		if c.State == runtime.Running {
			n.t.Errorf("container %s of %s, which has ended, is %+v", name, id, c)
		}
	}
}
