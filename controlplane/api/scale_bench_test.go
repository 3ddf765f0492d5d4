package api_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/api"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/controlplane/store/storetest"
	"github.com/longshore/longshore/proto/ecs"
)

// The size of the cluster that BenchmarkScale asks.
const (
	scaleInstances = 10_000
	scaleTasks     = 100_000
)

// BenchmarkScale calls the operations that a busy cluster is asked most, over HTTP on
// loopback from 64 connections, on 10,000 instances and 100,000 tasks with etcd below.
// cpu-µs/op is the processor time of the process for one request: the server, etcd and a
// client that costs little. StopTask stops each task once, so it takes a -benchtime
// of at most 100000x.
func BenchmarkScale(b *testing.B) {
	s := newScale(b)
	run := `{"cluster":"default","taskDefinition":"` + s.definition + `","count":10`
	began := time.Now().UnixNano()
	for _, c := range []struct {
		operation string
		body      func(n int) string
	}{
		{"RunTask", func(int) string { return run + `}` }},
		{"RunTask", func(n int) string { return run + fmt.Sprintf(`,"clientToken":"%d-%d"}`, began, n) }}, // as SDKs call it
		{"DescribeTasks", func(n int) string { return s.describe[n%len(s.describe)] }},
		{"ListTasks", func(int) string { return `{"cluster":"default","nextToken":"` + s.second + `"}` }},
		{"StopTask", func(n int) string { return `{"cluster":"default","task":"` + s.tasks[n%len(s.tasks)] + `"}` }},
	} {
		b.Run(c.operation, func(b *testing.B) { s.measure(b, c.operation, c.body) })
	}
}

// scale is a server with a large cluster.
type scale struct {
	store      *store.Store
	address    string
	definition string
	tasks      []string // ARNs
	describe   []string // requests for ten tasks
	second     string   // token of the second page of tasks
	next       atomic.Int64
}

func newScale(b *testing.B) *scale {
	s := &scale{store: storetest.New(b, nil)}
	handler := api.New(api.Config{Owner: owner, Store: func() *store.Store { return s.store }})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 30 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	b.Cleanup(func() {
		server.Close()
		<-ended
	})
	s.address = l.Addr().String()
	s.populate(b)
	return s
}

func (s *scale) populate(b *testing.B) {
	client := s.dial(b)
	defer client.Close()
	ask := func(operation, body string, out any) {
		answer, err := client.call(operation, body)
		if err != nil {
			b.Fatal(err)
		}
		if err := json.Unmarshal(answer, out); err != nil {
			b.Fatal(err)
		}
	}
	var definition ecs.RegisterTaskDefinitionResponse
	ask("CreateCluster", `{}`, new(ecs.CreateClusterResponse))
	ask("RegisterTaskDefinition", `{"family":"bench","containerDefinitions":[{"name":"main","image":"registry.example.com/team/simulated:1.2.3","cpu":10,"memory":16}]}`, &definition)
	s.definition = definition.TaskDefinition.TaskDefinitionArn
	now := time.Now().UTC()
	arch, zone := "x86_64", "a"
	instances := make([]model.InstanceID, scaleInstances)
	s.put(b, scaleInstances, func(tx *store.Tx, n int) {
		instances[n] = model.NewInstanceID()
		tx.PutInstance(&model.Instance{
			ID: instances[n], Cluster: "default", Status: model.StatusActive, RegisteredAt: now, Version: 1, AgentConnected: true, ConnectedAt: now,
			Resources: []ecs.Resource{
				{Name: "CPU", Type: "INTEGER", IntegerValue: 1 << 24}, {Name: "MEMORY", Type: "INTEGER", IntegerValue: 1 << 24},
				{Name: "PORTS", Type: "STRINGSET", StringSetValue: []string{}}, {Name: "PORTS_UDP", Type: "STRINGSET", StringSetValue: []string{}},
			},
			Attributes: []ecs.Attribute{
				{Name: "ecs.cpu-architecture", Value: &arch}, {Name: "ecs.availability-zone", Value: &zone},
				{Name: "com.amazonaws.ecs.capability.docker-remote-api.1.18"}, {Name: "ecs.capability.increased-task-cpu-limit"},
			},
		})
	})
	s.tasks = make([]string, scaleTasks)
	s.put(b, scaleTasks, func(tx *store.Tx, n int) {
		t := runningTask(instances[n%scaleInstances], now)
		s.tasks[n] = owner.TaskARN(t.Cluster, t.ID)
		tx.PutTask(t)
	})
	for n := 0; n+10 <= 1000; n += 10 {
		s.describe = append(s.describe, `{"cluster":"default","tasks":["`+strings.Join(s.tasks[n:n+10], `","`)+`"]}`)
	}
	var page ecs.ListTasksResponse
	ask("ListTasks", `{"cluster":"default"}`, &page)
	s.second = page.NextToken
}

