package reaper

import (
	"context"
	"fmt"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
)

// reapDefinitions forgets the task definitions whose deletion was asked for long
// enough ago and that nothing uses; one that is in use is looked at again when
// something changes. It returns the earlier of next and of when one falls due.
func (r *Reaper) reapDefinitions(ctx context.Context, view *store.Tables, now, next time.Time) (time.Time, error) {
	gone := 0
	for d := range view.DefinitionsDeleting() {
		due := d.Shape.DeleteRequestedAt.Add(r.cfg.StoppedTaskRetention)
		if due.After(now) {
			next = earlier(next, due)
			break
		}
		if !view.DefinitionInUse(d.Ref) {
			gone++
		}
		if gone == chunk {
			next = now
			break
		}
	}
	if gone == 0 {
		return next, nil
	}
	err := r.cfg.Store.Update(ctx, func(tx *store.Tx) error {
		var unused []*model.Definition
		for d := range tx.DefinitionsDeleting() {
			if len(unused) == chunk || d.Shape.DeleteRequestedAt.Add(r.cfg.StoppedTaskRetention).After(now) {
				break
			}
			if !tx.DefinitionInUse(d.Ref) {
				unused = append(unused, d)
			}
		}
		for _, d := range unused {
			tx.DeleteDefinition(d)
		}
		return nil
	})
	if err != nil {
		return now, fmt.Errorf("forgetting deleted task definitions: %w", err)
	}
	return next, nil
}
