package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/longshore/longshore/controlplane/model"
)

// Load reads the whole state from etcd and returns a store to Run. The caller
// must hold leadership already, so that nobody else writes.
func Load(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.CommitTimeout == 0 {
		cfg.CommitTimeout = 5 * time.Second
	}
	if cfg.Limits == (Limits{}) {
		cfg.Limits = DefaultLimits()
	}
	if cfg.MaxWaiting == 0 {
		cfg.MaxWaiting = 8192
	}
	s := &Store{
		cfg:     cfg,
		slots:   make(chan struct{}, cfg.MaxWaiting),
		head:    newTables(),
		wake:    make(chan struct{}, 1),
		metrics: newMetrics(cfg.Registry),

		subscribers: map[chan struct{}]struct{}{},
	}
	s.head.base = time.Now().Unix() * revisionsASecond
	if err := s.load(ctx); err != nil {
		return nil, fmt.Errorf("loading the state from etcd: %w", err)
	}
	s.view.Store(s.head.freeze())
	return s, nil
}

func (s *Store) load(ctx context.Context) error {
	tasks := newTaskLoader()
	_, err := readState(ctx, s.cfg.Client, func(key string, value []byte) error { return s.loadRecord(tasks, key, value) })
	if err != nil {
		return err
	}
	s.log = tasks.log
	return tasks.finish(s.head)
}

func (s *Store) loadRecord(tasks *taskLoader, key string, value []byte) error {
	name, _, _ := strings.Cut(strings.TrimPrefix(key, statePrefix), "/")
	var err error
	switch name {
	case "clusters":
		err = loadInto(s.head, &clusterKind, value)
	case "providers":
		err = loadInto(s.head, &providerKind, value)
	case "families":
		err = loadInto(s.head, &familyKind, value)
	case "definitions":
		err = loadInto[model.Definition](s.head, &definitionKind, value)
	case "instances":
		err = loadInto(s.head, &instanceKind, value)
	case "services":
		err = loadInto(s.head, &serviceKind, value)
	case "events":
		err = loadInto(s.head, &eventKind, value)
	case "settings":
		err = loadInto(s.head, &settingKind, value)
	case "secrets":
		err = loadInto(s.head, &secretKind, value)
	case "parameters":
		err = loadInto(s.head, &parameterKind, value)
	case "targetgroups":
		err = loadInto(s.head, &groupKind, value)
	case "tokens":
		err = loadInto(s.head, &tokenKind, value)
	case "namespaces":
		err = loadInto(s.head, &namespaceKind, value)
	case "registries":
		err = loadInto(s.head, &registryKind, value)
	case "registered":
		err = loadInto(s.head, &registryInstanceKind, value)
	case "registryops":
		err = loadInto(s.head, &operationKind, value)
	case "tasks":
		err = tasks.own(key, value)
	case "segments":
		err = tasks.segment(key, value)
	default:
		err = fmt.Errorf("unknown kind %q: was it written by a newer version?", name)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

func loadInto[T any](t *Tables, k *kind[T], value []byte) error {
	record := new(T)
	if err := json.Unmarshal(value, record); err != nil {
		return err
	}
	k.replace(t, nil, record)
	return nil
}
