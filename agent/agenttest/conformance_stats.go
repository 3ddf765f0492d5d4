package agenttest

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/longshore/longshore/agent/runtime"
)

func statsCount(c *conformance) {
	id := c.runReady(c.spec("a", c.Images.Serve))
	look := func() (read time.Time, used uint64) {
		text, err := c.Runtime.Stats(c.ctx, id)
		if err != nil {
			c.Fatalf("Stats() = %v", err)
		}
		var stats struct {
			Read time.Time `json:"read"`
			CPU  struct {
				Usage struct {
					Total uint64 `json:"total_usage"`
				} `json:"cpu_usage"`
			} `json:"cpu_stats"`
			Networks map[string]struct {
				Received *uint64 `json:"rx_bytes"`
			} `json:"networks"`
		}
		if err := json.Unmarshal(text, &stats); err != nil {
			c.Fatalf("Stats() = %s: %v", text, err)
		}
		if len(stats.Networks) == 0 {
			c.Errorf("Stats() = %s: no networks", text)
		}
		return stats.Read, stats.CPU.Usage.Total
	}
	firstRead, firstUsed := look()
	secondRead, secondUsed := look()
	if firstUsed == 0 || secondUsed < firstUsed || secondRead.Before(firstRead) {
		c.Errorf("processor time went from %d at %v to %d at %v", firstUsed, firstRead, secondUsed, secondRead)
	}
}

func statsUnknown(c *conformance) {
	id := c.create(c.spec("a", c.Images.Serve))
	c.remove(id)
	_, err := c.Runtime.Stats(c.ctx, id)
	c.wantRefusal("Stats()", err)
	if !errors.Is(err, runtime.ErrNotFound) {
		c.Errorf("Stats() = %v, want ErrNotFound", err)
	}
}
