package main_test

import (
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"

	"github.com/longshore/longshore/scripts/testbed"
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

// group makes a target group whose members are drained for a number of seconds, and
// returns its ARN.
func (s *site) group(name string, drain int, more ...string) string {
	s.t.Helper()
	arn, err := s.longshore(append([]string{"target-group", "create", name, "--health-check-interval", "5", "--health-check-timeout", "2",
		"--deregistration-delay", strconv.Itoa(drain)}, more...)...)
	if err != nil {
		s.t.Fatal(arn, err)
	}
	return arn
}

// healthy waits until so many targets of a group pass their checks.
func (s *site) healthy(group string, n int) {
	s.t.Helper()
	s.await("healthy targets of "+group, func() bool {
		shown, err := s.longshore("target-group", "show", group)
		return err == nil && strings.Count(shown, "  healthy") == n
	})
}

// update changes a service, the only one of the site, and waits until so many of its
// tasks run and nothing is left of others.
func (s *site) update(name string, tasks int, in awsecs.UpdateServiceInput) {
	s.t.Helper()
	in.Cluster, in.Service = aws.String(s.cluster()), &name
	if _, err := s.ecs.UpdateService(s.t.Context(), &in); err != nil {
		s.t.Fatal(err)
	}
	s.awaitStable(name)
	s.await("what is left of drained tasks to end", func() bool { return len(s.runningIDs()) == tasks })
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

// drain is for how many seconds members are drained in tests with a proxy: more than
// it takes the proxy to hear of it.
const drain = 5

func TestTraffic_NoRequestIsLostInPlannedChanges(t *testing.T) {
	s := newSite(t)
	s.createCluster(s.plane("plane", s.api, s.agents, "--endpoints-addr", s.endpoints).AwaitReady())
	s.agent("a1", s.agents).AwaitReady()
	s.agent("a2", s.agents).AwaitReady()
	arn := s.group("web", drain)
	s.balanced("web", s.register("web", web(s.images.Serve)), arn, 4)
	s.awaitStable("web")
	s.healthy("web", 4)
	if out, err := s.longshore("target-group", "delete", "web"); err == nil || !strings.Contains(out, "ResourceInUse") {
		t.Errorf("deleting a group in use: %v %s", err, out)
	}
	l := s.startWork(s.haproxy("web", s.endpoints))
	s.update("web", 4, awsecs.UpdateServiceInput{ForceNewDeployment: true})
	l.lost(0, "a rolling update")
	s.update("web", 2, awsecs.UpdateServiceInput{DesiredCount: aws.Int32(2)})
	l.lost(0, "a scale-in")
	s.update("web", 4, awsecs.UpdateServiceInput{DesiredCount: aws.Int32(4)})
	l.lost(0, "a scale-out")
	leaving := s.task(s.taskARNs("web")[0]).ContainerInstanceArn
	_, err := s.ecs.UpdateContainerInstancesState(t.Context(), &awsecs.UpdateContainerInstancesStateInput{
		Cluster: aws.String(s.cluster()), ContainerInstances: []string{*leaving}, Status: types.ContainerInstanceStatusDraining,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.await("all tasks on the other host", func() bool {
		for _, arn := range s.taskARNs("web") {
			if *s.task(arn).ContainerInstanceArn == *leaving {
				return false
			}
		}
		return true
	})
	s.awaitStable("web")
	s.await("the host empty", func() bool { return len(s.runningIDs()) == 4 })
	l.lost(0, "the draining of a host")
	events := s.events("web")
	for _, done := range []string{"registered", "deregistered"} {
		want := regexp.MustCompile(`\(service web\) ` + done + ` [1-4] targets in \(target-group ` + regexp.QuoteMeta(arn) + `\)`)
		if !want.MatchString(events) {
			t.Errorf("no event %s in\n%s", want, events)
		}
	}
}

// What fails at most is what was under way at the moment of the crash.
func TestTraffic_ACrashCostsNoMoreThanTheRequestsUnderWay(t *testing.T) {
	s := newSite(t)
	plane := s.plane("plane", s.api, s.agents, "--endpoints-addr", s.endpoints, "--agent-disconnect-after", "500ms", "--agent-replace-after", "2s")
	s.createCluster(plane.AwaitReady())
	s.agent("a1", s.agents).AwaitReady()
	agents := map[string]*testbed.Process{"a2": s.agent("a2", s.agents).AwaitReady(), "a3": s.agent("a3", s.agents).AwaitReady()}
	arn := s.group("web", drain)
	s.balanced("web", s.register("web", web(s.images.Serve)), arn, 3)
	s.awaitStable("web")
	s.healthy("web", 3)
	l := s.startLoad(s.haproxy("web", s.endpoints) + "/")
	gone := func(members ...string) {
		t.Helper()
		s.await("the members gone", func() bool {
			return !slices.ContainsFunc(s.members("web", s.endpoints), func(m string) bool { return slices.Contains(members, m) })
		})
	}

	victim := s.place(s.taskARNs("web")[0])
	if answer, err := http.Get("http://" + victim + "/exit/3"); err == nil {
		answer.Body.Close()
	}
	gone(victim)
	s.awaitStable("web")
	s.healthy("web", 3)
	l.lost(clients, "the crash of a task")

	// An agent alone is not missed before its host counts as lost.
	agents["a3"].Kill()
	s.await("the agent missed", func() bool { return !s.connected("a3") })
	agents["a3"] = s.agent("a3", s.agents).AwaitReady()
	s.awaitStable("web")
	l.lost(0, "the crash of an agent")

	gone(s.crash("a2", agents["a2"])...)
	s.awaitStable("web")
	s.healthy("web", 3)
	l.lost(clients, "the crash of a host")
}

// place is where the only port of a task is reached.
func (s *site) place(task string) string {
	s.t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(*s.task(task).Containers[0].NetworkBindings[0].HostPort)))
}

// crash ends an agent and all that runs on its host at once, and returns where its
// tasks were reached.
func (s *site) crash(name string, agent *testbed.Process) (places []string) {
	s.t.Helper()
	instance := s.instanceARN(name)
	var own []string
	for _, arn := range s.taskARNs("web") {
		if task := s.task(arn); *task.ContainerInstanceArn == instance {
			own, places = append(own, *task.Containers[0].RuntimeId), append(places, s.place(arn))
		}
	}
	if len(own) == 0 {
		s.t.Fatalf("%s has no task", name)
	}
	agent.Kill()
	for _, id := range own {
		if err := s.engine.Remove(s.t.Context(), id); err != nil {
			s.t.Fatal(err)
		}
	}
	return places
}

// connected tells whether the control plane hears an agent.
func (s *site) connected(name string) bool {
	s.t.Helper()
	d, err := s.ecs.DescribeContainerInstances(s.t.Context(), &awsecs.DescribeContainerInstancesInput{Cluster: aws.String(s.cluster()), ContainerInstances: []string{s.instanceARN(name)}})
	if err != nil || len(d.ContainerInstances) != 1 {
		s.t.Fatalf("container instance %s: %v, %v", name, d, err)
	}
	return d.ContainerInstances[0].AgentConnected
}

// instanceARN is that of the container instance of an agent.
func (s *site) instanceARN(name string) string {
	s.t.Helper()
	out, err := s.ecs.ListContainerInstances(s.t.Context(), &awsecs.ListContainerInstancesInput{Cluster: aws.String(s.cluster()), Filter: aws.String("ec2InstanceId == " + name)})
	if err != nil || len(out.ContainerInstanceArns) != 1 {
		s.t.Fatalf("container instance %s: %v, %v", name, out, err)
	}
	return out.ContainerInstanceArns[0]
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
