package agent_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
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

// machine is a host with a Docker daemon of its own, to which anything may happen.
type machine struct {
	*host
	daemon *agenttest.Daemon
	engine *docker.Runtime
}

func newMachine(t *testing.T, options agenttest.DaemonOptions, edit ...func(*agent.Config)) *machine {
	t.Helper()
	d := agenttest.NewDaemon(t, options)
	agenttest.ImportImage(t, d.Host, "serve:1", "serve")
	engine := newEngine(t, d.Host)
	m := &machine{daemon: d, engine: engine}
	m.host = newHost(t, newControlPlane(t), engine, edit...)
	return m
}

func newEngine(t *testing.T, address string) *docker.Runtime {
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
	return engine
}

// offline is a task without a network: the daemon has none.
func offline(containers ...ecs.ContainerDefinition) ecs.TaskDefinition {
	d := definition(containers...)
	d.NetworkMode = ecs.NetworkModeNone
	return d
}

// running starts a task, and returns its container once it runs.
func (m *machine) running(id string) runtime.Container {
	m.t.Helper()
	m.c.run(arn(id), offline(container("main", "serve:1")))
	s := m.c.becomes(arn(id), "RUNNING")
	seen, err := m.engine.Inspect(m.t.Context(), s.Containers[0].RuntimeId)
	if err != nil || seen.State != runtime.Running {
		m.t.Fatalf("%s is reported RUNNING, and is %+v, %v", id, seen, err)
	}
	return seen
}

// stays checks that a task runs in the container that it ran in, which was
// not started again.
func (m *machine) stays(id string, before runtime.Container) {
	m.t.Helper()
	s := m.c.becomes(arn(id), "RUNNING")
	seen, err := m.engine.Inspect(m.t.Context(), before.ID)
	if err != nil || seen.State != runtime.Running || !seen.StartedAt.Equal(before.StartedAt) || s.Containers[0].RuntimeId != before.ID {
		m.t.Errorf("%s is reported %v, and is %+v, %v; want it to go on as %+v", id, s, seen, err, before)
	}
	m.c.wentForward(arn(id))
}

// count checks how many containers there are of each of the tasks: one.
func (m *machine) once(ids ...string) {
	m.t.Helper()
	for _, id := range ids {
		found, err := m.engine.List(m.t.Context(), map[string]string{lifecycle.LabelTask: arn(id)})
		if err != nil || len(found) != 1 {
			m.t.Errorf("%s has the containers %+v, %v; want one", id, found, err)
		}
	}
}

func TestHost_AgentUpgradeAdoptsWhatTheFormerVersionMade(t *testing.T) {
	d := agenttest.NewDaemon(t, agenttest.DaemonOptions{})
	agenttest.ImportImage(t, d.Host, "serve:1", "serve")
	real := newEngine(t, d.Host)
	var hold atomic.Bool
	former := agenttest.Intercept(real, agenttest.Hooks{
		Start: func(ctx context.Context, next runtime.Runtime, id string) error {
			if hold.Load() { // the upgrade comes before this one is started
				<-ctx.Done()
				return ctx.Err()
			}
			return next.Start(ctx, id)
		},
	})
	m := &machine{daemon: d, engine: real}
	m.host = newHost(t, newControlPlane(t), former, func(c *agent.Config) { c.Version = "1.0.0" })
	before := m.running("runs")
	hold.Store(true)
	m.c.run(arn("created"), offline(container("main", "serve:1")))
	half := m.c.until(arn("created"), "a container", func(s *agentv1.TaskState) bool { return s.Containers[0].RuntimeId != "" }).Containers[0].RuntimeId
	m.stop()

	m.config.Version = "2.0.0"
	m.config.Runtime = agenttest.Intercept(real, agenttest.Hooks{
		Create: func(ctx context.Context, next runtime.Runtime, spec runtime.Spec) (string, error) {
			spec.Hash = "2:" + spec.Hash // another rule
			return next.Create(ctx, spec)
		},
	})
	m.start()
	m.stays("runs", before)
	if s := m.c.becomes(arn("created"), "RUNNING"); s.Containers[0].RuntimeId != half {
		t.Errorf("the task that was under way went on as %v, want the container %s", s, half)
	}
	m.running("new")
	m.once("runs", "created", "new")
	if last := m.c.registrations[len(m.c.registrations)-1]; last.VersionInfo.AgentVersion != "2.0.0" {
		t.Errorf("registered as version %s", last.VersionInfo.AgentVersion)
	}
	m.c.stop(arn("runs"))
	if s := m.c.becomes(arn("runs"), "STOPPED"); s.Containers[0].GetExitCode() != 0 {
		t.Errorf("stopped as %v", s)
	}
}

