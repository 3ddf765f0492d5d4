package bench

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// messages is how many messages control plane and agents have exchanged, by kind.
func (t *trial) messages() map[string]float64 {
	text, err := get(t, "http://"+t.plane.ops+"/metrics")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for direction, kinds := range map[string][]string{"sent": {"desired", "ack", "heartbeat"}, "received": {"report", "heartbeat"}} {
		for _, kind := range kinds {
			out[direction+"-"+kind] = metric(t, text, fmt.Sprintf("longshore_dispatch_%s_messages_total{kind=%q}", direction, kind))
		}
	}
	return out
}

// reportMessages reports how many messages went for a task, heartbeats included.
func (t *trial) reportMessages(name string, before map[string]float64, tasks float64) {
	total, now := 0.0, t.messages()
	for _, kind := range slices.Sorted(maps.Keys(now)) {
		n := (now[kind] - before[kind]) / tasks
		t.Logf("%-28s %12.2f", name+"-"+kind+"/task", n)
		total += n
	}
	t.report(name+"-messages/task", total)
}

// profile keeps profiles of the processor time of control plane and fleet if profiles are
// wanted; the channel is closed when it is done.
func (t *trial) profile(name string) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		const path = "/debug/pprof/profile?seconds=5"
		var group sync.WaitGroup
		group.Go(func() { t.keep(name+".pprof", t.plane.ops, path) })
		group.Go(func() { t.keep("fleet-"+name+".pprof", t.profiles, path) })
		group.Wait()
	}()
	return done
}

// keep writes what is answered at an address to a file, if such are wanted.
func (t *trial) keep(name, address, path string) {
	dir := os.Getenv("LONGSHORE_FLEET_PROFILES")
	if dir == "" {
		return
	}
	content, err := get(t, "http://"+address+path)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name), content, 0o644)
	}
	if err != nil {
		t.Errorf("keeping %s: %v", name, err)
	}
}
