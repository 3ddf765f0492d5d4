package docker

import (
	"testing"
	"time"

	"github.com/longshore/longshore/agent/agenttest"
	"github.com/longshore/longshore/agent/runtime"
)

func TestRuntime_Conforms(t *testing.T) {
	host := agenttest.DockerHost(t)
	images := agenttest.ImportImages(t, host)
	agenttest.RunConformance(t, func(t *testing.T) agenttest.Fixture {
		return agenttest.Fixture{
			Runtime: newRuntime(t, host),
			Images:  images,

			RemoveNetwork: func(t testing.TB, name string) { agenttest.RemoveNetwork(t, host, name) },
			RemoveImage:   func(t testing.TB, ref string) { agenttest.RemoveImage(t, host, ref) },
			HealthCheck: runtime.HealthCheck{
				Test:     []string{"CMD", "/program", "ask"},
				Interval: 50 * time.Millisecond,
				Timeout:  30 * time.Second,
			},
		}
	})
}
