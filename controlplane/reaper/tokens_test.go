package reaper

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/controlplane/store/storetest"
)

func TestReap_ForgetsClientTokensAfterADay(t *testing.T) {
	made := time.Unix(1_700_000_000, 0)
	s := storetest.New(t, nil)
	r := New(Config{Store: s, StoppedTaskRetention: time.Hour, Logger: slog.New(slog.DiscardHandler)})
	const old = chunk + 10 // more than one transaction takes
	for i := range old {
		update(t, s, func(tx *store.Tx) {
			tx.PutRunToken(&model.RunToken{Cluster: "c", Token: fmt.Sprint("old", i), CreatedAt: made})
		})
	}
	update(t, s, func(tx *store.Tx) {
		tx.PutRunToken(&model.RunToken{Cluster: "b", Token: "young", CreatedAt: made.Add(time.Minute)})
	})
	reap := func(now time.Time) time.Time {
		t.Helper()
		next, err := r.reap(context.Background(), now)
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	count := func() (n int) {
		for range s.View().RunTokens() {
			n++
		}
		return n
	}
	if next := reap(made.Add(model.TokenLifetime - time.Second)); !next.Equal(made.Add(model.TokenLifetime)) || count() != old+1 {
		t.Errorf("a second too early: %d are left, looks again at %s", count(), next)
	}
	now := made.Add(model.TokenLifetime)
	if next := reap(now); !next.Equal(now) || count() != old+1-chunk {
		t.Errorf("at first: %d are left, looks again at %s", count(), next)
	}
	if next := reap(now); !next.Equal(now.Add(time.Minute)) || count() != 1 {
		t.Errorf("then: %d are left, looks again at %s", count(), next)
	}
	if _, ok := s.View().RunToken("b", "young"); !ok {
		t.Error("a token was forgotten before its time")
	}
}
