package api_test

import (
	"slices"
	"strconv"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

type strategy = []types.CapacityProviderStrategyItem

func share(provider string, base, weight int32) types.CapacityProviderStrategyItem {
	return types.CapacityProviderStrategyItem{CapacityProvider: &provider, Base: base, Weight: weight}
}

// associate gives a cluster its capacity providers and default strategy.
func (f *fixture) associate(cluster string, standard strategy, providers ...string) types.Cluster {
	f.t.Helper()
	if standard == nil {
		standard = strategy{}
	}
	return *must(f.PutClusterCapacityProviders(f.ctx, &awsecs.PutClusterCapacityProvidersInput{
		Cluster: &cluster, CapacityProviders: providers, DefaultCapacityProviderStrategy: standard,
	}))(f.t).Cluster
}

func inPool(name string) types.Attribute {
	return types.Attribute{Name: aws.String("longshore.pool"), Value: &name}
}

// pools is a cluster with a host in each of two pools, with their capacity
// providers a and b, and one in none.
func (f *fixture) pools() (cluster, hostA, hostB string) {
	f.t.Helper()
	cluster = f.cluster("c")
	hostA, hostB = f.host(cluster, 1000, 4096, inPool("a")), f.host(cluster, 300, 4096, inPool("b"))
	f.host(cluster, 4096, 4096)
	f.provider("a")
	f.provider("b")
	f.definition("web")
	f.associate(cluster, nil, "a", "b", "FARGATE", "FARGATE_SPOT")
	return cluster, hostA, hostB
}

func providersOf(tasks []types.Task) map[string]int {
	out := map[string]int{}
	for _, t := range tasks {
		out[aws.ToString(t.CapacityProviderName)+" "+*t.ContainerInstanceArn]++
	}
	return out
}

func TestRunTask_DividesTasksAmongCapacityProviders(t *testing.T) {
	f := newFixture(t)
	c, hostA, hostB := f.pools()
	out := must(f.RunTask(f.ctx, &awsecs.RunTaskInput{
		Cluster: &c, TaskDefinition: aws.String("web"), Count: aws.Int32(5),
		CapacityProviderStrategy: strategy{share("arn:aws:ecs:us-east-1:123456789012:capacity-provider/a", 2, 2), share("b", 0, 1)},
	}))(t)
	if got := providersOf(out.Tasks); got["a "+hostA] != 4 || got["b "+hostB] != 1 || len(got) != 2 {
		t.Errorf("tasks by provider and host: %v", got)
	}
	if task := f.describeTask(c, *out.Tasks[0].TaskArn); *task.CapacityProviderName != "a" || task.LaunchType != types.LaunchTypeEc2 {
		t.Errorf("described %+v", task)
	}
	hosts := must(f.DescribeContainerInstances(f.ctx, &awsecs.DescribeContainerInstancesInput{Cluster: &c, ContainerInstances: []string{hostA, hostB}}))(t).ContainerInstances
	if *hosts[0].CapacityProviderName != "a" || *hosts[1].CapacityProviderName != "b" {
		t.Errorf("hosts of %s and %s", *hosts[0].CapacityProviderName, *hosts[1].CapacityProviderName)
	}
	// The pool of b has room for two more, whatever the others have.
	short := must(f.RunTask(f.ctx, &awsecs.RunTaskInput{
		Cluster: &c, TaskDefinition: aws.String("web"), Count: aws.Int32(3), CapacityProviderStrategy: strategy{share("b", 0, 0)},
	}))(t)
	if len(short.Tasks) != 2 || len(short.Failures) != 1 || *short.Failures[0].Arn != hostB || *short.Failures[0].Reason != "RESOURCE:CPU" {
		t.Errorf("got %d tasks, failures %+v", len(short.Tasks), short.Failures)
	}
}

func TestRunTask_TakesTheClustersDefaultStrategy(t *testing.T) {
	f := newFixture(t)
	c, hostA, _ := f.pools()
	got := f.associate(c, strategy{share("a", 0, 1)}, "a", "b")
	if len(got.DefaultCapacityProviderStrategy) != 1 || !slices.Equal(got.CapacityProviders, []string{"a", "b"}) || aws.ToString(got.AttachmentsStatus) != "UPDATE_COMPLETE" {
		t.Errorf("cluster %+v", got)
	}
	tasks := f.run(c, "web", 2).Tasks
	if got := providersOf(tasks); got["a "+hostA] != 2 {
		t.Errorf("tasks by provider and host: %v", got)
	}
	plain := must(f.RunTask(f.ctx, &awsecs.RunTaskInput{Cluster: &c, TaskDefinition: aws.String("web"), LaunchType: types.LaunchTypeEc2}))(t).Tasks[0]
	given := must(f.StartTask(f.ctx, &awsecs.StartTaskInput{Cluster: &c, TaskDefinition: aws.String("web"), ContainerInstances: []string{hostA}}))(t).Tasks[0]
	if plain.CapacityProviderName != nil || given.CapacityProviderName != nil {
		t.Errorf("a launch type and given hosts have no provider, got %+v and %+v", plain, given)
	}
}

func TestCapacityProviderStrategy_Refused(t *testing.T) {
	f := newFixture(t)
	c, _, _ := f.pools()
	f.provider("empty")
	f.provider("other")
	f.associate(c, nil, "a", "b", "empty", "FARGATE", "FARGATE_SPOT")
	var many strategy
	for i := range 21 {
		many = append(many, share("p"+strconv.Itoa(i), 0, 1))
	}
	const invalid, client = "InvalidParameterException", "ClientException"
	for name, r := range map[string]struct {
		strategy      strategy
		code, message string
	}{
		"too many":                 {many, invalid, "A capacity provider strategy has at most 20 capacity providers, not 21."},
		"not associated":           {strategy{share("other", 0, 1)}, invalid, "The capacity provider other is not associated with the cluster. Associate it and try again."},
		"twice":                    {strategy{share("a", 0, 1), share("a", 0, 1)}, invalid, ""},
		"two bases":                {strategy{share("a", 1, 1), share("b", 1, 1)}, invalid, "Only one capacity provider in a capacity provider strategy can have a base defined."},
		"no weight":                {strategy{share("a", 1, 0), share("b", 0, 0)}, invalid, "At least one of the capacity providers of a capacity provider strategy must have a weight above 0."},
		"weight 1001":              {strategy{share("a", 0, 1001)}, invalid, ""},
		"weight -1":                {strategy{share("a", 0, -1)}, invalid, ""},
		"base -1":                  {strategy{share("a", -1, 1)}, invalid, ""},
		"base 100001":              {strategy{share("a", 100001, 1)}, invalid, ""},
		"a mix":                    {strategy{share("a", 0, 1), share("FARGATE", 0, 1)}, invalid, "The provided capacity provider strategy cannot contain a mix of capacity providers using Auto Scaling groups and Fargate providers. Specify one or the other and try again."},
		"FARGATE":                  {strategy{share("FARGATE", 0, 1)}, client, "Task definition does not support launch_type FARGATE."},
		"an ARN of somebody else":  {strategy{share("arn:aws:ecs:us-east-1:999999999999:capacity-provider/a", 0, 1)}, invalid, ""},
		"a provider without hosts": {strategy{share("a", 0, 1), share("empty", 0, 1)}, invalid, "No Container Instances were found in your capacity provider."},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.RunTask(f.ctx, &awsecs.RunTaskInput{Cluster: &c, TaskDefinition: aws.String("web"), Count: aws.Int32(2), CapacityProviderStrategy: r.strategy})
			wantError(t, err, r.code, r.message)
			if name == "a provider without hosts" {
				return // a service waits for them
			}
			_, err = f.CreateService(f.ctx, &awsecs.CreateServiceInput{
				Cluster: &c, ServiceName: aws.String("s"), TaskDefinition: aws.String("web"), DesiredCount: aws.Int32(1), CapacityProviderStrategy: r.strategy,
			})
			wantError(t, err, r.code, r.message)
		})
	}
	if n := len(must(f.ListTasks(f.ctx, &awsecs.ListTasksInput{Cluster: &c}))(t).TaskArns); n != 0 {
		t.Errorf("%d tasks of what was refused", n)
	}
}

