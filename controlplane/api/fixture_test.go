package api_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"

	"github.com/longshore/longshore/controlplane/api"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/controlplane/store/storetest"
)

var owner = model.Owner{Account: "123456789012", Region: "us-east-1"}

// fixture is an API over HTTP on a store with a real etcd behind it, called by
// the AWS SDK. Every answer is held against the model.
type fixture struct {
	*awsecs.Client
	t     testing.TB
	ctx   context.Context
	url   string
	store *store.Store
	// clock is added to the time that the API sees.
	clock atomic.Int64
	// preview stands in for the service loop's.
	preview func(*store.Tx, model.ServiceKey, time.Time) (api.ServicePreview, error)
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	if t, ok := t.(*testing.T); ok {
		t.Parallel() // most of a test's time is etcd's
	}
	return fixtureOn(t, storetest.New(t, nil))
}

// fixtureOn is a fixture on a given store.
func fixtureOn(t testing.TB, s *store.Store) *fixture {
	t.Helper()
	f := &fixture{t: t, ctx: t.Context(), store: s}
	server := httptest.NewServer(api.New(api.Config{
		Owner:         owner,
		Store:         func() *store.Store { return f.store },
		AgentEndpoint: func() string { return "127.0.0.1:7471" },
		Preview: func(tx *store.Tx, k model.ServiceKey, now time.Time) (api.ServicePreview, error) {
			return f.preview(tx, k, now)
		},
		Clock: func() time.Time { return time.Now().Add(time.Duration(f.clock.Load())) },
	}))
	t.Cleanup(server.Close)
	f.url = server.URL
	f.Client = newClient(t, server.URL)
	f.targetGroups(model.TargetTypeInstance, "a", "b", "c", "d", "e", "tg", "blue", "old")
	return f
}

func newClient(t testing.TB, url string) *awsecs.Client {
	return awsecs.New(awsecs.Options{
		BaseEndpoint:     aws.String(url),
		Region:           owner.Region,
		Credentials:      credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
		RetryMaxAttempts: 1,
		HTTPClient:       &http.Client{Transport: strictTransport{t}},
	})
}

