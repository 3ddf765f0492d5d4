// Package leader elects one control plane among those on the same etcd, and
// tells everyone who it is. What a leader does is not its business.
package leader

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/longshore/longshore/controlplane/store"
)

// Config says who takes part in the election.
type Config struct {
	Client *clientv3.Client
	// Node is this control plane's own name, the same after a restart and held by
	// one process at a time: what an earlier process of that name left behind is
	// removed, so that a restart need not wait for its lease to run out.
	Node      string
	Addresses Addresses
	// TTL is how long a leader that is gone keeps the others waiting, and one that is so
	// busy that it renews its lease late remains. Default 5 s.
	TTL    time.Duration
	Logger *slog.Logger
}

// Addresses is where a leader is reached.
type Addresses struct {
	Node  string
	API   string // host:port of the ECS API
	Agent string // host:port for agents
	// Endpoints is the host:port where its target groups are served; "" if they are not.
	Endpoints string
}

// Term is one term of leadership.
type Term struct {
	// Fence holds in etcd exactly as long as the term lasts; whatever a leader
	// writes is conditional on it.
	Fence clientv3.Cmp
}

// Run takes part in the election until ctx ends. Each time this control plane is
// elected it calls lead, whose context ends when leadership is lost; when lead
// returns, leadership is given up. Run returns only when ctx has ended.
func Run(ctx context.Context, cfg Config, lead func(context.Context, Term) error) error {
	if cfg.TTL == 0 {
		cfg.TTL = 5 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Addresses.Node = cfg.Node
	pause := newBackoff()
	for ctx.Err() == nil {
		led, err := cfg.term(ctx, lead)
		if ctx.Err() != nil {
			break
		}
		if led {
			pause.reset()
		}
		cfg.Logger.Warn("term of leadership ended", "error", err)
		pause.wait(ctx)
	}
	return ctx.Err()
}

// term campaigns, leads, and resigns. led tells whether it was elected.
func (cfg Config) term(ctx context.Context, lead func(context.Context, Term) error) (led bool, err error) {
	if err := cfg.evictPredecessor(ctx); err != nil {
		return false, fmt.Errorf("removing what an earlier process left: %w", err)
	}
	session, err := concurrency.NewSession(cfg.Client, concurrency.WithTTL(int(cfg.TTL.Seconds())), concurrency.WithContext(ctx))
	if err != nil {
		return false, fmt.Errorf("opening an etcd session: %w", err)
	}
	defer func() {
		// The lease would run out by itself; giving it back saves the others the wait.
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		session.Orphan()
		if _, closeErr := cfg.Client.Revoke(closing, session.Lease()); closeErr != nil && err == nil {
			err = closeErr
		}
	}()
	value, err := json.Marshal(cfg.Addresses)
	if err != nil {
		return false, err
	}
	election := concurrency.NewElection(session, store.ElectionPrefix)
	if err := election.Campaign(ctx, string(value)); err != nil {
		return false, fmt.Errorf("campaigning: %w", err)
	}
	cfg.Logger.Info("elected leader", "node", cfg.Node)
	ctx, lost := context.WithCancelCause(ctx)
	defer lost(nil)
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		select {
		case <-session.Done():
			lost(errors.New("the lease of leadership ran out"))
		case <-ctx.Done():
		}
	}()
	err = lead(ctx, Term{Fence: clientv3.Compare(clientv3.CreateRevision(election.Key()), "=", election.Rev())})
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.Canceled) {
		err = cause // says more than that the term was cancelled
	}
	lost(nil)
	<-watching
	return true, err
}

// evictPredecessor ends the leases of an earlier process of the same name.
func (cfg Config) evictPredecessor(ctx context.Context) error {
	answer, err := cfg.Client.Get(ctx, store.ElectionPrefix+"/", clientv3.WithPrefix())
	if err != nil {
		return err
	}
	for _, kv := range answer.Kvs {
		var a Addresses
		if json.Unmarshal(kv.Value, &a) != nil || a.Node != cfg.Node {
			continue
		}
		if _, err := cfg.Client.Revoke(ctx, clientv3.LeaseID(kv.Lease)); err != nil {
			return err
		}
	}
	return nil
}

// Observe calls changed with the leader's addresses, now and whenever the leader
// changes, until ctx ends.
func Observe(ctx context.Context, client *clientv3.Client, changed func(Addresses)) error {
	session, err := concurrency.NewSession(client, concurrency.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("opening an etcd session: %w", err)
	}
	defer session.Close()
	for answer := range concurrency.NewElection(session, store.ElectionPrefix).Observe(ctx) {
		var a Addresses
		if err := json.Unmarshal(answer.Kvs[0].Value, &a); err != nil {
			return fmt.Errorf("reading who leads: %w", err)
		}
		changed(a)
	}
	return ctx.Err()
}
