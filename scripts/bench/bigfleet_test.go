package bench

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/longshore/longshore/proto/ecs"
	"github.com/longshore/longshore/scripts/testbed"
)

// size is how big a fleet is and what is done with it.
type size struct {
	instances int
	vanishing int // of the instances
	tasks     int // in all
	service   int // of the tasks, those of a service that has one on each instance or fewer
	stopped   int // of the other tasks, in the end
	idle      time.Duration
	args      []string // of the control plane
}

// fullSize is the size that Longshore is to be good for. The variables of the
// environment LONGSHORE_FLEET_INSTANCES and LONGSHORE_FLEET_TASKS make it another one.
func fullSize(tb testing.TB) size {
	s := size{
		instances: setting(tb, "LONGSHORE_FLEET_INSTANCES", 10_000), tasks: setting(tb, "LONGSHORE_FLEET_TASKS", 100_000),
		idle: 20 * time.Second,
	}
	s.vanishing, s.service = s.instances/10, min(s.instances, s.tasks/2)
	s.stopped = (s.tasks - s.service) / 4
	return s
}

func setting(tb testing.TB, name string, standard int) int {
	text := os.Getenv(name)
	if text == "" {
		return standard
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 10 {
		tb.Fatalf("%s=%q is no number from 10 on", name, text)
	}
	return n
}

// BenchmarkFleet measures a control plane with its embedded etcd, which syncs every
// commit to the disk, and a large fleet. Control plane, fleet and clients are three
// processes that share the processors; the simulated hosts speak the agents'
// protocol, each on a connection of its own. One operation is the life of a fleet, once.
//
// First all hosts connect, and a service gets its tasks. The other tasks are then started
// ten a request: a fifth as fast as 64 clients can while the hosts stand still, which
// otherwise are machines of their own and no load on the control plane's (burst); a fifth at
// half that rate, 10,000 a second at most, with the hosts standing still, too (steady); three
// tenths as fast as clients can while the hosts do their work (full); and the rest at half the
// rate at which tasks came to be RUNNING then (half). DescribeTasks of ten tasks and ListTasks
// of a hundred are called 50 times a second each all the while. Then nothing happens for a
// while (idle). After that a tenth of the hosts falls silent, and comes back when the service
// has replaced its tasks. In the end some of the tasks are stopped.
//
// Times are of the clients. Processor times are in µs for a task, or in percent of one processor;
// plane is the control plane, fleet the hosts. Memory is the control plane's heap
// after a collection, which is also that of etcd: for each connected agent, running
// task, and stopped task.
func BenchmarkFleet(b *testing.B) {
	binary := buildLongshore(b)
	for b.Loop() {
		for _, m := range measureFleet(b, binary, fullSize(b)) {
			b.ReportMetric(m.value, m.name)
		}
	}
	b.ReportMetric(0, "ns/op") // says nothing
}

// The benchmark at a size that takes seconds: what it measures works.
func TestFleet_ConnectsRunsVanishesAndComesBackAtASmallSize(t *testing.T) {
	binary, err := testbed.Build()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(filepath.Dir(binary)) })
	for _, m := range measureFleet(t, binary, size{
		instances: 20, vanishing: 4, tasks: 300, service: 20, stopped: 50, idle: time.Second,
		args: []string{"--agent-disconnect-after", "1s", "--agent-replace-after", "2s"},
	}) {
		if m.value < 0 {
			t.Errorf("%s = %v", m.name, m.value)
		}
	}
}

// measured is one number.
type measured struct {
	name  string
	value float64
}

// trial is one measurement under way.
type trial struct {
	testing.TB
	size
	plane    *plane
	fleets   []*testbed.Process // the second one vanishes
	profiles string             // where the first one serves its profiles
	service  string
	taskDef  string
	heap     float64  // of the control plane when all hosts had connected
	started  []string // ARNs of the tasks that no service has
	measured []measured
}

func (t *trial) report(name string, value float64) {
	t.Logf("%-28s %12.2f", name, value)
	t.measured = append(t.measured, measured{name, value})
}

func measureFleet(tb testing.TB, binary string, s size) []measured {
	t := &trial{TB: tb, size: s}
	t.plane = startPlane(t, binary, append([]string{"controlplane", "--api-rate", "0", "--log-level", "warn"}, s.args...)...)
	t.plane.api.createCluster(t, runTaskCluster)
	t.taskDef = t.plane.api.register(t, "bench", ecs.ContainerDefinition{
		Name: "main", Image: "registry.example.com/team/simulated:1.2.3", Cpu: 10, Memory: new32(16),
	}).TaskDefinitionArn
	t.connect()
	t.fill()
	t.idle()
	t.vanish()
	t.stop()
	return t.measured
}

