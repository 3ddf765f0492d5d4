package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/longshore/longshore/scripts/testbed"
)

// colored registers a web server that tells its color among its environment.
func (s *site) colored(color string) string {
	c := web(s.images.Serve)
	c.Environment = []types.KeyValuePair{{Name: aws.String("COLOR"), Value: &color}}
	return s.register("web-"+color, c)
}

// colors are those of the answers that a load got since it was asked last.
func (l *load) colors(since int) string {
	var out []string
	for _, color := range []string{"blue", "green"} {
		for _, answer := range l.since(since) {
			if strings.Contains(answer, "COLOR="+color) {
				out = append(out, color)
				break
			}
		}
	}
	return strings.Join(out, " ")
}

// taskSet makes a task set in front of which a target group is.
func (s *site) taskSet(color, group string, scale float64) string {
	s.t.Helper()
	definition := s.colored(color)
	out, err := s.ecs.CreateTaskSet(s.t.Context(), &awsecs.CreateTaskSetInput{
		Cluster: aws.String(s.cluster()), Service: aws.String("web"), TaskDefinition: &definition, ExternalId: &color,
		LaunchType: types.LaunchTypeEc2, Scale: &types.Scale{Unit: types.ScaleUnitPercent, Value: scale},
		LoadBalancers: []types.LoadBalancer{{TargetGroupArn: &group, ContainerName: aws.String("main"), ContainerPort: aws.Int32(8080)}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return *out.TaskSet.TaskSetArn
}

func (s *site) scale(set string, percent float64) {
	s.t.Helper()
	_, err := s.ecs.UpdateTaskSet(s.t.Context(), &awsecs.UpdateTaskSetInput{
		Cluster: aws.String(s.cluster()), Service: aws.String("web"), TaskSet: &set, Scale: &types.Scale{Unit: types.ScaleUnitPercent, Value: percent},
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) makePrimary(set string) {
	s.t.Helper()
	_, err := s.ecs.UpdateServicePrimaryTaskSet(s.t.Context(), &awsecs.UpdateServicePrimaryTaskSetInput{
		Cluster: aws.String(s.cluster()), Service: aws.String("web"), PrimaryTaskSet: &set,
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// settledSet waits until a task set has so many tasks and wants no others.
func (s *site) settledSet(set string, tasks int32) {
	s.t.Helper()
	s.await("the task set in a steady state", func() bool {
		out, err := s.ecs.DescribeTaskSets(s.t.Context(), &awsecs.DescribeTaskSetsInput{Cluster: aws.String(s.cluster()), Service: aws.String("web"), TaskSets: []string{set}})
		if err != nil || len(out.TaskSets) != 1 {
			s.t.Fatalf("task set %s: %v, %v", set, out, err)
		}
		is := out.TaskSets[0]
		return is.StabilityStatus == types.StabilityStatusSteadyState && is.RunningCount == tasks && is.PendingCount == 0
	})
}

// What an external controller does: a green task set beside the blue one, traffic to
// both, green primary, and blue scaled to nothing.
func TestTaskSets_ABlueGreenDeploymentShiftsTheTrafficAndLosesNoRequest(t *testing.T) {
	s := newSite(t)
	s.dev()
	groups := map[string]string{"blue": s.group("blue", drain), "green": s.group("green", drain)}
	_, err := s.ecs.CreateService(t.Context(), &awsecs.CreateServiceInput{
		Cluster: aws.String(s.cluster()), ServiceName: aws.String("web"), DesiredCount: aws.Int32(2),
		DeploymentController: &types.DeploymentController{Type: types.DeploymentControllerTypeExternal},
	})
	if err != nil {
		t.Fatal(err)
	}
	blue := s.taskSet("blue", groups["blue"], 100)
	s.settledSet(blue, 2)
	s.makePrimary(blue)
	s.healthy("blue", 2)
	l := s.startLoad(s.bothColors() + "/read?path=/proc/self/environ")
	only := func(colors string) {
		t.Helper()
		s.await("answers of "+colors, func() bool {
			from := l.sent()
			s.await("more answers", func() bool { return l.sent() > from+200 })
			return l.colors(from) == colors
		})
	}
	only("blue")

	green := s.taskSet("green", groups["green"], 50)
	s.settledSet(green, 1)
	s.healthy("green", 1)
	only("blue green")
	s.scale(green, 100)
	s.settledSet(green, 2)
	s.healthy("green", 2)
	s.makePrimary(green)
	for _, set := range s.service("web").TaskSets {
		if primary := *set.Status == "PRIMARY"; primary != (*set.TaskSetArn == green) {
			t.Errorf("task set %s is %s", *set.ExternalId, *set.Status)
		}
	}
	only("blue green") // who is primary does not take traffic from the other
	s.scale(blue, 0)
	s.settledSet(blue, 0)
	only("green")
	_, err = s.ecs.DeleteTaskSet(t.Context(), &awsecs.DeleteTaskSetInput{Cluster: aws.String(s.cluster()), Service: aws.String("web"), TaskSet: &blue})
	if err != nil {
		t.Fatal(err)
	}
	s.await("the containers of the blue one gone", func() bool { return len(s.runningIDs()) == 2 })
	only("green")
	l.lost(0, "a blue/green deployment")
}

// bothColors starts HAProxy with the example, and a second group in its backend.
func (s *site) bothColors() string {
	s.t.Helper()
	text, err := os.ReadFile(proxyExample)
	if err != nil {
		s.t.Fatal(err)
	}
	file := filepath.Join(s.t.TempDir(), "haproxy.cfg")
	text = append(text, "    server-template green- \"${PLACES}\" _green._tcp.longshore.internal\n"...)
	if err := os.WriteFile(file, text, 0o644); err != nil {
		s.t.Fatal(err)
	}
	listen := testbed.FreeAddress(s.t)
	testbed.Run(s.t, []string{"LONGSHORE_ENDPOINTS=" + s.endpoints, "LISTEN=" + listen, "GROUP=blue"}, "haproxy", "-db", "-f", file)
	return "http://" + listen
}

// The members of a group of the target type ip are the addresses of the tasks.
func TestTraffic_ReachesTasksAtAddressesOfTheirOwn(t *testing.T) {
	s := newSite(t)
	s.dev()
	arn := s.group("web", drain, "--target-type", "ip")
	definition, network := s.networked()
	_, err := s.ecs.CreateService(t.Context(), &awsecs.CreateServiceInput{
		Cluster: aws.String(s.cluster()), ServiceName: aws.String("web"), TaskDefinition: &definition, DesiredCount: aws.Int32(2), NetworkConfiguration: network,
		LoadBalancers: []types.LoadBalancer{{TargetGroupArn: &arn, ContainerName: aws.String("main"), ContainerPort: aws.Int32(8080)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.awaitStable("web")
	s.healthy("web", 2)
	own := func() string {
		all := s.ownAddresses("web")
		for i := range all {
			all[i] += ":8080"
		}
		return sorted(all)
	}
	if members, want := s.members("web", s.endpoints), own(); sorted(members) != want {
		t.Errorf("the proxy is told of %v, want the tasks' addresses %s", members, want)
	}
	l := s.startLoad(s.haproxy("web", s.endpoints) + "/read?path=/etc/hostname")
	s.await("answers of two tasks", func() bool { return len(l.since(0)) == 2 })
	if _, err := s.ecs.UpdateService(t.Context(), &awsecs.UpdateServiceInput{Cluster: aws.String(s.cluster()), Service: aws.String("web"), ForceNewDeployment: true}); err != nil {
		t.Fatal(err)
	}
	s.awaitStable("web")
	s.await("the members replaced", func() bool { return sorted(s.members("web", s.endpoints)) == own() })
	l.lost(0, "a rolling update of tasks with addresses of their own")
}

// networked registers a web server whose tasks have addresses of their own.
func (s *site) networked() (definition string, network *types.NetworkConfiguration) {
	s.t.Helper()
	out, err := s.ecs.RegisterTaskDefinition(s.t.Context(), &awsecs.RegisterTaskDefinitionInput{
		Family: aws.String("web"), NetworkMode: types.NetworkModeAwsvpc, ContainerDefinitions: []types.ContainerDefinition{
			{Name: aws.String("main"), Image: aws.String(s.images.Serve), Memory: aws.Int32(32), PortMappings: []types.PortMapping{{ContainerPort: aws.Int32(8080)}}},
		},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return *out.TaskDefinition.TaskDefinitionArn, &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{Subnets: []string{"subnet-default"}}}
}

// ownAddresses are those of the tasks of a service.
func (s *site) ownAddresses(service string) []string {
	s.t.Helper()
	var all []string
	for _, task := range s.taskARNs(service) {
		all = append(all, *s.task(task).Containers[0].NetworkInterfaces[0].PrivateIpv4Address)
	}
	return all
}
