package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/longshore/longshore/agent/agenttest"
	"github.com/longshore/longshore/agent/docker"
	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/runtime"
	"github.com/longshore/longshore/proto/ecs"
	"github.com/longshore/longshore/scripts/testbed"
)

const (
	launchFamily = "longshore-bench" // also a label of every container
	launchTasks  = 20                // of one service
	launchPairs  = 5                 // of one operation, after one that does not count
	// launchPoll bounds how late it is noticed that the tasks are RUNNING. The API is
	// asked only once the daemon has told of all starts: a client that asks all the
	// time takes from the processors what is being measured.
	launchPoll = 2 * time.Millisecond
)

// BenchmarkLaunch compares, on the same Docker daemon and in turn, a service from
// CreateService until the API shows all its tasks RUNNING with as many parallel
// create+start calls. One operation is five such pairs. Reported are
//
//	ratio, ratio-min, ratio-max  longshore's time by that of the calls: median and extremes of the pairs
//	longshore-ms, calls-ms       medians
//	plane-cpu-ms/task            processor time of longshore, control plane and agent in one
//	docker-calls/task            Docker API requests until RUNNING, counted in a run of its own
func BenchmarkLaunch(b *testing.B) {
	binary := buildLongshore(b)
	host := agenttest.DockerHost(b)
	image := agenttest.ImportImages(b, host).Serve
	port := int32(8080)
	for _, variant := range []struct {
		name  string
		ports []ecs.PortMapping
	}{
		{"no-ports", nil},
		{"dynamic-port", []ecs.PortMapping{{ContainerPort: &port}}},
	} {
		b.Run(fmt.Sprintf("tasks=%d/%s", launchTasks, variant.name), func(b *testing.B) {
			calls := dockerCalls(b, binary, host, image, variant.ports)
			s := newLaunchSite(b, binary, host, host, image, variant.ports)
			var pairs []launchPair
			s.pair(b, 0)
			for b.Loop() {
				for n := range launchPairs {
					pairs = append(pairs, s.pair(b, n))
				}
			}
			reportLaunch(b, pairs)
			b.ReportMetric(calls, "docker-calls/task")
		})
	}
}

// launchPair is how long the same took in both ways.
type launchPair struct {
	longshore, calls time.Duration
	cpu              float64 // seconds that longshore had of the processors
}

func (p launchPair) ratio() float64 { return p.longshore.Seconds() / p.calls.Seconds() }

func reportLaunch(b *testing.B, pairs []launchPair) {
	var ratios, longshore, calls, cpu []float64
	for _, p := range pairs {
		ratios = append(ratios, p.ratio())
		longshore = append(longshore, p.longshore.Seconds()*1000)
		calls = append(calls, p.calls.Seconds()*1000)
		cpu = append(cpu, p.cpu*1000/launchTasks)
	}
	b.ReportMetric(0, "ns/op") // the time of ten launches and of cleaning up says nothing
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(slices.Min(ratios), "ratio-min")
	b.ReportMetric(slices.Max(ratios), "ratio-max")
	b.ReportMetric(median(longshore), "longshore-ms")
	b.ReportMetric(median(calls), "calls-ms")
	b.ReportMetric(median(cpu), "plane-cpu-ms/task")
}

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// launchSite is a longshore with one agent on a Docker daemon, and what is launched there.
type launchSite struct {
	plane      *plane
	engine     *docker.Runtime // direct, for the calls and for cleaning up
	definition *ecs.TaskDefinition
	services   int // created so far
	// Every container has a label with its instance, by which it is found again:
	// longshore's, and one that stands for it where there is no longshore.
	instance, standIn string
}

// newLaunchSite starts longshore for the daemon, which it reaches at agentHost.
// It removes containers as soon as their task has stopped.
func newLaunchSite(b *testing.B, binary, host, agentHost, image string, ports []ecs.PortMapping) *launchSite {
	b.Helper()
	engine, err := docker.New(docker.Config{Host: host})
	if err != nil {
		b.Fatal(err)
	}
	s := &launchSite{engine: engine, standIn: "bench-" + strings.ToLower(rand.Text())}
	b.Cleanup(func() {
		for _, instance := range []string{s.instance, s.standIn} {
			if err := s.removeAll(context.Background(), instance); err != nil {
				b.Error(err)
			}
		}
		if err := engine.Close(); err != nil {
			b.Error(err)
		}
	})
	s.plane = startPlane(b, binary, "dev", "--docker-host", agentHost, "--task-cleanup-wait", "1ms")
	instances := call[ecs.ListContainerInstancesResponse](b, s.plane.api, "ListContainerInstances", ecs.ListContainerInstancesRequest{})
	if len(instances.ContainerInstanceArns) != 1 {
		b.Fatalf("container instances: %q, want one", instances.ContainerInstanceArns)
	}
	s.instance = instances.ContainerInstanceArns[0]
	s.definition = s.plane.api.register(b, launchFamily, ecs.ContainerDefinition{
		Name: "main", Image: image, Memory: new32(32), PortMappings: ports,
	})
	return s
}

// pair launches in both ways, in the order that the number says: whichever comes
// second may find the daemon with work left to do.
func (s *launchSite) pair(b *testing.B, number int) launchPair {
	b.Helper()
	var p launchPair
	if number%2 == 0 {
		p.calls = s.launchByCalls(b)
	}
	cpu := s.plane.cpuSeconds(b)
	p.longshore = s.runService(b)
	p.cpu = s.plane.cpuSeconds(b) - cpu
	s.deleteService(b)
	if number%2 == 1 {
		p.calls = s.launchByCalls(b)
	}
	return p
}

