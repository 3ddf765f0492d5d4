package agent_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longshore/longshore/agent/agenttest"
	"github.com/longshore/longshore/agent/lifecycle"
	agentv1 "github.com/longshore/longshore/proto/agent/v1"
	"github.com/longshore/longshore/proto/ecs"
)

func TestAgent_RestartsAContainerByItsPolicy(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		h := newHost(t, c, m)
		policy := func(d *ecs.ContainerDefinition) { d.RestartPolicy = &ecs.ContainerRestartPolicy{Enabled: ptr(true)} }
		c.run(arn("1"), definition(container("main", "server:1", policy)))
		id := c.becomes(arn("1"), "RUNNING").Containers[0].RuntimeId
		for range 3 {
			time.Sleep(5 * time.Minute)
			m.Exit(id, 1)
			synctest.Wait()
			time.Sleep(time.Second)
			if s := c.becomes(arn("1"), "RUNNING"); s.Containers[0].RuntimeId != id || s.Containers[0].Status != "RUNNING" {
				t.Fatalf("reported %v", s)
			}
		}
		if got := m.Calls(); got["Restart"] != 3 || got["Create"] != 1 || got["Start"] != 1 {
			t.Errorf("calls %v, want three restarts of the one container", got)
		}
		// While the agent is away: once a restart, once none.
		time.Sleep(5 * time.Minute)
		h.stop()
		m.Exit(id, 1)
		time.Sleep(time.Hour)
		h.start()
		synctest.Wait()
		if got := m.Calls()["Restart"]; got != 4 {
			t.Errorf("%d restarts, want one more by the next agent", got)
		}
		time.Sleep(4 * time.Minute)
		h.stop()
		m.Exit(id, 6)
		h.start()
		if s := c.becomes(arn("1"), "STOPPED"); s.Containers[0].GetExitCode() != 6 || s.Reason != "Essential container in task exited" {
			t.Errorf("after a short run: %v", s)
		}
		if got := m.Calls()["Restart"]; got != 4 {
			t.Errorf("%d restarts, want none after a short run", got)
		}
		c.wentForward(arn("1"))
	})
}

func TestAgent_RunsTheDigestThatTheControlPlaneNames(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		newHost(t, c, m)
		digest := "sha256:" + strings.Repeat("a", 64)
		m.PublishImage("app:1", agenttest.Program{ExitsAtOnce: true, ExitCode: 1}, nil)
		m.PublishImage("app@"+digest, agenttest.Program{}, nil)
		c.run(arn("1"), definition(container("main", "app:1")), ecs.ContainerOverride{Name: "main"})
		c.becomes(arn("1"), "STOPPED")

		c.mu.Lock()
		c.tasks[arn("2")] = &placed{task: &agentv1.Task{
			Arn: arn("2"), Cluster: "default", Definition: "definition of " + arn("1"), DesiredStatus: "RUNNING", KnownStatus: "PENDING",
			Assignments: []*agentv1.Assignment{{Container: "main", ImageDigest: digest, GpuIds: []string{"GPU-1"}}},
		}}
		c.push(&agentv1.Desired{Tasks: []*agentv1.Task{c.tasks[arn("2")].task}})
		c.mu.Unlock()
		c.becomes(arn("2"), "RUNNING")
		for _, found := range all(t, m) {
			if found.Labels[lifecycle.LabelTask] == arn("2") && found.Image != "app@"+digest {
				t.Errorf("it runs %s, want the digest", found.Image)
			}
		}
	})
}
