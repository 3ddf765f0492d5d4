package store

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/longshore/longshore/controlplane/model"
)

var secretIndexes = []index[model.Secret]{
	secretsByName: {less: func(a, b *model.Secret) bool { return a.Name < b.Name }},
	secretsByPurge: {
		less: func(a, b *model.Secret) bool {
			if !a.PurgeAt.Equal(b.PurgeAt) {
				return a.PurgeAt.Before(b.PurgeAt)
			}
			return a.Name < b.Name
		},
		holds: func(s *model.Secret) bool { return !s.PurgeAt.IsZero() },
	},
}

const (
	secretsByName = iota
	secretsByPurge
)

var parameterIndexes = []index[model.Parameter]{
	{less: func(a, b *model.Parameter) bool { return a.Name < b.Name }},
}

// Secret returns the secret of that name, also one that is to be deleted.
func (t *Tables) Secret(name string) (*model.Secret, bool) {
	return t.secrets.get(&model.Secret{Name: name})
}

// Secrets walks the secrets by name, starting at from.
func (t *Tables) Secrets(from string) iter.Seq[*model.Secret] {
	return t.secrets.scan(secretsByName, &model.Secret{Name: from}, func(*model.Secret) bool { return true })
}

// SecretsToPurge walks the secrets whose deletion was asked for, the first to go first.
func (t *Tables) SecretsToPurge() iter.Seq[*model.Secret] {
	return t.secrets.scan(secretsByPurge, &model.Secret{}, func(*model.Secret) bool { return true })
}

// Parameter returns the parameter of that name.
func (t *Tables) Parameter(name string) (*model.Parameter, bool) {
	return t.parameters.get(&model.Parameter{Name: name})
}

// Parameters walks the parameters by name, starting at from.
func (t *Tables) Parameters(from string) iter.Seq[*model.Parameter] {
	return t.parameters.scan(0, &model.Parameter{Name: from}, func(*model.Parameter) bool { return true })
}

// PutSecret makes or replaces a secret.
func (tx *Tx) PutSecret(s *model.Secret) {
	old, _ := tx.Secret(s.Name)
	put(tx, &secretKind, old, s)
}

// DeleteSecret forgets a secret.
func (tx *Tx) DeleteSecret(s *model.Secret) {
	old, _ := tx.Secret(s.Name)
	put(tx, &secretKind, old, nil)
}

// PutParameter makes or replaces a parameter.
func (tx *Tx) PutParameter(p *model.Parameter) {
	old, _ := tx.Parameter(p.Name)
	put(tx, &parameterKind, old, p)
}

// DeleteParameter forgets a parameter.
func (tx *Tx) DeleteParameter(p *model.Parameter) {
	old, _ := tx.Parameter(p.Name)
	put(tx, &parameterKind, old, nil)
}

// EachSecret reads all secrets and parameters straight from etcd, for a look at
// them before anybody leads. The first error of a function ends it.
func EachSecret(ctx context.Context, client *Client, secret func(*model.Secret) error, parameter func(*model.Parameter) error) error {
	if err := eachRecord(ctx, client, statePrefix+secretFolder, secret); err != nil {
		return err
	}
	return eachRecord(ctx, client, statePrefix+parameterFolder, parameter)
}

func eachRecord[T any](ctx context.Context, client *Client, from string, f func(*T) error) error {
	const page = 100 // each may be large
	end := clientv3.GetPrefixRangeEnd(from)
	for {
		answer, err := client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(page))
		if err != nil {
			return fmt.Errorf("reading %s from etcd: %w", from, err)
		}
		for _, kv := range answer.Kvs {
			record := new(T)
			if err := json.Unmarshal(kv.Value, record); err != nil {
				return fmt.Errorf("%s: %w", kv.Key, err)
			}
			if err := f(record); err != nil {
				return err
			}
		}
		if !answer.More {
			return nil
		}
		from = string(answer.Kvs[len(answer.Kvs)-1].Key) + "\x00"
	}
}
