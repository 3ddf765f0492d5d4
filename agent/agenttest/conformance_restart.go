package agenttest

import (
	"errors"
	"time"

	"github.com/longshore/longshore/agent/runtime"
)

func restartRunsAgain(c *conformance) {
	id := c.run(c.spec("a", c.Images.Serve))
	before := c.inspect(id)
	c.stop(id, grace)
	if err := c.Runtime.Restart(c.ctx, id, before.StartedAt); err != nil {
		c.Fatalf("Restart() = %v", err)
	}
	after := c.inspect(id)
	if after.State != runtime.Running || !after.StartedAt.After(before.StartedAt) || !after.FinishedAt.IsZero() || after.ExitCode != 0 {
		c.Errorf("restarted: %+v, before: %+v", after, before)
	}
	c.stop(id, grace)
	if seen := c.inspect(id); seen.State != runtime.Exited || !seen.StartedAt.Equal(after.StartedAt) {
		c.Errorf("stopped once more: %+v, want the end of %+v", seen, after)
	}
}

func restartIsToldOfByWatch(c *conformance) {
	id := c.run(c.spec("a", c.Images.Serve))
	before := c.inspect(id)
	c.stop(id, grace)
	changes := c.watch(c.labels)
	if err := c.Runtime.Restart(c.ctx, id, before.StartedAt); err != nil {
		c.Fatalf("Restart() = %v", err)
	}
	c.told(changes, id, "restart")
}

// restartOnlyThatRun: what has been restarted already, what runs and what never
// ran is left alone.
func restartOnlyThatRun(c *conformance) {
	id := c.run(c.spec("a", c.Images.Exit3))
	first := c.awaitExited(id)
	for range 2 {
		if err := c.Runtime.Restart(c.ctx, id, first.StartedAt); err != nil {
			c.Fatalf("Restart() = %v", err)
		}
	}
	second := c.await(id, "exited again", func(seen runtime.Container) bool {
		return seen.State == runtime.Exited && !seen.StartedAt.Equal(first.StartedAt)
	})
	if err := c.Runtime.Restart(c.ctx, id, first.StartedAt); err != nil {
		c.Errorf("Restart() = %v", err)
	}
	if seen := c.inspect(id); !seen.StartedAt.Equal(second.StartedAt) {
		c.Errorf("Restart() of the first run made %+v of %+v", seen, second)
	}

	running := c.run(c.spec("running", c.Images.Serve))
	created := c.create(c.spec("created", c.Images.Serve))
	for _, id := range []string{running, created} {
		before := c.inspect(id)
		if err := c.Runtime.Restart(c.ctx, id, before.StartedAt); err != nil {
			c.Errorf("Restart() = %v", err)
		}
		if after := c.inspect(id); after.State != before.State || !after.StartedAt.Equal(before.StartedAt) {
			c.Errorf("Restart() made %+v of %+v", after, before)
		}
	}
}

func restartAtOnce(c *conformance) {
	id := c.run(c.spec("a", c.Images.Exit0))
	first := c.awaitExited(id)
	for _, err := range atOnce(6, func(int) error { return c.Runtime.Restart(c.ctx, id, first.StartedAt) }) {
		if err != nil {
			c.Errorf("Restart() = %v", err)
		}
	}
	second := c.await(id, "exited again", func(seen runtime.Container) bool {
		return seen.State == runtime.Exited && !seen.StartedAt.Equal(first.StartedAt)
	})
	if err := c.Runtime.Restart(c.ctx, id, first.StartedAt); err != nil {
		c.Errorf("Restart() = %v", err)
	}
	if seen := c.inspect(id); !seen.StartedAt.Equal(second.StartedAt) {
		c.Errorf("it was restarted twice: %+v, then %+v", second, seen)
	}
}

func restartUnknown(c *conformance) {
	id := c.create(c.spec("a", c.Images.Serve))
	c.remove(id)
	if err := c.Runtime.Restart(c.ctx, id, time.Now()); !errors.Is(err, runtime.ErrNotFound) {
		c.Errorf("Restart() = %v, want ErrNotFound", err)
	}
}

// restartGivesDynamicPortsBack: a restarted container has ports, if other ones.
func restartGivesPorts(c *conformance) {
	spec := c.spec("a", c.Images.Serve)
	spec.Ports = []runtime.PortMapping{{ContainerPort: 8080, Protocol: "tcp"}}
	id := c.run(spec)
	before := c.inspect(id)
	c.stop(id, grace)
	if err := c.Runtime.Restart(c.ctx, id, before.StartedAt); err != nil {
		c.Fatalf("Restart() = %v", err)
	}
	if seen := c.inspect(id); len(seen.Ports) != 1 || seen.Ports[0].HostPort == 0 || seen.IPAddress == "" {
		c.Errorf("restarted: %+v, want a port and an address", seen)
	}
}
