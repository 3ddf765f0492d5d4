package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/longshore/longshore/controlplane/model"
)

// Follow reads what names follow from, whoever leads: tasks and what they belong to,
// and the registries. It hands the state to begin, and what begin returns is told of
// each change after that, as an observer of a Store is. It returns when ctx ends, or
// when it lost sight of etcd; it can then be called again.
func Follow(ctx context.Context, client *Client, begin func(*Tables) func(*Tables, []Change)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the watch
	head := newTables()
	revision, err := head.readFollowed(ctx, client)
	if err != nil {
		return fmt.Errorf("reading the state from etcd: %w", err)
	}
	observe := begin(head.freeze())
	for answer := range client.Watch(ctx, statePrefix, clientv3.WithPrefix(), clientv3.WithRev(revision+1), clientv3.WithPrevKV()) {
		if err := answer.Err(); err != nil {
			return fmt.Errorf("watching the state in etcd: %w", err)
		}
		var changes []Change
		for _, e := range answer.Events {
			change, known, err := head.follow(e)
			if err != nil {
				return fmt.Errorf("following %s: %w", e.Kv.Key, err)
			}
			if known {
				changes = append(changes, change)
			}
		}
		if len(changes) > 0 {
			observe(head.freeze(), changes)
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.New("the watch on etcd ended")
}

// readFollowed reads all records of the kinds that are followed, at one revision.
func (t *Tables) readFollowed(ctx context.Context, client *Client) (int64, error) {
	from, end, revision := statePrefix, clientv3.GetPrefixRangeEnd(statePrefix), int64(0)
	for {
		answer, err := client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(loadPage), clientv3.WithRev(revision))
		if err != nil {
			return 0, err
		}
		revision = answer.Header.Revision
		for _, kv := range answer.Kvs {
			if _, _, err := t.follow(&clientv3.Event{Type: mvccpb.PUT, Kv: kv}); err != nil {
				return 0, fmt.Errorf("%s: %w", kv.Key, err)
			}
		}
		if !answer.More {
			return revision, nil
		}
		from = string(answer.Kvs[len(answer.Kvs)-1].Key) + "\x00"
	}
}

// follow applies one event of etcd; false for a record of a kind that names do not
// follow from.
func (t *Tables) follow(e *clientv3.Event) (change Change, known bool, err error) {
	name, _, _ := strings.Cut(strings.TrimPrefix(string(e.Kv.Key), statePrefix), "/")
	switch name {
	case "definitions":
		change, err = followOne[model.Definition](t, &definitionKind, e)
	case "instances":
		change, err = followOne(t, &instanceKind, e)
	case "services":
		change, err = followOne(t, &serviceKind, e)
	case "tasks":
		change, err = followOne(t, &taskKind, e)
	case "namespaces":
		change, err = followOne(t, &namespaceKind, e)
	case "registries":
		change, err = followOne(t, &registryKind, e)
	case "registered":
		change, err = followOne(t, &registryInstanceKind, e)
	default:
		return Change{}, false, nil
	}
	return change, true, err
}

func followOne[T any](t *Tables, k *kind[T], e *clientv3.Event) (Change, error) {
	var old, next *T
	if e.PrevKv != nil {
		pivot := new(T)
		if err := k.decoded(e.PrevKv.Value, pivot); err != nil {
			return Change{}, err
		}
		old, _ = k.table(t).get(pivot)
	}
	if e.Type == mvccpb.PUT {
		next = new(T)
		if err := k.decoded(e.Kv.Value, next); err != nil {
			return Change{}, err
		}
	}
	if old != nil || next != nil {
		k.replace(t, old, next)
	}
	return Change{old, next}, nil
}
