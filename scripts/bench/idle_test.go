package bench

import (
	"context"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/longshore/longshore/agent/agenttest"
	"github.com/longshore/longshore/agent/docker"
	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/proto/ecs"
	"github.com/longshore/longshore/scripts/testbed"
)

const (
	idleTasks  = 100
	idleSettle = 150 * time.Second // after the last task has started: Go collects a quiet heap every 2 min
	idlePeriod = 60 * time.Second  // that is measured
)

// BenchmarkIdle measures what an agent costs that has 100 running tasks and
// nothing to do, on the real Docker daemon. Reported are
//
//	rss-MiB       its resident memory at the end of a quiet minute
//	cpu-percent   of one core, over that minute
//	docker-calls  of that minute
func BenchmarkIdle(b *testing.B) {
	binary := buildLongshore(b)
	host := agenttest.DockerHost(b)
	image := agenttest.ImportImages(b, host).Serve
	engine, err := docker.New(docker.Config{Host: host})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { engine.Close() })
	counter, counted := startCallCounter(b, host)
	p := startPlane(b, binary, "controlplane")
	ops := testbed.FreeAddress(b)
	a := testbed.Start(b, binary, "agent", "--controlplane", p.agents, "--data-dir", filepath.Join(b.TempDir(), "agent"),
		"--docker-host", counted, "--ops-addr", ops, "--image-pull", "prefer-cached", "--memory", "16384", "--cpus", "16").AwaitReady()
	b.Cleanup(a.Stop)
	instance := call[ecs.ListContainerInstancesResponse](b, p.api, "ListContainerInstances", ecs.ListContainerInstancesRequest{}).ContainerInstanceArns[0]
	b.Cleanup(func() { removeInstance(b, engine, instance) })
	runIdleTasks(b, p, image)

	metrics := func(name string) float64 {
		text, err := get(b, "http://"+ops+"/metrics")
		if err != nil {
			b.Fatal(err)
		}
		return metric(b, text, name)
	}
	quiet(b, idleSettle)
	for b.Loop() {
		counter.reset()
		began, cpu := time.Now(), metrics("process_cpu_seconds_total")
		quiet(b, idlePeriod)
		used := metrics("process_cpu_seconds_total") - cpu
		calls := 0
		for _, n := range counter.counts() {
			calls += n
		}
		for _, name := range []string{"heap_inuse", "heap_idle", "heap_released", "stack_inuse", "sys"} {
			b.Logf("go_memstats_%s: %.1f MiB", name, metrics("go_memstats_"+name+"_bytes")/(1<<20))
		}
		b.ReportMetric(100*used/time.Since(began).Seconds(), "cpu-percent")
		b.ReportMetric(metrics("process_resident_memory_bytes")/(1<<20), "rss-MiB")
		b.ReportMetric(float64(calls), "docker-calls")
	}
	b.ReportMetric(0, "ns/op") // it is what it was told to wait
}

// runIdleTasks has idleTasks tasks run, of a definition that asks for little.
func runIdleTasks(b *testing.B, p *plane, image string) {
	b.Helper()
	definition := call[ecs.RegisterTaskDefinitionResponse](b, p.api, "RegisterTaskDefinition", ecs.RegisterTaskDefinitionRequest{
		Family: launchFamily, NetworkMode: ecs.NetworkModeNone,
		ContainerDefinitions: []ecs.ContainerDefinition{{Name: "main", Image: image, Memory: new32(32)}},
	}).TaskDefinition
	const each = 10 // the most that one request may start
	for range idleTasks / each {
		out := call[ecs.RunTaskResponse](b, p.api, "RunTask", ecs.RunTaskRequest{TaskDefinition: definition.TaskDefinitionArn, Count: new32(each)})
		if len(out.Tasks) != each {
			b.Fatalf("RunTask: %+v", out.Failures)
		}
	}
	await(b, "all tasks RUNNING", 500*time.Millisecond, func() bool {
		out := call[ecs.DescribeClustersResponse](b, p.api, "DescribeClusters", ecs.DescribeClustersRequest{})
		return out.Clusters[0].RunningTasksCount == idleTasks
	})
}

// quiet lets time pass: that nothing happens is what is measured.
func quiet(b testing.TB, d time.Duration) {
	b.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-b.Context().Done():
		b.Fatal(b.Context().Err())
	}
}

// metric reads one metric without labels.
func metric(b testing.TB, text []byte, name string) float64 {
	b.Helper()
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				b.Fatalf("reading %s: %v", name, err)
			}
			return n
		}
	}
	b.Fatalf("the metrics do not tell %s", name)
	return 0
}

// removeInstance removes the containers of an agent that has ended.
func removeInstance(b *testing.B, engine *docker.Runtime, instance string) {
	ctx := context.Background()
	left, err := engine.List(ctx, map[string]string{lifecycle.LabelInstance: instance})
	if err != nil {
		b.Error(err)
	}
	for _, c := range left {
		if err := engine.Remove(ctx, c.ID); err != nil {
			b.Error(err)
		}
	}
}
