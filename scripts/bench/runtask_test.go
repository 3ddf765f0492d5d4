package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/longshore/longshore/proto/ecs"
	"github.com/longshore/longshore/scripts/bench/fleet"
	"github.com/longshore/longshore/scripts/testbed"
)

const (
	runTaskCluster = "bench"
	// simulatedStart is how long a simulated container takes to start: about what a
	// real one takes, so that PENDING and RUNNING are two reports.
	simulatedStart = 100 * time.Millisecond
)

// BenchmarkRunTask measures RunTask through HTTP on a control plane with its
// embedded etcd, which syncs every commit to the disk, and a simulated fleet. One
// operation is one request, for one or for ten tasks. The clients and the
// fleet share the processors with the control plane. Reported are
//
//	requests/s, tasks/s  answered
//	p50-ms, p99-ms       until the answer
//	running-tasks/s      counted until the API shows all of them RUNNING
//	plane-cpu-µs/task    processor time of the control plane for a task until then
//	load-cpu-µs/task     that of the clients and the fleet
func BenchmarkRunTask(b *testing.B) {
	binary := buildLongshore(b)
	for _, agents := range []int{100, 1000} {
		b.Run(fmt.Sprintf("agents=%d", agents), func(b *testing.B) {
			// Stopped tasks are forgotten at once: what one measurement leaves
			// behind is no load on the next.
			p := startPlane(b, binary, "controlplane", "--stopped-task-retention", "1ms")
			p.api.createCluster(b, runTaskCluster)
			startFleet(b, p, agents)
			definition := p.api.register(b, "bench", ecs.ContainerDefinition{
				Name: "main", Image: "simulated", Cpu: 10, Memory: new32(16),
			})
			for _, count := range []int32{1, 10} {
				for _, clients := range []int{1, 16, maxClients} {
					b.Run(fmt.Sprintf("count=%d/clients=%d", count, clients), func(b *testing.B) {
						measureRunTask(b, p, ecs.RunTaskRequest{
							Cluster: runTaskCluster, TaskDefinition: definition.TaskDefinitionArn, Count: &count,
						}, clients)
					})
				}
			}
		})
	}
}

func new32(n int32) *int32 { return &n }

// startFleet connects a fleet that has room for all that is asked for.
func startFleet(b testing.TB, p *plane, instances int) {
	b.Helper()
	f := fleet.New(fleet.Config{
		ControlPlane: []string{p.agents}, Cluster: runTaskCluster, Instances: instances,
		CPU: 1 << 24, MemoryMiB: 1 << 24, StartTime: simulatedStart,
	})
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			b.Errorf("the fleet: %v", err)
		}
	})
	select {
	case <-f.Ready():
	case <-time.After(testbed.Patience):
		b.Fatal("the fleet is not connected")
	}
}

func measureRunTask(b *testing.B, p *plane, request ecs.RunTaskRequest, clients int) {
	body := encode(b, request)
	cpu, own := p.cpuSeconds(b), ownCPUSeconds(b)
	b.ResetTimer()
	began := time.Now()
	calls, err := load(b.Context(), p.api, "RunTask", clients, slices.Repeat([][]byte{body}, b.N))
	answered := time.Since(began)
	b.StopTimer()
	if err != nil {
		b.Fatal(err)
	}
	tasks := b.N * int(*request.Count)
	awaitTasks(b, p, tasks)
	shown := time.Since(began)
	cpu, own = p.cpuSeconds(b)-cpu, ownCPUSeconds(b)-own

	slices.SortFunc(calls, func(x, y answer) int { return int(x.took - y.took) })
	b.ReportMetric(0, "ns/op") // says nothing where several wait at a time
	b.ReportMetric(float64(b.N)/answered.Seconds(), "requests/s")
	b.ReportMetric(float64(tasks)/answered.Seconds(), "tasks/s")
	b.ReportMetric(float64(tasks)/shown.Seconds(), "running-tasks/s")
	b.ReportMetric(quantile(calls, 0.50), "p50-ms")
	b.ReportMetric(quantile(calls, 0.99), "p99-ms")
	b.ReportMetric(cpu*1e6/float64(tasks), "plane-cpu-µs/task")
	b.ReportMetric(own*1e6/float64(tasks), "load-cpu-µs/task")
	stopAll(b, p, startedTasks(b, calls, int(*request.Count)))
}

// quantile is a quantile of sorted calls, in milliseconds.
func quantile(calls []answer, q float64) float64 {
	return float64(calls[int(q*float64(len(calls)-1))].took.Microseconds()) / 1000
}

// answer is what came of one call.
type answer struct {
	body []byte
	took time.Duration
}

// load makes one call with each of the bodies, as many at a time as there are
// clients; a client makes its next call as soon as it has its answer.
func load(ctx context.Context, a *api, operation string, clients int, bodies [][]byte) ([]answer, error) {
	answers := make([]answer, len(bodies))
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range clients {
		group.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(bodies) {
					return nil
				}
				began := time.Now()
				body, err := a.post(ctx, operation, bodies[i])
				if err != nil {
					return err
				}
				answers[i] = answer{body: body, took: time.Since(began)}
			}
		})
	}
	return answers, group.Wait()
}

// startedTasks returns the ARNs of all tasks that were started, and makes sure
// that none is missing.
func startedTasks(b testing.TB, answers []answer, each int) []string {
	b.Helper()
	var arns []string
	for _, a := range answers {
		var out ecs.RunTaskResponse
		if err := json.Unmarshal(a.body, &out); err != nil {
			b.Fatal(err)
		}
		if len(out.Tasks) != each || len(out.Failures) > 0 {
			b.Fatalf("RunTask started %d tasks of %d; failures: %+v", len(out.Tasks), each, out.Failures)
		}
		for _, t := range out.Tasks {
			arns = append(arns, t.TaskArn)
		}
	}
	return arns
}

// awaitTasks waits until so many tasks are RUNNING and none is on its way.
func awaitTasks(b testing.TB, p *plane, count int) {
	b.Helper()
	await(b, fmt.Sprintf("%d tasks RUNNING", count), 5*time.Millisecond, func() bool {
		out := call[ecs.DescribeClustersResponse](b, p.api, "DescribeClusters", ecs.DescribeClustersRequest{Clusters: []string{runTaskCluster}})
		c := out.Clusters[0]
		return int(c.RunningTasksCount) == count && c.PendingTasksCount == 0
	})
}

// stopAll stops the tasks and waits until nothing is left of them.
func stopAll(b testing.TB, p *plane, tasks []string) {
	b.Helper()
	bodies := make([][]byte, len(tasks))
	for i, arn := range tasks {
		bodies[i] = encode(b, ecs.StopTaskRequest{Cluster: runTaskCluster, Task: arn})
	}
	if _, err := load(b.Context(), p.api, "StopTask", maxClients, bodies); err != nil {
		b.Fatal(err)
	}
	awaitTasks(b, p, 0)
	await(b, "no STOPPED tasks", 5*time.Millisecond, func() bool {
		out := call[ecs.ListTasksResponse](b, p.api, "ListTasks", ecs.ListTasksRequest{Cluster: runTaskCluster, DesiredStatus: ecs.DesiredStatusSTOPPED, MaxResults: new32(1)})
		return len(out.TaskArns) == 0
	})
}
