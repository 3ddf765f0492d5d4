package main_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// A version that runs and does not answer is no success: its tasks are replaced until the
// circuit breaker has had enough, and no request ever reaches one.
func TestTraffic_AVersionThatFailsItsChecksIsRolledBackAndGetsNoRequest(t *testing.T) {
	s := newSite(t)
	s.dev("--stop-timeout", "1s")
	arn := s.group("web", drain)
	good := s.register("web", web(s.images.Serve))
	_, err := s.ecs.CreateService(t.Context(), &awsecs.CreateServiceInput{
		Cluster: aws.String(s.cluster()), ServiceName: aws.String("web"), TaskDefinition: &good, DesiredCount: aws.Int32(3),
		LoadBalancers: []types.LoadBalancer{{TargetGroupArn: &arn, ContainerName: aws.String("main"), ContainerPort: aws.Int32(8080)}},
		DeploymentConfiguration: &types.DeploymentConfiguration{
			MinimumHealthyPercent: aws.Int32(100), MaximumPercent: aws.Int32(200),
			DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{Enable: true, Rollback: true},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.awaitStable("web")
	s.healthy("web", 3)
	l := s.startLoad(s.haproxy("web", s.endpoints) + "/")
	bad := s.register("web", web(s.images.IgnoreStop)) // listens at another port
	if _, err := s.ecs.UpdateService(t.Context(), &awsecs.UpdateServiceInput{Cluster: aws.String(s.cluster()), Service: aws.String("web"), TaskDefinition: &bad}); err != nil {
		t.Fatal(err)
	}
	s.await("the roll-back", func() bool {
		return strings.Contains(s.events("web"), "(service web) rolling back to deployment ecs-svc/")
	})
	s.awaitStable("web")
	s.await("three tasks and nothing left of others", func() bool { return len(s.runningIDs()) == 3 })
	l.lost(0, "a deployment that failed its checks")
	for _, arn := range s.taskARNs("web") {
		if now := *s.task(arn).TaskDefinitionArn; now != good {
			t.Errorf("after the roll-back a task of %s, want %s", now, good)
		}
	}
	events := s.events("web")
	for _, want := range []string{
		"(service web) (port 8080) is unhealthy in (target-group " + arn + ") due to (reason ",
		"deployment failed: tasks failed to start.",
	} {
		if !strings.Contains(events, want) {
			t.Errorf("no event %q in\n%s", want, events)
		}
	}
}

func TestTraffic_AFailingTargetIsReplacedOnlyAfterTheGracePeriod(t *testing.T) {
	s := newSite(t)
	s.dev()
	arn := s.group("web", 0, "--matcher", "201") // nobody answers so
	definition := s.register("web", web(s.images.Serve))
	_, err := s.ecs.CreateService(t.Context(), &awsecs.CreateServiceInput{
		Cluster: aws.String(s.cluster()), ServiceName: aws.String("web"), TaskDefinition: &definition, DesiredCount: aws.Int32(1), HealthCheckGracePeriodSeconds: aws.Int32(3600),
		LoadBalancers: []types.LoadBalancer{{TargetGroupArn: &arn, ContainerName: aws.String("main"), ContainerPort: aws.Int32(8080)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.awaitStable("web")
	first := s.taskARNs("web")[0]
	s.await("a target that fails its checks", func() bool {
		shown, err := s.longshore("target-group", "show", "web")
		return err == nil && strings.Contains(shown, "  unhealthy")
	})
	// A change of the service has it looked at once more.
	if _, err := s.ecs.UpdateService(t.Context(), &awsecs.UpdateServiceInput{Cluster: aws.String(s.cluster()), Service: aws.String("web"), HealthCheckGracePeriodSeconds: aws.Int32(3000)}); err != nil {
		t.Fatal(err)
	}
	if task := s.task(first); *task.LastStatus != "RUNNING" || *task.DesiredStatus != "RUNNING" {
		t.Errorf("in the grace period the task is %s and is to be %s", *task.LastStatus, *task.DesiredStatus)
	}
	if events := s.events("web"); strings.Contains(events, "unhealthy") {
		t.Errorf("events in the grace period\n%s", events)
	}
	if _, err := s.ecs.UpdateService(t.Context(), &awsecs.UpdateServiceInput{Cluster: aws.String(s.cluster()), Service: aws.String("web"), HealthCheckGracePeriodSeconds: aws.Int32(0)}); err != nil {
		t.Fatal(err)
	}
	if stopped := s.awaitTask(first, "STOPPED"); *stopped.StoppedReason != "Task failed ELB health checks in (target-group "+arn+")" {
		t.Errorf("stopped because %q", *stopped.StoppedReason)
	}
}
