package reaper

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
)

// reapTargets forgets the targets that callers deregistered and that have been drained
// for long enough. It returns the earlier of next and of when one falls due.
func (r *Reaper) reapTargets(ctx context.Context, view *store.Tables, now, next time.Time) (time.Time, error) {
	for g := range view.TargetGroupsByDue() {
		if g.ManualDue.After(now) {
			return earlier(next, g.ManualDue), nil
		}
		err := r.cfg.Store.Update(ctx, func(tx *store.Tx) error {
			have, ok := tx.TargetGroupByARN(g.ARN)
			if !ok {
				return nil
			}
			left := *have
			left.Manual = slices.DeleteFunc(slices.Clone(have.Manual), func(m model.ManualTarget) bool {
				return !m.DrainUntil.IsZero() && !m.DrainUntil.After(now)
			})
			left.Note()
			tx.PutTargetGroup(&left)
			return nil
		})
		if err != nil {
			return now, fmt.Errorf("forgetting drained targets of %s: %w", g.ARN, err)
		}
		return now, nil
	}
	return next, nil
}
