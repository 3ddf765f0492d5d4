// Package leader elects.
package leader

import (
	"github.com/docker/docker/client"
	"go.etcd.io/etcd/client/v3/concurrency"
)

var _, _ = client.New, concurrency.NewElection
