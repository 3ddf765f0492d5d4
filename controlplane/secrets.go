package controlplane

import (
	"context"
	"errors"
	"fmt"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/secrets"
	"github.com/longshore/longshore/controlplane/store"
)

// checkSecrets makes sure, before this control plane stands for election, that
// its keys open what is stored: a wrong key file is to be noticed at the start,
// not when a task needs a secret. If etcd cannot be read now, that is noticed by
// the election, which tries again.
func (c *ControlPlane) checkSecrets(ctx context.Context) error {
	keys := c.cfg.SecretsKeys
	unopened := 0
	check := func(err error) error {
		if errors.Is(err, secrets.ErrNoKey) {
			unopened++
			return nil
		}
		return err
	}
	err := store.EachSecret(ctx, c.etcd.client, func(s *model.Secret) error {
		for i := range s.Versions {
			_, err := keys.OpenSecret(s, &s.Versions[i])
			if err := check(err); err != nil {
				return err
			}
		}
		return nil
	}, func(p *model.Parameter) error {
		_, err := keys.OpenParameter(p)
		return check(err)
	})
	switch {
	case errors.Is(err, secrets.ErrUnknownKey), errors.Is(err, secrets.ErrWrongKey):
		return fmt.Errorf("--secrets-key does not fit the secrets in etcd: %w", err)
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		c.cfg.Logger.Warn("secrets in etcd could not be checked against the key", "error", err)
	case unopened > 0:
		c.cfg.Logger.Warn("etcd holds secrets that nobody can read: this control plane has no --secrets-key", "values", unopened)
	}
	return nil
}
