package agenttest

import (
	"context"
	"encoding/json"
	"time"

	"github.com/longshore/longshore/agent/runtime"
)

// Stats returns how long the container has run as the processor time that it
// has used, and a byte a second in each direction of its network.
func (m *Memory) Stats(ctx context.Context, id string) ([]byte, error) {
	if err := m.enter(ctx, "Stats"); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	b, ok := m.containers[id]
	if !ok {
		return nil, notFound("No such container: %s", id)
	}
	now := time.Now()
	stats := map[string]any{"id": id, "name": "/" + b.spec.Name, "read": now}
	if c := b.snapshot(); c.State == runtime.Running {
		ran := now.Sub(c.StartedAt)
		stats["cpu_stats"] = map[string]any{"cpu_usage": map[string]any{"total_usage": ran.Nanoseconds()}}
		stats["memory_stats"] = map[string]any{"usage": 1 << 20}
		if hasAddress(b.spec.NetworkMode) {
			seconds := int64(ran.Seconds())
			stats["networks"] = map[string]any{"eth0": map[string]any{"rx_bytes": seconds, "tx_bytes": seconds}}
		}
	}
	return json.Marshal(stats)
}