func runningTask(i model.InstanceID, now time.Time) *model.Task {
	id := model.NewTaskID()
	return &model.Task{
		ID: id, Cluster: "default", Instance: i, Definition: model.DefinitionRef{Family: "bench", Revision: 1},
		LaunchType: ecs.LaunchTypeEC2, Group: "family:bench", DesiredStatus: model.TaskRunning, LastStatus: model.TaskRunning, Version: 3,
		HealthStatus: ecs.HealthStatusUNKNOWN, Reserved: model.Reservation{CPU: 10, MemoryMiB: 16},
		CreatedAt: now, ConnectivityAt: now, PullStartedAt: now, PullStoppedAt: now, StartedAt: now,
		Containers: []model.Container{{
			ID: model.NewUUID(), Name: "main", Image: "registry.example.com/team/simulated:1.2.3", RuntimeID: string(id + id),
			ImageDigest: "sha256:" + string(id+id), LastStatus: model.TaskRunning, HealthStatus: ecs.HealthStatusUNKNOWN,
		}},
	}
}

// put makes n records, as many an Update as may be.
func (s *scale) put(b *testing.B, n int, one func(*store.Tx, int)) {
	for from := 0; from < n; from += 100 {
		err := s.store.Update(b.Context(), func(tx *store.Tx) error {
			for i := from; i < min(from+100, n); i++ {
				one(tx, i)
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func (s *scale) measure(b *testing.B, operation string, body func(int) string) {
	var failed atomic.Pointer[error]
	b.ReportAllocs()
	b.SetParallelism(32)
	s.next.Store(0)
	before := processorTime(b)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		client := s.dial(b)
		defer client.Close()
		for pb.Next() {
			if _, err := client.call(operation, body(int(s.next.Add(1)))); err != nil {
				failed.Store(&err)
				return
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64((processorTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
	if err := failed.Load(); err != nil {
		b.Error(*err)
	}
}

// processorTime is that of this process so far.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cheapClient speaks just enough HTTP to ask one server over one connection, so that
// what is measured is the server.
type cheapClient struct {
	net.Conn
	in   *bufio.Reader
	out  []byte
	body []byte
}

func (s *scale) dial(b *testing.B) *cheapClient {
	c, err := net.Dial("tcp", s.address)
	if err != nil {
		b.Fatal(err)
	}
	return &cheapClient{Conn: c, in: bufio.NewReaderSize(c, 64<<10)}
}

// call returns the answer's body, which the next call overwrites.
func (c *cheapClient) call(operation, body string) ([]byte, error) {
	c.out = fmt.Appendf(c.out[:0], "POST / HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nContent-Type: application/x-amz-json-1.1\r\nX-Amz-Target: %s%s\r\n"+
		"Accept-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", c.RemoteAddr(), api.TargetPrefix, operation, len(body), body)
	if _, err := c.Write(c.out); err != nil {
		return nil, err
	}
	status, length := "", 0
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		if len(line) == 2 {
			break
		}
		if status == "" {
			status = string(line[9:12])
		} else if l, ok := strings.CutPrefix(string(line), "Content-Length: "); ok {
			if length, err = strconv.Atoi(strings.TrimSpace(l)); err != nil {
				return nil, err
			}
		}
	}
	if cap(c.body) < length {
		c.body = make([]byte, length)
	}
	c.body = c.body[:length]
	if _, err := io.ReadFull(c.in, c.body); err != nil {
		return nil, err
	}
	if status != "200" {
		return nil, fmt.Errorf("%s: %s: %s", operation, status, c.body)
	}
	return c.body, nil
}
