package main_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
)

func (s *site) elb() *elb.Client {
	return elb.New(elb.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://" + s.api),
		Credentials: credentials.NewStaticCredentialsProvider("any", "thing", ""),
	})
}

// longshore runs a user command against the site and returns what it printed.
func (s *site) longshore(args ...string) (string, error) {
	s.t.Helper()
	path, err := binary()
	if err != nil {
		s.t.Fatal(err)
	}
	out, err := exec.CommandContext(s.t.Context(), path, append(args, "--endpoint", "http://"+s.api)...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// balancer sends requests to the healthy targets of a group, one after the other, as a
// proxy that follows the group does.
type balancer struct {
	s    *site
	elb  *elb.Client
	arn  string
	http *http.Client

	mu      sync.Mutex
	healthy []string
	next    int

	sent, failed atomic.Int64
}

// follow keeps the targets up to date until ctx ends.
func (b *balancer) follow(ctx context.Context) {
	ticker := time.NewTicker(30 * time.Millisecond)
	defer ticker.Stop()
	for {
		out, err := b.elb.DescribeTargetHealth(ctx, &elb.DescribeTargetHealthInput{TargetGroupArn: &b.arn})
		if err == nil {
			var healthy []string
			for _, d := range out.TargetHealthDescriptions {
				if d.TargetHealth.State == "healthy" {
					healthy = append(healthy, fmt.Sprintf("127.0.0.1:%d", *d.Target.Port))
				}
			}
			b.mu.Lock()
			b.healthy = healthy
			b.mu.Unlock()
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (b *balancer) pick() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.healthy) == 0 {
		return ""
	}
	b.next++
	return b.healthy[b.next%len(b.healthy)]
}

// load sends requests until ctx ends.
func (b *balancer) load(ctx context.Context) {
	for ctx.Err() == nil {
		b.sent.Add(1)
		answer, err := b.http.Get("http://" + b.pick() + "/")
		if err != nil {
			b.failed.Add(1)
			b.s.t.Logf("request failed: %v", err)
			continue
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || strings.TrimSpace(string(body)) != "served" {
			b.failed.Add(1)
			b.s.t.Logf("the answer is %q: %v", body, err)
		}
	}
}

// underLoad runs planned changes while requests are sent, and wants every one answered.
func (b *balancer) underLoad(change func()) {
	b.s.t.Helper()
	ctx, cancel := context.WithCancel(b.s.t.Context())
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() { b.load(ctx) })
	}
	change()
	cancel()
	group.Wait()
	if b.failed.Load() > 0 || b.sent.Load() == 0 {
		b.s.t.Errorf("%d of %d requests failed", b.failed.Load(), b.sent.Load())
	}
	b.s.t.Logf("%d requests", b.sent.Load())
}

func (s *site) balanced(name, definition, arn string, desired int32) {
	s.t.Helper()
	_, err := s.ecs.CreateService(s.t.Context(), &awsecs.CreateServiceInput{
		Cluster: aws.String(s.cluster()), ServiceName: &name, TaskDefinition: &definition, DesiredCount: &desired,
		LoadBalancers: []types.LoadBalancer{{TargetGroupArn: &arn, ContainerName: aws.String("main"), ContainerPort: aws.Int32(8080)}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) events(name string) string {
	var all []string
	for _, e := range s.service(name).Events {
		all = append(all, *e.Message)
	}
	return strings.Join(all, "\n")
}

func TestTargetGroup_NoRequestIsLostInPlannedChanges(t *testing.T) {
	s := newSite(t)
	s.dev()
	arn, err := s.longshore("target-group", "create", "web", "--health-check-interval", "5", "--health-check-timeout", "2", "--deregistration-delay", "1")
	if err != nil {
		t.Fatal(arn, err)
	}
	definition := s.register("web", web(s.images.Serve))
	s.balanced("web", definition, arn, 3)
	s.awaitStable("web")
	if shown, err := s.longshore("target-group", "show", "web"); err != nil || strings.Count(shown, "healthy") != 3 {
		t.Errorf("shown: %v\n%s", err, shown)
	}
	if out, err := s.longshore("target-group", "delete", "web"); err == nil || !strings.Contains(out, "ResourceInUse") {
		t.Errorf("deleting a group in use: %v %s", err, out)
	}

	ctx, cancel := context.WithCancel(t.Context())
	b := &balancer{s: s, elb: s.elb(), arn: arn, http: &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}}
	var following sync.WaitGroup
	following.Go(func() { b.follow(ctx) })
	defer following.Wait()
	defer cancel()
	s.await("targets", func() bool { return b.pick() != "" })
	update := func(in awsecs.UpdateServiceInput) {
		t.Helper()
		in.Cluster, in.Service = aws.String(s.cluster()), aws.String("web")
		if _, err := s.ecs.UpdateService(t.Context(), &in); err != nil {
			t.Fatal(err)
		}
		s.awaitStable("web")
	}
	b.underLoad(func() {
		update(awsecs.UpdateServiceInput{ForceNewDeployment: true})
		update(awsecs.UpdateServiceInput{DesiredCount: aws.Int32(1)})
		update(awsecs.UpdateServiceInput{DesiredCount: aws.Int32(2)})
	})
	for _, want := range []string{"registered 3 targets in (target-group " + arn + ")", "deregistered 2 targets in (target-group " + arn + ")"} {
		if !strings.Contains(s.events("web"), want) && !strings.Contains(s.events("web"), "registered 1 targets in (target-group "+arn+")") {
			t.Errorf("no event %q in\n%s", want, s.events("web"))
		}
	}
}

func TestTargetGroup_AStoppingTaskIsDrainedBeforeItsContainersStop(t *testing.T) {
	s := newSite(t)
	s.dev()
	arn, err := s.longshore("target-group", "create", "web", "--health-check-interval", "5", "--health-check-timeout", "2", "--deregistration-delay", "3")
	if err != nil {
		t.Fatal(arn, err)
	}
	s.balanced("web", s.register("web", web(s.images.Serve)), arn, 1)
	s.awaitStable("web")
	victim := s.taskARNs("web")[0]
	if _, err := s.ecs.StopTask(t.Context(), &awsecs.StopTaskInput{Cluster: aws.String(s.cluster()), Task: &victim}); err != nil {
		t.Fatal(err)
	}
	draining := s.awaitTask(victim, "DEACTIVATING")
	port := *draining.Containers[0].NetworkBindings[0].HostPort
	health, err := s.elb().DescribeTargetHealth(t.Context(), &elb.DescribeTargetHealthInput{TargetGroupArn: &arn})
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, d := range health.TargetHealthDescriptions {
		found = found || *d.Target.Port == port && d.TargetHealth.State == "draining"
	}
	if !found {
		t.Errorf("the target of a DEACTIVATING task: %+v", health.TargetHealthDescriptions)
	}
	if answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", port)); err != nil {
		t.Errorf("a task that is drained does not answer: %v", err)
	} else {
		answer.Body.Close()
	}
	stopped := s.awaitTask(victim, "STOPPED")
	if drained := stopped.StoppedAt.Sub(*stopped.StoppingAt); drained < 3*time.Second {
		t.Errorf("drained for %s, want 3 s at least", drained)
	}
}

func TestTargetGroup_ATaskThatFailsItsChecksIsReplaced(t *testing.T) {
	s := newSite(t)
	s.dev()
	arn, err := s.longshore("target-group", "create", "web", "--health-check-interval", "5", "--health-check-timeout", "2", "--matcher", "201", "--deregistration-delay", "0")
	if err != nil {
		t.Fatal(arn, err)
	}
	s.balanced("web", s.register("web", web(s.images.Serve)), arn, 1)
	s.await("a task that failed", func() bool {
		return strings.Contains(s.events("web"), "(service web) (port 8080) is unhealthy in (target-group "+arn+") due to (reason Health checks failed with these codes: [200]).")
	})
	out, err := s.ecs.ListTasks(t.Context(), &awsecs.ListTasksInput{Cluster: aws.String(s.cluster()), ServiceName: aws.String("web"), DesiredStatus: types.DesiredStatusStopped})
	if err != nil || len(out.TaskArns) == 0 {
		t.Fatalf("no stopped task: %v", err)
	}
	if reason := *s.task(out.TaskArns[0]).StoppedReason; reason != "Task failed ELB health checks in (target-group "+arn+")" {
		t.Errorf("stopped because %q", reason)
	}
}
