// Package api answers.
package api

import (
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
)

var _, _, _ = clientv3.New, embed.StartEtcd, v3client.New
