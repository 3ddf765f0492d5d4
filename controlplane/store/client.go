package store

import (
	"crypto/tls"
	"fmt"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Client is a connection to etcd. Outside of this package and leader nobody
// looks inside.
type Client = clientv3.Client

// Dial connects to an external etcd cluster. tlsConfig may be nil.
func Dial(endpoints []string, tlsConfig *tls.Config) (*Client, error) {
	client, err := clientv3.New(clientv3.Config{
		Endpoints:            endpoints,
		TLS:                  tlsConfig,
		DialTimeout:          5 * time.Second,
		DialKeepAliveTime:    5 * time.Second,
		DialKeepAliveTimeout: 5 * time.Second,
	})
	if err != nil {
		return nil, fmt.Errorf("connecting to etcd at %s: %w", strings.Join(endpoints, ", "), err)
	}
	return client, nil
}
