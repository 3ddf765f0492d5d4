package docker

import (
	"context"
	"sync"
)

// turns lets one caller at a time act on a key. No lock is held while a caller
// has its turn, and waiting for one ends with the context.
type turns struct {
	mu   sync.Mutex
	busy map[string]chan struct{} // closed when the turn is over
}

// take waits for a turn on key. The caller must call done once when it is over.
func (t *turns) take(ctx context.Context, key string) (done func(), err error) {
	for {
		t.mu.Lock()
		over, taken := t.busy[key]
		if !taken {
			if t.busy == nil {
				t.busy = make(map[string]chan struct{})
			}
			over = make(chan struct{})
			t.busy[key] = over
		}
		t.mu.Unlock()
		if !taken {
			return func() { t.end(key, over) }, nil
		}
		select {
		case <-over:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (t *turns) end(key string, over chan struct{}) {
	t.mu.Lock()
	delete(t.busy, key)
	t.mu.Unlock()
	close(over)
}
