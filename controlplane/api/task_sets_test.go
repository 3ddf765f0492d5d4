package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/controlplane/store/storetest"
)

func external(in *awsecs.CreateServiceInput) {
	in.TaskDefinition = nil
	in.DeploymentController = &types.DeploymentController{Type: types.DeploymentControllerTypeExternal}
}

// externalService makes a service for task sets.
func (f *fixture) externalService(cluster, name string, count int32) types.Service {
	f.t.Helper()
	return f.service(cluster, name, "", count, external)
}

func percent(value float64) *types.Scale {
	return &types.Scale{Value: value, Unit: types.ScaleUnitPercent}
}

func (f *fixture) taskSet(cluster, service, definition string, scale float64, change func(*awsecs.CreateTaskSetInput)) types.TaskSet {
	f.t.Helper()
	in := &awsecs.CreateTaskSetInput{Cluster: &cluster, Service: &service, TaskDefinition: &definition, Scale: percent(scale)}
	if change != nil {
		change(in)
	}
	return *must(f.CreateTaskSet(f.ctx, in))(f.t).TaskSet
}

func (f *fixture) describeTaskSets(cluster, service string, sets ...string) *awsecs.DescribeTaskSetsOutput {
	f.t.Helper()
	return must(f.DescribeTaskSets(f.ctx, &awsecs.DescribeTaskSetsInput{Cluster: &cluster, Service: &service, TaskSets: sets}))(f.t)
}

func TestCreateService_ExternalHasNothingButItsCount(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	s := f.externalService(c, "s", 3)
	if s.DeploymentController.Type != "EXTERNAL" || s.DesiredCount != 3 || s.TaskDefinition != nil || s.LaunchType != "" || s.ResourceManagementType != "CUSTOMER" ||
		s.TaskSets == nil || len(s.TaskSets) != 0 || s.Deployments == nil || len(s.Deployments) != 0 {
		t.Errorf("got %+v", s)
	}
	bare := must(f.CreateService(f.ctx, &awsecs.CreateServiceInput{Cluster: &c, ServiceName: aws.String("bare"), DeploymentController: &types.DeploymentController{Type: "EXTERNAL"}}))(t)
	if bare.Service.DesiredCount != 0 {
		t.Errorf("without a count: got %d", bare.Service.DesiredCount)
	}
	if rolling := f.service(c, "r", f.definition("web"), 0, nil); rolling.TaskSets != nil {
		t.Errorf("a rolling service shows task sets: %+v", rolling.TaskSets)
	}
}

func TestCreateService_RefusesWhatItsControllerDoesNotAllow(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	web := f.definition("web", listening("main", 80))
	const bad = "InvalidParameterException"
	codeDeploy := func(in *awsecs.CreateServiceInput) {
		in.DeploymentController = &types.DeploymentController{Type: types.DeploymentControllerTypeCodeDeploy}
		in.LoadBalancers = balancers("tg")
	}
	for name, r := range map[string]struct {
		controller, change func(*awsecs.CreateServiceInput)
		code, message      string
	}{
		"a definition":        {external, func(in *awsecs.CreateServiceInput) { in.TaskDefinition = &web }, bad, "TaskDefinition must be empty or null."},
		"load balancers":      {external, func(in *awsecs.CreateServiceInput) { in.LoadBalancers = balancers("tg") }, bad, "LoadBalancers must be empty or null."},
		"registries":          {external, func(in *awsecs.CreateServiceInput) { in.ServiceRegistries = registries("srv-1", "main", 80) }, bad, "ServiceRegistries must be empty or null."},
		"a launch type":       {external, func(in *awsecs.CreateServiceInput) { in.LaunchType = "EC2" }, bad, "LaunchType must be empty or null."},
		"a platform":          {external, func(in *awsecs.CreateServiceInput) { in.PlatformVersion = aws.String("LATEST") }, bad, "PlatformVersion must be empty or null."},
		"a network":           {external, func(in *awsecs.CreateServiceInput) { in.NetworkConfiguration = network("subnet-1") }, bad, "NetworkConfiguration must be empty or null."},
		"a role":              {external, func(in *awsecs.CreateServiceInput) { in.Role = aws.String("r") }, bad, "Role must be empty or null."},
		"an external daemon":  {external, daemon, bad, "The DAEMON scheduling strategy is not supported with the EXTERNAL deployment controller."},
		"a blue daemon":       {codeDeploy, daemon, bad, "The DAEMON scheduling strategy is not supported with the CODE_DEPLOY deployment controller."},
		"no definition":       {codeDeploy, func(in *awsecs.CreateServiceInput) { in.TaskDefinition = nil }, bad, "TaskDefinition can not be blank."},
		"no load balancer":    {codeDeploy, func(in *awsecs.CreateServiceInput) { in.LoadBalancers = nil }, bad, ""},
		"two target groups":   {codeDeploy, func(in *awsecs.CreateServiceInput) { in.LoadBalancers = balancers("a", "b") }, bad, "At most 1 load balancer target groups can be given here, not 2."},
		"a circuit breaker":   {codeDeploy, breaking, bad, "The deployment circuit breaker can only be used with the ECS deployment controller."},
		"an external breaker": {external, breaking, bad, "The deployment circuit breaker can only be used with the ECS deployment controller."},
		"percents of its own": {external, func(in *awsecs.CreateServiceInput) {
			in.DeploymentConfiguration = &types.DeploymentConfiguration{MaximumPercent: aws.Int32(150)}
		}, bad, ""},
		"no count":         {codeDeploy, func(in *awsecs.CreateServiceInput) { in.DesiredCount = nil }, bad, "desiredCount is required for services of the REPLICA scheduling strategy."},
		"a negative grace": {external, func(in *awsecs.CreateServiceInput) { in.HealthCheckGracePeriodSeconds = aws.Int32(-1) }, bad, ""},
		"blue green of ECS's own": {external, func(in *awsecs.CreateServiceInput) {
			in.DeploymentConfiguration = &types.DeploymentConfiguration{Strategy: types.DeploymentStrategyBlueGreen}
		}, "UnsupportedFeatureException", ""},
	} {
		t.Run(name, func(t *testing.T) {
			in := &awsecs.CreateServiceInput{Cluster: &c, ServiceName: aws.String("s"), TaskDefinition: &web, DesiredCount: aws.Int32(1)}
			r.controller(in)
			r.change(in)
			_, err := f.CreateService(f.ctx, in)
			wantError(t, err, r.code, r.message)
		})
	}
}

