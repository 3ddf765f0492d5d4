package main_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/longshore/longshore/agent/agenttest"
	"github.com/longshore/longshore/agent/docker"
	"github.com/longshore/longshore/agent/runtime"
	"github.com/longshore/longshore/scripts/testbed"
)

const hostTasks = 2 // of the service

// hostSite is a machine with everything on it, to which anything may happen: a
// Docker daemon of the test's own, longshore dev, and a service.
type hostSite struct {
	*site
	daemon *agenttest.Daemon
	dev    *testbed.Process
	began  map[string]time.Time // of every container that was seen running, by id
}

func newHostSite(t *testing.T, options agenttest.DaemonOptions) *hostSite {
	t.Helper()
	d := agenttest.NewDaemon(t, options)
	agenttest.ImportImage(t, d.Host, "serve:1", "serve")
	engine, err := docker.New(docker.Config{Host: d.Host})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engine.Close() })
	s := &site{t: t, dir: t.TempDir(), api: testbed.FreeAddress(t), agents: testbed.FreeAddress(t), ops: testbed.FreeAddress(t), engine: engine}
	s.ecs = client(s.api)
	h := &hostSite{site: s, daemon: d, began: map[string]time.Time{}}
	h.boot()
	out, err := s.ecs.RegisterTaskDefinition(t.Context(), &awsecs.RegisterTaskDefinitionInput{
		Family: aws.String("web"), NetworkMode: types.NetworkModeNone, ContainerDefinitions: []types.ContainerDefinition{
			{Name: aws.String("main"), Image: aws.String("serve:1"), Memory: aws.Int32(32)},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	h.createService("web", *out.TaskDefinition.TaskDefinitionArn, hostTasks)
	h.settled("at first")
	return h
}

// boot starts longshore. A task is taken for healthy early, so that a host that
// fails often is not one whose tasks never start.
func (h *hostSite) boot() {
	h.t.Helper()
	h.dev = h.site.dev("--docker-host", h.daemon.Host, "--task-healthy-after", "100ms")
}

// settled waits until the service is as it should be, and checks that what the
// API says is what Docker has: so many containers, none of which ran twice, and
// of what has ended, how.
func (h *hostSite) settled(after string) {
	h.t.Helper()
	h.awaitStable("web")
	h.await("as many containers as tasks "+after, func() bool { return len(h.runningIDs()) == hostTasks })
	for _, c := range h.containers(h.t.Context()) {
		if c.StartedAt.IsZero() {
			continue
		}
		if began, seen := h.began[c.ID]; seen && !began.Equal(c.StartedAt) {
			h.t.Errorf("%s: %s was started at %v and again at %v", after, c.Name, began, c.StartedAt)
		}
		h.began[c.ID] = c.StartedAt
	}
	out, err := h.ecs.ListTasks(h.t.Context(), &awsecs.ListTasksInput{Cluster: aws.String(h.cluster()), DesiredStatus: types.DesiredStatusStopped})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, arn := range out.TaskArns {
		h.checkStopped(after, h.task(arn))
	}
	for _, arn := range h.taskARNs("web") {
		h.checkRunning(after, h.task(arn))
	}
}

func (h *hostSite) checkStopped(after string, task types.Task) {
	h.t.Helper()
	c := task.Containers[0]
	if aws.ToString(task.LastStatus) != "STOPPED" || aws.ToString(task.StoppedReason) == "" || c.ExitCode == nil {
		h.t.Errorf("%s: the task %s ended as %s, %q, exit code %v", after, *task.TaskArn, aws.ToString(task.LastStatus), aws.ToString(task.StoppedReason), c.ExitCode)
	}
	if c.RuntimeId == nil {
		return
	}
	if seen, err := h.engine.Inspect(h.t.Context(), *c.RuntimeId); err == nil && (seen.State != runtime.Exited || c.ExitCode != nil && int32(seen.ExitCode) != *c.ExitCode) {
		h.t.Errorf("%s: the task %s is shown STOPPED with %v, and its container is %+v", after, *task.TaskArn, c.ExitCode, seen)
	}
}

func (h *hostSite) checkRunning(after string, task types.Task) {
	h.t.Helper()
	seen, err := h.engine.Inspect(h.t.Context(), aws.ToString(task.Containers[0].RuntimeId))
	if err != nil || seen.State != runtime.Running {
		h.t.Errorf("%s: the task %s is shown RUNNING, and its container is %+v, %v", after, *task.TaskArn, seen, err)
	}
}

// reboot is loss of power; it returns when everything is up again.
func (h *hostSite) reboot() {
	h.dev.Kill()
	h.daemon.Crash(h.t)
	h.daemon.Boot(h.t)
	h.boot()
}

func TestHost_ServiceIsRefilledAfterAReboot(t *testing.T) {
	h := newHostSite(t, agenttest.DaemonOptions{})
	before := h.runningIDs()
	h.reboot()
	h.settled("after the reboot")
	for _, id := range before {
		if seen, err := h.engine.Inspect(t.Context(), id); err == nil && seen.State == runtime.Running {
			t.Errorf("%s runs again", id)
		}
	}
}