func (s *launchSite) serviceName() string { return fmt.Sprintf("launch-%d", s.services) }

// runService creates a service and returns how long it took until the API showed
// all its tasks RUNNING.
func (s *launchSite) runService(b *testing.B) (took time.Duration) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), testbed.Patience)
	defer cancel()
	var began time.Time
	started := map[string]bool{}
	create := func() {
		s.services++
		began = time.Now()
		call[ecs.CreateServiceResponse](b, s.plane.api, "CreateService", ecs.CreateServiceRequest{
			ServiceName: s.serviceName(), TaskDefinition: s.definition.TaskDefinitionArn, DesiredCount: new32(launchTasks),
		})
	}
	err := s.engine.Watch(ctx, map[string]string{lifecycle.LabelInstance: s.instance}, create, func(id string, _ map[string]string) {
		if started[id] = true; len(started) == launchTasks {
			cancel()
		}
	})
	if len(started) < launchTasks {
		b.Fatalf("%d of %d containers were started: %v", len(started), launchTasks, err)
	}
	await(b, s.serviceName()+" RUNNING", launchPoll, func() bool {
		out := call[ecs.DescribeServicesResponse](b, s.plane.api, "DescribeServices", ecs.DescribeServicesRequest{
			Services: []string{s.serviceName()},
		})
		return out.Services[0].RunningCount == launchTasks
	})
	took = time.Since(began)
	s.checkTasks(b)
	return took
}

// checkTasks makes sure that the service has as many tasks as it counts.
func (s *launchSite) checkTasks(b *testing.B) {
	b.Helper()
	listed := call[ecs.ListTasksResponse](b, s.plane.api, "ListTasks", ecs.ListTasksRequest{ServiceName: s.serviceName()})
	if len(listed.TaskArns) != launchTasks {
		b.Fatalf("%s has %d tasks, want %d", s.serviceName(), len(listed.TaskArns), launchTasks)
	}
}

// deleteService ends the service; its agent removes the containers.
func (s *launchSite) deleteService(b *testing.B) {
	b.Helper()
	force := true
	call[ecs.DeleteServiceResponse](b, s.plane.api, "DeleteService", ecs.DeleteServiceRequest{Service: s.serviceName(), Force: &force})
	s.awaitRemoved(b)
}

// awaitRemoved waits until the agent has left nothing on the daemon.
func (s *launchSite) awaitRemoved(b *testing.B) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), testbed.Patience)
	defer cancel()
	labels := map[string]string{lifecycle.LabelInstance: s.instance}
	removed := false
	look := func() {
		left, err := s.engine.List(ctx, labels)
		if removed = err == nil && len(left) == 0; removed || err != nil {
			cancel()
		}
	}
	err := s.engine.Watch(ctx, labels, look, func(string, map[string]string) {
		if !removed {
			look()
		}
	})
	if !removed {
		b.Fatalf("containers of %s are left: %v", s.serviceName(), err)
	}
}

// launchByCalls makes the same containers as the agent does, all at once, and
// removes them.
func (s *launchSite) launchByCalls(b *testing.B) time.Duration {
	b.Helper()
	specs := make([]runtime.Spec, launchTasks)
	for i := range specs {
		specs[i] = s.spec(b)
	}
	group, ctx := errgroup.WithContext(b.Context())
	began := time.Now()
	for _, spec := range specs {
		group.Go(func() error {
			id, err := s.engine.Create(ctx, spec)
			if err != nil {
				return err
			}
			return s.engine.Start(ctx, id)
		})
	}
	err := group.Wait()
	took := time.Since(began)
	if err != nil {
		b.Fatal(err)
	}
	if err := s.removeAll(b.Context(), s.standIn); err != nil {
		b.Fatal(err)
	}
	return took
}

// spec is what an agent would ask the engine for, for a task that there is not.
func (s *launchSite) spec(b *testing.B) runtime.Spec {
	b.Helper()
	task, err := lifecycle.Compile(lifecycle.Input{
		ARN:     "arn:aws:ecs:us-east-1:000000000000:task/default/" + strings.ToLower(rand.Text()),
		Cluster: "default", Instance: s.standIn, Definition: s.definition,
	})
	if err != nil {
		b.Fatal(err)
	}
	return task.Units[0].Spec
}

// removeAll removes the containers with the label of an instance, in the way in
// which tasks end: stopped first.
func (s *launchSite) removeAll(ctx context.Context, instance string) error {
	if instance == "" {
		return nil // it was never registered, and an empty label would match any container's
	}
	left, err := s.engine.List(ctx, map[string]string{lifecycle.LabelInstance: instance})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, c := range left {
		group.Go(func() error {
			if err := s.engine.Stop(ctx, c.ID, lifecycle.DefaultStopTimeout); err != nil {
				return err
			}
			return s.engine.Remove(ctx, c.ID)
		})
	}
	return group.Wait()
}

// dockerCalls counts the Docker API requests of longshore from CreateService
// until all tasks are RUNNING, by task. It is no part of what is timed, because
// the counter takes time itself.
func dockerCalls(b *testing.B, binary, host, image string, ports []ecs.PortMapping) float64 {
	b.Helper()
	counter, counted := startCallCounter(b, host)
	s := newLaunchSite(b, binary, host, counted, image, ports)
	s.runService(b) // the first looks the image up
	s.deleteService(b)
	counter.reset()
	s.runService(b)
	counts := counter.counts()
	s.deleteService(b)
	total := 0
	for _, n := range counts {
		total += n
	}
	b.Logf("Docker calls of %d tasks: %v", launchTasks, counts)
	return float64(total) / launchTasks
}