func daemon(in *awsecs.CreateServiceInput) {
	in.SchedulingStrategy, in.DesiredCount = types.SchedulingStrategyDaemon, nil
}

func breaking(in *awsecs.CreateServiceInput) {
	in.DeploymentConfiguration = &types.DeploymentConfiguration{DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{Enable: true}}
}

func TestCreateService_OfCodeDeployHasAPrimaryTaskSet(t *testing.T) {
	f := newFixture(t)
	c, d := f.cluster("c"), f.definition("web", listening("main", 80))
	s := f.service(c, "s", d, 2, func(in *awsecs.CreateServiceInput) {
		in.DeploymentController = &types.DeploymentController{Type: types.DeploymentControllerTypeCodeDeploy}
		in.LoadBalancers = balancers("blue")
	})
	if len(s.Deployments) != 0 || len(s.TaskSets) != 1 || *s.TaskDefinition != d || *s.HealthCheckGracePeriodSeconds != 0 {
		t.Fatalf("got %+v", s)
	}
	set := s.TaskSets[0]
	if *set.Status != "PRIMARY" || set.Scale.Value != 100 || set.ComputedDesiredCount != 2 || *set.TaskDefinition != d || set.LaunchType != "EC2" || len(set.LoadBalancers) != 1 {
		t.Errorf("got %+v", set)
	}
	if got := f.describeTaskSets(c, "s").TaskSets; len(got) != 1 || *got[0].Id != *set.Id {
		t.Errorf("described %+v", got)
	}
	_, err := f.UpdateTaskSet(f.ctx, &awsecs.UpdateTaskSetInput{Cluster: &c, Service: aws.String("s"), TaskSet: set.Id, Scale: percent(50)})
	wantError(t, err, "InvalidParameterException", "Amazon ECS only supports task set management on services configured to use external deployment controllers.")
	_, err = f.DeleteService(f.ctx, &awsecs.DeleteServiceInput{Cluster: &c, Service: aws.String("s")})
	wantError(t, err, "InvalidParameterException", "The service cannot be stopped while it is scaled above 0.")
	if scaled := must(f.UpdateService(f.ctx, &awsecs.UpdateServiceInput{Cluster: &c, Service: aws.String("s"), DesiredCount: aws.Int32(0)}))(t); scaled.Service.TaskSets[0].ComputedDesiredCount != 0 {
		t.Errorf("scaled to 0: %+v", scaled.Service.TaskSets[0])
	}
	gone := must(f.DeleteService(f.ctx, &awsecs.DeleteServiceInput{Cluster: &c, Service: aws.String("s")}))(t).Service
	if *gone.Status != "DRAINING" || *gone.TaskSets[0].Status != "DRAINING" {
		t.Errorf("deleted: %+v", gone)
	}
}