// must returns what an operation answered.
func must[T any](out T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// wantError checks an error's code, and its message if one is given.
func wantError(t testing.TB, err error, code, message string) {
	t.Helper()
	var e smithy.APIError
	switch {
	case !errors.As(err, &e):
		t.Errorf("got %v, want %s %q", err, code, message)
	case e.ErrorCode() != code:
		t.Errorf("got %s %q, want %s %q", e.ErrorCode(), e.ErrorMessage(), code, message)
	case message != "" && e.ErrorMessage() != message:
		t.Errorf("got message %q, want %q", e.ErrorMessage(), message)
	}
}

func (f *fixture) update(change func(*store.Tx)) {
	f.t.Helper()
	if err := f.store.Update(f.ctx, func(tx *store.Tx) error { change(tx); return nil }); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) cluster(name string) string {
	f.t.Helper()
	must(f.CreateCluster(f.ctx, &awsecs.CreateClusterInput{ClusterName: &name}))(f.t)
	return name
}

// host registers a container instance, with its agent connected, and returns its ARN.
func (f *fixture) host(cluster string, cpu, memory int32, attributes ...types.Attribute) string {
	f.t.Helper()
	out := must(f.RegisterContainerInstance(f.ctx, registration(cluster, cpu, memory, attributes...)))(f.t)
	arn := *out.ContainerInstance.ContainerInstanceArn
	f.changeInstance(arn, func(i *model.Instance) { i.AgentConnected, i.SilentSince = true, time.Time{} })
	return arn
}

func registration(cluster string, cpu, memory int32, attributes ...types.Attribute) *awsecs.RegisterContainerInstanceInput {
	return &awsecs.RegisterContainerInstanceInput{
		Cluster: &cluster,
		TotalResources: []types.Resource{
			{Name: aws.String("CPU"), Type: aws.String("INTEGER"), IntegerValue: cpu},
			{Name: aws.String("MEMORY"), Type: aws.String("INTEGER"), IntegerValue: memory},
			{Name: aws.String("PORTS"), Type: aws.String("STRINGSET"), StringSetValue: []string{"22", "51678"}},
			{Name: aws.String("PORTS_UDP"), Type: aws.String("STRINGSET"), StringSetValue: []string{}},
		},
		Attributes: attributes,
	}
}

func (f *fixture) changeInstance(arn string, change func(*model.Instance)) {
	f.t.Helper()
	cluster, id, err := owner.InCluster("container-instance", arn)
	if err != nil {
		f.t.Fatal(err)
	}
	f.update(func(tx *store.Tx) {
		have, ok := tx.Instance(cluster, model.InstanceID(id))
		if !ok {
			f.t.Fatalf("no instance %s", arn)
		}
		next := *have
		change(&next)
		tx.PutInstance(&next)
	})
}

// changeTask does what an agent's report would.
func (f *fixture) changeTask(arn string, change func(*model.Task)) {
	f.t.Helper()
	cluster, id, err := owner.InCluster("task", arn)
	if err != nil {
		f.t.Fatal(err)
	}
	f.update(func(tx *store.Tx) {
		have, ok := tx.Task(cluster, model.TaskID(id))
		if !ok {
			f.t.Fatalf("no task %s", arn)
		}
		next := *have
		change(&next)
		tx.PutTask(&next)
	})
}

// container is the smallest container definition there is.
func container(name string, change func(*types.ContainerDefinition)) types.ContainerDefinition {
	c := types.ContainerDefinition{Name: &name, Image: aws.String("busybox"), Cpu: 100, Memory: aws.Int32(64)}
	if change != nil {
		change(&c)
	}
	return c
}

// definition registers a revision and returns its ARN.
func (f *fixture) definition(family string, containers ...types.ContainerDefinition) string {
	f.t.Helper()
	if len(containers) == 0 {
		containers = []types.ContainerDefinition{container("main", nil)}
	}
	out := must(f.RegisterTaskDefinition(f.ctx, &awsecs.RegisterTaskDefinitionInput{Family: &family, ContainerDefinitions: containers}))(f.t)
	return *out.TaskDefinition.TaskDefinitionArn
}

func (f *fixture) run(cluster, definition string, count int32) *awsecs.RunTaskOutput {
	f.t.Helper()
	return must(f.RunTask(f.ctx, &awsecs.RunTaskInput{Cluster: &cluster, TaskDefinition: &definition, Count: &count}))(f.t)
}

func (f *fixture) describeTask(cluster, arn string) types.Task {
	f.t.Helper()
	out := must(f.DescribeTasks(f.ctx, &awsecs.DescribeTasksInput{Cluster: &cluster, Tasks: []string{arn}}))(f.t)
	if len(out.Tasks) != 1 {
		f.t.Fatalf("no task %s: %+v", arn, out.Failures)
	}
	return out.Tasks[0]
}

// running and stopNow do what an agent's reports would.
func (f *fixture) running(arn string) {
	f.t.Helper()
	f.reported(arn, model.TaskReport{Status: model.TaskRunning})
}

func (f *fixture) stopNow(arn string) {
	f.t.Helper()
	f.reported(arn, model.TaskReport{Status: model.TaskStopped})
}

func (f *fixture) reported(arn string, r model.TaskReport) {
	f.t.Helper()
	f.changeTask(arn, func(t *model.Task) {
		next, _ := t.Reported(r, time.Now())
		*t = *next
	})
}

// dropService does what the service loop does with a service that was deleted.
func (f *fixture) dropService(cluster, name string) {
	f.t.Helper()
	must(f.DeleteService(f.ctx, &awsecs.DeleteServiceInput{Cluster: &cluster, Service: &name, Force: aws.Bool(true)}))(f.t)
	f.update(func(tx *store.Tx) {
		have, _ := tx.Service(model.ServiceKey{Cluster: model.ClusterName(cluster), Name: model.ServiceName(name)})
		next := *have
		next.Status = model.StatusInactive
		tx.PutService(&next)
	})
}

// dropInstanceRecord makes an instance INACTIVE and leaves its tasks.
func (f *fixture) dropInstanceRecord(arn string) {
	f.t.Helper()
	f.changeInstance(arn, func(i *model.Instance) { i.Status = model.StatusInactive })
}
