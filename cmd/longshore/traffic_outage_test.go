package main_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/longshore/longshore/controlplane/store/embedded"
	"github.com/longshore/longshore/scripts/testbed"
)

// A task is drained for the whole delay, whoever leads meanwhile, and is told to end
// only then; the proxy, which asks the other control plane, loses no request.
func TestTraffic_ATaskIsDrainedToTheEndWhenTheLeaderIsKilled(t *testing.T) {
	const delay = 10
	s := newSite(t)
	etcd, err := embedded.Start(context.Background(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { etcd.Close() })
	otherAPI, otherAgents := testbed.FreeAddress(t), testbed.FreeAddress(t)
	leading := s.plane("p1", s.api, s.agents, "--etcd-endpoints", etcd.Endpoint()).AwaitReady()
	s.plane("p2", otherAPI, otherAgents, "--etcd-endpoints", etcd.Endpoint(), "--endpoints-addr", s.endpoints).AwaitReady()
	s.createCluster(leading)
	s.agent("a1", s.agents+","+otherAgents).AwaitReady()
	arn := s.group("web", delay)
	s.balanced("web", s.register("web", web(s.images.Serve)), arn, 2)
	s.awaitStable("web")
	s.healthy("web", 2)
	l := s.startWork(s.haproxy("web", s.endpoints))

	victim := s.taskARNs("web")[0]
	container := *s.task(victim).Containers[0].RuntimeId
	if _, err := s.ecs.StopTask(t.Context(), &awsecs.StopTaskInput{Cluster: aws.String(s.cluster()), Task: &victim}); err != nil {
		t.Fatal(err)
	}
	s.awaitTask(victim, "DEACTIVATING")
	leading.Kill()
	s.ecs = client(otherAPI)
	s.await("the other one to lead", func() bool {
		_, err := s.ecs.CreateCluster(t.Context(), &awsecs.CreateClusterInput{ClusterName: aws.String("after")})
		return err == nil
	})
	stopped := s.awaitTask(victim, "STOPPED")
	ended, err := s.engine.Inspect(t.Context(), container)
	if err != nil {
		t.Fatal(err)
	}
	if drained := ended.FinishedAt.Sub(*stopped.StoppingAt); drained < delay*time.Second {
		t.Errorf("its container ended after %s, want %d s at least", drained, delay)
	}
	if ended.ExitCode != 0 {
		t.Errorf("its container ended with %d, want 0, as on SIGTERM", ended.ExitCode)
	}
	s.awaitStable("web")
	l.lost(0, "a change of leaders while a task is drained")
}

// An agent that is back goes on checking with what was known, and finds what changes.
func TestTraffic_TargetsStayHealthyWhileTheirAgentRestarts(t *testing.T) {
	s := newSite(t)
	s.createCluster(s.plane("plane", s.api, s.agents, "--endpoints-addr", s.endpoints).AwaitReady())
	agent := s.agent("a1", s.agents).AwaitReady()
	arn := s.group("web", 0)
	s.balanced("web", s.register("web", web(s.images.Serve)), arn, 2)
	s.awaitStable("web")
	s.healthy("web", 2)
	tasks := s.taskARNs("web")
	l := s.startLoad(s.haproxy("web", s.endpoints) + "/")
	states := s.watchTargets(arn)
	agent.Kill()
	s.agent("a1", s.agents).AwaitReady()
	s.await("the agent back", func() bool { return s.connected("a1") })
	// What it finds when it checks again is what it is asked to find now.
	_, err := s.elb().ModifyTargetGroup(t.Context(), &elb.ModifyTargetGroupInput{TargetGroupArn: &arn, Matcher: &elbtypes.Matcher{HttpCode: aws.String("201")}})
	if err != nil {
		t.Fatal(err)
	}
	s.await("a target that fails its checks", func() bool { return strings.Contains(s.events("web"), "is unhealthy in (target-group "+arn+")") })
	if seen := states(); strings.Join(seen, " ") != "healthy" {
		t.Errorf("targets were %v while the agent was restarted, want healthy", seen)
	}
	l.lost(0, "the restart of an agent")
	for _, task := range tasks {
		s.awaitTask(task, "STOPPED")
	}
}

// watchTargets notes in which states the targets of a group are, until what it returns
// is called, or one is unhealthy.
func (s *site) watchTargets(arn string) (states func() []string) {
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan []string, 1)
	go func() {
		var seen []string
		defer func() { ended <- seen }()
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		for {
			out, err := s.elb().DescribeTargetHealth(ctx, &elb.DescribeTargetHealthInput{TargetGroupArn: &arn})
			for i := 0; err == nil && i < len(out.TargetHealthDescriptions); i++ {
				state := string(out.TargetHealthDescriptions[i].TargetHealth.State)
				if state == "unhealthy" || state == "draining" {
					return
				}
				if !strings.Contains(strings.Join(seen, " "), state) {
					seen = append(seen, state)
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	}()
	return func() []string {
		cancel()
		return <-ended
	}
}
