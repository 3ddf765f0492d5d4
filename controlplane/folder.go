package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/controlplane/store/embedded"
)

// takeFolder locks a data folder for this process and returns the name under
// which the control plane takes part in elections, which stays with the folder.
func takeFolder(dir string) (node string, unlock func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "controlplane.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return "", nil, fmt.Errorf("the data folder %s is in use by another control plane", dir)
		}
		return "", nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	node, err = nodeName(filepath.Join(dir, "node"))
	if err != nil {
		lock.Close()
		return "", nil, err
	}
	return node, lock.Close, nil
}

func nodeName(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err == nil && len(b) > 0 {
		return strings.TrimSpace(string(b)), nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	name := model.NewUUID()
	return name, os.WriteFile(file, []byte(name+"\n"), 0o600)
}

// openEtcd connects to the external cluster, or starts the embedded server.
func openEtcd(ctx context.Context, cfg Config, dir string) (etcd, error) {
	if len(cfg.EtcdEndpoints) == 0 {
		server, err := embedded.Start(ctx, dir)
		if err != nil {
			return etcd{}, err
		}
		return etcd{server.Client(), server.Limits(), aloneTTL, server.Close}, nil
	}
	client, err := store.Dial(cfg.EtcdEndpoints, cfg.EtcdTLS)
	if err != nil {
		return etcd{}, err
	}
	return etcd{client, cfg.EtcdLimits, 0, client.Close}, nil
}

// etcd is an open connection.
type etcd struct {
	client *store.Client
	limits store.Limits
	ttl    time.Duration // of leadership; 0: as usual
	close  func() error
}

// aloneTTL is for how long leadership is lent to the only control plane of an embedded
// etcd: nobody waits for its end, and its next process takes it over at once.
const aloneTTL = time.Minute