func TestUpdateService_ChangesOnlyWhatItsControllerAllows(t *testing.T) {
	f := newFixture(t)
	c, d := f.cluster("c"), f.definition("web", listening("main", 80))
	f.externalService(c, "EXTERNAL", 1)
	f.service(c, "CODE_DEPLOY", d, 1, func(in *awsecs.CreateServiceInput) {
		in.DeploymentController = &types.DeploymentController{Type: types.DeploymentControllerTypeCodeDeploy}
		in.LoadBalancers = balancers("blue")
	})
	instead := map[string]string{"EXTERNAL": "Create a new task set.", "CODE_DEPLOY": "Use AWS CodeDeploy to trigger a new deployment."}
	for name, in := range map[string]awsecs.UpdateServiceInput{
		"task definition":            {TaskDefinition: &d},
		"network parameters":         {NetworkConfiguration: network("subnet-1")},
		"load balancers":             {LoadBalancers: balancers("x")},
		"service registries":         {ServiceRegistries: []types.ServiceRegistry{}},
		"platform version":           {PlatformVersion: aws.String("LATEST")},
		"capacity provider strategy": {CapacityProviderStrategy: []types.CapacityProviderStrategyItem{}},
	} {
		for service, then := range instead {
			t.Run(name+" of "+service, func(t *testing.T) {
				in := in
				in.Cluster, in.Service = &c, &service
				_, err := f.UpdateService(f.ctx, &in)
				wantError(t, err, "InvalidParameterException", "Unable to update "+name+" on services with a "+service+" deployment controller. "+then)
			})
		}
	}
	for service := range instead {
		_, err := f.UpdateService(f.ctx, &awsecs.UpdateServiceInput{Cluster: &c, Service: &service, ForceNewDeployment: true})
		wantError(t, err, "InvalidParameterException", "")
		_, err = f.UpdateService(f.ctx, &awsecs.UpdateServiceInput{Cluster: &c, Service: &service, DeploymentController: &types.DeploymentController{Type: "ECS"}})
		wantError(t, err, "UnsupportedFeatureException", "")
		s := must(f.UpdateService(f.ctx, &awsecs.UpdateServiceInput{
			Cluster: &c, Service: &service, DesiredCount: aws.Int32(4), HealthCheckGracePeriodSeconds: aws.Int32(9),
			PlacementStrategy: []types.PlacementStrategy{{Type: "random"}}, DeploymentController: &types.DeploymentController{Type: types.DeploymentControllerType(service)},
		}))(t).Service
		if s.DesiredCount != 4 || *s.HealthCheckGracePeriodSeconds != 9 || len(s.PlacementStrategy) != 1 {
			t.Errorf("got %+v", s)
		}
	}
	_, err := f.UpdateService(f.ctx, &awsecs.UpdateServiceInput{Cluster: &c, Service: aws.String("EXTERNAL"), DeploymentConfiguration: &types.DeploymentConfiguration{MaximumPercent: aws.Int32(200)}})
	wantError(t, err, "InvalidParameterException", "Unable to update deployment configuration on services with a EXTERNAL deployment controller. Create a new task set.")
	must(f.UpdateService(f.ctx, &awsecs.UpdateServiceInput{Cluster: &c, Service: aws.String("CODE_DEPLOY"), DeploymentConfiguration: &types.DeploymentConfiguration{MaximumPercent: aws.Int32(200)}}))(t)
}

func TestCreateTaskSet_AnswersTheWholeTaskSet(t *testing.T) {
	f := newFixture(t)
	f.registry("srv-1")
	c, d := f.cluster("c"), f.definition("web", listening("main", 80))
	s := f.externalService(c, "s", 3)
	set := f.taskSet(c, *s.ServiceArn, "web", 40, func(in *awsecs.CreateTaskSetInput) {
		in.ExternalId, in.LoadBalancers, in.ServiceRegistries = aws.String("mine"), balancers("tg"), registries("srv-1", "main", 80)
		in.Tags = []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}
	})
	if !strings.HasPrefix(*set.Id, "ecs-svc/") {
		t.Errorf("id %s", *set.Id)
	}
	for what, c := range map[string]struct{ got, want string }{
		"arn":        {*set.TaskSetArn, "arn:aws:ecs:us-east-1:123456789012:task-set/c/s/" + *set.Id},
		"service":    {*set.ServiceArn, *s.ServiceArn},
		"cluster":    {*set.ClusterArn, *s.ClusterArn},
		"external":   {*set.ExternalId, "mine"},
		"status":     {*set.Status, "ACTIVE"},
		"definition": {*set.TaskDefinition, d},
		"counts":     {fmt.Sprint(set.ComputedDesiredCount, set.PendingCount, set.RunningCount), "2 0 0"},
		"launch":     {string(set.LaunchType), "EC2"},
		"scale":      {fmt.Sprintf("%g %s", set.Scale.Value, set.Scale.Unit), "40 PERCENT"},
		"stability":  {string(set.StabilityStatus), "STABILIZING"},
		"group":      {*set.LoadBalancers[0].TargetGroupArn, "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/tg/0123456789abcdef"},
		"registry":   {*set.ServiceRegistries[0].ContainerName, "main"},
		"tag":        {*set.Tags[0].Value, "v"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", what, c.got, c.want)
		}
	}
	if set.StartedBy != nil || set.CreatedAt == nil || !set.UpdatedAt.Equal(*set.CreatedAt) || !set.StabilityStatusAt.Equal(*set.CreatedAt) {
		t.Errorf("got %+v", set)
	}
	unscaled := f.taskSet(c, "s", "web", 0, func(in *awsecs.CreateTaskSetInput) { in.Scale = nil })
	if unscaled.Scale.Value != 0 || unscaled.ComputedDesiredCount != 0 {
		t.Errorf("without a scale: got %+v", unscaled)
	}
}

