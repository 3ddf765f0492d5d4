package api_test

import (
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/longshore/longshore/controlplane/api"
	"github.com/longshore/longshore/controlplane/store"
)

// BenchmarkRunTask starts single tasks from many callers at once: decoding,
// placement on 100 instances, the commit to etcd with fsync, and the answer; no
// network. docs/performance.md has the whole way through HTTP.
func BenchmarkRunTask(b *testing.B) {
	f := newFixture(b)
	c := f.cluster("default")
	for range 100 {
		f.host(c, 1<<30, 1<<30)
	}
	f.definition("web")
	handler := api.New(api.Config{Owner: owner, Store: func() *store.Store { return f.store }})
	var failed atomic.Int64
	b.SetParallelism(64)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if status, _ := record(b, handler, "RunTask", []byte(`{"taskDefinition":"web"}`)); status != http.StatusOK {
				failed.Add(1)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
	if failed.Load() > 0 {
		b.Errorf("%d requests failed", failed.Load())
	}
}
