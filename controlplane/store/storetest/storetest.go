// Package storetest gives tests a store on a real etcd with a real election. It
// must not be imported by anything but tests.
package storetest

import (
	"context"
	"testing"

	"github.com/longshore/longshore/controlplane/leader"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/controlplane/store/embedded"
)

// Etcd runs an etcd for the length of the test.
func Etcd(t testing.TB) *embedded.Server {
	t.Helper()
	server, err := embedded.Start(context.Background(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server
}

// New returns a running store on an etcd of its own. observe may be nil.
func New(t testing.TB, observe func(*store.Store)) *store.Store {
	t.Helper()
	return On(t, Etcd(t), observe)
}

// On returns a running store on a given etcd, leading until the test ends.
func On(t testing.TB, server *embedded.Server, observe func(*store.Store)) *store.Store {
	t.Helper()
	loaded := make(chan *store.Store)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- leader.Run(ctx, leader.Config{Client: server.Client(), Node: t.Name()}, func(ctx context.Context, term leader.Term) error {
			s, err := store.Load(ctx, store.Config{Client: server.Client(), Fence: term.Fence, Limits: server.Limits()})
			if err != nil {
				return err
			}
			if observe != nil {
				observe(s)
			}
			select {
			case loaded <- s:
			case <-ctx.Done():
			}
			return s.Run(ctx)
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	select {
	case s := <-loaded:
		return s
	case err := <-ended:
		ended <- err
		t.Fatalf("no store: %v", err)
		return nil
	}
}
