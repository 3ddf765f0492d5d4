package controlplane_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/longshore/longshore/controlplane/api"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/rollout"
	"github.com/longshore/longshore/controlplane/services"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/controlplane/store/storetest"
	"github.com/longshore/longshore/proto/ecs"
)

// plane is the API with the service loop behind it, one host, and an agent that
// does at once what it is told.
type plane struct {
	*awsecs.Client
	t     *testing.T
	store *store.Store
}

func newPlane(t *testing.T) *plane {
	t.Helper()
	var loop *services.Loop
	changed := make(chan struct{}, 1)
	settings := rollout.DefaultSettings()
	settings.HealthyAfter = time.Millisecond
	p := &plane{t: t}
	p.store = storetest.New(t, func(s *store.Store) {
		loop = services.New(services.Config{Store: s, Settings: settings})
		s.Observe(func(*store.Tables, []store.Change) {
			select {
			case changed <- struct{}{}:
			default:
			}
		})
	})
	owner := model.Owner{Account: "123456789012", Region: "us-east-1"}
	server := httptest.NewServer(api.New(api.Config{Owner: owner, Store: func() *store.Store { return p.store }, AgentEndpoint: func() string { return "" }}))
	t.Cleanup(server.Close)
	p.Client = awsecs.New(awsecs.Options{
		BaseEndpoint: &server.URL, Region: owner.Region, Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{}, 2)
	go func() { defer func() { ended <- struct{}{} }(); _ = loop.Run(ctx) }()
	go func() { defer func() { ended <- struct{}{} }(); p.agent(ctx, changed) }()
	t.Cleanup(func() { cancel(); <-ended; <-ended })
	p.begin()
	return p
}

// begin makes the cluster default with a host, and a definition.
func (p *plane) begin() {
	p.t.Helper()
	if _, err := p.CreateCluster(p.t.Context(), &awsecs.CreateClusterInput{}); err != nil {
		p.t.Fatal(err)
	}
	_, err := p.RegisterTaskDefinition(p.t.Context(), &awsecs.RegisterTaskDefinitionInput{
		Family: aws.String("web"), ContainerDefinitions: []types.ContainerDefinition{{Name: aws.String("main"), Image: aws.String("busybox"), Cpu: 10, Memory: aws.Int32(10)}},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.update(func(tx *store.Tx) {
		tx.PutInstance(&model.Instance{
			ID: "host", Cluster: "default", Status: model.StatusActive, AgentConnected: true, RegisteredAt: time.Now(),
			Resources: []ecs.Resource{{Name: "CPU", Type: "INTEGER", IntegerValue: 1024}, {Name: "MEMORY", Type: "INTEGER", IntegerValue: 1024}},
		})
	})
}

func (p *plane) update(f func(*store.Tx)) {
	p.t.Helper()
	if err := p.store.Update(p.t.Context(), func(tx *store.Tx) error { f(tx); return nil }); err != nil {
		p.t.Fatal(err)
	}
}

// agent runs what should run and stops what should stop. Tasks that somebody
// called "broken" started fail at once.
func (p *plane) agent(ctx context.Context, changed <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
		err := p.store.Update(ctx, func(tx *store.Tx) error {
			for _, task := range slices.Collect(tx.LiveTasksOnInstance("default", "host")) {
				report := model.TaskReport{Status: model.TaskRunning}
				switch {
				case task.DesiredStatus == model.TaskStopped:
					report.Status = model.TaskStopped
				case task.StartedBy == "broken":
					report.Status, report.StopCode = model.TaskStopped, ecs.TaskStopCodeTaskFailedToStart
				}
				if next, moved := task.Reported(report, time.Now()); moved {
					tx.PutTask(next)
				}
			}
			return nil
		})
		if err != nil {
			return // the test is over, with the store
		}
	}
}

func (p *plane) create(name, definition string, count int32) {
	p.t.Helper()
	_, err := p.CreateService(p.t.Context(), &awsecs.CreateServiceInput{ServiceName: &name, TaskDefinition: &definition, DesiredCount: &count})
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *plane) run(startedBy string) string {
	p.t.Helper()
	out, err := p.RunTask(p.t.Context(), &awsecs.RunTaskInput{TaskDefinition: aws.String("web"), StartedBy: &startedBy})
	if err != nil || len(out.Tasks) != 1 {
		p.t.Fatalf("got %+v, %v", out, err)
	}
	return *out.Tasks[0].TaskArn
}

func (p *plane) remove(name string) {
	p.t.Helper()
	if _, err := p.DeleteService(p.t.Context(), &awsecs.DeleteServiceInput{Service: &name, Force: aws.Bool(true)}); err != nil {
		p.t.Fatal(err)
	}
}

const (
	often    = 10 * time.Millisecond
	patience = 60 * time.Second // of a waiter that is to end
	briefly  = 200 * time.Millisecond
)

func (p *plane) stable(most time.Duration, names ...string) error {
	waiter := awsecs.NewServicesStableWaiter(p, func(o *awsecs.ServicesStableWaiterOptions) { o.MinDelay, o.MaxDelay = often, 2*often })
	return waiter.Wait(p.t.Context(), &awsecs.DescribeServicesInput{Services: names}, most)
}

func (p *plane) inactive(most time.Duration, names ...string) error {
	waiter := awsecs.NewServicesInactiveWaiter(p, func(o *awsecs.ServicesInactiveWaiterOptions) { o.MinDelay, o.MaxDelay = often, 2*often })
	return waiter.Wait(p.t.Context(), &awsecs.DescribeServicesInput{Services: names}, most)
}

func (p *plane) tasksRunning(most time.Duration, arns ...string) error {
	waiter := awsecs.NewTasksRunningWaiter(p, func(o *awsecs.TasksRunningWaiterOptions) { o.MinDelay, o.MaxDelay = often, 2*often })
	return waiter.Wait(p.t.Context(), &awsecs.DescribeTasksInput{Tasks: arns}, most)
}

func (p *plane) tasksStopped(most time.Duration, arns ...string) error {
	waiter := awsecs.NewTasksStoppedWaiter(p, func(o *awsecs.TasksStoppedWaiterOptions) { o.MinDelay, o.MaxDelay = often, 2*often })
	return waiter.Wait(p.t.Context(), &awsecs.DescribeTasksInput{Tasks: arns}, most)
}

// ends checks how a waiter ended: well, on a state that it is to fail on, or not
// before its time was up.
func ends(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == tooOld && errors.Is(err, context.DeadlineExceeded): // in the middle of a request
	case want == "" && err != nil:
		t.Errorf("got %v, want success", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("got %v, want %q", err, want)
	}
}

const (
	failed = "waiter state transitioned to Failure"
	tooOld = "exceeded max wait time"
)

func TestWaiters_OfServices(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	p.create("web", "web", 3)
	p.create("large", "web", 200) // more than the host has room for
	ends(t, p.stable(patience, "web"), "")
	ends(t, p.stable(briefly, "web", "large"), tooOld)
	ends(t, p.stable(patience, "web", "nobody"), failed)
	ends(t, p.inactive(briefly, "web"), tooOld)
	ends(t, p.inactive(patience, "nobody"), failed)

	desired := int32(2)
	if _, err := p.UpdateService(t.Context(), &awsecs.UpdateServiceInput{Service: aws.String("web"), DesiredCount: &desired, ForceNewDeployment: true}); err != nil {
		t.Fatal(err)
	}
	p.remove("large")
	ends(t, p.stable(patience, "web"), "")
	ends(t, p.inactive(patience, "large"), "")
	ends(t, p.stable(patience, "web", "large"), failed) // INACTIVE
}

func TestWaiters_FailOnADrainingService(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	p.create("web", "web", 1)
	ends(t, p.stable(patience, "web"), "")
	p.update(func(tx *store.Tx) { // a host that does not answer keeps it DRAINING
		host, _ := tx.Instance("default", "host")
		for _, task := range slices.Collect(tx.LiveTasksOnInstance("default", "host")) {
			next := *task
			next.Instance = "silent"
			tx.PutTask(&next)
		}
		gone := *host
		gone.ID = "silent"
		tx.PutInstance(&gone)
	})
	p.remove("web")
	ends(t, p.stable(patience, "web"), failed)
	ends(t, p.inactive(briefly, "web"), tooOld)
}

func TestWaiters_OfTasks(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	good, other, broken := p.run("me"), p.run("me"), p.run("broken")
	unknown := good[:strings.LastIndex(good, "/")+1] + "00000000000000000000000000000000"
	ends(t, p.tasksRunning(patience, good, other), "")
	ends(t, p.tasksRunning(patience, good, broken), failed)
	ends(t, p.tasksRunning(patience, good, unknown), failed)
	ends(t, p.tasksStopped(patience, broken), "")
	ends(t, p.tasksStopped(briefly, good, broken), tooOld)
	if _, err := p.StopTask(t.Context(), &awsecs.StopTaskInput{Task: &good}); err != nil {
		t.Fatal(err)
	}
	ends(t, p.tasksStopped(patience, good, broken), "")
}
