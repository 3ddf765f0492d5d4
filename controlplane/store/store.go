package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Errors of Update. After either of the first two the store is finished.
var (
	// ErrNotLeader: the change was not made, because leadership was lost.
	ErrNotLeader = errors.New("this control plane does not lead any more")
	// ErrUnknownOutcome: the change may or may not have been made.
	ErrUnknownOutcome = errors.New("etcd did not say whether the change was made")
	// ErrTooLarge: the transaction is more than etcd takes at once. Nothing was made.
	ErrTooLarge = errors.New("transaction too large")
)

// Config is what a store needs.
type Config struct {
	Client *clientv3.Client
	// Fence is compared in every commit: it holds as long as this control plane leads.
	Fence clientv3.Cmp
	// CommitTimeout bounds one etcd transaction. Default 5 s.
	CommitTimeout time.Duration
	// Limits bound a transaction that many Updates share. Default: DefaultLimits.
	Limits Limits
	// MaxWaiting bounds the Updates under way at once; more wait. Default 8192.
	MaxWaiting int
	Logger     *slog.Logger
	Registry   prometheus.Registerer // may be nil
}

// Store is the state during one term of leadership.
type Store struct {
	cfg     Config
	slots   chan struct{}
	view    atomic.Pointer[Tables]
	metrics *metrics

	log *taskLog // Run's, and Load's before

	mu     sync.Mutex
	head   *Tables
	open   *batch   // collects Updates
	sealed []*batch // full, waiting for their turn
	flying *batch   // at etcd
	err    error    // why the store is finished
	wake   chan struct{}
	pad    room // for a transaction
	spare  room // for a batch

	observers []func(*Tables, []Change)

	subscribing sync.Mutex
	subscribers map[chan struct{}]struct{}
}

// View returns everything that is durable, as an immutable snapshot.
func (s *Store) View() *Tables { return s.view.Load() }

// Observe registers a function that is told of every batch of changes after it
// shows in the View. It runs in the commit loop: it must note what changed and
// return. Observers are registered before Run.
func (s *Store) Observe(f func(view *Tables, changes []Change)) {
	s.observers = append(s.observers, f)
}

// Subscribe returns a channel on which something is received after each batch of
// changes (several may be folded into one), until stop is called.
func (s *Store) Subscribe() (changed <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	s.subscribing.Lock()
	defer s.subscribing.Unlock()
	s.subscribers[c] = struct{}{}
	return c, func() {
		s.subscribing.Lock()
		defer s.subscribing.Unlock()
		delete(s.subscribers, c)
	}
}

func (s *Store) notify() {
	s.subscribing.Lock()
	defer s.subscribing.Unlock()
	for c := range s.subscribers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// Update runs f on the newest state and makes what it puts durable. It returns
// f's error, having put nothing, or what went wrong on the way to etcd; see the
// errors above. f must be quick and do no I/O; it runs while others wait.
// If ctx ends first its error is returned, and the change may be made all the same.
func (s *Store) Update(ctx context.Context, f func(*Tx) error) error {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	b, err := s.apply(f)
	if b == nil {
		return err
	}
	select {
	case <-b.done:
		if b.err != nil {
			return b.err
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// apply runs f and returns the batch that has to be durable before its outcome
// may be told; nil if there is none.
func (s *Store) apply(f func(*Tx) error) (*batch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	tx := &Tx{Tables: s.head, room: s.pad}
	if err := tx.run(f); err != nil {
		return s.newest(), err
	}
	if len(tx.changes) == 0 {
		return s.newest(), nil
	}
	if !DefaultLimits().fit(len(tx.ops), len(tx.taskOps), tx.size()) {
		tx.rollback()
		return nil, fmt.Errorf("%w: %d tasks and %d other records, of %d bytes", ErrTooLarge, len(tx.taskOps), len(tx.ops), tx.size())
	}
	if s.open != nil && !s.open.fits(tx) {
		// The frozen tables must not show this transaction.
		tx.rollback()
		s.seal()
		tx.replay()
	}
	if s.open == nil {
		s.open = newBatch(s.cfg.Limits)
		s.open.room, s.spare = s.spare, room{}
	}
	s.open.add(tx)
	s.pad = tx.again()
	s.signal()
	return s.open, nil
}

// newest returns the youngest batch that is not durable yet; nil if there is none.
func (s *Store) newest() *batch {
	switch {
	case s.open != nil:
		return s.open
	case len(s.sealed) > 0:
		return s.sealed[len(s.sealed)-1]
	}
	return s.flying
}

func (s *Store) seal() {
	s.open.tables = s.head.freeze()
	s.sealed = append(s.sealed, s.open)
	s.open = nil
}

func (s *Store) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run commits batches, one at a time and in order, until ctx ends or a commit
// fails. It always returns an error, and the store is finished then.
func (s *Store) Run(ctx context.Context) error {
	for {
		b := s.next()
		if b == nil {
			select {
			case <-s.wake:
				continue
			case <-ctx.Done():
				return s.finish(fmt.Errorf("%w: %w", ErrNotLeader, ctx.Err()), nil)
			}
		}
		if err := s.commit(ctx, b); err != nil {
			return s.finish(err, b)
		}
		s.recycle(b)
		s.view.Store(b.tables)
		for _, observe := range s.observers {
			observe(b.tables, b.changes)
		}
		s.notify()
		close(b.done)
	}
}

// next takes the oldest batch.
func (s *Store) next() *batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sealed) == 0 && s.open != nil {
		s.seal()
	}
	s.flying = nil
	if len(s.sealed) > 0 {
		s.flying = s.sealed[0]
		s.sealed = s.sealed[1:]
	}
	return s.flying
}

// commit makes one transaction: a follower hears of what belongs to tasks before it hears of
// them, and that a task is in a segment now before its own key goes.
func (s *Store) commit(ctx context.Context, b *batch) error {
	tasks, err := s.log.log(b)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotLeader, err) // and nothing was written
	}
	ops := make([]clientv3.Op, 0, len(b.ops)+len(tasks.ops))
	for _, part := range [][]op{b.ops, tasks.ops} {
		for _, o := range part {
			if o.value == nil {
				ops = append(ops, clientv3.OpDelete(o.key))
			} else {
				put := clientv3.OpPut(o.key, "")
				put.WithValueBytes(o.value) // not copied, as a string would be twice
				ops = append(ops, put)
			}
		}
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, s.cfg.CommitTimeout)
	defer cancel()
	answer, err := s.cfg.Client.Txn(ctx).If(s.cfg.Fence).Then(ops...).Commit()
	s.metrics.committed(time.Since(start), len(b.ops)+tasks.changed)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
	if !answer.Succeeded {
		return fmt.Errorf("%w: another one was elected", ErrNotLeader)
	}
	return nil
}

// recycle keeps the room that a durable batch took for another one.
func (s *Store) recycle(b *batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spare = b.again()
	b.room = room{}
}

// finish ends the store: the batch that failed gets its error, and those behind
// it, which never went out, get ErrNotLeader.
func (s *Store) finish(err error, failed *batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = fmt.Errorf("%w (%w)", ErrNotLeader, err)
	if failed != nil {
		failed.err = err
		close(failed.done)
	}
	waiting := s.sealed
	if s.open != nil {
		waiting = append(waiting, s.open)
	}
	s.sealed, s.open, s.flying = nil, nil, nil
	for _, b := range waiting {
		b.err = s.err
		close(b.done)
	}
	return err
}
