package bench

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/names"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/controlplane/store/storetest"
	"github.com/longshore/longshore/proto/discovery"
	"github.com/longshore/longshore/proto/discovery/nameserver"
	"github.com/longshore/longshore/proto/ecs"
)

// BenchmarkEndpointsDNS measures how long a change of one target or task takes from
// its commit to the answer over UDP that shows it, to one client that asks again at
// once: the SRV records of target groups, which proxies ask for, and of service
// discovery, where an answer has eight members of ten, chosen at random, and follows
// from a watch of etcd.
func BenchmarkEndpointsDNS(b *testing.B) {
	for _, groups := range []int{10, 1000} {
		b.Run(fmt.Sprintf("groups=%d", groups), func(b *testing.B) {
			f := newTraffic(b, groups)
			benchmarkDNS(b, f.address, &f.committed, func(round int) expectation {
				at := round % groups * targetsInGroup
				name := f.change(b, round)
				return expectation{"_" + name + "._tcp.longshore.internal.", uint16(10000 + at), f.tasks[at].Targets[0].Health == model.TargetHealthy}
			})
		})
	}
	for _, count := range []int{10, 1000} {
		b.Run(fmt.Sprintf("names=%d", count), func(b *testing.B) {
			r := newRegistered(b, count)
			benchmarkDNS(b, r.address, &r.committed, func(round int) expectation { return r.change(b, round) })
		})
	}
}

// expectation is whether a port is among the SRV records of a name.
type expectation struct {
	name string
	port uint16
	is   bool
}

func benchmarkDNS(b *testing.B, address string, committed *atomic.Pointer[time.Time], change func(round int) expectation) {
	connection, err := dns.Dial("udp", address)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { connection.Close() })
	var took []time.Duration
	asked := 0
	cpu := ownCPUSeconds(b)
	for b.Loop() {
		want := change(len(took))
		for {
			asked++
			if hasPort(b, connection, want) == want.is {
				break
			}
		}
		took = append(took, time.Since(*committed.Load()))
	}
	b.ReportMetric((ownCPUSeconds(b)-cpu)*1e6/float64(len(took)), "cpu-µs/op")
	b.ReportMetric(float64(asked)/float64(len(took)), "questions/op")
	slices.Sort(took)
	for _, percent := range []int{50, 99} {
		b.ReportMetric(float64(took[(len(took)-1)*percent/100].Microseconds())/1000, fmt.Sprintf("p%d-ms", percent))
	}
}

func hasPort(b *testing.B, connection *dns.Conn, want expectation) bool {
	b.Helper()
	question := new(dns.Msg).SetQuestion(want.name, dns.TypeSRV)
	question.SetEdns0(1232, false)
	answer, _, err := new(dns.Client).ExchangeWithConnContext(b.Context(), question, connection)
	if err != nil {
		b.Fatal(err)
	}
	if answer.Rcode != dns.RcodeSuccess || answer.Truncated || len(answer.Answer) < 8 {
		b.Fatalf("%s: %s, truncated %t, %d records", want.name, dns.RcodeToString[answer.Rcode], answer.Truncated, len(answer.Answer))
	}
	return slices.ContainsFunc(answer.Answer, func(rr dns.RR) bool { return rr.(*dns.SRV).Port == want.port })
}

// registered are tasks that are found by the names of their services.
type registered struct {
	store     *store.Store
	tasks     []*model.Task
	count     int
	address   string
	committed atomic.Pointer[time.Time]
}

func newRegistered(b *testing.B, count int) *registered {
	b.Helper()
	r := &registered{count: count}
	etcd := storetest.Etcd(b)
	r.store = storetest.On(b, etcd, func(s *store.Store) {
		s.Observe(func(*store.Tables, []store.Change) {
			now := time.Now()
			r.committed.Store(&now)
		})
	})
	address := "10.0.0.9"
	update(b, r.store, func(tx *store.Tx) {
		tx.PutInstance(&model.Instance{ID: "i1", Cluster: "c", Status: model.StatusActive, Attributes: []ecs.Attribute{{Name: model.AddressAttribute, Value: &address}}})
		tx.PutNamespace(&model.Namespace{ID: "ns", Name: "prod.local", Type: model.NamespaceDNSPrivate})
	})
	for i := range count {
		update(b, r.store, func(tx *store.Tx) { r.tasks = append(r.tasks, putRegistered(tx, i)...) })
	}
	r.serve(b, etcd.Client())
	return r
}

