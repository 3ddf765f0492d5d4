package lifecycle_test

import (
	"testing"
	"time"

	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/runtime"
	"github.com/longshore/longshore/proto/ecs"
)

func onPort(host int32) func(*ecs.ContainerDefinition) {
	return func(c *ecs.ContainerDefinition) {
		c.PortMappings = []ecs.PortMapping{{ContainerPort: ptr[int32](80), HostPort: &host}}
	}
}

func TestHold_ATaskThatEndsUnaskedKeepsItsPortUntilProxiesHaveLookedAgain(t *testing.T) {
	s := play(t, task(container("web", onPort(8080))))
	s.run("web")
	s.state.Serving = true
	s.exits("web", 1)
	s.status(lifecycle.Stopping)
	s.expect()
	if got := lifecycle.Report(s.task, s.state).Containers[0].Status; got != "STOPPED" {
		t.Errorf("the container is reported %s, so that its target stays", got)
	}
	if want := s.now.Add(3 * time.Second); !s.plan.Wake.Equal(want) {
		t.Errorf("looked at again at %v, want %v", s.plan.Wake, want)
	}
	s.task.Stop = true // the control plane answers the report
	s.advance(2 * time.Second)
	s.status(lifecycle.Stopping)
	s.advance(time.Second)
	s.status(lifecycle.Stopped)
	s.verdict(essentialExited, "Essential container in task exited")
	if s.state.StoppedAt.Equal(s.now) {
		t.Error("the wait counts as time in which the task ran")
	}
}

func TestHold_IsForAddressesThatAnotherTaskCouldBeGivenAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		definition ecs.TaskDefinition
		serving    bool
	}{
		"nobody is sent there":      {task(container("web", onPort(8080))), false},
		"the engine chose its port": {task(container("web", onPort(0))), true},
	} {
		s := play(t, c.definition)
		s.run("web")
		s.state.Serving = c.serving
		s.exits("web", 1)
		if s.state.Status != lifecycle.Stopped {
			t.Errorf("%s: %v, want STOPPED at once", name, s.state.Status)
		}
	}
}

func TestHold_IsNotForATaskThatWasDrainedAndStopped(t *testing.T) {
	s := play(t, task(container("web", onPort(8080))))
	s.run("web")
	s.state.Serving = true
	s.task.Stop = true
	s.next()
	s.ok("stop web")
	s.status(lifecycle.Stopped)
}

func TestHold_APauseContainerKeepsTheAddressOfItsTask(t *testing.T) {
	s := playOnHost(t, connected(container("web")))
	s.ok("pull web", "pull "+pause, "create "+pause, "start "+pause, "create web", "start web")
	s.state.Serving = true
	s.exits("web", 1)
	s.expect()
	s.advance(3 * time.Second)
	s.expect("stop " + pause)
	s.ok("stop " + pause)
	s.status(lifecycle.Stopped)
}

func TestHold_AnotherClockOfTheEngineHoldsNothing(t *testing.T) {
	s := play(t, task(container("web", onPort(8080))))
	s.run("web")
	s.state.Serving = true
	ended := s.container("web", runtime.Exited, 1)
	ended.FinishedAt = s.now.Add(time.Hour)
	s.observe(ended)
	s.status(lifecycle.Stopped)
}
