package dispatch

import (
	"strconv"
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/model"
)

func TestPace_SlowsDownWithTheFleetButNotWithoutEnd(t *testing.T) {
	d := &Dispatcher{cfg: Config{DisconnectAfter: 6 * time.Second}}
	for agents, want := range map[int]time.Duration{
		0: 2 * time.Second, 1_000: 2 * time.Second, 4_000: 2 * time.Second,
		8_000: 4 * time.Second, 12_000: 6 * time.Second, 1_000_000: 6 * time.Second,
	} {
		if got := d.pace(agents); got != want {
			t.Errorf("%d agents: a heartbeat every %v, want %v", agents, got, want)
		}
	}
}

// An agent that was told to be quick goes on so until it has heard otherwise, and one that
// was told to be slow does, too: it must not count as silent for that.
func TestPace_TimeIsWhatTheAgentLastHeard(t *testing.T) {
	d := &Dispatcher{cfg: Config{DisconnectAfter: 6 * time.Second}, watched: map[InstanceKey]*presence{}}
	s := &Session{d: d, presence: &presence{}}
	tell := func(agents int, want time.Duration) {
		t.Helper()
		clear(d.watched)
		for i := range agents {
			d.watched[InstanceKey{ID: model.InstanceID(strconv.Itoa(i))}] = nil
		}
		s.Pace()
		if got := time.Duration(s.presence.patience.Load()); got != want {
			t.Errorf("%d agents: silent after %v, want %v", agents, got, want)
		}
	}
	tell(10, 6*time.Second)
	tell(8_000, 12*time.Second)
	tell(10, 12*time.Second)
	tell(10, 6*time.Second)
}
