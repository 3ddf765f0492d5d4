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
			HealthCheck: runtime.HealthCheck{
				Test:     []string{"CMD", "/program", "ask"},
				Interval: 50 * time.Millisecond,
				Timeout:  30 * time.Second,
			},
		}
	})
}
