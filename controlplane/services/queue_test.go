package services

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longshore/longshore/controlplane/model"
)

// looks takes keys from a queue for a while and says when it got each. Every look is
// followed by the same rest and, if wakeIn is not zero, a wish to be woken then.
func looks(t *testing.T, q *queue, d, rest, wakeIn time.Duration) []time.Duration {
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var at []time.Duration
	for {
		k, err := q.next(ctx)
		if err != nil {
			return at
		}
		at = append(at, time.Since(start))
		var wakeAt time.Time
		if wakeIn != 0 {
			wakeAt = time.Now().Add(wakeIn)
		}
		q.done(k, wakeAt, rest)
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
		at := looks(t, q, time.Second, 10*time.Millisecond, 0)
		<-ended
		if len(at) != 11 || at[1] != 10*time.Millisecond || at[10] != 100*time.Millisecond {
			t.Errorf("looks at %v, want one each 10ms until 100ms", at)
		}
		q.mu.Lock()
		remembered := len(q.keys)
		q.mu.Unlock()
		if remembered != 0 {
			t.Errorf("%d keys are remembered at rest", remembered)
		}
	})
}

func TestQueue_WakesWhenAskedToAndDoesNotRestIfThatIsNow(t *testing.T) {
	for name, c := range map[string]struct {
		rest, wakeIn time.Duration
		want         int // looks within a second
	}{
		"later than the rest":   {10 * time.Millisecond, 90 * time.Millisecond, 12},
		"before the rest ends":  {90 * time.Millisecond, 10 * time.Millisecond, 12},
		"without a rest":        {0, 90 * time.Millisecond, 12},
		"never, and not marked": {90 * time.Millisecond, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newQueue()
				defer q.close()
				q.mark(model.ServiceKey{Cluster: "c", Name: "web"})
				if at := looks(t, q, time.Second, c.rest, c.wakeIn); len(at) != c.want {
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
			q.done(k, time.Now(), time.Hour)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("a plan that had more to do rested for %v", d)
		}
	})
}
