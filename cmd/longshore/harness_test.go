package main_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/longshore/longshore/agent/agenttest"
	"github.com/longshore/longshore/agent/docker"
	"github.com/longshore/longshore/agent/runtime"
	"github.com/longshore/longshore/scripts/testbed"
)

var binary = sync.OnceValues(testbed.Build)

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// start runs longshore with arguments. It is killed when the test ends, and would
// leave the address of the metadata endpoint on the machine then: only tests that
// ask for one have it.
func start(t *testing.T, args ...string) *testbed.Process {
	t.Helper()
	asked := slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "--metadata") })
	if !asked && (args[0] == "dev" || args[0] == "agent") {
		args = append(args, "--metadata=false")
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return testbed.Start(t, path, args...)
}

// site is where a test runs its longshore: addresses, a folder, a Docker engine.
type site struct {
	t                *testing.T
	dir              string
	api, agents, ops string
	engine           *docker.Runtime
	images           agenttest.Images
	ecs              *awsecs.Client
}

func newSite(t *testing.T) *site {
	t.Helper()
	host := agenttest.DockerHost(t)
	engine, err := docker.New(docker.Config{Host: host})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, dir: t.TempDir(), api: testbed.FreeAddress(t), agents: testbed.FreeAddress(t), ops: testbed.FreeAddress(t), engine: engine}
	s.images = agenttest.ImportImages(t, host)
	s.ecs = client(s.api)
	t.Cleanup(func() {
		s.removeContainers()
		engine.Close()
	})
	return s
}

// removeContainers removes what the agents of this site have left: containers
// are found by the cluster's label, which no other test has.
func (s *site) removeContainers() {
	for _, c := range s.containers(context.Background()) {
		if err := s.engine.Remove(context.Background(), c.ID); err != nil {
			s.t.Errorf("removing %s: %v", c.Name, err)
		}
	}
}

// cluster is a name that no other test has, now or in an earlier run.
func (s *site) cluster() string {
	return "t" + strings.NewReplacer("/", "-", ".", "-").Replace(s.api[strings.LastIndex(s.api, ":")+1:]) + "-" + fmt.Sprint(os.Getpid())
}

func (s *site) containers(ctx context.Context) []runtime.Container {
	s.t.Helper()
	list, err := s.engine.List(ctx, map[string]string{"com.amazonaws.ecs.cluster": s.cluster()})
	if err != nil {
		s.t.Fatal(err)
	}
	return list
}

// runningIDs are the ids of the running containers, sorted.
func (s *site) runningIDs() []string {
	s.t.Helper()
	var ids []string
	for _, c := range s.containers(s.t.Context()) {
		if c.State == runtime.Running {
			ids = append(ids, c.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

func client(address string) *awsecs.Client {
	return awsecs.New(awsecs.Options{
		Region:       "us-east-1",
		BaseEndpoint: aws.String("http://" + address),
		Credentials:  credentials.NewStaticCredentialsProvider("any", "thing", ""),
	})
}

// dev starts longshore dev on the site and waits until it is ready; the cluster
// of the agent is made first if this is the first start.
func (s *site) dev(more ...string) *testbed.Process {
	s.t.Helper()
	args := append([]string{
		"dev", "--data-dir", filepath.Join(s.dir, "data"), "--api-addr", s.api, "--agent-addr", s.agents, "--ops-addr", s.ops,
		"--cluster", s.cluster(),
	}, more...)
	p := start(s.t, args...)
	s.createCluster(p)
	return p.AwaitReady()
}

// createCluster makes the cluster; the SDK tries until the API answers, or the
// process that should answer has ended.
func (s *site) createCluster(p *testbed.Process) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), testbed.Patience)
	defer cancel()
	go func() {
		select {
		case <-p.Ended():
			cancel()
		case <-ctx.Done():
		}
	}()
	patient := func(o *awsecs.Options) {
		o.Retryer = retry.AddWithMaxBackoffDelay(retry.AddWithMaxAttempts(retry.NewStandard(), 0), 100*time.Millisecond)
	}
	if _, err := s.ecs.CreateCluster(ctx, &awsecs.CreateClusterInput{ClusterName: aws.String(s.cluster())}, patient); err != nil {
		s.t.Fatal(err)
	}
}

// register registers a definition of one container.
func (s *site) register(family string, c types.ContainerDefinition) string {
	s.t.Helper()
	if c.Name == nil {
		c.Name = aws.String("main")
	}
	if c.Memory == nil {
		c.Memory = aws.Int32(32)
	}
	out, err := s.ecs.RegisterTaskDefinition(s.t.Context(), &awsecs.RegisterTaskDefinitionInput{
		Family: aws.String(family), ContainerDefinitions: []types.ContainerDefinition{c},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return *out.TaskDefinition.TaskDefinitionArn
}

func (s *site) run(definition string, count int32) []types.Task {
	s.t.Helper()
	out, err := s.ecs.RunTask(s.t.Context(), &awsecs.RunTaskInput{Cluster: aws.String(s.cluster()), TaskDefinition: aws.String(definition), Count: aws.Int32(count)})
	if err != nil {
		s.t.Fatal(err)
	}
	if len(out.Failures) > 0 {
		s.t.Fatalf("failures: %+v", out.Failures)
	}
	return out.Tasks
}

func (s *site) task(arn string) types.Task {
	s.t.Helper()
	out, err := s.ecs.DescribeTasks(s.t.Context(), &awsecs.DescribeTasksInput{Cluster: aws.String(s.cluster()), Tasks: []string{arn}})
	if err != nil {
		s.t.Fatal(err)
	}
	if len(out.Tasks) != 1 {
		s.t.Fatalf("task %s: %+v", arn, out.Failures)
	}
	return out.Tasks[0]
}

// awaitTask waits until a task has a status, and fails if it stops instead.
func (s *site) awaitTask(arn, status string) types.Task {
	s.t.Helper()
	var last types.Task
	s.await("task "+status, func() bool {
		last = s.task(arn)
		return *last.LastStatus == status
	})
	return last
}

func (s *site) service(name string) types.Service {
	s.t.Helper()
	out, err := s.ecs.DescribeServices(s.t.Context(), &awsecs.DescribeServicesInput{Cluster: aws.String(s.cluster()), Services: []string{name}})
	if err != nil {
		s.t.Fatal(err)
	}
	if len(out.Services) != 1 {
		s.t.Fatalf("service %s: %+v", name, out.Failures)
	}
	return out.Services[0]
}

// awaitStable waits with the SDK's own waiter, which polls faster here.
func (s *site) awaitStable(name string) {
	s.t.Helper()
	waiter := awsecs.NewServicesStableWaiter(s.ecs, func(o *awsecs.ServicesStableWaiterOptions) {
		o.MinDelay, o.MaxDelay = 100*time.Millisecond, 200*time.Millisecond
	})
	err := waiter.Wait(s.t.Context(), &awsecs.DescribeServicesInput{Cluster: aws.String(s.cluster()), Services: []string{name}}, testbed.Patience)
	if err != nil {
		var events []string
		for _, e := range s.service(name).Events {
			events = append(events, *e.Message)
		}
		s.t.Fatalf("service %s is not stable: %v; events: %q", name, err, events)
	}
}

// await asks again and again until something holds: from outside there is no
// other way to see it.
func (s *site) await(what string, holds func() bool) {
	s.t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(testbed.Patience)
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			s.t.Fatalf("waited in vain: %s", what)
		}
	}
}