const stackMetric = "go_memstats_stack_inuse_bytes"

// connect connects the hosts.
func (t *trial) connect() {
	simulate := buildProgram(t, "scripts/bench/simulate")
	t.profiles = testbed.FreeAddress(t)
	heap, stacks := t.plane.heap(t), t.plane.metric(t, stackMetric)
	cpu, began := t.plane.cpuSeconds(t), time.Now()
	for _, part := range []struct {
		name      string
		instances int
	}{{"staying", t.instances - t.vanishing}, {"vanishing", t.vanishing}} {
		args := []string{"-controlplane", t.plane.agents, "-cluster", runTaskCluster,
			"-name", part.name, "-instances", strconv.Itoa(part.instances)}
		if len(t.fleets) == 0 {
			args = append(args, "-pprof", t.profiles)
		}
		// Hosts are machines of their own otherwise: they take what the control plane leaves.
		t.fleets = append(t.fleets, testbed.Start(t, "nice", append([]string{"-n", "10", simulate}, args...)...))
	}
	for _, f := range t.fleets {
		f.AwaitReady()
	}
	n := float64(t.instances)
	t.report("connect-s", time.Since(began).Seconds())
	t.report("connect-plane-µs/agent", (t.plane.cpuSeconds(t)-cpu)*1e6/n)
	t.heap = t.plane.heap(t)
	t.report("heap-KiB/agent", (t.heap-heap)/1024/n)
	t.report("stack-KiB/agent", (t.plane.metric(t, stackMetric)-stacks)/1024/n)
	quiet(t, t.size.idle) // as it mostly is when hosts have come: the control plane tidies up then
	t.report("rss-connected-MiB", t.plane.metric(t, "process_resident_memory_bytes")/(1<<20))
}

// fill starts all tasks.
func (t *trial) fill() {
	began, cpu, fleet := time.Now(), t.plane.cpuSeconds(t), t.fleetSeconds()
	profiled := t.profile("service")
	t.createService()
	t.awaitRunning(t.size.service)
	n := float64(t.size.service)
	t.report("service-tasks/s", n/time.Since(began).Seconds())
	t.report("service-plane-µs/task", (t.plane.cpuSeconds(t)-cpu)*1e6/n)
	t.report("service-fleet-µs/task", (t.fleetSeconds()-fleet)*1e6/n)
	<-profiled

	rest := t.tasks - t.size.service
	burst := rest / 5 / maxRunTask * maxRunTask
	placed, _ := t.run(phase{name: "burst", tasks: burst, standing: true})
	t.run(phase{name: "steady", tasks: burst, standing: true, rate: min(placed, aimedRate) / 2})
	full := rest * 3 / 10 / maxRunTask * maxRunTask
	_, running := t.run(phase{name: "full", tasks: full})
	t.run(phase{name: "half", tasks: rest - 2*burst - full, rate: running / 2})
	t.keep("heap.pprof", t.plane.ops, "/debug/pprof/heap?gc=1")
	t.report("heap-KiB/running-task", (t.plane.heap(t)-t.heap)/1024/float64(t.tasks))
	t.report("rss-full-MiB", t.plane.metric(t, "process_resident_memory_bytes")/(1<<20))
}

// createService makes a service whose tasks are spread over the hosts.
func (t *trial) createService() {
	out := call[ecs.CreateServiceResponse](t, t.plane.api, "CreateService", ecs.CreateServiceRequest{
		Cluster: runTaskCluster, ServiceName: "spread", TaskDefinition: t.taskDef, DesiredCount: new32(int32(t.size.service)),
		PlacementStrategy: []ecs.PlacementStrategy{{Type: ecs.PlacementStrategyTypeSpread, Field: "instanceId"}},
	})
	t.service = out.Service.ServiceArn
}

// aimedRate is how many tasks a second Longshore is to place; RunTask is to answer quickly at half of it.
const aimedRate = 20_000

const (
	maxRunTask  = 10 // tasks of a request
	readsASec   = 50 // of each kind
	maxDescribe = 10 // tasks of a DescribeTasks
)

// commitMetric counts the control plane's transactions, and sums up their records.
const commitMetric = "longshore_store_commit_records"

// phase is some of the tasks that are started by RunTask.
type phase struct {
	name     string
	tasks    int
	rate     float64 // tasks a second; 0: as fast as possible
	standing bool    // the hosts take no processor time until all requests are answered
}

