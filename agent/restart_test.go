package agent_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/longshore/longshore/agent"
	"github.com/longshore/longshore/agent/agenttest"
	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/runtime"
	"github.com/longshore/longshore/proto/ecs"
)

func TestAgent_RestartAdoptsWhatRunsAndReportsWhatEnded(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		h := newHost(t, c, m)
		ids := map[string]string{}
		for _, id := range []string{"stays", "ends", "vanishes", "stopped"} {
			c.run(arn(id), definition(container("main", "server:1")))
			ids[id] = c.becomes(arn(id), "RUNNING").Containers[0].RuntimeId
		}
		h.stop()
		m.Exit(ids["ends"], 42)
		if err := m.Remove(t.Context(), ids["vanishes"]); err != nil {
			t.Fatal(err)
		}
		c.stop(arn("stopped"))
		c.run(arn("new"), definition(container("main", "server:1")))
		starts := m.Calls()["Start"]
		time.Sleep(time.Minute)
		h.start()

		if s := c.becomes(arn("ends"), "STOPPED"); s.Containers[0].GetExitCode() != 42 || s.Containers[0].RuntimeId != ids["ends"] ||
			s.StopCode != "EssentialContainerExited" || time.Since(time.UnixMilli(s.ExecutionStoppedAt)) < time.Minute {
			t.Errorf("ended meanwhile: %v", s)
		}
		if s := c.becomes(arn("vanishes"), "STOPPED"); s.Containers[0].ExitCode != nil || s.Reason != "Container main is missing on the host" {
			t.Errorf("vanished: %v", s)
		}
		c.becomes(arn("stopped"), "STOPPED")
		c.becomes(arn("new"), "RUNNING")
		synctest.Wait()
		if s := c.becomes(arn("stays"), "RUNNING"); s.Containers[0].RuntimeId != ids["stays"] {
			t.Errorf("adopted as %v", s)
		}
		if got := m.Calls()["Start"] - starts; got != 1 {
			t.Errorf("%d starts after the restart, want the one of the new task", got)
		}
		if len(c.registrations) != 2 || c.registrations[1].ContainerInstanceArn == "" {
			t.Errorf("registrations %v", c.registrations)
		}
		for id := range ids {
			c.wentForward(arn(id))
		}
	})
}

func TestAgent_WhatEndsWhileTheControlPlaneIsAwayIsNoticed(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		h := newHost(t, c, m)
		c.run(arn("1"), definition(container("main", "server:1")))
		id := c.becomes(arn("1"), "RUNNING").Containers[0].RuntimeId
		h.stop()
		c.leave(true)
		h.launch()
		time.Sleep(time.Minute) // everything is listed, and nothing desired
		m.Exit(id, 8)
		time.Sleep(time.Minute)
		c.leave(false)
		if s := c.becomes(arn("1"), "STOPPED"); s.Containers[0].GetExitCode() != 8 {
			t.Errorf("reported %v", s)
		}
	})
}

func TestAgent_ATaskThatIsOverAndClearedAwayIsNotReportedAnew(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		h := newHost(t, c, m, func(config *agent.Config) { config.TaskCleanupWait = time.Minute })
		c.run(arn("1"), definition(container("main", "failure:1")))
		c.becomes(arn("1"), "STOPPED")
		time.Sleep(2 * time.Minute)
		h.stop()
		h.start() // the control plane still names the task
		time.Sleep(time.Minute)
		if s := c.becomes(arn("1"), "STOPPED"); s.Containers[0].GetExitCode() != 3 {
			t.Errorf("the exit code was taken back by %v", s)
		}
	})
}

func TestAgent_WhatNobodyNamesIsStoppedAndRemoved(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		h := newHost(t, c, m)
		d := definition(container("main", "server:1", mount("data", "/data")))
		d.Volumes = []ecs.Volume{{Name: "data"}}
		c.run(arn("1"), d)
		c.becomes(arn("1"), "RUNNING")
		c.run(arn("2"), definition(container("main", "server:1")))
		c.becomes(arn("2"), "RUNNING")
		h.stop()
		c.remove(arn("1"))
		h.start()
		time.Sleep(time.Second)
		if left := all(t, m); len(left) != 1 || left[0].Labels[lifecycle.LabelTask] != arn("2") {
			t.Errorf("left after the restart: %+v", left)
		}
		// And while the agent runs.
		c.remove(arn("2"))
		time.Sleep(time.Second)
		if left := all(t, m); len(left) > 0 {
			t.Errorf("left after the removal: %+v", left)
		}
		time.Sleep(time.Minute)
		volumes, err := m.ListVolumes(t.Context(), nil)
		if err != nil || len(volumes) > 0 {
			t.Errorf("volumes left: %v, %v", volumes, err)
		}
	})
}

func TestAgent_AnotherAgentsContainersAreNotTouched(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		newHost(t, c, m)
		c.run(arn("1"), definition(container("main", "server:1")))
		c.becomes(arn("1"), "RUNNING")
		newHost(t, newControlPlane(t), m)
		time.Sleep(time.Minute)
		if left := all(t, m); len(left) != 1 || left[0].State != runtime.Running {
			t.Errorf("left: %+v", left)
		}
	})
}

