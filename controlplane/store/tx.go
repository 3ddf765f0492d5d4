package store

import (
	"encoding/json"
	"fmt"
)

// Tx is one transaction: it reads the newest state, its own puts included, and
// collects what it puts. A record that was put must not be touched any more.
type Tx struct {
	*Tables
	changes []Change
	ops     []op
	steps   []step // as many as changes
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

func put[T any](tx *Tx, k *kind[T], old, next *T) {
	if old == nil && next == nil {
		return
	}
	k.replace(tx.Tables, old, next)
	note(tx, k, old, next)
}

// note notes a change that the tables show already.
func note[T any](tx *Tx, k *kind[T], old, next *T) {
	tx.steps = append(tx.steps, &replacement[T]{k, old, next})
	tx.changes = append(tx.changes, Change{old, next})
	o := op{}
	if next == nil {
		o.key = k.key(old)
	} else {
		o.key = k.key(next)
		value, err := k.encoded(next)
		if err != nil {
			// The entities hold nothing that JSON cannot say, but for text that a
			// caller slipped past validation; apply turns this into an error.
			panic(encodeError{fmt.Errorf("encoding %s: %w", o.key, err)})
		}
		o.value = value
	}
	tx.ops = append(tx.ops, o)
}

func (k *kind[T]) encoded(record *T) ([]byte, error) {
	if k.encode != nil {
		return k.encode(record)
	}
	return json.Marshal(record)
}

func (k *kind[T]) decoded(value []byte, record *T) error {
	if k.decode != nil {
		return k.decode(value, record)
	}
	return json.Unmarshal(value, record)
}

// size is that of the keys and values that etcd gets.
func (tx *Tx) size() int {
	bytes := 0
	for i := range tx.ops {
		bytes += tx.ops[i].size()
	}
	return bytes
}

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