// run starts tasks, and returns how many were placed, and came to be RUNNING, a second.
func (t *trial) run(p phase) (placed, running float64) {
	count := int32(maxRunTask)
	body := encode(t, ecs.RunTaskRequest{Cluster: runTaskCluster, TaskDefinition: t.taskDef, Count: &count})
	cpu, own, fleet := t.plane.cpuSeconds(t), ownCPUSeconds(t), t.fleetSeconds()
	commits, records := t.plane.metric(t, commitMetric+"_count"), t.plane.metric(t, commitMetric+"_sum")
	synced := t.plane.syncs(t)
	t.report(p.name+"-yardstick-ms", yardstick(t).Seconds()*1e3)
	resumeGC := pauseGC()
	began, sent := time.Now(), t.messages()
	reads := t.startReads()
	profiled := t.profile(p.name)
	if p.standing {
		t.signal(syscall.SIGSTOP)
	}
	calls, err := paced(t.Context(), t.plane.api, "RunTask", maxClients, slices.Repeat([][]byte{body}, p.tasks/maxRunTask), p.rate/maxRunTask)
	answered, answeredCPU := time.Since(began), t.plane.cpuSeconds(t)-cpu
	if p.standing {
		reads.end()
		t.signal(syscall.SIGCONT)
	}
	resumeGC()
	if err != nil {
		t.Fatal(err)
	}
	tasks := len(calls) * maxRunTask
	t.awaitRunning(t.size.service + len(t.started) + tasks)
	shown := time.Since(began)
	reads.end()
	<-profiled

	name := p.name
	n := float64(tasks)
	t.report(name+"-tasks/s", n/answered.Seconds())
	if p.standing {
		t.report(name+"-answered-plane-µs/task", answeredCPU*1e6/n)
	}
	t.report(name+"-running-tasks/s", n/shown.Seconds())
	t.report(name+"-plane-µs/task", (t.plane.cpuSeconds(t)-cpu)*1e6/n)
	t.report(name+"-fleet-µs/task", (t.fleetSeconds()-fleet)*1e6/n)
	t.report(name+"-clients-µs/task", (ownCPUSeconds(t)-own)*1e6/n)
	t.keep(name+".metrics", t.plane.ops, "/metrics")
	commits = t.plane.metric(t, commitMetric+"_count") - commits
	t.report(name+"-commits/s", commits/shown.Seconds())
	t.report(name+"-records/commit", (t.plane.metric(t, commitMetric+"_sum")-records)/commits)
	t.report(name+"-slowest-fsync-ms", slowest(synced, t.plane.syncs(t)))
	t.reportMessages(name, sent, n)
	t.quantiles(name+"-RunTask", calls)
	for _, r := range reads.kinds {
		if r.err != nil {
			t.Fatal(r.err)
		}
		t.quantiles(name+"-"+r.operation, r.calls)
	}
	t.started = append(t.started, startedTasks(t, calls, maxRunTask)...)
	return n / answered.Seconds(), n / shown.Seconds()
}

// yardstick is how long a piece of work takes that is the same each time: a virtual machine's
// processors may be half as fast at one time as at another, and its memory less than that.
func yardstick(tb testing.TB) time.Duration {
	began := time.Now()
	const size = 32 << 20
	fresh, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		tb.Fatal(err)
	}
	for i := 0; i < size; i += os.Getpagesize() {
		fresh[i] = byte(i)
	}
	sha256.Sum256(fresh)
	if err := unix.Munmap(fresh); err != nil {
		tb.Fatal(err)
	}
	return time.Since(began)
}

// pauseGC keeps this process from collecting its garbage until resume is called: the clients' times
// are to be those of the control plane.
func pauseGC() (resume func()) {
	runtime.GC()
	percent := debug.SetGCPercent(-1)
	return func() { debug.SetGCPercent(percent) }
}

func (t *trial) signal(s syscall.Signal) {
	for _, f := range t.fleets {
		f.Signal(s)
	}
}

func (t *trial) quantiles(name string, calls []answer) {
	if len(calls) == 0 {
		t.Fatalf("no %s was called", name)
	}
	slices.SortFunc(calls, func(x, y answer) int { return cmp.Compare(x.took, y.took) })
	t.report(name+"-p50-ms", quantile(calls, 0.50))
	t.report(name+"-p99-ms", quantile(calls, 0.99))
}

// reads are calls that go on beside others.
type reads struct {
	kinds []*readsOfKind
	end   func() // ends them, and waits for the last ones
}

type readsOfKind struct {
	operation string
	calls     []answer
	err       error
}

