package dispatch_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/dispatch"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/controlplane/store/storetest"
	"github.com/longshore/longshore/proto/ecs"
)

// hosts are instances h0, h1 … with sessions, and tasks on each.
type hosts struct {
	t        *testing.T
	store    *store.Store
	sessions []*dispatch.Session
	tasks    int // on each
}

func newHosts(t *testing.T, n, tasks int, tags []ecs.Tag) *hosts {
	t.Helper()
	var d *dispatch.Dispatcher
	h := &hosts{t: t, tasks: tasks}
	h.store = storetest.New(t, func(s *store.Store) { d = dispatch.New(dispatch.Config{Store: s}) })
	for i := range n {
		id := model.InstanceID(fmt.Sprintf("h%d", i))
		h.update(func(tx *store.Tx) {
			tx.PutInstance(&model.Instance{ID: id, Cluster: "c", Status: model.StatusActive})
		})
		for k := range tasks {
			h.update(func(tx *store.Tx) {
				tx.PutTask(&model.Task{
					ID: h.task(i, k), Cluster: "c", Instance: id, DesiredStatus: model.TaskRunning, LastStatus: model.TaskPending, Tags: tags,
				})
			})
		}
		session, err := d.Connect(t.Context(), dispatch.InstanceKey{Cluster: "c", ID: id}, "")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(session.Close)
		<-session.Turn()
		session.Collect()
		session.Told()
		h.sessions = append(h.sessions, session)
	}
	return h
}

func (h *hosts) update(change func(*store.Tx)) {
	h.t.Helper()
	if err := h.store.Update(h.t.Context(), func(tx *store.Tx) error { change(tx); return nil }); err != nil {
		h.t.Fatal(err)
	}
}

func (h *hosts) task(host, k int) model.TaskID { return model.TaskID(fmt.Sprintf("t%d-%d", host, k)) }

// report says something of all tasks of a host, in one message.
func (h *hosts) report(host int, sequence uint64, status model.TaskStatus) error {
	var reports []dispatch.Report
	for k := range h.tasks {
		reports = append(reports, dispatch.Report{Task: h.task(host, k), TaskReport: model.TaskReport{Status: status}})
	}
	return h.sessions[host].Report(h.t.Context(), sequence, false, reports)
}

// acknowledged waits until the host is told that a message is durable, and checks that it is.
func (h *hosts) acknowledged(host int, sequence uint64, want model.TaskStatus) {
	h.t.Helper()
	var view *store.Tables
	for ack := uint64(0); ack < sequence; {
		select {
		case <-h.sessions[host].Turn():
		case <-h.sessions[host].Done():
			h.t.Fatalf("the session of host %d ended: %v", host, h.sessions[host].Err())
		case <-time.After(30 * time.Second):
			h.t.Fatalf("host %d waits for its acknowledgement", host)
		}
		ack = h.sessions[host].Collect().Ack
		view = h.store.View()
		h.sessions[host].Told()
	}
	for k := range h.tasks {
		if task, _ := view.Task("c", h.task(host, k)); task.LastStatus != want {
			h.t.Errorf("task %s is %s, want %s", task.ID, task.LastStatus, want)
		}
	}
}

func TestReport_OfManyHostsAtOnceIsDurableWhenItIsAcknowledged(t *testing.T) {
	h := newHosts(t, 60, 3, nil)
	for host := range h.sessions {
		if err := h.report(host, uint64(100+host), model.TaskRunning); err != nil {
			t.Fatal(err)
		}
	}
	for host := range h.sessions {
		h.acknowledged(host, uint64(100+host), model.TaskRunning)
	}
}

func TestReport_WaitsForTheOneBeforeIt(t *testing.T) {
	h := newHosts(t, 1, 120, nil)
	for i, status := range []model.TaskStatus{model.TaskRunning, model.TaskStopped} {
		if err := h.report(0, uint64(i+1), status); err != nil {
			t.Fatal(err)
		}
	}
	// The second was taken, so the first is durable, whatever has become of the second.
	for k := range h.tasks {
		if task, _ := h.store.View().Task("c", h.task(0, k)); task.LastStatus == model.TaskPending {
			t.Fatalf("task %s is still PENDING", task.ID)
		}
	}
	h.acknowledged(0, 2, model.TaskStopped)
}

func TestReport_OfTasksThatAreMoreThanATransactionTakesIsStored(t *testing.T) {
	long := strings.Repeat("x", 30<<10)
	h := newHosts(t, 1, 50, []ecs.Tag{{Key: "long", Value: &long}})
	if err := h.report(0, 7, model.TaskRunning); err != nil {
		t.Fatal(err)
	}
	h.acknowledged(0, 7, model.TaskRunning)
}

func TestReport_ThatIsTooLargeEndsItsOwnSessionAlone(t *testing.T) {
	const greedy = 30
	h := newHosts(t, 60, 1, nil)
	for host := range h.sessions {
		if host == greedy {
			much := []dispatch.Report{{Task: h.task(host, 0), TaskReport: model.TaskReport{Status: model.TaskStopped, Reason: strings.Repeat("x", 2<<20)}}}
			if err := h.sessions[host].Report(t.Context(), 1, false, much); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := h.report(host, 1, model.TaskRunning); err != nil {
			t.Fatal(err)
		}
	}
	for host := range h.sessions {
		if host != greedy {
			h.acknowledged(host, 1, model.TaskRunning)
		}
	}
	select {
	case <-h.sessions[greedy].Done():
		if err := h.sessions[greedy].Err(); !errors.Is(err, store.ErrTooLarge) {
			t.Errorf("the session ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("a report that cannot be stored was taken")
	}
}

func TestReport_OfAnotherHostsTaskChangesNothing(t *testing.T) {
	h := newHosts(t, 2, 1, nil)
	stranger := []dispatch.Report{{Task: h.task(1, 0), TaskReport: model.TaskReport{Status: model.TaskRunning}}}
	if err := h.sessions[0].Report(t.Context(), 1, false, stranger); err != nil {
		t.Fatal(err)
	}
	if err := h.report(0, 2, model.TaskRunning); err != nil {
		t.Fatal(err)
	}
	h.acknowledged(0, 2, model.TaskRunning)
	if task, _ := h.store.View().Task("c", h.task(1, 0)); task.LastStatus != model.TaskPending {
		t.Errorf("the task of host 1 is %s by the word of host 0", task.LastStatus)
	}
}
