package services

import (
	"context"
	"sync"
	"time"

	"github.com/longshore/longshore/controlplane/model"
)

// queue hands out the keys of services that need a look, each to one worker at a
// time and never twice at once. A key that is marked while it is worked on comes
// up again afterwards.
type queue struct {
	mu      sync.Mutex
	waiting []model.ServiceKey
	state   map[model.ServiceKey]keyState
	timers  map[model.ServiceKey]*time.Timer
	wake    chan struct{} // holds a token while keys wait
}

type keyState int

const (
	waiting keyState = iota + 1
	working
	workingAndMarked
)

func newQueue() *queue {
	return &queue{
		state:  map[model.ServiceKey]keyState{},
		timers: map[model.ServiceKey]*time.Timer{},
		wake:   make(chan struct{}, 1),
	}
}

// mark asks for a look at the service, now.
func (q *queue) mark(k model.ServiceKey) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch q.state[k] {
	case working:
		q.state[k] = workingAndMarked
	case 0:
		q.state[k] = waiting
		q.waiting = append(q.waiting, k)
		q.signal()
	}
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
	q.state[k] = working
	if timer := q.timers[k]; timer != nil {
		timer.Stop()
		delete(q.timers, k)
	}
	if len(q.waiting) > 0 {
		q.signal()
	}
	return k, true
}

// done gives a key back. At wakeAt it is marked again; zero means not.
func (q *queue) done(k model.ServiceKey, wakeAt time.Time) {
	q.mu.Lock()
	again := q.state[k] == workingAndMarked
	delete(q.state, k)
	if !wakeAt.IsZero() && !again {
		q.timers[k] = time.AfterFunc(time.Until(wakeAt), func() { q.mark(k) })
	}
	q.mu.Unlock()
	if again {
		q.mark(k)
	}
}

// close stops the timers.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, timer := range q.timers {
		timer.Stop()
	}
	clear(q.timers)
}