func TestCreateTaskSet_IsIdempotentByTokenAfterARestart(t *testing.T) {
	server := storetest.Etcd(t)
	token := func(c, token string, scale float64) *awsecs.CreateTaskSetInput {
		return &awsecs.CreateTaskSetInput{Cluster: &c, Service: aws.String("s"), TaskDefinition: aws.String("web"), Scale: percent(scale), ClientToken: &token}
	}
	var first types.TaskSet
	t.Run("before", func(t *testing.T) {
		f := fixtureOn(t, storetest.On(t, server, nil))
		c := f.cluster("c")
		f.definition("web")
		f.externalService(c, "s", 2)
		first = *must(f.CreateTaskSet(f.ctx, token(c, "a", 50)))(t).TaskSet
		must(f.UpdateServicePrimaryTaskSet(f.ctx, &awsecs.UpdateServicePrimaryTaskSetInput{Cluster: &c, Service: aws.String("s"), PrimaryTaskSet: first.Id}))(t)
	})
	f := fixtureOn(t, storetest.On(t, server, nil))
	again := must(f.CreateTaskSet(f.ctx, token("c", "a", 50)))(t).TaskSet
	if *again.Id != *first.Id || *again.Status != "PRIMARY" || again.ComputedDesiredCount != 1 || !again.CreatedAt.Equal(*first.CreatedAt) {
		t.Errorf("got %+v, had %+v", *again, first)
	}
	_, err := f.CreateTaskSet(f.ctx, token("c", "a", 60))
	wantError(t, err, "InvalidParameterException", "Creation of task set was not idempotent.")
	if other := must(f.CreateTaskSet(f.ctx, token("c", "b", 50)))(t).TaskSet; *other.Id == *first.Id {
		t.Error("another token found the first task set")
	}
	if s := f.describeService("c", "s"); s.DeploymentController.Type != "EXTERNAL" || len(s.TaskSets) != 2 || s.LaunchType != "EC2" {
		t.Errorf("got %+v", s)
	}
	if !f.store.View().DefinitionInUse(model.DefinitionRef{Family: "web", Revision: 1}) {
		t.Error("the definition of a task set is not in use")
	}
}

func TestTaskSets_AreRefusedWhereThereCanBeNone(t *testing.T) {
	f := newFixture(t)
	c, d := f.cluster("c"), f.definition("web", listening("main", 80))
	f.externalService(c, "s", 1)
	f.service(c, "rolling", d, 1, nil)
	f.externalService(c, "leaving", 1)
	f.taskSet(c, "leaving", d, 0, nil)
	must(f.DeleteService(f.ctx, &awsecs.DeleteServiceInput{Cluster: &c, Service: aws.String("leaving"), Force: aws.Bool(true)}))(t)
	f.externalService(c, "gone", 0)
	f.dropService(c, "gone")
	set := f.taskSet(c, "s", d, 0, nil)
	for _, at := range []struct{ cluster, service, code, message string }{
		{"x", "s", "ClusterNotFoundException", "Cluster not found."},
		{"c", "x", "ServiceNotFoundException", "Service not found."},
		{"c", "gone", "ServiceNotActiveException", "Service was not ACTIVE."},
		{"c", "leaving", "ServiceNotActiveException", "Service was not ACTIVE."},
		{"c", "rolling", "InvalidParameterException", "Amazon ECS only supports task set management on services configured to use external deployment controllers."},
		{"c", "arn:aws:ecs:us-east-1:999999999999:service/c/s", "InvalidParameterException", ""},
	} {
		_, created := f.CreateTaskSet(f.ctx, &awsecs.CreateTaskSetInput{Cluster: &at.cluster, Service: &at.service, TaskDefinition: &d})
		_, updated := f.UpdateTaskSet(f.ctx, &awsecs.UpdateTaskSetInput{Cluster: &at.cluster, Service: &at.service, TaskSet: set.Id, Scale: percent(1)})
		_, deleted := f.DeleteTaskSet(f.ctx, &awsecs.DeleteTaskSetInput{Cluster: &at.cluster, Service: &at.service, TaskSet: set.Id})
		_, made := f.UpdateServicePrimaryTaskSet(f.ctx, &awsecs.UpdateServicePrimaryTaskSetInput{Cluster: &at.cluster, Service: &at.service, PrimaryTaskSet: set.Id})
		_, described := f.DescribeTaskSets(f.ctx, &awsecs.DescribeTaskSetsInput{Cluster: &at.cluster, Service: &at.service})
		for op, err := range map[string]error{"create": created, "update": updated, "delete": deleted, "primary": made, "describe": described} {
			if op == "describe" && at.service == "leaving" {
				if err != nil {
					t.Errorf("the task sets of a DRAINING service: %v", err)
				}
				continue
			}
			t.Run(op+" "+at.cluster+"/"+at.service, func(t *testing.T) { wantError(t, err, at.code, at.message) })
		}
	}
}

