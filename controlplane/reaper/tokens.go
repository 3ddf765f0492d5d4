package reaper

import (
	"context"
	"fmt"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
)

// reapTokens forgets client tokens whose time is up, one transaction's worth, and
// returns when it has to be done again: next, or earlier.
func (r *Reaper) reapTokens(ctx context.Context, view *store.Tables, now, next time.Time) (time.Time, error) {
	due := 0
	for t := range view.RunTokens() {
		if t.Valid(now) {
			next = earlier(next, t.CreatedAt.Add(model.TokenLifetime))
			break
		}
		if due++; due == chunk {
			next = now
			break
		}
	}
	if due == 0 {
		return next, nil
	}
	err := r.cfg.Store.Update(ctx, func(tx *store.Tx) error {
		for _, t := range first(chunk, tx.RunTokens()) {
			if !t.Valid(now) {
				tx.DeleteRunToken(t)
			}
		}
		return nil
	})
	if err != nil {
		return now, fmt.Errorf("forgetting client tokens: %w", err)
	}
	return next, nil
}