func TestHost_DockerRestartWithLiveRestoreTouchesNoTask(t *testing.T) {
	m := newMachine(t, agenttest.DaemonOptions{LiveRestore: true})
	before := m.running("1")
	for late, end := range map[string]func(testing.TB){"stop": m.daemon.Stop, "kill": m.daemon.Kill} {
		end(t)
		m.c.run(arn(late), offline(container("main", "serve:1")))
		m.daemon.Start(t)
		m.c.becomes(arn(late), "RUNNING")
		m.stays("1", before)
		m.once("1", late)
	}
	m.c.stop(arn("1"))
	if s := m.c.becomes(arn("1"), "STOPPED"); s.Containers[0].GetExitCode() != 0 {
		t.Errorf("stopped as %v", s)
	}
}

func TestHost_DockerRestartWithoutLiveRestoreEndsTasksWithTheTruth(t *testing.T) {
	m := newMachine(t, agenttest.DaemonOptions{})
	before := m.running("1")
	m.daemon.Stop(t)
	m.daemon.Start(t)
	s := m.c.becomes(arn("1"), "STOPPED")
	if got := s.Containers[0]; got.RuntimeId != before.ID || got.ExitCode == nil || got.GetExitCode() != 0 ||
		s.StopCode != "EssentialContainerExited" || s.Reason != "Essential container in task exited" {
		t.Errorf("reported %v, want its own end on the daemon's SIGTERM", s)
	}
	m.running("2") // as its service would have it
	m.once("1", "2")
	m.c.wentForward(arn("1"))
}

func TestHost_RebootStopsWhatRanAndRunsNothingTwice(t *testing.T) {
	m := newMachine(t, agenttest.DaemonOptions{})
	before := m.running("1")
	m.stop() // how the agent ends makes no difference: it keeps nothing that the engine does not
	m.daemon.Crash(t)
	m.c.run(arn("2"), offline(container("main", "serve:1"))) // as its service would have it
	m.daemon.Boot(t)
	m.start()
	s := m.c.becomes(arn("1"), "STOPPED")
	if got := s.Containers[0]; got.RuntimeId != before.ID || got.ExitCode == nil || got.GetExitCode() == 0 ||
		s.StopCode != "EssentialContainerExited" || s.Reason != "Essential container in task exited" {
		t.Errorf("reported %v, want the engine's word for how it ended", s)
	}
	m.c.becomes(arn("2"), "RUNNING")
	m.once("1", "2")
	seen, err := m.engine.Inspect(t.Context(), before.ID)
	if err != nil || seen.State != runtime.Exited || !seen.StartedAt.Equal(before.StartedAt) {
		t.Errorf("the container of before is %+v, %v; want it as it ended", seen, err)
	}
	m.c.wentForward(arn("1"))
}

func TestHost_FullDiskFailsTasksWithTheReasonAndPasses(t *testing.T) {
	m := newMachine(t, agenttest.DaemonOptions{DiskMiB: 160}, func(c *agent.Config) { c.ImageCleanup.LowWaterPercent = -1 })
	before := m.running("runs")
	filler := filepath.Join(m.daemon.Data, "filler")
	fill(t, filler)
	m.c.run(arn("full"), offline(container("main", "serve:1")))
	s := m.c.becomes(arn("full"), "STOPPED")
	if s.StopCode != "TaskFailedToStart" || !strings.Contains(s.Reason, "no space left on device") ||
		!strings.HasPrefix(s.Reason, "CannotCreateContainerError: ") && !strings.HasPrefix(s.Reason, "CannotStartContainerError: ") {
		t.Errorf("reported %v", s)
	}
	m.stays("runs", before)
	m.stop() // an agent that starts on a full disk comes up as well
	m.start()
	m.stays("runs", before)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	m.running("after")
}

