package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
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
	f := follower{tables: newTables(), own: map[taskRef]struct{}{}}
	revision, err := f.read(ctx, client)
	if err != nil {
		return fmt.Errorf("reading the state from etcd: %w", err)
	}
	observe := begin(f.tables.freeze())
	for answer := range client.Watch(ctx, statePrefix, clientv3.WithPrefix(), clientv3.WithRev(revision+1)) {
		if err := answer.Err(); err != nil {
			return fmt.Errorf("watching the state in etcd: %w", err)
		}
		var changes []Change
		for _, e := range answer.Events {
			some, err := f.event(string(e.Kv.Key), e.Kv.Value, e.Type == mvccpb.DELETE)
			if err != nil {
				return fmt.Errorf("following %s: %w", e.Kv.Key, err)
			}
			changes = append(changes, some...)
		}
		if len(changes) > 0 {
			observe(f.tables.freeze(), changes)
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.New("the watch on etcd ended")
}

// follower keeps tables that follow etcd.
type follower struct {
	tables *Tables
	// own are the tasks that are known from keys of their own. The end of such a key is that
	// of its task only as long as no segment has said something of the task.
	own map[taskRef]struct{}
}

// read reads all records of the kinds that are followed, at one revision.
func (f *follower) read(ctx context.Context, client *Client) (int64, error) {
	tasks := newTaskLoader()
	revision, err := readState(ctx, client, func(key string, value []byte) (err error) {
		switch kindOf(key) {
		case "tasks":
			err = tasks.own(key, value)
		case "segments":
			err = tasks.segment(key, value)
		default:
			_, err = f.event(key, value, false)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for i := range tasks.log.tasks {
		if t := &tasks.log.tasks[i]; tasks.log.segments[t.newest].sequence == 0 {
			f.own[tasks.log.ref(t.name)] = struct{}{}
		}
	}
	return revision, tasks.finish(f.tables)
}

// event applies what happened to one key, and returns what has changed: nothing if it is of a
// kind that names do not follow from.
func (f *follower) event(key string, value []byte, deleted bool) ([]Change, error) {
	kind := kindOf(key)
	name := strings.TrimPrefix(key, statePrefix+kind+"/")
	first, second, _ := strings.Cut(name, "/")
	switch kind {
	case "definitions":
		if revision, err := strconv.ParseInt(second, 10, 32); err == nil {
			ref := model.DefinitionRef{Family: model.Family(first), Revision: int32(revision)}
			return followOne(f.tables, &definitionKind, &model.Definition{Ref: ref}, value, deleted)
		}
		return nil, errors.New("no revision of a task definition: was it written by a newer version?")
	case "instances":
		return followOne(f.tables, &instanceKind, &model.Instance{Cluster: model.ClusterName(first), ID: model.InstanceID(second)}, value, deleted)
	case "services":
		return followOne(f.tables, &serviceKind, &model.Service{Cluster: model.ClusterName(first), Name: model.ServiceName(second)}, value, deleted)
	case "namespaces":
		return followOne(f.tables, &namespaceKind, &model.Namespace{ID: model.NamespaceID(name)}, value, deleted)
	case "registries":
		return followOne(f.tables, &registryKind, &model.Registry{ID: model.RegistryID(name)}, value, deleted)
	case "registered":
		return followOne(f.tables, &registryInstanceKind, &model.RegistryInstance{Registry: model.RegistryID(first), ID: second}, value, deleted)
	case "tasks":
		return f.ownTask(key, value, deleted)
	case "segments":
		if !deleted {
			return f.segment(value)
		}
	}
	return nil, nil
}

func kindOf(key string) string {
	kind, _, _ := strings.Cut(strings.TrimPrefix(key, statePrefix), "/")
	return kind
}

// followOne applies a change of the record that the pivot finds.
func followOne[T any](t *Tables, k *kind[T], pivot *T, value []byte, deleted bool) ([]Change, error) {
	old, _ := k.table(t).get(pivot)
	var next *T
	if !deleted {
		next = new(T)
		if err := json.Unmarshal(value, next); err != nil {
			return nil, err
		}
	}
	return replaceFollowed(t, k, old, next), nil
}

func replaceFollowed[T any](t *Tables, k *kind[T], old, next *T) []Change {
	if old == nil && next == nil {
		return nil
	}
	k.replace(t, old, next)
	return []Change{{old, next}}
}

// ownTask follows a leader of an earlier version, and what later ones do to its records.
func (f *follower) ownTask(key string, value []byte, deleted bool) ([]Change, error) {
	r, err := ownTask(key)
	if err != nil {
		return nil, err
	}
	old, _ := f.tables.Task(r.cluster, r.id)
	if !deleted {
		f.own[r] = struct{}{}
		next, err := readTask(value)
		if err != nil {
			return nil, err
		}
		return replaceFollowed(f.tables, &taskKind, old, next), nil
	}
	if _, own := f.own[r]; !own {
		return nil, nil
	}
	delete(f.own, r)
	return replaceFollowed(f.tables, &taskKind, old, nil), nil
}

func (f *follower) segment(value []byte) (changes []Change, err error) {
	err = eachEntry(value, func(kind int, value []byte) error {
		r, err := entryTask(kind, value)
		if err != nil {
			return err
		}
		delete(f.own, r)
		if kind == entryKept {
			return nil
		}
		old, _ := f.tables.Task(r.cluster, r.id)
		var next *model.Task
		if kind == entryChanged {
			if next, err = readTask(value); err != nil {
				return err
			}
		}
		changes = append(changes, replaceFollowed(f.tables, &taskKind, old, next)...)
		return nil
	})
	return changes, err
}
