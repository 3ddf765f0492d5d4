package services

import (
	"context"
	"sync"
	"time"

	"github.com/longshore/longshore/controlplane/model"
)

// queue hands out the keys of services that need a look, each to one worker at a
// time and never twice at once. A key that is marked while it is worked on comes
// up again afterwards; after a rest, if the look was dear, so that the marks of the
// meantime cost one look and not one each.
type queue struct {
	mu      sync.Mutex
	waiting []model.ServiceKey
	keys    map[model.ServiceKey]*keyState // of the keys that are not idle
	wake    chan struct{}                  // holds a token while keys wait
}

// keyState is where a key stands.
type keyState struct {
	phase  phase
	marked bool        // while working or resting
	wakeAt time.Time   // of an idle or resting key; zero for never
	timer  *time.Timer // that ends the rest or wakes
}

type phase int

const (
	idle phase = iota // until the timer wakes it
	waiting
	working
	resting
)

func newQueue() *queue {
	return &queue{keys: map[model.ServiceKey]*keyState{}, wake: make(chan struct{}, 1)}
}

// mark asks for a look at the service, now.
func (q *queue) mark(k model.ServiceKey) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.keys[k]
	if s == nil {
		s = &keyState{}
		q.keys[k] = s
	}
	switch s.phase {
	case idle:
		q.enqueue(k, s)
	case working, resting:
		s.marked = true
	}
}

// enqueue lets a key wait for a worker.
func (q *queue) enqueue(k model.ServiceKey, s *keyState) {
	s.stopTimer()
	s.phase, s.marked, s.wakeAt = waiting, false, time.Time{}
	q.waiting = append(q.waiting, k)
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// next waits for a key; the caller must call done with it.
func (q *queue) next(ctx context.Context) (model.ServiceKey, error) {
	for {
		if k, ok := q.take(); ok {
			return k, nil
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
			return model.ServiceKey{}, ctx.Err()
		}
	}
}

func (q *queue) take() (model.ServiceKey, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return model.ServiceKey{}, false
	}
	k := q.waiting[0]
	q.waiting = q.waiting[1:]
	q.keys[k].phase = working
	if len(q.waiting) > 0 {
		q.signal()
	}
	return k, true
}

// done gives a key back. It comes up again when it is marked, and when the outlook says, but not
// before it has rested.
func (q *queue) done(k model.ServiceKey, next outlook) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s, now, rest := q.keys[k], time.Now(), next.rest()
	switch {
	case next.again, rest == 0 && (s.marked || !next.wakeAt.IsZero() && !next.wakeAt.After(now)):
		q.enqueue(k, s)
	case rest > 0:
		s.phase, s.wakeAt = resting, next.wakeAt
		q.setTimer(k, s, now.Add(rest))
	default:
		q.toIdle(k, s, next.wakeAt)
	}
}

func (q *queue) toIdle(k model.ServiceKey, s *keyState, wakeAt time.Time) {
	s.phase = idle
	if wakeAt.IsZero() {
		delete(q.keys, k)
		return
	}
	q.setTimer(k, s, wakeAt)
}

// setTimer lets the time of a key come.
func (q *queue) setTimer(k model.ServiceKey, s *keyState, at time.Time) {
	var timer *time.Timer
	timer = time.AfterFunc(time.Until(at), func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if s.timer == timer { // it may have been stopped when it had already fired
			q.timeCame(k, s)
		}
	})
	s.timer = timer
}

func (q *queue) timeCame(k model.ServiceKey, s *keyState) {
	s.timer = nil
	if s.phase == idle || s.marked || !s.wakeAt.IsZero() && !s.wakeAt.After(time.Now()) {
		q.enqueue(k, s)
		return
	}
	q.toIdle(k, s, s.wakeAt)
}

func (s *keyState) stopTimer() {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}

// close stops the timers.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range q.keys {
		s.stopTimer()
	}
	clear(q.keys)
	q.waiting = nil
}
