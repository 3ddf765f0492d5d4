package store

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/longshore/longshore/controlplane/model"
)

// taskLog knows which segments there are in etcd (see segment.go), and what in them still
// counts. It belongs to the loop that commits: it is touched by that alone, and needs no lock.
//
// An entry is live if it is its task's newest; that a task is gone also only as long as
// another segment has an entry of it, which would bring it back. Segments of which too
// little is live are due: what is live in them is written again, into the segment of a
// commit that comes by, and they are deleted. Until then the dead entries are at most some
// three and a half times the live records.
//
// A record under a key of its own, as an earlier version wrote it, is a segment of one entry
// that is older than all others.
//
// A hundred thousand tasks take about 10 MB here, in which the garbage collector finds
// hardly a pointer.
type taskLog struct {
	slots     map[taskName]uint32 // where in tasks
	tasks     []loggedTask
	freeTasks []uint32

	segments     []segment
	freeSegments []uint32
	due          []uint32 // of segments, the first to go first

	sequence uint64 // of the newest segment that there ever was
	numbers  map[string]uint32
	texts    []string // by their numbers, beginning with 1

	record, value []byte // buffers
}

// loggedTask is a task of which there is an entry somewhere.
type loggedTask struct {
	name    taskName
	newest  uint32 // the segment with its newest entry
	holders uint32 // how many segments have an entry of it
	gone    bool   // what the newest entry says
}

// taskName is a taskRef without pointers.
type taskName struct {
	id      [16]byte
	odd     uint32 // the number of an id that is not 32 hexadecimal digits, which only tests have; else 0
	cluster uint32
}

// segment is a key of etcd with entries of tasks.
type segment struct {
	tasks    []uint32 // one for each entry
	sequence uint64   // 0: the record of the only task, under its own key
	records  uint32   // how many entries are live and a record
	gone     uint32   // how many are live and say that a task is gone
	held     bool     // it is due already, or cannot be yet
}

// isDue tells whether more than three dead entries come to each live record. Those that say
// that a task is gone are short, and eight of them count like a dead one. If they counted
// like records they could keep what is dead beside them for ever: tasks that live long keep their
// segment, that keeps what says of others in it that they are gone, and so on from
// segment to segment.
func (s *segment) isDue() bool {
	const gonePerDead, deadPerRecord = 8, 3
	dead := len(s.tasks) - int(s.records) - int(s.gone)
	return dead*gonePerDead > int(s.records)*deadPerRecord*gonePerDead+int(s.gone)
}

// noSegment is the newest of a task without an entry.
const noSegment = ^uint32(0)

func newTaskLog() *taskLog {
	return &taskLog{slots: map[taskName]uint32{}, numbers: map[string]uint32{}, texts: []string{""}}
}

// begin makes a segment without entries. It is not due before end.
func (l *taskLog) begin(sequence uint64, entries int) uint32 {
	made := segment{sequence: sequence, held: true, tasks: make([]uint32, 0, entries)}
	if n := len(l.freeSegments); n > 0 {
		at := l.freeSegments[n-1]
		l.freeSegments = l.freeSegments[:n-1]
		l.segments[at] = made
		return at
	}
	l.segments = append(l.segments, made)
	return uint32(len(l.segments) - 1)
}

func (l *taskLog) end(at uint32) {
	l.segments[at].held = false
	l.look(at)
}

// look finds out whether a segment has become due.
func (l *taskLog) look(at uint32) {
	if s := &l.segments[at]; !s.held && s.isDue() {
		s.held = true
		l.due = append(l.due, at)
	}
}

// enter notes that a segment has an entry of a task that is newer than all others.
func (l *taskLog) enter(slot, at uint32, gone bool) {
	l.outdate(slot)
	t, s := &l.tasks[slot], &l.segments[at]
	s.tasks = append(s.tasks, slot)
	t.newest, t.gone = at, gone
	t.holders++
	switch {
	case !gone:
		s.records++
	case t.holders > 1:
		s.gone++
	}
}

// outdate notes that a task's newest entry is that no more.
func (l *taskLog) outdate(slot uint32) {
	t := &l.tasks[slot]
	switch {
	case t.holders == 0:
		return
	case !t.gone:
		l.segments[t.newest].records--
	case t.holders > 1:
		l.segments[t.newest].gone--
	}
	l.look(t.newest)
}

// drop notes that a segment is deleted. None of its entries is live.
func (l *taskLog) drop(at uint32) {
	for _, slot := range l.segments[at].tasks {
		t := &l.tasks[slot]
		t.holders--
		switch {
		case t.holders == 0:
			l.forget(slot)
		case t.holders == 1 && t.gone:
			// Nothing is left that would bring it back.
			l.segments[t.newest].gone--
			l.look(t.newest)
		}
	}
	l.free(at)
}

func (l *taskLog) free(at uint32) {
	l.segments[at] = segment{held: true}
	l.freeSegments = append(l.freeSegments, at)
}

// slot finds a task, or makes one without entries.
func (l *taskLog) slot(r taskRef) uint32 {
	name := l.name(r)
	slot, ok := l.slots[name]
	if ok {
		return slot
	}
	made := loggedTask{name: name, newest: noSegment}
	if n := len(l.freeTasks); n > 0 {
		slot = l.freeTasks[n-1]
		l.freeTasks = l.freeTasks[:n-1]
		l.tasks[slot] = made
	} else {
		slot = uint32(len(l.tasks))
		l.tasks = append(l.tasks, made)
	}
	l.slots[name] = slot
	return slot
}

func (l *taskLog) forget(slot uint32) {
	delete(l.slots, l.tasks[slot].name)
	l.tasks[slot] = loggedTask{newest: noSegment}
	l.freeTasks = append(l.freeTasks, slot)
}