func TestTaskSetOperations_RefuseUnknownAndMalformedIdentifiers(t *testing.T) {
	f := newFixture(t)
	c, d := f.cluster("c"), f.definition("web")
	f.externalService(c, "s", 1)
	f.taskSet(c, "s", d, 0, nil)
	for _, id := range []string{"ecs-svc/1", "arn:aws:ecs:us-east-1:123456789012:task-set/c/s/ecs-svc/1"} {
		_, updated := f.UpdateTaskSet(f.ctx, &awsecs.UpdateTaskSetInput{Cluster: &c, Service: aws.String("s"), TaskSet: &id, Scale: percent(1)})
		_, deleted := f.DeleteTaskSet(f.ctx, &awsecs.DeleteTaskSetInput{Cluster: &c, Service: aws.String("s"), TaskSet: &id})
		_, made := f.UpdateServicePrimaryTaskSet(f.ctx, &awsecs.UpdateServicePrimaryTaskSetInput{Cluster: &c, Service: aws.String("s"), PrimaryTaskSet: &id})
		for _, err := range []error{updated, deleted, made} {
			wantError(t, err, "TaskSetNotFoundException", "")
		}
		failures := f.describeTaskSets(c, "s", id).Failures
		if len(failures) != 1 || *failures[0].Reason != "MISSING" || *failures[0].Arn != "arn:aws:ecs:us-east-1:123456789012:task-set/c/s/ecs-svc/1" {
			t.Errorf("got %+v", failures)
		}
	}
	for _, id := range []string{"x", "ecs-svc/x", "arn:aws:ecs:us-east-1:123456789012:task/c/s", "arn:aws:ecs:us-east-1:123456789012:task-set/c/other/ecs-svc/1", "arn:aws:ecs:us-east-1:999999999999:task-set/c/s/ecs-svc/1"} {
		_, err := f.DescribeTaskSets(f.ctx, &awsecs.DescribeTaskSetsInput{Cluster: &c, Service: aws.String("s"), TaskSets: []string{id}})
		wantError(t, err, "InvalidParameterException", "")
	}
}

func TestCreateTaskSet_Refuses(t *testing.T) {
	f := newFixture(t)
	c, d := f.cluster("c"), f.definition("web", listening("main", 80))
	f.externalService(c, "s", 1)
	inactive := f.definition("old")
	must(f.DeregisterTaskDefinition(f.ctx, &awsecs.DeregisterTaskDefinitionInput{TaskDefinition: &inactive}))(t)
	must(f.PutClusterCapacityProviders(f.ctx, &awsecs.PutClusterCapacityProvidersInput{Cluster: &c, CapacityProviders: []string{"FARGATE"}, DefaultCapacityProviderStrategy: []types.CapacityProviderStrategyItem{}}))(t)
	fargate := []types.CapacityProviderStrategyItem{{CapacityProvider: aws.String("FARGATE"), Weight: 1}}
	const invalid, client = "InvalidParameterException", "ClientException"
	for name, r := range map[string]struct {
		change        func(*awsecs.CreateTaskSetInput)
		code, message string
	}{
		"an unknown definition": {func(in *awsecs.CreateTaskSetInput) { in.TaskDefinition = aws.String("x") }, client, "TaskDefinition not found."},
		"an inactive one":       {func(in *awsecs.CreateTaskSetInput) { in.TaskDefinition = &inactive }, client, "TaskDefinition is inactive"},
		"FARGATE":               {func(in *awsecs.CreateTaskSetInput) { in.LaunchType = "FARGATE" }, client, "Task definition does not support launch_type FARGATE."},
		"a platform on EC2":     {func(in *awsecs.CreateTaskSetInput) { in.PlatformVersion = aws.String("LATEST") }, invalid, ""},
		"both kinds":            {func(in *awsecs.CreateTaskSetInput) { in.LaunchType, in.CapacityProviderStrategy = "EC2", fargate }, invalid, ""},
		"FARGATE capacity":      {func(in *awsecs.CreateTaskSetInput) { in.CapacityProviderStrategy = fargate }, client, "Task definition does not support launch_type FARGATE."},
		"unknown capacity": {func(in *awsecs.CreateTaskSetInput) {
			in.CapacityProviderStrategy = []types.CapacityProviderStrategyItem{{CapacityProvider: aws.String("p")}}
		}, invalid, ""},
		"less than nothing": {func(in *awsecs.CreateTaskSetInput) { in.Scale = percent(-1) }, invalid, "The scale of a task set must be between 0 and 100 percent, not -1."},
		"more than all":     {func(in *awsecs.CreateTaskSetInput) { in.Scale = percent(100.5) }, invalid, "The scale of a task set must be between 0 and 100 percent, not 100.5."},
		"a strange token":   {func(in *awsecs.CreateTaskSetInput) { in.ClientToken = aws.String("a b") }, invalid, ""},
		"aws's tag":         {func(in *awsecs.CreateTaskSetInput) { in.Tags = []types.Tag{{Key: aws.String("aws:k")}} }, invalid, ""},
		"a network":         {func(in *awsecs.CreateTaskSetInput) { in.NetworkConfiguration = network("subnet-1") }, invalid, "Network Configuration is not valid for the given networkMode of this task definition."},
		"a classic balancer": {func(in *awsecs.CreateTaskSetInput) {
			in.LoadBalancers = []types.LoadBalancer{{LoadBalancerName: aws.String("b"), ContainerName: aws.String("main"), ContainerPort: aws.Int32(80)}}
		}, "UnsupportedFeatureException", ""},
		"two target groups": {func(in *awsecs.CreateTaskSetInput) { in.LoadBalancers = balancers("a", "b") }, invalid, ""},
		"two registries": {func(in *awsecs.CreateTaskSetInput) {
			in.ServiceRegistries = append(registries("a", "main", 80), registries("b", "main", 80)...)
		}, invalid, "Multiple service registries for each service aren't supported."},
	} {
		t.Run(name, func(t *testing.T) {
			in := &awsecs.CreateTaskSetInput{Cluster: &c, Service: aws.String("s"), TaskDefinition: &d, Scale: percent(1)}
			r.change(in)
			_, err := f.CreateTaskSet(f.ctx, in)
			wantError(t, err, r.code, r.message)
		})
	}
	if s := f.describeService(c, "s"); len(s.TaskSets) != 0 {
		t.Errorf("what was refused is there all the same: %+v", s.TaskSets)
	}
	for range 5 {
		f.taskSet(c, "s", d, 0, nil)
	}
	_, err := f.CreateTaskSet(f.ctx, &awsecs.CreateTaskSetInput{Cluster: &c, Service: aws.String("s"), TaskDefinition: &d})
	wantError(t, err, invalid, "5 deployments exist on the service. Unable to create new TaskSet since this exceeds the maximum limit.")
}

