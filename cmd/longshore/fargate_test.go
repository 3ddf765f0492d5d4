package main_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/longshore/longshore/agent/cgroup"
	"github.com/longshore/longshore/agent/lifecycle"
)

// What was written for AWS Fargate runs as it is: its subnets are nobody's here.
func TestDev_AServiceOfFargateKeepsItsAddressesWhenKilled(t *testing.T) {
	s := newSite(t)
	p := s.dev()
	_, err := s.ecs.RegisterTaskDefinition(t.Context(), &awsecs.RegisterTaskDefinitionInput{
		Family: aws.String("web"), NetworkMode: types.NetworkModeAwsvpc, Cpu: aws.String("256"), Memory: aws.String("512"),
		RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
		ContainerDefinitions: []types.ContainerDefinition{
			{Name: aws.String("web"), Image: aws.String(s.images.Serve), PortMappings: []types.PortMapping{{ContainerPort: aws.Int32(8080)}}},
			{Name: aws.String("side"), Image: aws.String(s.images.IgnoreStop), StopTimeout: aws.Int32(1)},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.ecs.CreateService(t.Context(), &awsecs.CreateServiceInput{
		Cluster: aws.String(s.cluster()), ServiceName: aws.String("web"), TaskDefinition: aws.String("web"), DesiredCount: aws.Int32(2),
		LaunchType: types.LaunchTypeFargate,
		NetworkConfiguration: &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{
			Subnets: []string{"subnet-0a1b2c3d"}, SecurityGroups: []string{"sg-0a1b2c3d"}, AssignPublicIp: types.AssignPublicIpEnabled,
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.awaitStable("web")
	addresses := map[string]string{}
	for _, arn := range s.taskARNs("web") {
		task := s.task(arn)
		if task.ContainerInstanceArn != nil || task.LaunchType != types.LaunchTypeFargate || len(task.Containers) != 2 || len(task.Attachments) != 1 || *task.Attachments[0].Status != "ATTACHED" {
			t.Fatalf("task %+v", task)
		}
		addresses[arn] = *task.Containers[0].NetworkInterfaces[0].PrivateIpv4Address
	}
	answers := func() {
		t.Helper()
		for arn, address := range addresses {
			s.await("an answer from "+arn, func() bool {
				answer, err := http.Get("http://" + address + ":8080/get?url=http://localhost:8081/")
				if err != nil {
					return false
				}
				body, _ := io.ReadAll(answer.Body)
				answer.Body.Close()
				return strings.TrimSpace(string(body)) == "served"
			})
		}
	}
	answers()
	before := s.runningIDs()
	t.Cleanup(s.removeGroups())

	p.Kill()
	p = s.dev()
	s.awaitStable("web")
	if after := s.runningIDs(); strings.Join(after, " ") != strings.Join(before, " ") || len(after) != 6 {
		t.Errorf("running before %v, after %v", before, after)
	}
	for arn, address := range addresses {
		if got := *s.task(arn).Containers[0].NetworkInterfaces[0].PrivateIpv4Address; got != address {
			t.Errorf("address %s became %s", address, got)
		}
	}
	answers()
	p.Stop()
	if left := s.runningIDs(); len(left) != 0 {
		t.Errorf("running after the end: %v", left)
	}
}

// removeGroups returns what removes the control groups of the site's tasks: an agent
// removes them when they end, but does not stay for those that the kernel calls busy.
func (s *site) removeGroups() func() {
	s.t.Helper()
	instances, err := s.ecs.ListContainerInstances(s.t.Context(), &awsecs.ListContainerInstancesInput{Cluster: aws.String(s.cluster())})
	if err != nil {
		s.t.Fatal(err)
	}
	info, err := s.engine.Info(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return func() {
		s.removeContainers()
		groups, err := cgroup.Open(cgroup.Config{Root: cgroup.DefaultRoot, Units: cgroup.DefaultUnits, Version: info.CgroupVersion, Driver: info.CgroupDriver})
		if err != nil {
			s.t.Fatal(err)
		}
		for _, arn := range instances.ContainerInstanceArns {
			names, err := groups.List(lifecycle.GroupOwner(arn))
			if err != nil {
				s.t.Errorf("control groups of the tasks: %v", err)
			}
			for _, name := range names {
				if err := groups.Remove(name); err != nil {
					s.t.Error(err)
				}
			}
		}
	}
}
