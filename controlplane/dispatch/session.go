package dispatch

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
)

// Session is one agent's connection. What there is to say to the agent waits for the session's
// turn (Turn, Collect, Told). That and Report may be called at the same time, each by one goroutine.
type Session struct {
	d        *Dispatcher
	key      InstanceKey
	token    string // known to the two ends alone
	done     chan struct{}
	presence *presence     // set by Connect
	paced    time.Duration // what Pace said last

	turn    *turn
	storing chan struct{} // one slot: a message of the agent is to be made durable

	mu     sync.Mutex
	reason error                            // why it ended
	dirty  map[model.TaskID]struct{}        // nil: none
	ack    uint64                           // that the agent was not told of; 0: none
	full   bool                             // the first Desired is still to be sent
	had    map[model.DefinitionRef]struct{} // definitions that the agent has
}

// Desired is what an instance should run: everything, or what changed.
type Desired struct {
	Full        bool
	Definitions []*model.Definition // that this session did not have yet
	Tasks       []*model.Task
	Checks      map[model.TaskID][]Check // of the tasks that are in target groups
	Removed     []model.TaskID
	Ack         uint64 // all reports up to this sequence number are durable; 0: as before
}

// Report is what an agent says of one of its tasks.
type Report struct {
	Task model.TaskID
	model.TaskReport
}

// Connect opens a session for an instance; an earlier one of it ends. agent is
// the name in the agent's certificate, empty without one: the instance is its own
// from then on.
func (d *Dispatcher) Connect(ctx context.Context, key InstanceKey, agent string) (*Session, error) {
	// Before anything changes: a stranger must not end the session of the true agent.
	if err := d.Admits(key, agent); err != nil {
		return nil, err
	}
	s := &Session{
		d: d, key: key, token: rand.Text(), done: make(chan struct{}),
		turn: newTurn(), storing: make(chan struct{}, 1), full: true, had: map[model.DefinitionRef]struct{}{},
	}
	// The session is known before the instance is read, so that no change falls between.
	if err := d.admit(s); err != nil {
		return nil, err
	}
	err := d.cfg.Store.Update(ctx, func(tx *store.Tx) error {
		i, ok := tx.Instance(key.Cluster, key.ID)
		if !ok || !store.InstanceLive(i) {
			return fmt.Errorf("%w: %s in cluster %s", ErrUnknownInstance, key.ID, key.Cluster)
		}
		if err := admits(i, agent); err != nil {
			return err
		}
		if i.AgentConnected && (i.Agent != "" || agent == "") {
			return nil
		}
		next := *i
		if !i.AgentConnected {
			next.AgentConnected, next.ConnectedAt, next.SilentSince = true, time.Now(), time.Time{}
		}
		if i.Agent == "" {
			next.Agent = agent
		}
		next.Version++
		tx.PutInstance(&next)
		return nil
	})
	if err != nil {
		s.close(err)
		return nil, err
	}
	s.presence = d.watch(key)
	return s, nil
}

// admit makes s the session of its instance.
func (d *Dispatcher) admit(s *Session) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return store.ErrNotLeader
	}
	if earlier := d.sessions[s.key]; earlier != nil {
		earlier.end(errors.New("the agent opened another session"))
	}
	d.sessions[s.key] = s
	return nil
}

// Heard notes that the agent is alive.
func (s *Session) Heard() { s.presence.hear() }

// Done is closed when the session has ended; Err then says why.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err returns why the session ended; nil as long as it has not.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason
}

// Close ends the session from the wire's side. The instance counts as connected
// until its time is up, so that an agent that comes back at once was never away.
func (s *Session) Close() { s.close(errors.New("the agent's connection ended")) }

func (s *Session) close(reason error) {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	s.end(reason)
}

// end is close for a caller that holds the dispatcher's lock, which is always
// taken before the session's.
func (s *Session) end(reason error) {
	s.mu.Lock()
	if s.reason == nil {
		s.reason = reason
		close(s.done)
	}
	s.mu.Unlock()
	s.d.rounds.leave(s.turn)
	if s.d.sessions[s.key] == s {
		delete(s.d.sessions, s.key)
	}
}

func (s *Session) mark(id model.TaskID) {
	s.mu.Lock()
	if s.dirty == nil {
		s.dirty = map[model.TaskID]struct{}{}
	}
	s.dirty[id] = struct{}{}
	s.mu.Unlock()
	s.d.rounds.want(s.turn, false)
}

// longestWait is for how long an acknowledgement may wait for another message: well below the
// time after which an agent reports again what nobody acknowledges.
const longestWait = 10 * time.Second

// Acknowledge has the agent told that all its reports up to a sequence number are durable. late
// tells that the agent goes on reporting meanwhile: then, if there is much to say to many agents, the
// acknowledgement waits for the next message to this one, which may be a heartbeat.
func (s *Session) Acknowledge(sequence uint64, late bool) {
	s.mu.Lock()
	s.ack = sequence
	s.mu.Unlock()
	s.d.rounds.want(s.turn, late && quiet(time.Duration(s.presence.patience.Load())/beatsPerTimeout) <= longestWait)
}

// Acknowledged returns the sequence number that the agent is to be told of now, whether it is the
// session's turn or not; 0: none.
func (s *Session) Acknowledged() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	sequence := s.ack
	s.ack = 0
	return sequence
}

// Ask asks for a turn though there may be nothing to tell.
func (s *Session) Ask() { s.d.rounds.want(s.turn, false) }

// Turn receives when it is the session's turn to tell the agent what Collect says.
func (s *Session) Turn() <-chan struct{} { return s.turn.granted }

// Told ends the turn.
func (s *Session) Told() { s.d.rounds.done(s.turn) }

// Empty tells whether there is nothing to tell but for an acknowledgement.
func (d *Desired) Empty() bool { return !d.Full && len(d.Tasks)+len(d.Removed) == 0 }

// Collect returns what the agent has not been told yet. The first answer is full.
func (s *Session) Collect() Desired {
	s.mu.Lock()
	out := Desired{Full: s.full, Ack: s.ack}
	dirty := s.dirty
	s.full, s.dirty, s.ack = false, nil, 0
	s.mu.Unlock()
	full := out.Full
	view := s.d.cfg.Store.View()
	if full {
		for t := range view.LiveTasksOnInstance(s.key.Cluster, s.key.ID) {
			s.include(&out, view, t)
		}
		return out
	}
	for id := range dirty {
		if t, ok := view.Task(s.key.Cluster, id); ok && store.TaskLive(t) {
			s.include(&out, view, t)
		} else {
			out.Removed = append(out.Removed, id)
		}
	}
	return out
}

func (s *Session) include(out *Desired, view *store.Tables, t *model.Task) {
	out.Tasks = append(out.Tasks, t)
	if checks := checksOf(view, t); len(checks) > 0 {
		if out.Checks == nil {
			out.Checks = map[model.TaskID][]Check{}
		}
		out.Checks[t.ID] = checks
	}
	if _, had := s.had[t.Definition]; had {
		return
	}
	if def, ok := view.Definition(t.Definition); ok {
		s.had[t.Definition] = struct{}{}
		out.Definitions = append(out.Definitions, def)
	}
}