func TestUpdateTaskSet_ChangesTheScaleAlone(t *testing.T) {
	f := newFixture(t)
	c, d := f.cluster("c"), f.definition("web")
	f.externalService(c, "s", 10)
	set := f.taskSet(c, "s", d, 12, nil)
	f.clock.Store(int64(time.Hour))
	got := must(f.UpdateTaskSet(f.ctx, &awsecs.UpdateTaskSetInput{Cluster: &c, Service: aws.String("s"), TaskSet: set.TaskSetArn, Scale: percent(33.3)}))(t).TaskSet
	if got.Scale.Value != 33.3 || got.ComputedDesiredCount != 4 || !got.UpdatedAt.After(*set.UpdatedAt) || !got.CreatedAt.Equal(*set.CreatedAt) {
		t.Errorf("got %+v", got)
	}
	_, err := f.UpdateTaskSet(f.ctx, &awsecs.UpdateTaskSetInput{Cluster: &c, Service: aws.String("s"), TaskSet: set.Id, Scale: percent(101)})
	wantError(t, err, "InvalidParameterException", "")
	must(f.DeleteTaskSet(f.ctx, &awsecs.DeleteTaskSetInput{Cluster: &c, Service: aws.String("s"), TaskSet: set.Id, Force: aws.Bool(true)}))(t)
	_, err = f.UpdateTaskSet(f.ctx, &awsecs.UpdateTaskSetInput{Cluster: &c, Service: aws.String("s"), TaskSet: set.Id, Scale: percent(1)})
	wantError(t, err, "InvalidParameterException", "The task set "+*set.Id+" is DRAINING: it was deleted and can not be changed any more.")
}

func TestUpdateServicePrimaryTaskSet_IsWhatTheServiceShows(t *testing.T) {
	f := newFixture(t)
	c, one := f.cluster("c"), f.definition("web", listening("main", 80))
	two := f.definition("web", listening("main", 80))
	f.externalService(c, "s", 1)
	a := f.taskSet(c, "s", one, 100, func(in *awsecs.CreateTaskSetInput) { in.LoadBalancers = balancers("a") })
	b := f.taskSet(c, "s", two, 0, func(in *awsecs.CreateTaskSetInput) { in.LaunchType = types.LaunchTypeExternal })
	primary := func(id *string) types.TaskSet {
		t.Helper()
		return *must(f.UpdateServicePrimaryTaskSet(f.ctx, &awsecs.UpdateServicePrimaryTaskSetInput{Cluster: &c, Service: aws.String("s"), PrimaryTaskSet: id}))(t).TaskSet
	}
	if s := f.describeService(c, "s"); s.TaskDefinition != nil || len(s.LoadBalancers) != 0 || s.LaunchType != "" {
		t.Errorf("without a PRIMARY task set: got %+v", s)
	}
	if got := primary(a.Id); *got.Status != "PRIMARY" {
		t.Errorf("got %+v", got)
	}
	if s := f.describeService(c, "s"); *s.TaskDefinition != one || len(s.LoadBalancers) != 1 || s.LaunchType != "EC2" {
		t.Errorf("got %+v", s)
	}
	primary(b.TaskSetArn)
	s := f.describeService(c, "s")
	if *s.TaskDefinition != two || len(s.LoadBalancers) != 0 || s.LaunchType != "EXTERNAL" || *s.TaskSets[0].Status != "ACTIVE" || *s.TaskSets[1].Status != "PRIMARY" {
		t.Errorf("got %+v", s)
	}
	must(f.DeleteTaskSet(f.ctx, &awsecs.DeleteTaskSetInput{Cluster: &c, Service: aws.String("s"), TaskSet: b.Id, Force: aws.Bool(true)}))(t)
	if s := f.describeService(c, "s"); s.TaskDefinition != nil || s.LaunchType != "" {
		t.Errorf("its PRIMARY task set deleted: got %+v", s)
	}
	_, err := f.UpdateServicePrimaryTaskSet(f.ctx, &awsecs.UpdateServicePrimaryTaskSetInput{Cluster: &c, Service: aws.String("s"), PrimaryTaskSet: b.Id})
	wantError(t, err, "InvalidParameterException", "")
}

