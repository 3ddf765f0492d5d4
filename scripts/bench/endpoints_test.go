package bench

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/endpoints"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/proxies"
	"github.com/longshore/longshore/controlplane/proxies/catalog"
	"github.com/longshore/longshore/controlplane/proxies/membership"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/controlplane/store/storetest"
	"github.com/longshore/longshore/proto/ecs"
)

const targetsInGroup = 10

// BenchmarkEndpoints measures how long a change of one target's health takes from
// its commit to proxies that follow all groups over xDS, until the last of them has
// decoded it. How many groups there are shows what the size of the table costs.
// cpu-µs counts the proxies' side as well, which is in the same process.
func BenchmarkEndpoints(b *testing.B) {
	for _, variant := range []struct {
		name string
		open func(b *testing.B, address string, groups []string) follower
	}{{"delta", followDelta}, {"sotw", followWorld}} {
		for _, groups := range []int{10, 1000} {
			for _, proxies := range []int{1, 20} {
				b.Run(fmt.Sprintf("%s/groups=%d/proxies=%d", variant.name, groups, proxies), func(b *testing.B) {
					f := newTraffic(b, groups)
					var followers []follower
					for range proxies {
						followers = append(followers, variant.open(b, f.address, f.names))
					}
					benchmarkEndpoints(b, f, followers)
				})
			}
		}
	}
}

func benchmarkEndpoints(b *testing.B, f *traffic, followers []follower) {
	type arrival struct {
		at  time.Time
		err error
	}
	arrived := make(chan arrival, len(followers))
	asked := make([]chan string, len(followers))
	for i, next := range followers {
		asked[i] = make(chan string, 1)
		go func() { // ends with the questions; each has one arrival
			for name := range asked[i] {
				err := next(name)
				arrived <- arrival{time.Now(), err}
			}
		}()
		defer close(asked[i])
	}
	var took []time.Duration
	round := 0
	cpu := ownCPUSeconds(b)
	b.ReportAllocs()
	for b.Loop() {
		name := f.change(b, round)
		round++
		var last time.Time
		for i := range followers {
			asked[i] <- name
		}
		for range followers {
			a := <-arrived
			if a.err != nil {
				b.Fatal(a.err)
			}
			if a.at.After(last) {
				last = a.at
			}
		}
		took = append(took, last.Sub(*f.committed.Load()))
	}
	b.ReportMetric((ownCPUSeconds(b)-cpu)*1e6/float64(round), "cpu-µs/op")
	slices.Sort(took)
	for _, percent := range []int{50, 99} {
		b.ReportMetric(float64(took[(len(took)-1)*percent/100].Microseconds())/1000, fmt.Sprintf("p%d-ms", percent))
	}
}

