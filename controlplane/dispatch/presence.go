package dispatch

import (
	"errors"
	"sync/atomic"
	"time"
)

const (
	// beatsPerTimeout is how many heartbeats an agent sends in the time after which it
	// counts as silent. TCP loses none, so that what matters is by how much one may be late.
	beatsPerTimeout = 3
	// maxBeats is how many heartbeats all agents together are to send in a second; they are
	// nearly all that a large fleet costs that has nothing to do.
	maxBeats = 2000
	// maxStretch is how many times as long as usual an agent may be silent for the sake of that.
	maxStretch = 3
)

// presence is the clock of an instance that counts as connected. Hearing the
// agent only notes the time; the timer finds out by itself that it rang early.
type presence struct {
	heard    atomic.Int64 // nanoseconds since the epoch
	patience atomic.Int64 // how long the agent may be silent, a time.Duration
	timer    *time.Timer
}

func (p *presence) hear() { p.heard.Store(time.Now().UnixNano()) }

// pace is how often each of that many agents is to send a heartbeat.
func (d *Dispatcher) pace(agents int) time.Duration {
	usual := d.cfg.DisconnectAfter / beatsPerTimeout
	return min(max(usual, time.Duration(agents)*time.Second/maxBeats), maxStretch*usual)
}

// quiet is for how long the control plane need say nothing to an agent that is to send a
// heartbeat that often. An agent gives a session up in which it has heard nothing for three of
// its own intervals, and for 5 s.
func quiet(pace time.Duration) time.Duration { return pace * 3 / 2 }

// Pace is how often the agent is to send a heartbeat from now on, and for how long nothing need be
// said to it then. The more agents are
// connected, the less often that is. What was told last counts, too, until the agent has
// had the time to hear otherwise. It is called by one goroutine.
func (s *Session) Pace() (pace, silence time.Duration) {
	s.d.mu.Lock()
	pace = s.d.pace(len(s.d.watched))
	s.d.mu.Unlock()
	s.presence.patience.Store(int64(beatsPerTimeout * max(pace, s.paced)))
	s.paced = pace
	return pace, quiet(pace)
}

// watch returns the clock of an instance, started if there was none, and hears it.
func (d *Dispatcher) watch(key InstanceKey) *presence {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, ok := d.watched[key]
	if !ok {
		p = &presence{}
		// Its agent may have been told so by the leader before.
		p.patience.Store(int64(beatsPerTimeout * d.pace(len(d.watched))))
		p.timer = time.AfterFunc(time.Duration(p.patience.Load()), func() { d.ring(key, p) })
		d.watched[key] = p
	}
	p.hear()
	return p
}

// ring ends the presence of an instance if it was silent for all the time.
func (d *Dispatcher) ring(key InstanceKey, p *presence) {
	heard := time.Unix(0, p.heard.Load())
	if left := time.Duration(p.patience.Load()) - time.Since(heard); left > 0 {
		p.timer.Reset(left)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.watched[key] != p {
		return
	}
	delete(d.watched, key)
	d.silent[key] = heard
	if s := d.sessions[key]; s != nil {
		s.end(errors.New("the agent sent no heartbeat"))
	}
	select {
	case d.wake <- struct{}{}:
	default:
	}
}
