package leader

import (
	"context"
	"time"
)

// backoff spaces failed terms: 100 ms, doubling up to 3 s.
type backoff struct{ next time.Duration }

func newBackoff() *backoff { return &backoff{next: 100 * time.Millisecond} }

func (b *backoff) reset() { b.next = 100 * time.Millisecond }

func (b *backoff) wait(ctx context.Context) {
	timer := time.NewTimer(b.next)
	defer timer.Stop()
	b.next = min(2*b.next, 3*time.Second)
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
