package main_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"

	"github.com/longshore/longshore/controlplane/store/embedded"
	"github.com/longshore/longshore/scripts/testbed"
)

// plane starts a control plane of its own.
func (s *site) plane(name, api, agents string, more ...string) *testbed.Process {
	args := append([]string{
		"controlplane", "--data-dir", filepath.Join(s.dir, name), "--api-addr", api, "--agent-addr", agents, "--ops-addr", testbed.FreeAddress(s.t),
	}, more...)
	return start(s.t, args...)
}

// agent starts an agent; several share the machine's Docker daemon.
func (s *site) agent(name, controlPlanes string, more ...string) *testbed.Process {
	args := append([]string{
		"agent", "--controlplane", controlPlanes, "--cluster", s.cluster(), "--data-dir", filepath.Join(s.dir, name), "--instance-name", name,
	}, more...)
	return start(s.t, args...)
}

func TestAgents_ShareADaemonAndEachRunsItsOwn(t *testing.T) {
	s := newSite(t)
	s.createCluster(s.plane("plane", s.api, s.agents).AwaitReady())
	first := s.agent("a1", s.agents).AwaitReady()
	s.agent("a2", s.agents).AwaitReady()
	s.createService("web", s.register("web", web(s.images.Serve)), 4)
	s.awaitStable("web")
	perHost := map[string]int{}
	for _, arn := range s.taskARNs("web") {
		perHost[*s.task(arn).ContainerInstanceArn]++
	}
	if len(perHost) != 2 {
		t.Fatalf("tasks per instance: %v, want two on each of two", perHost)
	}

	before := s.runningIDs()
	first.Kill()
	if now := s.runningIDs(); !slices.Equal(now, before) {
		t.Fatal("containers ended with their agent")
	}
	s.agent("a1", s.agents).AwaitReady()
	s.awaitStable("web")
	if now := s.runningIDs(); !slices.Equal(now, before) {
		t.Errorf("containers %v after the agent's restart, want the same as before: %v", now, before)
	}
	out, err := s.ecs.ListContainerInstances(t.Context(), &awsecs.ListContainerInstancesInput{Cluster: aws.String(s.cluster())})
	if err != nil || len(out.ContainerInstanceArns) != 2 {
		t.Errorf("instances %v (%v), want the same two", out.ContainerInstanceArns, err)
	}
}

func TestAgents_TasksOfASilentHostAreReplacedAndGivenBack(t *testing.T) {
	s := newSite(t)
	s.createCluster(s.plane("plane", s.api, s.agents, "--agent-disconnect-after", "500ms", "--agent-replace-after", "1s", "--agent-give-up-after", "4s").AwaitReady())
	first := s.agent("a1", s.agents).AwaitReady()
	s.createService("web", s.register("web", web(s.images.Serve)), 2)
	s.awaitStable("web")
	lost := s.taskARNs("web")
	s.agent("a2", s.agents).AwaitReady()
	first.Kill()
	s.await("the tasks replaced on the other host", func() bool {
		for _, arn := range lost {
			if *s.task(arn).LastStatus != "STOPPED" {
				return false
			}
		}
		svc := s.service("web")
		return svc.RunningCount == 2 && svc.PendingCount == 0
	})
	dead := s.task(lost[0])
	if dead.StopCode != "TerminationNotice" || aws.ToString(dead.StoppedReason) != "Host EC2 (instance a1) terminated." {
		t.Errorf("stopped with %s, %q", dead.StopCode, aws.ToString(dead.StoppedReason))
	}
	// The host was not dead: when its agent is back, what it runs is not wanted any more.
	s.agent("a1", s.agents).AwaitReady()
	s.await("two containers in all", func() bool { return len(s.runningIDs()) == 2 })
	s.awaitStable("web")
}

