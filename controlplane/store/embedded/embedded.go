// Package embedded runs an etcd server inside the process, so that one machine
// needs nothing else. It is a single member: its peer and client listeners are on
// loopback ports that nobody has to know, and the control plane talks to it
// without a network.
package embedded

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/longshore/longshore/controlplane/store"
)

// maxTxnOps and maxTxnBytes bound a transaction that many changes share. The
// server is our own, so they can be more than etcd's defaults; they are not all that
// it could take, because a change waits for all that go with it.
const maxTxnOps, maxTxnBytes = 1000, 4 << 20

// startTimeout bounds how long the server may take until it serves.
const startTimeout = 60 * time.Second

// Server is a running etcd.
type Server struct {
	etcd   *embed.Etcd
	client *clientv3.Client
	close  func() error
}

// Start runs etcd on the data in dir, made if it is not there. Writes are
// synced to disk before they are acknowledged. The caller holds the lock on the
// folder above, so that no two processes run on one.
func Start(ctx context.Context, dir string) (*Server, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	logs, err := openLog(filepath.Join(dir, "etcd.log"))
	if err != nil {
		return nil, err
	}
	cfg := embed.NewConfig()
	cfg.Name = "longshore"
	cfg.Dir = filepath.Join(dir, "member")
	loopback := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	cfg.ListenPeerUrls = []url.URL{loopback}
	cfg.ListenClientUrls = []url.URL{loopback}
	// A single member is never dialled; the address only has to stay the same.
	advertised := url.URL{Scheme: "http", Host: "127.0.0.1:2380"}
	cfg.AdvertisePeerUrls = []url.URL{advertised}
	cfg.AdvertiseClientUrls = []url.URL{{Scheme: "http", Host: "127.0.0.1:2379"}}
	cfg.InitialCluster = cfg.Name + "=" + advertised.String()
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(logs)
	cfg.AutoCompactionMode = embed.CompactorModePeriodic
	cfg.AutoCompactionRetention = "5m" // history is for watches that fell behind; nothing older is read
	cfg.QuotaBackendBytes = 8 << 30
	cfg.SnapshotCount = 10000
	cfg.SnapshotCatchUpEntries = 1        // kept in memory for followers, of which there are none: the default is 5,000
	cfg.MaxTxnOps = maxTxnOps + 1         // the fence
	cfg.MaxRequestBytes = 2 * maxTxnBytes // of which etcd's own encoding takes a part
	etcd, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, fmt.Errorf("starting the embedded etcd on %s: %w", dir, err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case <-etcd.Server.ReadyNotify():
	case err := <-etcd.Err():
		etcd.Close()
		return nil, fmt.Errorf("the embedded etcd on %s failed: %w", dir, err)
	case <-ctx.Done():
		etcd.Close()
		return nil, fmt.Errorf("the embedded etcd on %s did not become ready: %w", dir, ctx.Err())
	}
	s := &Server{etcd: etcd, client: v3client.New(etcd.Server)}
	s.close = sync.OnceValue(func() error {
		err := s.client.Close()
		etcd.Close()
		return err
	})
	return s, nil
}

// Client returns a client that talks to the server in the process.
func (s *Server) Client() *clientv3.Client { return s.client }

// Limits are what the server takes in one transaction.
func (s *Server) Limits() store.Limits {
	return store.Limits{Operations: maxTxnOps, Bytes: maxTxnBytes}
}

// Endpoint is an address at which other processes on this machine reach the
// server. It is another one after each start.
func (s *Server) Endpoint() string { return "http://" + s.etcd.Clients[0].Addr().String() }

// Err reports a failure of the running server.
func (s *Server) Err() <-chan error { return s.etcd.Err() }

// Close ends the server; a second call does nothing.
func (s *Server) Close() error { return s.close() }

// openLog makes etcd's own logger, which writes warnings and worse to a file.
func openLog(path string) (*zap.Logger, error) {
	cfg := zap.NewProductionConfig()
	cfg.Level = zap.NewAtomicLevelAt(zapcore.WarnLevel)
	cfg.OutputPaths, cfg.ErrorOutputPaths = []string{path}, []string{path}
	cfg.EncoderConfig.EncodeTime = zapcore.ISO8601TimeEncoder
	return cfg.Build()
}
