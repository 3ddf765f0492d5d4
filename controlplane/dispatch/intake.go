package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/longshore/longshore/controlplane/store"
)

// maxTakers is how many transactions of reports are under way at once. What comes in
// meanwhile is stored together then, by few goroutines: one for each agent would keep
// requests of the API waiting for a processor when many agents report at once.
const maxTakers = 8

// maxReports bounds the reports of one transaction, since others wait while it is made.
const maxReports = 200

// intake makes durable what agents report, and acknowledges it: the messages of one agent in
// their order, those of several in any.
type intake struct {
	store *store.Store

	mu      sync.Mutex
	waiting []*said // oldest first
	takers  int
}

// said is one message of an agent.
type said struct {
	session  *Session
	sequence uint64
	late     bool // as of Acknowledge
	reports  []Report
}

func (in *intake) add(s *said) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.waiting = append(in.waiting, s)
	if in.takers < maxTakers {
		in.takers++
		go in.take()
	}
}

// take stores reports as long as there are some.
func (in *intake) take() {
	for {
		part := in.next()
		if part == nil {
			return
		}
		err := in.put(part...)
		for _, s := range part {
			own := err
			if len(part) > 1 && errors.Is(err, store.ErrTooLarge) {
				own = in.put(s) // one of them is more than can ever be stored; saying the others again changes nothing
			}
			s.session.stored(s, own)
		}
	}
}

// next takes what goes into one transaction, at least one message; nil ends the taker.
func (in *intake) next() []*said {
	in.mu.Lock()
	defer in.mu.Unlock()
	n, reports := 0, 0
	for n < len(in.waiting) && (n == 0 || reports+len(in.waiting[n].reports) <= maxReports) {
		reports += len(in.waiting[n].reports)
		n++
	}
	if n == 0 {
		in.waiting = nil
		in.takers--
		return nil
	}
	part := in.waiting[:n:n]
	in.waiting = in.waiting[n:]
	return part
}

// put makes the messages' reports durable.
func (in *intake) put(part ...*said) error {
	var all []update
	for _, s := range part {
		for i := range s.reports {
			all = append(all, update{s.session.key, &s.reports[i]})
		}
	}
	now := time.Now()
	for some := range slices.Chunk(all, maxReports) {
		if err := in.commit(some, now); err != nil {
			return fmt.Errorf("storing what agents report: %w", err)
		}
	}
	return nil
}

// commit makes updates durable in one transaction, or, if that is more than etcd takes, in as many as
// it needs.
func (in *intake) commit(updates []update, now time.Time) error {
	// It hangs on no agent's connection, since the reports of others are in it, too: what ends it is
	// the end of the store, and of the term.
	err := in.store.Update(context.Background(), func(tx *store.Tx) error {
		for _, u := range updates {
			u.put(tx, now)
		}
		return nil
	})
	if half := len(updates) / 2; half > 0 && errors.Is(err, store.ErrTooLarge) {
		if err = in.commit(updates[:half], now); err == nil {
			err = in.commit(updates[half:], now)
		}
	}
	return err
}

// update is what an instance's agent says of one task.
type update struct {
	key    InstanceKey
	report *Report
}

// put changes nothing if the task is not the instance's, or is known to be STOPPED.
func (u update) put(tx *store.Tx, now time.Time) {
	t, ok := tx.Task(u.key.Cluster, u.report.Task)
	if !ok || t.Instance != u.key.ID {
		return
	}
	if next, changed := t.Reported(u.report.TaskReport, now); changed {
		tx.PutReported(t, next)
	}
}

// Report has what the agent said made durable and then acknowledged (Acknowledge); if that
// fails, the session ends. It waits until that is done with what the agent said before, so that an
// agent which says much is held up.
func (s *Session) Report(ctx context.Context, sequence uint64, late bool, reports []Report) error {
	select {
	case s.storing <- struct{}{}:
	case <-s.done:
		return s.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
	s.d.intake.add(&said{session: s, sequence: sequence, late: late, reports: reports})
	return nil
}

// stored ends what Report has begun.
func (s *Session) stored(what *said, err error) {
	if err != nil {
		s.close(err)
	} else {
		s.Acknowledge(what.sequence, what.late)
	}
	<-s.storing
}