func (l *taskLog) name(r taskRef) taskName {
	n := taskName{cluster: l.number(string(r.cluster))}
	if len(r.id) != 2*len(n.id) || !isHex(string(r.id)) {
		n.odd = l.number(string(r.id))
	} else if _, err := hex.Decode(n.id[:], []byte(r.id)); err != nil {
		panic(err) // isHex has said that there is none
	}
	return n
}

// ref is what name was made of.
func (l *taskLog) ref(n taskName) taskRef {
	r := taskRef{cluster: model.ClusterName(l.texts[n.cluster])}
	if n.odd != 0 {
		r.id = model.TaskID(l.texts[n.odd])
	} else {
		r.id = model.TaskID(hex.EncodeToString(n.id[:]))
	}
	return r
}

// number numbers texts, of which there are few. It forgets none.
func (l *taskLog) number(text string) uint32 {
	n, ok := l.numbers[text]
	if !ok {
		n = uint32(len(l.texts))
		text = strings.Clone(text)
		l.texts = append(l.texts, text)
		l.numbers[text] = n
	}
	return n
}

// key is where in etcd a segment is.
func (l *taskLog) key(at uint32) string {
	s := &l.segments[at]
	if s.sequence == 0 {
		r := l.ref(l.tasks[s.tasks[0]].name)
		return ownTaskKey(r)
	}
	return segmentKey(s.sequence)
}

// Bounds of what a commit does besides what it is made for, so that nobody waits for it long.
// Each commit makes one segment, and what it writes anew is, in the long run, less than what
// it has to write: so these are more than enough to keep up.
const (
	maxDropped = 200       // segments
	maxKept    = 256 << 10 // bytes of entries that are taken over
)

// logged is what of a batch becomes a segment, and what goes with it.
type logged struct {
	ops     []op // in this order
	changed int  // tasks
}

// log takes note of what a batch changes of tasks, as written to etcd in this moment: if that
// fails the log is worthless, and so is the store.
//
// Every task that is deleted is entered as gone, even if no other segment has an entry of it:
// those who follow learn of it from that.
func (l *taskLog) log(b *batch) (logged, error) {
	at := l.begin(l.sequence+1, len(b.taskOps))
	l.value = beginSegment(spare(l.value))
	var never []uint32
	// Of two changes of a task the last one counts.
	for i := len(b.taskOps) - 1; i >= 0; i-- {
		o := &b.taskOps[i]
		slot := l.slot(o.task)
		t := &l.tasks[slot]
		switch {
		case t.newest == at:
		case !o.deleted():
			l.enter(slot, at, false)
			l.value = appendEntry(l.value, entryChanged, b.encoded[o.from:o.to])
		case t.holders == 0: // made by this batch, too
			t.newest = at
			never = append(never, slot)
		default:
			l.enter(slot, at, true)
			l.writeGone(o.task)
		}
	}
	out := logged{changed: len(l.segments[at].tasks)}
	for _, slot := range never {
		l.forget(slot)
	}
	dropped, err := l.cleanUp(b, at)
	if err != nil {
		return out, err
	}
	if entries := len(l.segments[at].tasks); entries > 0 {
		l.sequence++
		endSegment(l.value, entries)
		out.ops = append(out.ops, op{segmentKey(l.sequence), l.value})
		l.end(at)
	} else {
		l.free(at)
	}
	out.ops = append(out.ops, dropped...)
	return out, nil
}

// cleanUp takes what is live in segments that are due over into the one being written, and
// returns their deletions.
func (l *taskLog) cleanUp(b *batch, at uint32) (dropped []op, err error) {
	room := min(maxDropped, b.limits.Operations-len(b.ops)-1)
	enough := len(l.value) + max(maxKept, len(l.value))
	most := len(l.value) + b.limits.Bytes - b.bytes - segmentOverhead
	for len(l.due) > 0 && len(dropped) < room {
		old := l.due[0]
		done, err := l.keep(b.tables, old, at, enough, most)
		if err != nil {
			return nil, err
		}
		l.due = l.due[1:]
		if !done {
			l.due = append(l.due, old) // others may be smaller
			break
		}
		dropped = append(dropped, op{key: l.key(old)})
		l.drop(old)
	}
	return dropped, nil
}

// keep takes over what is live in a segment, and tells whether that was all of it. It begins
// nothing more once enough bytes are written, and never writes more than the most.
func (l *taskLog) keep(tables *Tables, old, at uint32, enough, most int) (bool, error) {
	for _, slot := range l.segments[old].tasks {
		t := &l.tasks[slot]
		if t.newest != old || t.gone && t.holders == 1 {
			continue
		}
		r, before := l.ref(t.name), len(l.value)
		if before > enough {
			return false, nil
		}
		if t.gone {
			l.writeGone(r)
		} else {
			record, ok := tables.Task(r.cluster, r.id)
			if !ok {
				return false, fmt.Errorf("taking over %s: task %s of cluster %s is not known", l.key(old), r.id, r.cluster)
			}
			encoded, err := appendTask(l.record[:0], record)
			if err != nil {
				return false, fmt.Errorf("taking over task %s of cluster %s: %w", r.id, r.cluster, err)
			}
			l.record = encoded
			l.value = appendEntry(l.value, entryKept, encoded)
		}
		if len(l.value) > most {
			l.value = l.value[:before]
			return false, nil
		}
		l.enter(slot, at, t.gone)
	}
	return true, nil
}

func (l *taskLog) writeGone(r taskRef) {
	l.record = appendGone(l.record[:0], r)
	l.value = appendEntry(l.value, entryGone, l.record)
}
