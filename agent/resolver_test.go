package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/longshore/longshore/proto/discovery"
)

// An agent that is stopped right after a change must not go on without it: there may be
// no control plane to ask.
func TestResolver_RecallsTheLastChangeHoweverCloseToTheEndItCame(t *testing.T) {
	const members = 50
	path := filepath.Join(t.TempDir(), namesFile)
	r := &resolver{names: discovery.New(), path: path, log: slog.New(slog.DiscardHandler), changed: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.keep(ctx) }()
	ttl := uint32(1)
	r.apply(discovery.Update{Full: true, Zones: []discovery.Zone{{ID: "z", Name: "prod.local"}}, Services: []discovery.Service{{ID: "s", Zone: "z", Name: "api", A: &ttl}}})
	for i := range members {
		r.apply(discovery.Update{Members: []discovery.Member{{Service: "s", ID: fmt.Sprint("i", i), Address: netip.MustParseAddr("10.0.0.1")}}})
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	again := &resolver{names: discovery.New(), path: path, log: r.log}
	if err := again.recall(); err != nil {
		t.Fatal(err)
	}
	if known := again.names.Snapshot(); len(known.Members) != members || len(known.Services) != 1 {
		t.Errorf("the next agent knows %d members of %d services, want %d of one", len(known.Members), len(known.Services), members)
	}
}
