package api

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/longshore/longshore/controlplane/sigv4"
)

// throttle bounds the rate of requests with a token bucket for each caller.
// Callers are told apart by their access keys, of which there are as many as the
// operator configured; without any nobody can be told apart, and all share one
// bucket.
type throttle struct {
	rate  rate.Limit // requests a second; 0 for no limit
	burst int
	keyed bool

	mu      sync.Mutex
	buckets map[string]*rate.Limiter // by access key id
}

func newThrottle(perSecond float64, burst int, keyed bool) *throttle {
	return &throttle{rate: rate.Limit(perSecond), burst: max(burst, 1), keyed: keyed, buckets: map[string]*rate.Limiter{}}
}

// allow takes a token of the caller's, if there is one.
func (t *throttle) allow(c sigv4.Caller, now time.Time) bool {
	if t.rate <= 0 {
		return true
	}
	key := ""
	if t.keyed {
		key = c.AccessKeyID
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.buckets[key]
	if b == nil {
		b = rate.NewLimiter(t.rate, t.burst)
		t.buckets[key] = b
	}
	return b.AllowN(now, 1)
}
