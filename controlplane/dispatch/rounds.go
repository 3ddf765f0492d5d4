package dispatch

import (
	"sync"
	"time"
)

const (
	// abreast is how many sessions send in a round, so that requests of the API need not
	// wait for a processor behind those of all hosts.
	abreast = 6
	// busyRest is for how many times as long as a round took nothing is sent after it while requests
	// of the API are under way, and quietRest while none are.
	busyRest  = 9
	quietRest = 2
	// maxRest is how long one who has something to say waits because of rests. Agents are
	// silent for longer without being missed.
	maxRest = time.Second
	// maxStall is how long a round waits for some who do not get on, because their hosts take
	// nothing any more. If many wait for the next, it is a part of that, but not less than minStall.
	maxStall = 250 * time.Millisecond
	minStall = 20 * time.Millisecond
	// crowded is the rest from which on what can wait for other messages does: the round
	// before it was one of many sessions, or the processors have much else to do.
	crowded = 5 * time.Millisecond
)

// rounds gives sessions turns to send. Whoever has something to say at a quiet time has
// his turn at once. That is a round; who comes later waits for one of the next, each of which is of
// a few who have waited longest, and begins after a rest that is as long as the rounds are costly.
// So what there is to say to an agent gathers under load, and messages carry more instead of
// there being more of them.
type rounds struct {
	busy func() bool // whether requests of the API are under way

	mu       sync.Mutex
	due      queue // who waits for a turn
	speaking int   // who has one, in the round under way; 0: none is
	number   uint64
	began    time.Time     // the round
	rest     time.Duration // after the last round
	rested   time.Time     // when that is over
	wake     alarm         // for the next round
	stall    alarm         // for those who wait while a round is under way
	closed   bool
	paused   bool // nobody gets a turn for a while
}

// turn is a session's place in the rounds.
type turn struct {
	granted chan struct{} // one slot: speak, and then call done
	state   turnState
	number  uint64    // of the round that it speaks in; 0: of none
	since   time.Time // when it began to wait
	next    *turn     // in the queue
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
		now := time.Now()
		if late && r.rest >= crowded && (r.speaking > 0 || now.Before(r.rested)) {
			return
		}
		r.enqueue(t, now)
		r.proceed(now)
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
	now := time.Now()
	switch t.state {
	case speaking:
		t.state = silent
	case speakingAgain:
		r.enqueue(t, now)
	default:
		return
	}
	r.spoken(t, now)
}

// leave takes a turn out of the rounds for ever. It may be called more than once.
func (r *rounds) leave(t *turn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := t.state
	t.state = gone
	if before == speaking || before == speakingAgain {
		r.spoken(t, time.Now())
	}
}

func (r *rounds) enqueue(t *turn, now time.Time) {
	t.state, t.since = waiting, now
	r.due.push(t)
}

// spoken goes on when a turn has ended.
func (r *rounds) spoken(t *turn, now time.Time) {
	if r.speaking > 0 && t.number == r.number {
		r.speaking--
		if r.speaking == 0 {
			r.end(now)
		}
	}
	r.proceed(now)
}

// proceed does what is to be done now for those who wait: begin a round, or see to it
// that the timer rings.
func (r *rounds) proceed(now time.Time) {
	switch {
	case r.closed || r.paused || r.due.length == 0:
	case r.speaking > 0:
		at := r.stalled()
		if soon := now.Add(minStall); soon.Before(at) {
			at = soon // so that it need not be set anew when more come
		}
		r.stall.set(at, now, r.giveUp)
	case r.nextRound().After(now):
		r.wake.set(r.nextRound(), now, r.goOn)
	default:
		r.begin(now)
	}
}

// nextRound is when the next round begins: when the rest is over, or when somebody has
// waited for as long as may be.
func (r *rounds) nextRound() time.Time {
	if last := r.due.first.since.Add(maxRest); last.Before(r.rested) {
		return last
	}
	return r.rested
}

// stalled is when the round under way is given up.
func (r *rounds) stalled() time.Time {
	return r.began.Add(max(maxStall/time.Duration(1+r.due.length/abreast), minStall))
}

// begin gives those who have waited longest their turns.
func (r *rounds) begin(now time.Time) {
	r.number++
	r.began = now
	for r.speaking < abreast && r.due.length > 0 {
		t := r.due.pop()
		if t.state != waiting {
			continue // it has left
		}
		t.state, t.number = speaking, r.number
		r.speaking++
		select {
		case t.granted <- struct{}{}:
		default: // it has not taken the last one, and will collect all in that
		}
	}
	if r.speaking > 0 {
		r.proceed(now)
	}
}

// end begins the rest after a round.
func (r *rounds) end(now time.Time) {
	r.rest = 0
	if took := now.Sub(r.began); took < maxStall { // otherwise nearly all of that was rest
		r.rest = quietRest * took
		if r.busy() {
			r.rest = busyRest * took
		}
	}
	r.rested = now.Add(r.rest)
}

// goOn is what wake does.
func (r *rounds) goOn() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wake.rung()
	r.proceed(time.Now())
}

// giveUp is what stall does: it ends the round if those who speak do not get on.
func (r *rounds) giveUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stall.rung()
	now := time.Now()
	if r.speaking > 0 && !now.Before(r.stalled()) {
		r.number++ // those who speak are of no round any more
		r.speaking = 0
		r.end(now)
	}
	r.proceed(now)
}

// pause lets nobody have a turn until it is called with false.
func (r *rounds) pause(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.paused = on
	r.proceed(time.Now())
}

// close ends all rounds: nobody gets a turn any more.
func (r *rounds) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.wake.stop()
	r.stall.stop()
}

// alarm is a timer that is left alone where it rings too early, which is cheap: when one is
// set to an earlier time, the runtime looks through all timers of the process, and each
// session has some.
type alarm struct {
	timer *time.Timer
	at    time.Time // when it rings; zero: it is not set
}

// set has it ring at a time, or before; ring is the same each time, and calls rung.
func (a *alarm) set(at, now time.Time, ring func()) {
	if !a.at.IsZero() && !at.Before(a.at) {
		return
	}
	a.at = at
	if a.timer == nil {
		a.timer = time.AfterFunc(at.Sub(now), ring)
		return
	}
	a.timer.Reset(at.Sub(now))
}

func (a *alarm) rung() { a.at = time.Time{} }

func (a *alarm) stop() {
	if a.timer != nil {
		a.timer.Stop()
	}
}

// queue is who waits, first come first served.
type queue struct {
	first, last *turn
	length      int
}

func (q *queue) push(t *turn) {
	if q.first == nil {
		q.first = t
	} else {
		q.last.next = t
	}
	q.last = t
	q.length++
}

func (q *queue) pop() *turn {
	t := q.first
	q.first, t.next = t.next, nil
	q.length--
	return t
}
