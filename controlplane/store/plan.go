package store

import (
	"context"
	"errors"
)

// errPlanned ends a transaction that was only tried.
var errPlanned = errors.New("planned, not done")

// Plan runs f as [Store.Update] does, on the newest state, and takes back all that it
// put: nothing is committed, and no observer is told. What f found out rests on durable
// state once Plan returns. f may put more records than one transaction can hold.
func (s *Store) Plan(ctx context.Context, f func(*Tx) error) error {
	err := s.Update(ctx, func(tx *Tx) error {
		if err := f(tx); err != nil {
			return err
		}
		return errPlanned
	})
	if errors.Is(err, errPlanned) {
		return nil
	}
	return err
}