func TestServices_ShowTheirCapacityProviderStrategy(t *testing.T) {
	f := newFixture(t)
	c, _, _ := f.pools()
	f.associate(c, strategy{share("b", 0, 1)}, "a", "b")
	s := f.service(c, "s", "web", 0, func(in *awsecs.CreateServiceInput) { in.CapacityProviderStrategy = strategy{share("a", 1, 2)} })
	if len(s.CapacityProviderStrategy) != 1 || *s.CapacityProviderStrategy[0].CapacityProvider != "a" || s.CapacityProviderStrategy[0].Weight != 2 ||
		s.LaunchType != "" || len(s.Deployments[0].CapacityProviderStrategy) != 1 || s.Deployments[0].LaunchType != "" {
		t.Errorf("with a strategy: %+v", s)
	}
	if s := f.service(c, "standard", "web", 0, nil); len(s.CapacityProviderStrategy) != 1 || *s.CapacityProviderStrategy[0].CapacityProvider != "b" {
		t.Errorf("with the cluster's strategy: %+v", s)
	}
	if s := f.service(c, "plain", "web", 0, func(in *awsecs.CreateServiceInput) { in.LaunchType = types.LaunchTypeEc2 }); s.CapacityProviderStrategy != nil || s.LaunchType != types.LaunchTypeEc2 {
		t.Errorf("with a launch type: %+v", s)
	}
	daemon := &awsecs.CreateServiceInput{Cluster: &c, ServiceName: aws.String("daemon"), TaskDefinition: aws.String("web"), SchedulingStrategy: types.SchedulingStrategyDaemon}
	if s := must(f.CreateService(f.ctx, daemon))(t).Service; s.CapacityProviderStrategy != nil || s.LaunchType != types.LaunchTypeEc2 {
		t.Errorf("a DAEMON: %+v", s)
	}
	daemon.ServiceName, daemon.CapacityProviderStrategy = aws.String("daemon2"), strategy{share("a", 0, 1)}
	_, err := f.CreateService(f.ctx, daemon)
	wantError(t, err, "InvalidParameterException", "Specifying a capacity provider strategy is not supported when you create a service using the DAEMON scheduling strategy.")
	_, err = f.UpdateService(f.ctx, &awsecs.UpdateServiceInput{Cluster: &c, Service: aws.String("daemon"), CapacityProviderStrategy: strategy{share("a", 0, 1)}, ForceNewDeployment: true})
	wantError(t, err, "InvalidParameterException", "")
}

