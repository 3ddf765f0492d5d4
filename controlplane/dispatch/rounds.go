package dispatch

import (
	"sync"
	"time"
)

const (
	// abreast is how many sessions send at the same time, so that requests of the API need
	// not wait for a processor behind those of all hosts.
	abreast = 32
	// restFactor is for how many times as long as a round took nothing is sent after it.
	restFactor = 4
	// maxRest is the longest rest. Agents are silent for longer without being missed.
	maxRest = time.Second
	// crowded is the rest from which on what can wait for other messages does.
	crowded = 100 * time.Millisecond
	// maxStall is how long a round waits for those who send. Whoever needs longer, because
	// the host takes nothing any more, goes on by itself.
	maxStall = 250 * time.Millisecond
)

// rounds gives sessions turns to send. Whoever has something to say at a quiet time has
// his turn at once. That begins a round; who comes later waits for the next one, which
// begins after a rest that is as long as the rounds are costly. So what there is to say to an
// agent gathers under load, and messages carry more instead of there being more of them.
type rounds struct {
	mu       sync.Mutex
	due      []*turn // who waits for the next round
	round    []*turn // the round under way
	next     int     // the first of round that has not had its turn
	speaking int     // who has it now; 0: no round is under way
	number   uint64  // of the round
	began    time.Time
	woken    time.Time // when the last of those who speak got their turns
	rest     time.Duration
	rested   time.Time // when the rest after the last round is over
	timer    *time.Timer
	alarm    time.Time // when timer fires; zero: not set
	closed   bool
}

// turn is a session's place in the rounds.
type turn struct {
	granted chan struct{} // one slot: speak, and then call done
	state   turnState
	number  uint64 // of the round that it speaks in; 0: of none
}

type turnState uint8

const (
	silent        turnState = iota // nothing to say
	waiting                        // for its turn
	speaking                       // has its turn
	speakingAgain                  // and has got something to say since
	gone                           // has left
)

// newTurn returns a turn that is granted already, of a session that begins: what it says
// first does not wait for others.
func newTurn() *turn {
	t := &turn{granted: make(chan struct{}, 1), state: speaking}
	t.granted <- struct{}{}
	return t
}

// want asks for a turn. One that is late, because what it would say can wait for other
// messages to the same agent, is not given where there are many who want one.
func (r *rounds) want(t *turn, late bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch t.state {
	case silent:
		if late && r.rest >= crowded && (r.speaking > 0 || time.Now().Before(r.rested)) {
			return
		}
		t.state = waiting
		r.due = append(r.due, t)
		r.proceed(time.Now())
	case speaking:
		if !late || r.rest < crowded {
			t.state = speakingAgain
		}
	}
}

// done ends a turn.
func (r *rounds) done(t *turn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch t.state {
	case speaking:
		t.state = silent
	case speakingAgain:
		t.state = waiting
		r.due = append(r.due, t)
	default:
		return
	}
	r.spoken(t)
}

// leave takes a turn out of the rounds for ever. It may be called more than once.
func (r *rounds) leave(t *turn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := t.state
	t.state = gone
	if before == speaking || before == speakingAgain {
		r.spoken(t)
	}
}

// spoken goes on when a turn has ended.
func (r *rounds) spoken(t *turn) {
	if r.speaking > 0 && t.number == r.number {
		r.speaking--
		if r.speaking == 0 {
			r.grant(time.Now())
			return
		}
	}
	if len(r.due) > 0 {
		r.proceed(time.Now())
	}
}

// proceed does what is to be done now for those who wait: begin a round, or see to it
// that the timer rings.
func (r *rounds) proceed(now time.Time) {
	switch {
	case r.closed:
	case r.speaking > 0:
		r.ringAt(r.woken.Add(maxStall), now)
	case r.rested.After(now):
		r.ringAt(r.rested, now)
	default:
		r.round, r.due, r.next = r.due, r.round[:0], 0
		r.number++
		r.began = now
		r.grant(now)
	}
}

// grant gives the next ones of the round their turns, or ends it.
func (r *rounds) grant(now time.Time) {
	for ; r.next < len(r.round) && r.speaking < abreast; r.next++ {
		if r.give(r.round[r.next], r.number) {
			r.speaking++
		}
	}
	if r.speaking == 0 {
		r.end(now)
		return
	}
	r.woken = now
	if r.next < len(r.round) || len(r.due) > 0 {
		r.ringAt(now.Add(maxStall), now)
	}
}

func (r *rounds) give(t *turn, number uint64) bool {
	if t.state != waiting {
		return false // it has left
	}
	t.state, t.number = speaking, number
	select {
	case t.granted <- struct{}{}:
	default:
	}
	return true
}

// end begins the rest after a round.
func (r *rounds) end(now time.Time) {
	clear(r.round)
	r.round = r.round[:0]
	r.rest = min(restFactor*now.Sub(r.began), maxRest)
	r.rested = now.Add(r.rest)
	if len(r.due) > 0 {
		r.ringAt(r.rested, now)
	}
}

func (r *rounds) ringAt(at, now time.Time) {
	if !r.alarm.IsZero() && !at.Before(r.alarm) {
		return // it rings before, and finds out what is to be done then
	}
	r.alarm = at
	if r.timer == nil {
		r.timer = time.AfterFunc(at.Sub(now), r.ring)
		return
	}
	r.timer.Reset(at.Sub(now))
}

func (r *rounds) ring() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	r.alarm = time.Time{}
	if r.speaking > 0 && !now.Before(r.woken.Add(maxStall)) {
		r.release(now)
		return
	}
	if r.next < len(r.round) || len(r.due) > 0 {
		r.proceed(now)
	}
}

// release ends a round in which nobody gets on: those who are left speak at once.
func (r *rounds) release(now time.Time) {
	for ; r.next < len(r.round); r.next++ {
		r.give(r.round[r.next], 0)
	}
	r.number++ // those who speak are of no round any more
	r.speaking = 0
	r.end(now)
}

// close ends all rounds: nobody gets a turn any more.
func (r *rounds) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.timer != nil {
		r.timer.Stop()
	}
}