// BenchmarkEndpointsMemory measures what a group with its targets takes in the
// memory of a control plane, with one proxy that follows all: the
// records of the store, embedded etcd included; and the catalog, the resources of xDS
// and the connection on both sides.
func BenchmarkEndpointsMemory(b *testing.B) {
	const groups = 1000
	f := &traffic{}
	var index *endpoints.Index
	before := heap()
	f.store, f.tasks = storeOfTargets(b, groups, func(s *store.Store) { index = endpoints.NewIndex(s) })
	f.tasks = nil
	stored := heap()
	f.serve(b, index, groups)
	followDelta(b, f.address, f.names) // waits until they are served
	served := heap()
	runtime.KeepAlive(f)
	for b.Loop() { // there is nothing to repeat
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(stored-before)/groups, "stored-B/group")
	b.ReportMetric(float64(served-stored)/groups, "served-B/group")
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one finalized
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// traffic is a store full of targets with everything that stands between it and the
// proxies.
type traffic struct {
	store     *store.Store
	tasks     []*model.Task // the newest version of each
	names     []string      // of the groups
	address   string        // where they are served
	committed atomic.Pointer[time.Time]
}

var benchOwner = model.Owner{Account: "000000000000", Region: "us-east-1"}

func groupNamed(i int) (string, model.TargetGroupARN) {
	name := fmt.Sprintf("group-%d", i)
	return name, benchOwner.TargetGroupARN(name, fmt.Sprintf("%016x", i))
}

// storeOfTargets is a store with tasks in groups, all RUNNING and healthy.
func storeOfTargets(b *testing.B, groups int, observe func(*store.Store)) (*store.Store, []*model.Task) {
	b.Helper()
	s := storetest.New(b, observe)
	address := "10.0.0.9"
	update(b, s, func(tx *store.Tx) {
		tx.PutInstance(&model.Instance{ID: "i1", Cluster: "c", Status: model.StatusActive, Attributes: []ecs.Attribute{{Name: model.AddressAttribute, Value: &address}}})
	})
	var tasks []*model.Task
	for i := range groups {
		update(b, s, func(tx *store.Tx) {
			name, arn := groupNamed(i)
			tx.PutTargetGroup(&model.TargetGroup{Name: name, ARN: arn, TargetType: model.TargetTypeInstance, Protocol: model.ProtocolHTTP, ProtocolVersion: model.VersionHTTP1})
			for j := range targetsInGroup {
				container, port := int32(80), int32(10000+i*targetsInGroup+j)
				t := &model.Task{
					ID: model.TaskID(fmt.Sprintf("%032x", i*targetsInGroup+j)), Cluster: "c", Instance: "i1",
					DesiredStatus: model.TaskRunning, LastStatus: model.TaskRunning, RegisteredAt: time.Unix(1000, 0),
					Targets: []model.Target{{Group: arn, Container: "main", ContainerPort: container, Health: model.TargetHealthy}},
					Containers: []model.Container{{Name: "main", NetworkBindings: []ecs.NetworkBinding{
						{ContainerPort: &container, HostPort: &port, Protocol: "tcp"}}}},
				}
				tx.PutTask(t)
				tasks = append(tasks, t)
			}
		})
	}
	return s, tasks
}

func update(b *testing.B, s *store.Store, change func(*store.Tx)) {
	b.Helper()
	if err := s.Update(b.Context(), func(tx *store.Tx) error { change(tx); return nil }); err != nil {
		b.Fatal(err)
	}
}

// newTraffic serves the targets of a store of its own.
func newTraffic(b *testing.B, groups int) *traffic {
	b.Helper()
	f := &traffic{}
	var index *endpoints.Index
	f.store, f.tasks = storeOfTargets(b, groups, func(s *store.Store) {
		index = endpoints.NewIndex(s)
		s.Observe(func(*store.Tables, []store.Change) {
			now := time.Now()
			f.committed.Store(&now)
		})
	})
	f.serve(b, index, groups)
	return f
}

// serve runs what a control plane runs, until the benchmark ends.
func (f *traffic) serve(b *testing.B, index *endpoints.Index, groups int) {
	b.Helper()
	for i := range groups {
		name, _ := groupNamed(i)
		f.names = append(f.names, name)
	}
	listeners, err := proxies.Listen("127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	f.address = listeners.Stream.Addr().String()
	all := catalog.New()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- membership.Publish(ctx, index, all) }()
	go func() {
		ended <- proxies.Run(ctx, proxies.Config{Catalog: all, Listeners: listeners, Zone: "longshore.internal", Version: "bench"})
	}()
	b.Cleanup(func() {
		cancel()
		<-ended
		<-ended
	})
	select {
	case <-all.Loaded():
	case err := <-ended:
		ended <- err
		b.Fatal(err)
	}
}

// change turns the health of one target over and returns the name of its group. The
// groups take turns.
func (f *traffic) change(b *testing.B, round int) string {
	b.Helper()
	groups := len(f.names)
	at := round % groups * targetsInGroup
	next := *f.tasks[at]
	next.Targets = slices.Clone(next.Targets)
	if next.Targets[0].Health == model.TargetHealthy {
		next.Targets[0].Health = model.TargetUnhealthy
	} else {
		next.Targets[0].Health = model.TargetHealthy
	}
	f.tasks[at] = &next
	update(b, f.store, func(tx *store.Tx) { tx.PutTask(&next) })
	return f.names[round%groups]
}