func (t *trial) startReads() *reads {
	page := call[ecs.ListTasksResponse](t, t.plane.api, "ListTasks", ecs.ListTasksRequest{Cluster: runTaskCluster})
	bodies := map[string][]byte{
		"DescribeTasks": encode(t, ecs.DescribeTasksRequest{Cluster: runTaskCluster, Tasks: page.TaskArns[:maxDescribe]}),
		"ListTasks":     encode(t, ecs.ListTasksRequest{Cluster: runTaskCluster, NextToken: page.NextToken}),
	}
	stop := make(chan struct{})
	var ended sync.WaitGroup
	out := &reads{end: sync.OnceFunc(func() {
		close(stop)
		ended.Wait()
	})}
	for operation, body := range bodies {
		r := &readsOfKind{operation: operation}
		out.kinds = append(out.kinds, r)
		ended.Go(func() { r.calls, r.err = readOften(t.Context(), t.plane.api, r.operation, body, stop) })
	}
	return out
}

// idle measures what it costs that nothing happens.
func (t *trial) idle() {
	cpu, fleet, began := t.plane.cpuSeconds(t), t.fleetSeconds(), time.Now()
	profiled := t.profile("idle")
	quiet(t, t.size.idle)
	<-profiled
	seconds := time.Since(began).Seconds()
	t.report("idle-plane-percent", 100*(t.plane.cpuSeconds(t)-cpu)/seconds)
	t.report("idle-fleet-percent", 100*(t.fleetSeconds()-fleet)/seconds)
}

// vanish makes hosts fall silent, and wakes them when their tasks are replaced.
func (t *trial) vanish() {
	began := time.Now()
	t.fleets[1].Signal(syscall.SIGSTOP)
	service := func() ecs.Service {
		out := call[ecs.DescribeServicesResponse](t, t.plane.api, "DescribeServices", ecs.DescribeServicesRequest{
			Cluster: runTaskCluster, Services: []string{t.service},
		})
		return out.Services[0]
	}
	// Tasks on a silent host still count as running: they may well be.
	await(t, "the first task is replaced", 20*time.Millisecond, func() bool {
		s := service()
		return int(s.RunningCount+s.PendingCount) > t.size.service
	})
	t.report("vanish-noticed-s", time.Since(began).Seconds())
	replaced := t.size.service * t.vanishing / t.instances // the tasks are spread evenly
	await(t, "all tasks are replaced", 20*time.Millisecond, func() bool {
		return int(service().RunningCount) == t.size.service+replaced
	})
	t.report("vanish-converged-s", time.Since(began).Seconds())
	began = time.Now()
	t.fleets[1].Signal(syscall.SIGCONT)
	// What the service had there is stopped now, and all else goes on.
	t.awaitRunning(t.size.service + len(t.started))
	t.report("return-s", time.Since(began).Seconds())
}

// stop stops tasks.
func (t *trial) stop() {
	heap, cpu, began := t.plane.heap(t), t.plane.cpuSeconds(t), time.Now()
	running := find(t.measured, "heap-KiB/running-task")
	bodies := make([][]byte, t.size.stopped)
	for i := range bodies {
		bodies[i] = encode(t, ecs.StopTaskRequest{Cluster: runTaskCluster, Task: t.started[i]})
	}
	calls, err := load(t.Context(), t.plane.api, "StopTask", maxClients, bodies)
	if err != nil {
		t.Fatal(err)
	}
	t.awaitRunning(t.size.service + len(t.started) - len(bodies))
	n := float64(len(bodies))
	t.report("stop-tasks/s", n/time.Since(began).Seconds())
	t.report("stop-plane-µs/task", (t.plane.cpuSeconds(t)-cpu)*1e6/n)
	t.quantiles("StopTask", calls)
	t.report("heap-KiB/stopped-task", running+(t.plane.heap(t)-heap)/1024/n)
}

func find(all []measured, name string) float64 {
	i := slices.IndexFunc(all, func(m measured) bool { return m.name == name })
	return all[i].value
}

// awaitRunning waits until so many tasks are RUNNING, which is also when that is durable.
func (t *trial) awaitRunning(count int) {
	t.Helper()
	await(t, fmt.Sprintf("%d tasks RUNNING", count), 20*time.Millisecond, func() bool {
		out := call[ecs.DescribeClustersResponse](t, t.plane.api, "DescribeClusters", ecs.DescribeClustersRequest{Clusters: []string{runTaskCluster}})
		c := out.Clusters[0]
		return int(c.RunningTasksCount) == count && c.PendingTasksCount == 0
	})
}

func (t *trial) fleetSeconds() float64 {
	total := 0.0
	for _, f := range t.fleets {
		total += processSeconds(t, f.PID())
	}
	return total
}
