package session

import (
	"sync"
	"time"

	agentv1 "github.com/longshore/longshore/proto/agent/v1"
)

// maxBatch is how many tasks one report carries at most.
const maxBatch = 100

// outbox keeps the newest truth about each task that the control plane names,
// and what of it still has to be sent. What gathers while a report is on its
// way goes with the next, when that is acknowledged. A control plane with much to do
// is late with that, so that reports gather more; but not for longer than patience.
type outbox struct {
	patience time.Duration // after which a report is sent though the last one is not acknowledged
	lost     time.Duration // after which a report is sent again
	wake     chan struct{} // one slot: there may be something to send

	mu       sync.Mutex
	open     bool // the control plane has said which tasks it wants to know of
	entries  map[string]*entry
	queue    []*entry // those with queued set, oldest first
	sequence uint64   // of the last report
	flying   []flight // reports that are not acknowledged, oldest first
}

// entry is one task. Its versions count the truths about it.
type entry struct {
	arn       string
	state     *agentv1.TaskState // nil: nothing is known yet
	version   uint64
	queued    bool
	forgotten bool // the control plane does not name it any more
}

// flight is a report that is not acknowledged yet.
type flight struct {
	sequence uint64
	sent     time.Time
	tasks    []reported
}

// reported is what a report says of a task: the truth with that version.
type reported struct {
	*entry
	version uint64
}

func newOutbox(patience, lost time.Duration) *outbox {
	return &outbox{patience: patience, lost: lost, wake: make(chan struct{}, 1), entries: map[string]*entry{}}
}

func (o *outbox) poke() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// put takes the newest truth about a task.
func (o *outbox) put(state *agentv1.TaskState) {
	o.mu.Lock()
	defer o.mu.Unlock()
	e, named := o.entries[state.Arn]
	if !named {
		return
	}
	e.state = state
	e.version++
	o.enqueue(e)
}

func (o *outbox) enqueue(e *entry) {
	if e.queued || e.state == nil || e.forgotten {
		return
	}
	e.queued = true
	o.queue = append(o.queue, e)
	o.poke()
}

// begin starts a new stream, on which nothing is sent before reset.
func (o *outbox) begin() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open, o.sequence, o.flying = false, 0, nil
}

// reset is told all tasks that the control plane names: everything known of
// them is sent (again), the others are forgotten.
func (o *outbox) reset(arns []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	old := o.entries
	o.entries = make(map[string]*entry, len(arns))
	o.queue, o.flying, o.open = nil, nil, true
	for _, arn := range arns {
		e := old[arn]
		if e == nil {
			e = &entry{arn: arn}
		}
		e.queued = false
		o.entries[arn] = e
		o.enqueue(e)
	}
}

// add and forget are told what changes after that.
func (o *outbox) add(arns []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, arn := range arns {
		if o.entries[arn] == nil {
			o.entries[arn] = &entry{arn: arn}
		}
	}
}

func (o *outbox) forget(arns []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, arn := range arns {
		if e := o.entries[arn]; e != nil {
			e.forgotten = true // the queue and reports under way may still have it
			delete(o.entries, arn)
		}
	}
}

// next returns the report to send now, if there is one, and otherwise when to ask again
// though nothing has happened; zero: never.
func (o *outbox) next(now time.Time) (report *agentv1.Report, again time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dropLost(now)
	if n := len(o.flying); n > 0 {
		again = o.flying[0].sent.Add(o.lost)
		if late := o.flying[n-1].sent.Add(o.patience); late.After(now) {
			if len(o.queue) > 0 && late.Before(again) {
				again = late
			}
			return nil, again
		}
	}
	return o.take(now), again
}

// take takes the next report from the queue; nil if there is none.
func (o *outbox) take(now time.Time) *agentv1.Report {
	if !o.open || len(o.queue) == 0 {
		return nil
	}
	size := min(len(o.queue), maxBatch)
	tasks, states := make([]reported, 0, size), make([]*agentv1.TaskState, 0, size)
	for len(o.queue) > 0 && len(tasks) < size {
		e := o.queue[0]
		o.queue[0] = nil
		o.queue = o.queue[1:]
		e.queued = false
		if !e.forgotten {
			tasks, states = append(tasks, reported{e, e.version}), append(states, e.state)
		}
	}
	if len(tasks) == 0 {
		return nil
	}
	o.sequence++
	o.flying = append(o.flying, flight{sequence: o.sequence, sent: now, tasks: tasks})
	return &agentv1.Report{Sequence: o.sequence, Tasks: states}
}

// dropLost takes all reports under way for lost if the oldest has not been acknowledged for so
// long: all in them is queued once more.
func (o *outbox) dropLost(now time.Time) {
	if len(o.flying) == 0 || o.flying[0].sent.Add(o.lost).After(now) {
		return
	}
	lost := o.flying
	o.flying = nil
	for _, f := range lost {
		for _, r := range f.tasks {
			o.enqueue(r.entry)
		}
	}
}

// ack takes an acknowledgement of all reports up to one, and returns the tasks
// whose STOPPED is delivered by it. An old one means nothing.
func (o *outbox) ack(sequence uint64) (delivered []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.flying) > 0 && o.flying[0].sequence <= sequence {
		for _, r := range o.flying[0].tasks {
			if !r.forgotten && r.entry.version == r.version && r.state.Status == stopped {
				delivered = append(delivered, r.arn)
			}
		}
		o.flying[0] = flight{}
		o.flying = o.flying[1:]
	}
	if len(o.queue) > 0 && len(o.flying) == 0 {
		o.poke()
	}
	return delivered
}

const stopped = "STOPPED"
