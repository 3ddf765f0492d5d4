package session

import (
	"sync"

	agentv1 "github.com/longshore/longshore/proto/agent/v1"
)

// maxBatch is how many tasks one report carries at most.
const maxBatch = 100

// outbox keeps the newest truth about each task that the control plane names,
// and what of it still has to be sent. What gathers while a report is on its
// way goes with the next: one report at a time is under way.
type outbox struct {
	wake chan struct{} // one slot: there may be something to send

	mu       sync.Mutex
	open     bool // the control plane has said which tasks it wants to know of
	entries  map[string]*entry
	queue    []string // ARNs of entries with queued set, oldest first
	sequence uint64   // of the report under way, or the last one
	flying   map[string]uint64
}

// entry is one task. Its versions count the truths about it.
type entry struct {
	state   *agentv1.TaskState // nil: nothing is known yet
	version uint64
	queued  bool
}

func newOutbox() *outbox {
	return &outbox{wake: make(chan struct{}, 1), entries: map[string]*entry{}}
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
	o.enqueue(state.Arn, e)
}

func (o *outbox) enqueue(arn string, e *entry) {
	if e.queued || e.state == nil {
		return
	}
	e.queued = true
	o.queue = append(o.queue, arn)
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
			e = &entry{}
		}
		e.queued = false
		o.entries[arn] = e
		o.enqueue(arn, e)
	}
}

// add and forget are told what changes after that.
func (o *outbox) add(arns []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, arn := range arns {
		if o.entries[arn] == nil {
			o.entries[arn] = &entry{}
		}
	}
}

func (o *outbox) forget(arns []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, arn := range arns {
		delete(o.entries, arn) // next skips what the queue still has of it
	}
}

// next returns the report to send now, or nil if there is none or one is still
// under way.
func (o *outbox) next() *agentv1.Report {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.open || o.flying != nil {
		return nil
	}
	flying := map[string]uint64{}
	report := &agentv1.Report{}
	for len(o.queue) > 0 && len(report.Tasks) < maxBatch {
		arn := o.queue[0]
		o.queue = o.queue[1:]
		e := o.entries[arn]
		if e == nil || !e.queued {
			continue
		}
		e.queued = false
		flying[arn] = e.version
		report.Tasks = append(report.Tasks, e.state)
	}
	if len(report.Tasks) == 0 {
		return nil
	}
	o.sequence++
	o.flying = flying
	report.Sequence = o.sequence
	return report
}

// ack takes an acknowledgement, and returns the tasks whose STOPPED is
// delivered by it. An old one means nothing.
func (o *outbox) ack(sequence uint64) (delivered []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.flying == nil || sequence < o.sequence {
		return nil
	}
	for arn, version := range o.flying {
		e := o.entries[arn]
		if e != nil && e.version == version && e.state.Status == stopped {
			delivered = append(delivered, arn)
		}
	}
	o.flying = nil
	o.poke()
	return delivered
}

// again takes the report under way for lost: all in it is queued once more.
func (o *outbox) again() {
	o.mu.Lock()
	defer o.mu.Unlock()
	flying := o.flying
	o.flying = nil
	for arn := range flying {
		if e := o.entries[arn]; e != nil {
			o.enqueue(arn, e)
		}
	}
}

const stopped = "STOPPED"
