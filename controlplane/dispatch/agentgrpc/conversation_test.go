package agentgrpc

import (
	"testing"

	"github.com/longshore/longshore/controlplane/dispatch"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/controlplane/store/storetest"
	agentv1 "github.com/longshore/longshore/proto/agent/v1"
)

// sent is a stream that keeps what is sent.
type sent struct {
	agentv1.AgentService_SessionServer
	messages []*agentv1.ControlMessage
}

func (s *sent) Send(m *agentv1.ControlMessage) error {
	s.messages = append(s.messages, m)
	return nil
}

func TestConversation_AcknowledgesWithWhateverIsSentNext(t *testing.T) {
	var d *dispatch.Dispatcher
	s := storetest.New(t, func(s *store.Store) { d = dispatch.New(dispatch.Config{Store: s}) })
	if err := s.Update(t.Context(), func(tx *store.Tx) error {
		tx.PutInstance(&model.Instance{ID: "i", Cluster: "c", Status: model.StatusActive})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	session, err := d.Connect(t.Context(), dispatch.InstanceKey{Cluster: "c", ID: "i"}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	out := &sent{}
	c := &conversation{server: New(Config{}), stream: out, cluster: "c", session: session}
	session.Acknowledge(5, true)
	for range 2 {
		if _, err := c.beat(); err != nil {
			t.Fatal(err)
		}
	}
	for _, told := range []dispatch.Desired{{Full: true, Ack: 6}, {Removed: []model.TaskID{"t"}, Ack: 7}, {Ack: 8}, {}} {
		if err := c.tell(&told); err != nil {
			t.Fatal(err)
		}
	}
	if len(out.messages) != 5 {
		t.Fatalf("sent %v", out.messages)
	}
	for i, got := range []uint64{
		out.messages[0].GetHeartbeat().GetAck(), out.messages[1].GetHeartbeat().GetAck(),
		out.messages[2].GetDesired().GetAck(), out.messages[3].GetDesired().GetAck(), out.messages[4].GetAck().GetSequence(),
	} {
		if want := []uint64{5, 0, 6, 7, 8}[i]; got != want {
			t.Errorf("message %d, %v, acknowledges %d, want %d", i, out.messages[i], got, want)
		}
	}
}
