package agenttest

import (
	"testing"
	"time"

	"github.com/longshore/longshore/agent/runtime"
)

// newFixture returns an engine with the images of the suite.
func newFixture(*testing.T) Fixture {
	m := NewMemory(runtime.Info{})
	images := Images{
		Serve: "test/serve", IgnoreStop: "test/ignore-term", Exit0: "test/exit-0", Exit3: "test/exit-3",
		NoCommand: "test/no-command", Missing: "test/missing",
	}
	m.AddImage(images.Serve, Program{Health: "healthy"})
	m.AddImage(images.IgnoreStop, Program{IgnoresStop: true, Health: "healthy"})
	m.AddImage(images.Exit0, Program{ExitsAtOnce: true})
	m.AddImage(images.Exit3, Program{ExitsAtOnce: true, ExitCode: 3})
	m.AddImage(images.NoCommand, Program{StartError: "exec: no such file"})
	images.Spare = func(testing.TB) string {
		m.AddImage("test/spare:1", Program{})
		return "test/spare:1"
	}
	return Fixture{
		Runtime: m,
		Images:  images,

		RemoveNetwork: func(_ testing.TB, name string) { m.RemoveNetwork(name) },
		RemoveImage:   func(testing.TB, string) {}, // gone with the engine
		HealthCheck:   runtime.HealthCheck{Test: []string{"CMD", "true"}, Interval: time.Millisecond},
	}
}

func TestMemory_Conforms(t *testing.T) {
	RunConformance(t, newFixture)
}
