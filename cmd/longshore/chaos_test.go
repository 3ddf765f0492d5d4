//go:build chaos

package main_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/longshore/longshore/agent/agenttest"
)

// TestChaos lets one thing after the other happen to a host, at random, and
// looks each time at what has become of its service. CHAOS_ROUNDS says how many
// (20), CHAOS_SEED repeats an earlier run.
func TestChaos(t *testing.T) {
	for _, live := range []bool{false, true} {
		t.Run(fmt.Sprint("live-restore=", live), func(t *testing.T) {
			seed := setting(t, "CHAOS_SEED", int(time.Now().UnixNano()%1e9))
			t.Logf("CHAOS_SEED=%d", seed)
			random := rand.New(rand.NewPCG(uint64(seed), 0))
			h := newHostSite(t, agenttest.DaemonOptions{LiveRestore: live})
			events := []struct {
				name   string
				happen func()
			}{
				{"reboot", h.reboot}, {"longshore killed", h.killLongshore}, {"Docker restarted", h.restartDocker},
				{"Docker killed", h.crashDocker}, {"longshore and Docker killed", h.killLongshoreAndDocker},
				{"Docker hangs", func() { h.hangDocker(time.Duration(random.IntN(5000)) * time.Millisecond) }},
			}
			for round := range setting(t, "CHAOS_ROUNDS", 20) {
				e := events[random.IntN(len(events))]
				after := fmt.Sprintf("round %d, %s", round, e.name)
				t.Log(after)
				e.happen()
				if random.IntN(3) > 0 { // sometimes the next thing comes before all is well again
					h.settled(after)
				}
			}
			h.settled("in the end")
		})
	}
}

// The things that happen to a host, besides reboot. Each returns when it is up again.

func (h *hostSite) killLongshore() { h.dev.Kill(); h.boot() }
func (h *hostSite) restartDocker() { h.daemon.Stop(h.t); h.daemon.Start(h.t) }
func (h *hostSite) crashDocker()   { h.daemon.Kill(h.t); h.daemon.Start(h.t) }

func (h *hostSite) killLongshoreAndDocker() {
	h.dev.Kill()
	h.daemon.Kill(h.t)
	h.daemon.Start(h.t)
	h.boot()
}

// hangDocker keeps the daemon from working for a while.
func (h *hostSite) hangDocker(d time.Duration) {
	h.daemon.Hang(h.t)
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
	h.daemon.Resume(h.t)
}

func setting(t *testing.T, name string, fallback int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return fallback
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}
