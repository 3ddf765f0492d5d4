package agent_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/longshore/longshore/agent"
	"github.com/longshore/longshore/agent/agenttest"
	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/runtime"
	"github.com/longshore/longshore/proto/ecs"
)

func TestAgent_ANetworkedTaskCostsTheEngineOneContainerMore(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		newHost(t, c, m)
		const n = 20
		for i := range n {
			c.run(arn(fmt.Sprint(i)), awsvpc(container("main", "server:1")))
		}
		for i := range n {
			c.becomes(arn(fmt.Sprint(i)), "RUNNING")
			c.wentForward(arn(fmt.Sprint(i)))
		}
		synctest.Wait()
		calls := m.Calls()
		for op, want := range map[string]int{"Create": 2 * n, "Start": 2 * n, "Inspect": 2 * n, "Import": 1, "EnsureNetwork": 1, "CreateVolume": 0} {
			if calls[op] != want {
				t.Errorf("%d calls of %s, want %d", calls[op], op, want)
			}
		}
	})
}

func TestAgent_ThePauseImageIsMadeAgainWhenItIsGone(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		lost := true
		newHost(t, c, agenttest.Intercept(m, agenttest.Hooks{
			Create: func(ctx context.Context, next runtime.Runtime, spec runtime.Spec) (string, error) {
				if strings.HasPrefix(spec.Image, "longshore/pause") && lost {
					lost = false
					return "", fmt.Errorf("no such image: %w", runtime.ErrNotFound)
				}
				return next.Create(ctx, spec)
			},
		}))
		c.run(arn("1"), awsvpc(container("main", "server:1")))
		c.becomes(arn("1"), "RUNNING")
	})
}

// registered are the names of the attributes of the newest registration.
func registered(c *controlPlane) []string {
	var names []string
	for _, a := range c.registrations[len(c.registrations)-1].Attributes {
		names = append(names, a.Name)
	}
	return names
}

func TestAgent_RegistersWhatItOffersToTasks(t *testing.T) {
	fileSystems := map[string]lifecycle.FileSystem{"fs-1": {Server: "nas", Path: "/"}}
	for name, c := range map[string]struct {
		info   runtime.Info
		change func(*agent.Config)
		want   []string // among these
	}{
		"by itself":      {runtime.Info{}, func(*agent.Config) {}, []string{"ecs.capability.pid-ipc-namespace-sharing", "ecs.capability.task-eni", "longshore.subnet.subnet-default"}},
		"as dev":         {runtime.Info{}, func(c *agent.Config) { c.AnySubnet = true }, []string{"ecs.capability.pid-ipc-namespace-sharing", "ecs.capability.task-eni", "longshore.any-subnet", "longshore.subnet.subnet-default"}},
		"file systems":   {runtime.Info{}, func(c *agent.Config) { c.FileSystems = fileSystems }, []string{"ecs.capability.efs", "ecs.capability.pid-ipc-namespace-sharing", "ecs.capability.task-eni", "longshore.efs.fs-1", "longshore.subnet.subnet-default"}},
		"no groups":      {runtime.Info{}, func(c *agent.Config) { c.CgroupRoot = t.TempDir() }, []string{"ecs.capability.pid-ipc-namespace-sharing", "ecs.capability.task-eni", "longshore.subnet.subnet-default"}},
		"a strange host": {runtime.Info{Architecture: "mips"}, func(*agent.Config) {}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, plane *controlPlane, _ *agenttest.Memory) {
				newHost(t, plane, agenttest.NewMemory(c.info), c.change)
				all := []string{
					"ecs.capability.efs", "ecs.capability.pid-ipc-namespace-sharing", "ecs.capability.task-cpu-mem-limit", "ecs.capability.task-eni",
					"longshore.any-subnet", "longshore.efs.fs-1", "longshore.fargate", "longshore.subnet.subnet-default",
				}
				got := slices.DeleteFunc(registered(plane), func(n string) bool { return !slices.Contains(all, n) })
				if !slices.Equal(got, c.want) {
					t.Errorf("registered %v, want %v", got, c.want)
				}
			})
		})
	}
}

func TestAgent_ATaskForASubnetThatIsNotOfferedFails(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		newHost(t, c, m, func(config *agent.Config) { config.Subnets = map[string]string{"subnet-default": "not-there"} })
		c.run(arn("1"), awsvpc(container("main", "server:1")))
		s := c.becomes(arn("1"), "STOPPED")
		if s.StopCode != "TaskFailedToStart" || s.Reason != "ResourceInitializationError: this host offers none of the subnets subnet-default" {
			t.Errorf("reported %v", s)
		}
	})
}

func TestAgent_AnOrphanedNetworkedTaskIsRemoved(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		h := newHost(t, c, m)
		d := awsvpc(container("main", "server:1"))
		d.PidMode = ecs.PidModeTask
		c.run(arn("1"), d)
		c.becomes(arn("1"), "RUNNING")
		h.stop()
		c.remove(arn("1"))
		h.start()
		synctest.Wait()
		if left := all(t, m); len(left) != 0 {
			t.Errorf("left: %+v", left)
		}
	})
}