// fill writes until nothing more fits.
func fill(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 1<<20); len(block) > 0; {
		if _, err = file.Write(block); err != nil {
			block = block[:len(block)/2] // the rest, down to the last byte
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("fill the disk: %v", err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestHost_HangingDockerFailsWhatItKeepsWaitingAndNothingElse(t *testing.T) {
	const patience = 10 * time.Second // that a busy daemon does not need, either
	m := newMachine(t, agenttest.DaemonOptions{}, func(c *agent.Config) { c.CreateTimeout, c.PullBehavior = patience, agent.PullPreferCached })
	before := m.running("runs")
	m.daemon.Hang(t)
	m.c.run(arn("waits"), offline(container("main", "serve:1")))
	s := m.c.until(arn("waits"), "its end to begin", func(s *agentv1.TaskState) bool { return s.StopCode != "" })
	if want := "DockerTimeoutError: Could not transition to created; timed out after waiting 10s"; s.Reason != want || s.StopCode != "TaskFailedToStart" || s.Status == "STOPPED" {
		t.Errorf("while it hangs, reported %v: want that it fails, and not yet that it has ended", s)
	}
	m.c.until(arn("runs"), "RUNNING still", func(s *agentv1.TaskState) bool { return s.Status == "RUNNING" })
	m.daemon.Resume(t)
	s = m.c.becomes(arn("waits"), "STOPPED")
	if !strings.HasPrefix(s.Reason, "DockerTimeoutError: ") {
		t.Errorf("reported %v", s)
	}
	found, err := m.engine.List(t.Context(), map[string]string{lifecycle.LabelTask: arn("waits")})
	if err != nil || len(found) > 1 || len(found) == 1 && found[0].State != runtime.Created {
		t.Errorf("left of it: %+v, %v; want nothing that ran", found, err)
	}
	m.stays("runs", before)
	m.running("after")
	m.once("runs", "after")
}

func TestHost_SlowDockerIsWaitedFor(t *testing.T) {
	d := agenttest.NewDaemon(t, agenttest.DaemonOptions{})
	agenttest.ImportImage(t, d.Host, "serve:1", "serve")
	m := &machine{daemon: d, engine: newEngine(t, d.Host)}
	slow := newEngine(t, slowed(t, d.Host, 100*time.Millisecond))
	m.host = newHost(t, newControlPlane(t), slow)
	before := m.running("1")
	m.running("2")
	m.stop()
	m.start()
	m.stays("1", before)
	m.c.stop(arn("2"))
	if s := m.c.becomes(arn("2"), "STOPPED"); s.Containers[0].GetExitCode() != 0 {
		t.Errorf("stopped as %v", s)
	}
	m.once("1", "2")
	m.c.wentForward(arn("2"))
}

// slowed stands before a daemon, and hands on everything that it says late.
func slowed(t *testing.T, host string, delay time.Duration) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "slow.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed
			}
			serving.Go(func() { relay(ctx, conn, strings.TrimPrefix(host, "unix://"), delay) })
		}
	})
	t.Cleanup(func() {
		cancel()
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
		serving.Wait()
	})
	return "unix://" + socket
}

func relay(ctx context.Context, client net.Conn, address string, delay time.Duration) {
	server, err := net.Dial("unix", address)
	if err != nil {
		client.Close()
		return
	}
	stop := context.AfterFunc(ctx, func() { client.Close(); server.Close() })
	defer stop()
	var asking sync.WaitGroup
	asking.Go(func() {
		io.Copy(server, client) // its end is told by the close of either side
		server.Close()
	})
	defer asking.Wait()
	defer client.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := server.Read(buffer)
		if n > 0 {
			if pause := time.NewTimer(delay); ctx.Err() == nil {
				select {
				case <-pause.C:
				case <-ctx.Done():
				}
			}
			if _, err := client.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