func TestDeleteTaskSet_NeedsForceUnlessItIsScaledDownAndNotPrimary(t *testing.T) {
	f := newFixture(t)
	c, d := f.cluster("c"), f.definition("web")
	f.externalService(c, "s", 2)
	scaled, primary, idle := f.taskSet(c, "s", d, 50, nil), f.taskSet(c, "s", d, 0, nil), f.taskSet(c, "s", d, 0, nil)
	must(f.UpdateServicePrimaryTaskSet(f.ctx, &awsecs.UpdateServicePrimaryTaskSetInput{Cluster: &c, Service: aws.String("s"), PrimaryTaskSet: primary.Id}))(t)
	remove := func(id *string, force bool) (*awsecs.DeleteTaskSetOutput, error) {
		return f.DeleteTaskSet(f.ctx, &awsecs.DeleteTaskSetInput{Cluster: &c, Service: aws.String("s"), TaskSet: id, Force: &force})
	}
	_, err := remove(scaled.Id, false)
	wantError(t, err, "InvalidParameterException", "The task set "+*scaled.Id+" is scaled above 0. Scale it down to 0, or use force.")
	_, err = remove(primary.Id, false)
	wantError(t, err, "InvalidParameterException", "The task set "+*primary.Id+" is PRIMARY and can only be deleted with force.")
	_, err = f.DeleteService(f.ctx, &awsecs.DeleteServiceInput{Cluster: &c, Service: aws.String("s")})
	wantError(t, err, "InvalidParameterException", "The service cannot be stopped while it has task sets: "+*scaled.Id+".")
	for id, force := range map[*string]bool{scaled.Id: true, primary.Id: true, idle.Id: false} {
		for range 2 { // the second time it is the same
			if got := must(remove(id, force))(t).TaskSet; *got.Status != "DRAINING" || got.ComputedDesiredCount != 0 || got.Scale.Value != 0 {
				t.Errorf("got %+v", got)
			}
		}
	}
	gone := must(f.DeleteService(f.ctx, &awsecs.DeleteServiceInput{Cluster: &c, Service: aws.String("s")}))(t).Service
	if *gone.Status != "DRAINING" {
		t.Errorf("got %+v", gone)
	}
}

func TestDescribeTaskSets_CountsTheTasksOfEach(t *testing.T) {
	f := newFixture(t)
	c, d := f.cluster("c"), f.definition("web")
	host := f.host(c, 4096, 4096)
	f.externalService(c, "s", 2)
	a, b := f.taskSet(c, "s", d, 100, nil), f.taskSet(c, "s", d, 50, func(in *awsecs.CreateTaskSetInput) { in.Tags = []types.Tag{{Key: aws.String("k")}} })
	started := func(set *string, status model.TaskStatus) {
		out := must(f.StartTask(f.ctx, &awsecs.StartTaskInput{Cluster: &c, TaskDefinition: &d, ContainerInstances: []string{host}, StartedBy: aws.String("x")}))(t)
		f.changeTask(*out.Tasks[0].TaskArn, func(task *model.Task) {
			task.Service, task.Deployment, task.StartedBy, task.LastStatus = "s", model.DeploymentID(*set), *set, status
		})
	}
	started(a.Id, model.TaskRunning)
	started(a.Id, model.TaskRunning)
	started(a.Id, model.TaskPending)
	started(b.Id, model.TaskRunning)
	f.update(func(tx *store.Tx) { // as the service loop says when it has looked
		have, _ := tx.Service(model.ServiceKey{Cluster: "c", Name: "s"})
		next := *have
		next.TaskSets = slices.Clone(have.TaskSets)
		for i := range next.TaskSets {
			next.TaskSets[i].Stability = "STEADY_STATE"
		}
		tx.PutService(&next)
	})
	out := must(f.DescribeTaskSets(f.ctx, &awsecs.DescribeTaskSetsInput{Cluster: &c, Service: aws.String("s"), TaskSets: []string{*b.Id, *a.TaskSetArn}, Include: []types.TaskSetField{"TAGS"}}))(t)
	if len(out.TaskSets) != 2 || *out.TaskSets[0].Id != *b.Id || len(out.TaskSets[0].Tags) != 1 {
		t.Fatalf("got %+v", out.TaskSets)
	}
	got := fmt.Sprintf("%d %s %d %d %s", out.TaskSets[0].RunningCount, out.TaskSets[0].StabilityStatus, out.TaskSets[1].RunningCount, out.TaskSets[1].PendingCount, out.TaskSets[1].StabilityStatus)
	if got != "1 STEADY_STATE 2 1 STABILIZING" {
		t.Errorf("got %s", got)
	}
	if all := f.describeTaskSets(c, "s").TaskSets; len(all) != 2 || len(all[1].Tags) != 0 {
		t.Errorf("got %+v", all)
	}
	if s := f.describeService(c, "s"); s.RunningCount != 3 || s.PendingCount != 1 {
		t.Errorf("the service counts %d and %d", s.RunningCount, s.PendingCount)
	}
	if tasks := must(f.ListTasks(f.ctx, &awsecs.ListTasksInput{Cluster: &c, StartedBy: a.Id}))(t).TaskArns; len(tasks) != 3 {
		t.Errorf("started by the task set: %v", tasks)
	}
}

