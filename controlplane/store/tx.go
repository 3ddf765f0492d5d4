package store

import (
	"encoding/json"
	"fmt"
	"unsafe"

	"github.com/longshore/longshore/controlplane/model"
)

// Tx is one transaction: it reads the newest state, its own puts included, and
// collects what it puts. A record that was put must not be touched any more.
type Tx struct {
	*Tables
	changes []Change
	ops     []op
	room
	steps []step // as many as changes
}

// step is a change that can be taken back and made again.
type step interface {
	undo(*Tables)
	redo(*Tables)
}

// replacement is the step of one put.
type replacement[T any] struct {
	kind      *kind[T]
	old, next *T
}

func (r *replacement[T]) undo(t *Tables) { r.kind.replace(t, r.next, r.old) }
func (r *replacement[T]) redo(t *Tables) { r.kind.replace(t, r.old, r.next) }

// Change is one record that a transaction replaced. Old and New are of the same
// type, a pointer to an entity of controlplane/model; either may be a nil
// pointer of it: the record was made, or deleted.
type Change struct {
	Old, New any
}

// op is a change as etcd gets it.
type op struct {
	key   string
	value []byte // nil: delete
}

func (o *op) size() int { return len(o.key) + len(o.value) }

// taskOp is a change of a task. All those of a batch become one op, see taskLog.
type taskOp struct {
	task     taskRef
	from, to int // its record, in what is encoded; nothing: delete
}

// room is changes of tasks, in order, and their records, one after the other. There are many, and what
// they took is used again.
type room struct {
	taskOps []taskOp
	encoded []byte
}

// again returns the room empty, without what of it is too large to be kept.
func (r room) again() room {
	clear(r.taskOps)
	return room{spare(r.taskOps), spare(r.encoded)}
}

func spare[T any](s []T) []T {
	const most = 1 << 20 // bytes
	if cap(s)*int(unsafe.Sizeof(*new(T))) > most {
		return nil
	}
	return s[:0]
}

func (o *taskOp) deleted() bool { return o.from == o.to }

// size is at most what its entry in a segment takes.
func (o *taskOp) size() int {
	if o.deleted() {
		return len(o.task.cluster) + len(o.task.id) + entryOverhead
	}
	return o.to - o.from + entryOverhead
}

func put[T any](tx *Tx, k *kind[T], old, next *T) {
	if old == nil && next == nil {
		return
	}
	k.replace(tx.Tables, old, next)
	note(tx, k, old, next)
}

// note notes a change that the tables show already.
func note[T any](tx *Tx, k *kind[T], old, next *T) {
	tx.step(&replacement[T]{k, old, next}, Change{old, next})
	o := op{}
	if next == nil {
		o.key = k.key(old)
	} else {
		o.key = k.key(next)
		value, err := json.Marshal(next)
		if err != nil {
			panic(encodeError{fmt.Errorf("encoding %s: %w", o.key, err)})
		}
		o.value = value
	}
	tx.ops = append(tx.ops, o)
}

// noteTask is note for tasks.
func (tx *Tx) noteTask(old, next *model.Task) {
	tx.step(&replacement[model.Task]{&taskKind, old, next}, Change{old, next})
	o := taskOp{from: len(tx.encoded)}
	if next == nil {
		o.task = refOf(old)
	} else {
		o.task = refOf(next)
		encoded, err := appendTask(tx.encoded, next)
		if err != nil {
			panic(encodeError{fmt.Errorf("encoding task %s of cluster %s: %w", next.ID, next.Cluster, err)})
		}
		tx.encoded = encoded
	}
	o.to = len(tx.encoded)
	tx.taskOps = append(tx.taskOps, o)
}

func (tx *Tx) step(s step, c Change) {
	tx.steps = append(tx.steps, s)
	tx.changes = append(tx.changes, c)
}

// size is at most that of the keys and values that etcd gets.
func (tx *Tx) size() int {
	bytes := 0
	for i := range tx.ops {
		bytes += tx.ops[i].size()
	}
	for i := range tx.taskOps {
		bytes += tx.taskOps[i].size()
	}
	return bytes
}

// encodeError is a panic. The entities hold nothing that cannot be encoded, but for text that
// a caller slipped past validation; run turns this into an error.
type encodeError struct{ error }

// rollback takes everything back that the transaction put.
func (tx *Tx) rollback() {
	for i := len(tx.steps) - 1; i >= 0; i-- {
		tx.steps[i].undo(tx.Tables)
	}
}

// run calls the function and takes its puts back if it fails or panics.
func (tx *Tx) run(f func(*Tx) error) (err error) {
	done := false
	defer func() {
		if done && err == nil {
			return
		}
		tx.rollback()
		if done {
			return
		}
		switch r := recover().(type) {
		case nil: // the goroutine is ending
		case encodeError:
			err = r.error
		default:
			panic(r)
		}
	}()
	err = f(tx)
	done = true
	return err
}

// replay puts again what rollback took back.
func (tx *Tx) replay() {
	for _, s := range tx.steps {
		s.redo(tx.Tables)
	}
}
