package reaper

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/controlplane/store/storetest"
)

func TestReap_ForgetsSecretsWhoseWindowIsOverAlsoAfterARestart(t *testing.T) {
	asked := time.Unix(1_700_000_000, 0)
	server := storetest.Etcd(t)
	t.Run("before", func(t *testing.T) {
		update(t, storetest.On(t, server, nil), func(tx *store.Tx) {
			tx.PutSecret(&model.Secret{Name: "kept"})
			tx.PutSecret(&model.Secret{Name: "a/soon", DeletedAt: asked, PurgeAt: asked.Add(time.Minute)})
			tx.PutSecret(&model.Secret{Name: "later", DeletedAt: asked, PurgeAt: asked.Add(time.Hour)})
		})
	})
	s := storetest.On(t, server, nil)
	r := New(Config{Store: s, StoppedTaskRetention: time.Hour, Logger: slog.New(slog.DiscardHandler)})
	names := func() (out string) {
		for secret := range s.View().Secrets("") {
			out += secret.Name + " "
		}
		return out
	}
	if next, err := r.reap(context.Background(), asked); err != nil || !next.Equal(asked.Add(time.Minute)) || names() != "a/soon kept later " {
		t.Errorf("before anything is due: %v, %v, %s", next, err, names())
	}
	if _, err := r.reap(context.Background(), asked.Add(time.Minute)); err != nil || names() != "kept later " {
		t.Errorf("when one is due: %v, %s", err, names())
	}
	if _, err := r.reap(context.Background(), asked.Add(2*time.Hour)); err != nil || names() != "kept " {
		t.Errorf("when all are due: %v, %s", err, names())
	}
}