func TestUpdateService_ChangesTheStrategyWithANewDeploymentOnly(t *testing.T) {
	f := newFixture(t)
	c, _, _ := f.pools()
	f.service(c, "s", "web", 0, nil)
	update := func(s strategy, force bool) (*awsecs.UpdateServiceOutput, error) {
		return f.UpdateService(f.ctx, &awsecs.UpdateServiceInput{Cluster: &c, Service: aws.String("s"), CapacityProviderStrategy: s, ForceNewDeployment: force})
	}
	_, err := update(strategy{share("a", 0, 1)}, false)
	wantError(t, err, "InvalidParameterException", "When switching from launch type to capacity provider strategy on an existing service, or making a change to a capacity provider strategy on a service that is already using one, you must force a new deployment.")
	s := must(update(strategy{share("a", 0, 1)}, true))(t).Service
	if len(s.Deployments) != 2 || s.LaunchType != "" || len(s.CapacityProviderStrategy) != 1 ||
		len(s.Deployments[0].CapacityProviderStrategy) != 1 || s.Deployments[1].CapacityProviderStrategy != nil || s.Deployments[1].LaunchType != types.LaunchTypeEc2 {
		t.Errorf("updated %+v", s)
	}
	if s := must(update(strategy{share("a", 0, 1)}, false))(t).Service; len(s.Deployments) != 2 {
		t.Errorf("the same strategy needs no deployment, got %+v", s.Deployments)
	}
	_, err = update(strategy{}, true)
	wantError(t, err, "InvalidParameterException", "")
	_, err = update(strategy{share("FARGATE", 0, 1)}, true)
	wantError(t, err, "ClientException", "Task definition does not support launch_type FARGATE.")
	_, err = update(strategy{share("nobody", 0, 1)}, true)
	wantError(t, err, "InvalidParameterException", "")
}

func TestPutClusterCapacityProviders_KeepsWhatIsInUse(t *testing.T) {
	f := newFixture(t)
	c, _, _ := f.pools()
	put := func(cluster string, standard strategy, providers ...string) error {
		_, err := f.PutClusterCapacityProviders(f.ctx, &awsecs.PutClusterCapacityProvidersInput{Cluster: &cluster, CapacityProviders: append([]string{}, providers...), DefaultCapacityProviderStrategy: standard})
		return err
	}
	none := strategy{}
	const inUse = "The specified capacity provider is in use and cannot be removed."
	task := *must(f.RunTask(f.ctx, &awsecs.RunTaskInput{Cluster: &c, TaskDefinition: aws.String("web"), CapacityProviderStrategy: strategy{share("a", 0, 1)}}))(t).Tasks[0].TaskArn
	wantError(t, put(c, none, "b"), "ResourceInUseException", inUse)
	f.stopNow(task)
	f.service(c, "s", "web", 0, func(in *awsecs.CreateServiceInput) { in.CapacityProviderStrategy = strategy{share("a", 0, 1)} })
	wantError(t, put(c, none, "b"), "ResourceInUseException", inUse)
	f.dropService(c, "s")
	if err := put(c, none, "b"); err != nil {
		t.Error(err)
	}
	f.cluster("d")
	wantError(t, put("d", none, "b"), "InvalidParameterException", "The capacity provider b is already associated with the cluster c.")
	if err := put("d", strategy{share("FARGATE", 0, 1)}, "a", "FARGATE"); err != nil {
		t.Errorf("a is free and FARGATE is for every cluster: %v", err)
	}
	wantError(t, put("d", strategy{share("FARGATE", 0, 1)}, "a"), "InvalidParameterException", "The capacity provider FARGATE is not associated with the cluster. Associate it and try again.")
	wantError(t, put("d", none, "nobody"), "InvalidParameterException", "The specified capacity provider nobody was not found. Specify a valid capacity provider and try again.")
	wantError(t, put("d", none, slices.Repeat([]string{"a"}, 21)...), "InvalidParameterException", "")
	wantError(t, put("nowhere", none), "ClusterNotFoundException", "")
	got := must(f.DescribeClusters(f.ctx, &awsecs.DescribeClustersInput{Clusters: []string{"d"}}))(t).Clusters[0]
	if !slices.Equal(got.CapacityProviders, []string{"a", "FARGATE"}) {
		t.Errorf("what was refused changed the cluster: %+v", got)
	}
	_, err := f.RunTask(f.ctx, &awsecs.RunTaskInput{Cluster: aws.String("d"), TaskDefinition: aws.String("web")})
	wantError(t, err, "ClientException", "Task definition does not support launch_type FARGATE.")
}