func TestAgent_AnInstanceThatIsForgottenStartsAnewAndCleansUp(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		h := newHost(t, c, m)
		c.run(arn("1"), definition(container("main", "server:1")))
		c.becomes(arn("1"), "RUNNING")
		h.stop()
		c.mu.Lock()
		c.instances = map[string]bool{}
		delete(c.tasks, arn("1"))
		c.mu.Unlock()
		h.start()
		c.run(arn("2"), definition(container("main", "server:1")))
		c.becomes(arn("2"), "RUNNING")
		time.Sleep(time.Second)
		if left := all(t, m); len(left) != 1 || left[0].Labels[lifecycle.LabelTask] != arn("2") {
			t.Errorf("left: %+v", left)
		}
		// The new identity has lasted: its events arrive, and it is what registers next.
		m.Exit(all(t, m)[0].ID, 5)
		c.becomes(arn("2"), "STOPPED")
		h.stop()
		h.start()
		if last := c.registrations[len(c.registrations)-1]; !c.instances[last.ContainerInstanceArn] {
			t.Errorf("registered as %s", last.ContainerInstanceArn)
		}
	})
}

func TestAgent_StoppedContainersAreKeptForTheWaitAndThenRemoved(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		h := newHost(t, c, m, func(config *agent.Config) { config.TaskCleanupWait = time.Hour })
		c.run(arn("1"), definition(container("main", "job:1")))
		c.becomes(arn("1"), "STOPPED")
		c.remove(arn("1"))
		time.Sleep(30 * time.Minute)
		h.stop()
		h.start() // forgets nothing: the wait counts from the end of the containers
		time.Sleep(29 * time.Minute)
		if left := all(t, m); len(left) != 1 {
			t.Errorf("before the wait is over: %+v", left)
		}
		time.Sleep(2 * time.Minute)
		if left := all(t, m); len(left) != 0 {
			t.Errorf("after the wait: %+v", left)
		}
	})
}

func TestAgent_KeepsTheExitCodeUntilTheControlPlaneHasIt(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		h := newHost(t, c, m, func(config *agent.Config) { config.TaskCleanupWait = time.Minute })
		c.run(arn("1"), definition(container("main", "server:1")))
		id := c.becomes(arn("1"), "RUNNING").Containers[0].RuntimeId
		c.mu.Lock()
		c.deaf = true
		c.mu.Unlock()
		m.Exit(id, 9)
		time.Sleep(time.Hour)
		h.stop()
		c.mu.Lock()
		c.deaf = false
		c.mu.Unlock()
		h.start()
		if s := c.becomes(arn("1"), "STOPPED"); s.Containers[0].GetExitCode() != 9 {
			t.Errorf("reported %v", s)
		}
		time.Sleep(2 * time.Minute)
		if left := all(t, m); len(left) != 0 {
			t.Errorf("left: %+v", left)
		}
	})
}

// As on ECS, tasks of an instance that is deregistered by force go on, orphaned,
// and the host does not come back by itself.
func TestAgent_OfADeregisteredInstanceLeavesItsContainersAlone(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		h := newHost(t, c, m)
		c.run(arn("1"), definition(container("main", "server:1")))
		id := c.becomes(arn("1"), "RUNNING").Containers[0].RuntimeId
		c.mu.Lock()
		for instance := range c.instances {
			c.inactive[instance] = true
		}
		c.instances = map[string]bool{}
		delete(c.tasks, arn("1"))
		close(c.out)
		c.out = nil
		c.mu.Unlock()
		for range 2 { // the same agent, and the next
			time.Sleep(time.Hour)
			if found := all(t, m); len(found) != 1 || found[0].ID != id || found[0].State != runtime.Running {
				t.Errorf("containers %+v, want %s to go on", found, id)
			}
			h.stop()
			h.launch()
		}
		if n := len(c.instances); n != 0 {
			t.Errorf("%d registrations anew", n)
		}
	})
}

func TestAgent_ADeregisteredHostMayRegisterAnewWhenItsAgentStarts(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		h := newHost(t, c, m, func(c *agent.Config) { c.RegisterAnew = true })
		c.run(arn("1"), definition(container("main", "server:1")))
		c.becomes(arn("1"), "RUNNING")
		c.mu.Lock()
		for instance := range c.instances {
			c.inactive[instance] = true
		}
		c.instances = map[string]bool{}
		delete(c.tasks, arn("1"))
		close(c.out)
		c.out = nil
		c.mu.Unlock()
		time.Sleep(time.Hour)
		if found := all(t, m); len(c.instances) != 0 || len(found) != 1 || found[0].State != runtime.Running {
			t.Errorf("the agent that runs: %d registrations anew, containers %+v", len(c.instances), found)
		}
		h.stop()
		h.start()
		c.run(arn("2"), definition(container("main", "server:1")))
		c.becomes(arn("2"), "RUNNING")
		time.Sleep(time.Hour)
		if found := all(t, m); len(c.instances) != 1 || len(found) != 1 || found[0].Labels[lifecycle.LabelTask] != arn("2") {
			t.Errorf("the next agent: %d registrations anew, containers %+v", len(c.instances), found)
		}
	})
}