func TestTaskSets_KeepTheirDefinitionsAndCapacityProvidersInUse(t *testing.T) {
	f := newFixture(t)
	c, d := f.cluster("c"), f.definition("web")
	f.provider("p")
	must(f.PutClusterCapacityProviders(f.ctx, &awsecs.PutClusterCapacityProvidersInput{Cluster: &c, CapacityProviders: []string{"p"}, DefaultCapacityProviderStrategy: []types.CapacityProviderStrategyItem{}}))(t)
	f.externalService(c, "s", 1)
	set := f.taskSet(c, "s", d, 0, func(in *awsecs.CreateTaskSetInput) {
		in.CapacityProviderStrategy = []types.CapacityProviderStrategyItem{{CapacityProvider: aws.String("p"), Weight: 1}}
	})
	if set.LaunchType != "" || len(set.CapacityProviderStrategy) != 1 {
		t.Errorf("got %+v", set)
	}
	_, err := f.PutClusterCapacityProviders(f.ctx, &awsecs.PutClusterCapacityProvidersInput{Cluster: &c, CapacityProviders: []string{}, DefaultCapacityProviderStrategy: []types.CapacityProviderStrategyItem{}})
	wantError(t, err, "ResourceInUseException", "")
	ref := model.DefinitionRef{Family: "web", Revision: 1}
	if !f.store.View().DefinitionInUse(ref) {
		t.Error("the definition is not in use")
	}
	_, err = f.DeleteCluster(f.ctx, &awsecs.DeleteClusterInput{Cluster: &c})
	wantError(t, err, "ClusterContainsServicesException", "")
	f.dropService(c, "s")
	if f.store.View().DefinitionInUse(ref) {
		t.Error("the definition is in use by a service that is gone")
	}
	must(f.PutClusterCapacityProviders(f.ctx, &awsecs.PutClusterCapacityProvidersInput{Cluster: &c, CapacityProviders: []string{}, DefaultCapacityProviderStrategy: []types.CapacityProviderStrategyItem{}}))(t)
}

func TestTags_OfTaskSets(t *testing.T) {
	f := newFixture(t)
	c, d := f.cluster("c"), f.definition("web")
	f.externalService(c, "s", 1)
	set := f.taskSet(c, "s", d, 0, nil)
	tag := func(key string) types.Tag { return types.Tag{Key: &key, Value: aws.String("v")} }
	must(f.TagResource(f.ctx, &awsecs.TagResourceInput{ResourceArn: set.TaskSetArn, Tags: []types.Tag{tag("a"), tag("b")}}))(t)
	must(f.UntagResource(f.ctx, &awsecs.UntagResourceInput{ResourceArn: set.TaskSetArn, TagKeys: []string{"a"}}))(t)
	if tags := must(f.ListTagsForResource(f.ctx, &awsecs.ListTagsForResourceInput{ResourceArn: set.TaskSetArn}))(t).Tags; len(tags) != 1 || *tags[0].Key != "b" {
		t.Errorf("got %+v", tags)
	}
	for _, arn := range []string{"arn:aws:ecs:us-east-1:123456789012:task-set/c/s/ecs-svc/1", "arn:aws:ecs:us-east-1:123456789012:task-set/c/x/ecs-svc/1"} {
		_, err := f.TagResource(f.ctx, &awsecs.TagResourceInput{ResourceArn: &arn, Tags: []types.Tag{tag("a")}})
		wantError(t, err, "ResourceNotFoundException", "")
	}
}
