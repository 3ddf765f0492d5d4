package services

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longshore/longshore/controlplane/model"
)

// looks takes keys from a queue for a while and says when it got each. Every look is
// of the same cost and, if wakeIn is not zero, has a wish to be woken then.
func looks(t *testing.T, q *queue, d, cost, wakeIn time.Duration) []time.Duration {
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var at []time.Duration
	for {
		k, err := q.next(ctx)
		if err != nil {
			return at
		}
		if at = append(at, time.Since(start)); len(at) > 1000 {
			t.Fatalf("looks without an end, at %v …", at[:20])
		}
		next := outlook{cost: cost}
		if wakeIn != 0 {
			next.wakeAt = time.Now().Add(wakeIn)
		}
		q.done(k, next)
	}
}

func TestQueue_ManyMarksDuringARestAreOneLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, k := newQueue(), model.ServiceKey{Cluster: "c", Name: "web"}
		defer q.close()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for range 95 {
				q.mark(k)
				time.Sleep(time.Millisecond)
			}
		}()
		at := looks(t, q, time.Second, time.Millisecond, 0)
		<-ended
		if len(at) != 12 || at[1] != restFactor*time.Millisecond || at[11] != 11*restFactor*time.Millisecond {
			t.Errorf("looks at %v, want one each %dms until the last mark was seen", at, restFactor)
		}
		q.mu.Lock()
		remembered := len(q.keys)
		q.mu.Unlock()
		if remembered != 0 {
			t.Errorf("%d keys are remembered at rest", remembered)
		}
	})
}

func TestQueue_WakesWhenAskedToAndDoesNotRestIfThereIsMoreToDo(t *testing.T) {
	for name, c := range map[string]struct {
		cost, wakeIn time.Duration
		want         int // looks within a second
	}{
		"later than the rest":       {time.Millisecond, 90 * time.Millisecond, 12},
		"before the rest ends":      {10 * time.Millisecond, 10 * time.Millisecond, 12},
		"before the look has ended": {10 * time.Millisecond, -time.Millisecond, 12},
		"without a rest":            {0, 90 * time.Millisecond, 12},
		"never, and not marked":     {10 * time.Millisecond, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newQueue()
				defer q.close()
				q.mark(model.ServiceKey{Cluster: "c", Name: "web"})
				if at := looks(t, q, time.Second, c.cost, c.wakeIn); len(at) != c.want {
					t.Errorf("%d looks at %v, want %d", len(at), at, c.want)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		q, k := newQueue(), model.ServiceKey{Cluster: "c", Name: "web"}
		defer q.close()
		start := time.Now()
		q.mark(k)
		for range 3 {
			if _, err := q.next(t.Context()); err != nil {
				t.Fatal(err)
			}
			q.done(k, outlook{again: true, cost: time.Hour})
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("a plan that had more to do rested for %v", d)
		}
	})
}
