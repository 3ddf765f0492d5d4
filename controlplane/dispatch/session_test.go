package dispatch_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/dispatch"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/controlplane/store/storetest"
)

// fixture is a dispatcher and a session of the only instance.
type fixture struct {
	t          *testing.T
	store      *store.Store
	dispatcher *dispatch.Dispatcher
	session    *dispatch.Session
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t}
	f.store = storetest.New(t, func(s *store.Store) { f.dispatcher = dispatch.New(dispatch.Config{Store: s}) })
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.dispatcher.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	f.update(func(tx *store.Tx) {
		tx.PutInstance(&model.Instance{ID: "i", Cluster: "c", Status: model.StatusActive})
	})
	var err error
	if f.session, err = f.dispatcher.Connect(t.Context(), dispatch.InstanceKey{Cluster: "c", ID: "i"}, ""); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) update(change func(*store.Tx)) {
	f.t.Helper()
	if err := f.store.Update(f.t.Context(), func(tx *store.Tx) error { change(tx); return nil }); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) putTask(id model.TaskID) {
	f.t.Helper()
	f.update(func(tx *store.Tx) {
		tx.PutTask(&model.Task{ID: id, Cluster: "c", Instance: "i", DesiredStatus: model.TaskRunning, LastStatus: model.TaskPending})
	})
}

// turn waits for the session's turn and returns what is to be told.
func (f *fixture) turn() dispatch.Desired {
	f.t.Helper()
	select {
	case <-f.session.Turn():
		return f.session.Collect()
	case <-time.After(30 * time.Second):
		f.t.Fatal("the session has no turn")
		panic("unreachable")
	}
}

func ids(d dispatch.Desired) []model.TaskID {
	var out []model.TaskID
	for _, t := range d.Tasks {
		out = append(out, t.ID)
	}
	slices.Sort(out)
	return out
}

func TestSession_WhatComesInItsTurnIsOfTheNext(t *testing.T) {
	f := newFixture(t)
	f.putTask("t1")
	if d := f.turn(); !d.Full || !slices.Equal(ids(d), []model.TaskID{"t1"}) {
		t.Fatalf("first %v, want all", d)
	}
	f.putTask("t2")
	f.putTask("t3")
	f.session.Acknowledge(7, false)
	select {
	case <-f.session.Turn():
		t.Fatal("another turn before the first has ended")
	default:
	}
	f.session.Told()
	if d := f.turn(); d.Full || d.Ack != 7 || !slices.Equal(ids(d), []model.TaskID{"t2", "t3"}) {
		t.Errorf("then %v, want t2, t3 and the acknowledgement of 7", d)
	}
	f.session.Told()
	f.session.Acknowledge(8, true) // at a quiet time it does not wait for company
	if d := f.turn(); !d.Empty() || d.Ack != 8 {
		t.Errorf("in the end %v, want the acknowledgement of 8 alone", d)
	}
	if ack := f.session.Acknowledged(); ack != 0 {
		t.Errorf("%d is to be acknowledged again", ack)
	}
}

func TestSession_AnAcknowledgementIsTakenOnce(t *testing.T) {
	f := newFixture(t)
	f.session.Acknowledge(5, true)
	f.session.Acknowledge(6, true)
	if ack := f.session.Acknowledged(); ack != 6 {
		t.Errorf("%d is to be acknowledged, want 6", ack)
	}
	if d := f.turn(); !d.Full || d.Ack != 0 {
		t.Errorf("told %v, want all and no acknowledgement", d)
	}
}
