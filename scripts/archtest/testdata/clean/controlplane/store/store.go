// Package store keeps the state.
package store

import clientv3 "go.etcd.io/etcd/client/v3"

var _ clientv3.Client