// tasksOfService are ten that run, and one that is to take the place of another.
const tasksOfService = targetsInGroup + 1

// putRegistered makes a registry and the tasks of its service.
func putRegistered(tx *store.Tx, i int) (tasks []*model.Task) {
	name, container := fmt.Sprintf("api-%d", i), int32(80)
	id := model.RegistryID(fmt.Sprintf("srv-%016x", i))
	tx.PutRegistry(&model.Registry{ID: id, Namespace: "ns", Name: name, Records: []model.RegistryRecord{{Type: model.RecordSRV, TTL: 5}}})
	wiring := model.Wiring{ServiceRegistries: []ecs.ServiceRegistry{{RegistryArn: benchOwner.RegistryARN(id), ContainerName: "main", ContainerPort: &container}}}
	tx.PutService(&model.Service{Cluster: "c", Name: model.ServiceName(name), Status: model.StatusActive,
		Controller: ecs.DeploymentControllerTypeEXTERNAL, TaskSets: []model.TaskSet{{ID: "ecs-svc/1", Wiring: wiring}}})
	for j := range tasksOfService {
		port, status := int32(10000+i*tasksOfService+j), model.TaskRunning
		if j == 0 {
			status = model.TaskActivating
		}
		t := &model.Task{
			ID: model.TaskID(fmt.Sprintf("%032x", port)), Cluster: "c", Instance: "i1", Service: model.ServiceName(name), Deployment: "ecs-svc/1",
			DesiredStatus: model.TaskRunning, LastStatus: status, RegisteredAt: time.Unix(1000, 0),
			Containers: []model.Container{{Name: "main", NetworkBindings: []ecs.NetworkBinding{{ContainerPort: &container, HostPort: &port, Protocol: "tcp"}}}},
		}
		tx.PutTask(t)
		tasks = append(tasks, t)
	}
	return tasks
}

// serve does what a control plane with a DNS address does, until the benchmark ends.
func (r *registered) serve(b *testing.B, client *store.Client) {
	b.Helper()
	udp, tcp, err := nameserver.Listen("127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	r.address = udp.LocalAddr().String()
	known := discovery.New()
	ready, ended := make(chan struct{}), make(chan error, 2)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- nameserver.New(nameserver.Config{Names: known, UDP: udp, TCP: tcp}).Run(ctx) }()
	go func() {
		ended <- store.Follow(ctx, client, func(view *store.Tables) func(*store.Tables, []store.Change) {
			feed := names.New(view)
			follower := feed.Follow()
			known.Apply(follower.Update())
			close(ready)
			return func(view *store.Tables, changes []store.Change) {
				feed.Observe(view, changes)
				known.Apply(follower.Update())
			}
		})
	}()
	b.Cleanup(func() {
		cancel()
		<-ended
		<-ended
	})
	select {
	case <-ready:
	case err := <-ended:
		ended <- err
		b.Fatal(err)
	}
}

// change lets one task of a service take the place of another. The services take
// turns.
func (r *registered) change(b *testing.B, round int) expectation {
	b.Helper()
	service, turn := round%r.count, round/r.count
	mine := r.tasks[service*tasksOfService:][:tasksOfService]
	comes, goes := turn%tasksOfService, (turn+1)%tasksOfService
	update(b, r.store, func(tx *store.Tx) {
		for at, status := range map[int]model.TaskStatus{comes: model.TaskRunning, goes: model.TaskDeprovisioning} {
			next := *mine[at]
			next.LastStatus = status
			mine[at] = &next
			tx.PutTask(&next)
		}
	})
	return expectation{fmt.Sprintf("api-%d.prod.local.", service), uint16(10000 + service*tasksOfService + comes), true}
}
