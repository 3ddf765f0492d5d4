package agenttest

import (
	"context"
	"fmt"
	"maps"

	"github.com/longshore/longshore/agent/runtime"
)

// watcher is a Watch under way, guarded by Memory.mu.
type watcher struct {
	labels  map[string]string
	wake    chan struct{} // has an element if there is something pending
	order   []*box
	pending map[*box]struct{}
}

// Watch calls changed in the goroutine of its caller, a container that changed
// several times since the last call once.
func (m *Memory) Watch(ctx context.Context, labels map[string]string, ready func(), changed func(id string, labels map[string]string)) error {
	if err := m.enter(ctx, "Watch"); err != nil {
		return err
	}
	w := &watcher{labels: labels, wake: make(chan struct{}, 1), pending: make(map[*box]struct{})}
	m.watchers[w] = struct{}{}
	outage := m.outage
	m.mu.Unlock()
	defer m.unwatch(w)

	ready()
	for {
		select {
		case <-w.wake:
		case <-outage:
			return fmt.Errorf("Watch: %w", runtime.ErrUnavailable)
		case <-ctx.Done():
			return fmt.Errorf("Watch: %w", ctx.Err())
		}
		for _, b := range m.takeChanges(w) {
			if ctx.Err() != nil {
				break
			}
			// Neither the id nor the labels of a container ever change: no lock.
			changed(b.seen.ID, maps.Clone(b.spec.Labels))
		}
	}
}

func (m *Memory) takeChanges(w *watcher) []*box {
	m.mu.Lock()
	defer m.mu.Unlock()
	order := w.order
	w.order = nil
	clear(w.pending)
	return order
}

func (m *Memory) unwatch(w *watcher) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.watchers, w)
}

// notify tells the watchers that a container's state is another. An engine
// that is down tells nobody.
func (m *Memory) notify(b *box) {
	if m.down {
		return
	}
	for w := range m.watchers {
		if _, known := w.pending[b]; known || !carries(b.seen.Labels, w.labels) {
			continue
		}
		w.pending[b] = struct{}{}
		w.order = append(w.order, b)
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}
