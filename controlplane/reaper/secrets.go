package reaper

import (
	"context"
	"fmt"
	"time"

	"github.com/longshore/longshore/controlplane/store"
)

// reapSecrets forgets the secrets whose recovery window is over. It returns the
// earlier of next and of when one falls due.
func (r *Reaper) reapSecrets(ctx context.Context, view *store.Tables, now, next time.Time) (time.Time, error) {
	for s := range view.SecretsToPurge() {
		if s.PurgeAt.After(now) {
			return earlier(next, s.PurgeAt), nil
		}
		err := r.cfg.Store.Update(ctx, func(tx *store.Tx) error {
			for _, s := range first(chunk, tx.SecretsToPurge()) {
				if s.PurgeAt.After(now) {
					break
				}
				tx.DeleteSecret(s)
			}
			return nil
		})
		if err != nil {
			return now, fmt.Errorf("forgetting deleted secrets: %w", err)
		}
		return now, nil
	}
	return next, nil
}