// Two control planes on one etcd: any address answers, and when the leader is
// killed the other goes on with what the first one acknowledged.
func TestControlPlanes_OneTakesOverFromTheOther(t *testing.T) {
	s := newSite(t)
	etcd, err := embedded.Start(context.Background(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { etcd.Close() })
	otherAPI, otherAgents := testbed.FreeAddress(t), testbed.FreeAddress(t)
	leading := s.plane("p1", s.api, s.agents, "--etcd-endpoints", etcd.Endpoint()).AwaitReady()
	s.plane("p2", otherAPI, otherAgents, "--etcd-endpoints", etcd.Endpoint()).AwaitReady()

	throughStandby := client(otherAPI)
	if _, err := throughStandby.CreateCluster(t.Context(), &awsecs.CreateClusterInput{ClusterName: aws.String(s.cluster())}); err != nil {
		t.Fatalf("the standby does not answer: %v", err)
	}
	s.agent("a1", otherAgents+","+s.agents).AwaitReady()
	s.createService("web", s.register("web", web(s.images.Serve)), 2)
	s.awaitStable("web")
	tasks, containers := s.taskARNs("web"), s.runningIDs()

	leading.Kill()
	s.ecs = throughStandby
	s.await("the other one to lead", func() bool {
		_, err := s.ecs.CreateCluster(t.Context(), &awsecs.CreateClusterInput{ClusterName: aws.String("after")})
		return err == nil
	})
	s.await("the agent connected to it", func() bool {
		out, err := s.ecs.ListContainerInstances(t.Context(), &awsecs.ListContainerInstancesInput{Cluster: aws.String(s.cluster())})
		if err != nil || len(out.ContainerInstanceArns) != 1 {
			return false
		}
		d, err := s.ecs.DescribeContainerInstances(t.Context(), &awsecs.DescribeContainerInstancesInput{Cluster: aws.String(s.cluster()), ContainerInstances: out.ContainerInstanceArns})
		return err == nil && d.ContainerInstances[0].AgentConnected
	})
	if now := s.taskARNs("web"); !slices.Equal(now, tasks) {
		t.Errorf("tasks %v after the take-over, want %v", now, tasks)
	}
	if now := s.runningIDs(); !slices.Equal(now, containers) {
		t.Errorf("containers %v after the take-over, want %v", now, containers)
	}
	if _, err := s.ecs.UpdateService(t.Context(), &awsecs.UpdateServiceInput{Cluster: aws.String(s.cluster()), Service: aws.String("web"), DesiredCount: aws.Int32(3)}); err != nil {
		t.Fatal(err)
	}
	s.awaitStable("web")
	if n := len(s.runningIDs()); n != 3 {
		t.Errorf("%d containers run after scaling under the new leader, want 3", n)
	}
}

func TestDeregisterContainerInstance_ByForceLeavesTheContainersRunning(t *testing.T) {
	s := newSite(t)
	s.createCluster(s.plane("plane", s.api, s.agents).AwaitReady())
	a := s.agent("a1", s.agents, "--image-pull", "prefer-cached").AwaitReady()
	task := s.run(s.register("web", web(s.images.Serve)), 1)[0]
	s.awaitTask(*task.TaskArn, "RUNNING")
	before := s.runningIDs()
	_, err := s.ecs.DeregisterContainerInstance(t.Context(), &awsecs.DeregisterContainerInstanceInput{
		Cluster: aws.String(s.cluster()), ContainerInstance: task.ContainerInstanceArn, Force: aws.Bool(true),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.await("the agent to be told", func() bool { return strings.Contains(a.Log(), "was deregistered") })
	if ended := s.task(*task.TaskArn); *ended.LastStatus != "STOPPED" || ended.StopCode != "TerminationNotice" {
		t.Errorf("the task is %s, %s", *ended.LastStatus, ended.StopCode)
	}
	if now := s.runningIDs(); !slices.Equal(now, before) || len(now) != 1 {
		t.Errorf("containers %v, want them left alone: %v", now, before)
	}
	out, err := s.ecs.ListContainerInstances(t.Context(), &awsecs.ListContainerInstancesInput{Cluster: aws.String(s.cluster())})
	if err != nil || len(out.ContainerInstanceArns) != 0 {
		t.Errorf("instances %v, %v; want none", out.ContainerInstanceArns, err)
	}
}
