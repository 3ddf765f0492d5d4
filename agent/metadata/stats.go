package metadata

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/runtime"
)

const (
	// statsInterval is the least time between two looks at a container, and
	// the time that a rate is measured over when nobody has asked before.
	statsInterval = time.Second
	// statsMemory is how long the last look is kept to measure from.
	statsMemory = 5 * time.Minute
)

// sampler gets statistics of containers. An engine tells what has been counted so
// far; rates and precpu_stats need an earlier look, which is the one for the
// request before. A container that is not asked for costs nothing.
type sampler struct {
	fetch func(ctx context.Context, id string) ([]byte, error)

	mu   sync.Mutex
	last map[string]sample // by the engine's id
}

// sample is one look at a container, with what follows from the one before.
type sample struct {
	at     time.Time
	stats  map[string]json.RawMessage
	rate   *networkRate
	primed bool // there was one before
}

// networkRate is bytes a second over all networks of a container.
type networkRate struct {
	RxBytesPerSec float64 `json:"rx_bytes_per_sec"`
	TxBytesPerSec float64 `json:"tx_bytes_per_sec"`
}

// get returns a look that is at most statsInterval old and has one before it.
func (s *sampler) get(ctx context.Context, id string) (sample, error) {
	last, known := s.recall(id, time.Now())
	if known && last.primed && time.Since(last.at) < statsInterval {
		return last, nil
	}
	if !known {
		first, err := s.look(ctx, id, sample{})
		if err != nil {
			return sample{}, err
		}
		last = first
	}
	if wait := statsInterval - time.Since(last.at); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return sample{}, ctx.Err()
		case <-timer.C:
		}
	}
	return s.look(ctx, id, last)
}

// recall returns the last look at a container, and forgets what is old.
func (s *sampler) recall(id string, now time.Time) (sample, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for other, l := range s.last {
		if now.Sub(l.at) > statsMemory {
			delete(s.last, other)
		}
	}
	l, ok := s.last[id]
	return l, ok
}

// look asks the engine, and keeps what it says.
func (s *sampler) look(ctx context.Context, id string, before sample) (sample, error) {
	text, err := s.fetch(ctx, id)
	if err != nil {
		return sample{}, err
	}
	now := sample{at: time.Now()}
	if err := json.Unmarshal(text, &now.stats); err != nil {
		return sample{}, fmt.Errorf("read the statistics of container %s: %w", id, err)
	}
	if before.stats != nil {
		now.primed = true
		now.stats["preread"], now.stats["precpu_stats"] = before.stats["read"], before.stats["cpu_stats"]
		now.rate = rateBetween(before, now)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last[id] = now
	return now, nil
}

// rateBetween is nil for a container without a network of its own.
func rateBetween(before, now sample) *networkRate {
	seconds := now.at.Sub(before.at).Seconds()
	rx0, tx0, ok0 := traffic(before)
	rx1, tx1, ok1 := traffic(now)
	if !ok0 || !ok1 || seconds <= 0 || rx1 < rx0 || tx1 < tx0 {
		return nil
	}
	return &networkRate{RxBytesPerSec: float64(rx1-rx0) / seconds, TxBytesPerSec: float64(tx1-tx0) / seconds}
}

// traffic is what has passed through all networks of a container.
func traffic(s sample) (rx, tx uint64, ok bool) {
	var networks map[string]struct {
		Rx uint64 `json:"rx_bytes"`
		Tx uint64 `json:"tx_bytes"`
	}
	if json.Unmarshal(s.stats["networks"], &networks) != nil || len(networks) == 0 {
		return 0, 0, false
	}
	for _, n := range networks {
		rx += n.Rx
		tx += n.Tx
	}
	return rx, tx, true
}

// shape is the answer: the engine's own, and in version 4 the network's rate.
func (v version) shape(s sample) any {
	out := make(map[string]any, len(s.stats)+1)
	for name, value := range s.stats {
		out[name] = value
	}
	if v.number == 4 && s.rate != nil {
		out["network_rate_stats"] = s.rate
	}
	return out
}

// containerStats answers with the statistics of the container that asks.
func (s *Server) containerStats(v version) func(http.ResponseWriter, *http.Request, *name) {
	return func(w http.ResponseWriter, r *http.Request, n *name) {
		t, err := s.Lookup(r.Context(), n.task, n.unit)
		if err == nil && n.unit >= len(t.State.Containers) {
			err = ErrGone
		}
		if err != nil {
			v.failed(w, r, err)
			return
		}
		got, err := s.stats.get(r.Context(), t.State.Containers[n.unit].RuntimeID)
		if err != nil {
			v.failed(w, r, err)
			return
		}
		writeJSON(w, http.StatusOK, v.shape(got))
	}
}

// taskStats answers with those of all containers of the task, by the engine's
// id; null for one that does not run.
func (s *Server) taskStats(v version) func(http.ResponseWriter, *http.Request, *name) {
	return func(w http.ResponseWriter, r *http.Request, n *name) {
		t, err := s.Lookup(r.Context(), n.task, n.unit)
		if err != nil {
			v.failed(w, r, err)
			return
		}
		out, errs := map[string]any{}, make([]error, len(t.State.Containers))
		var mu sync.Mutex
		var looks sync.WaitGroup
		for _, c := range t.State.Containers {
			if c.RuntimeID != "" {
				out[c.RuntimeID] = nil
			}
		}
		for i, c := range t.State.Containers {
			if c.Phase != lifecycle.Started {
				continue
			}
			looks.Go(func() {
				got, err := s.stats.get(r.Context(), c.RuntimeID)
				if err != nil {
					errs[i] = err
					return
				}
				mu.Lock()
				defer mu.Unlock()
				out[c.RuntimeID] = v.shape(got)
			})
		}
		looks.Wait()
		for _, err := range errs { // one that has gone meanwhile is not running
			if err != nil && !errors.Is(err, runtime.ErrNotFound) {
				v.failed(w, r, err)
				return
			}
		}
		writeJSON(w, http.StatusOK, out)
	}
}
