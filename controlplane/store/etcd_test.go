package store_test

import clientv3 "go.etcd.io/etcd/client/v3"

func withPrefix() clientv3.OpOption { return clientv3.WithPrefix() }
