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
)

func (f *fixture) service(cluster, name, definition string, count int32, change func(*awsecs.CreateServiceInput)) types.Service {
	f.t.Helper()
	in := &awsecs.CreateServiceInput{Cluster: &cluster, ServiceName: &name, TaskDefinition: &definition, DesiredCount: &count}
	if change != nil {
		change(in)
	}
	return *must(f.CreateService(f.ctx, in))(f.t).Service
}

func (f *fixture) describeService(cluster, name string) types.Service {
	f.t.Helper()
	out := must(f.DescribeServices(f.ctx, &awsecs.DescribeServicesInput{Cluster: &cluster, Services: []string{name}}))(f.t)
	if len(out.Services) != 1 {
		f.t.Fatalf("no service %s: %+v", name, out.Failures)
	}
	return out.Services[0]
}

func TestCreateService_FillsInDefaults(t *testing.T) {
	f := newFixture(t)
	c, d := f.cluster("c"), f.definition("web")
	s := f.service(c, "s", "web", 2, nil)
	for what, c := range map[string]struct{ got, want string }{
		"arn":        {*s.ServiceArn, "arn:aws:ecs:us-east-1:123456789012:service/c/s"},
		"status":     {*s.Status, "ACTIVE"},
		"launch":     {string(s.LaunchType), "EC2"},
		"scheduling": {string(s.SchedulingStrategy), "REPLICA"},
		"controller": {string(s.DeploymentController.Type), "ECS"},
		"definition": {*s.TaskDefinition, d},
		"percents":   {fmt.Sprint(*s.DeploymentConfiguration.MinimumHealthyPercent, *s.DeploymentConfiguration.MaximumPercent), "100 200"},
		"propagate":  {string(s.PropagateTags), "NONE"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", what, c.got, c.want)
		}
	}
	if len(s.Deployments) != 1 {
		t.Fatalf("deployments %+v", s.Deployments)
	}
	p := s.Deployments[0]
	if *p.Status != "PRIMARY" || p.RolloutState != types.DeploymentRolloutStateInProgress || p.DesiredCount != 2 ||
		*p.RolloutStateReason != "ECS deployment "+*p.Id+" in progress." || !strings.HasPrefix(*p.Id, "ecs-svc/") || len(*p.Id) != len("ecs-svc/")+19 {
		t.Errorf("deployment %+v", p)
	}
	daemon := must(f.CreateService(f.ctx, &awsecs.CreateServiceInput{Cluster: &c, ServiceName: aws.String("d"), TaskDefinition: &d, SchedulingStrategy: types.SchedulingStrategyDaemon}))(t).Service
	if *daemon.DeploymentConfiguration.MinimumHealthyPercent != 0 || *daemon.DeploymentConfiguration.MaximumPercent != 100 {
		t.Errorf("daemon %+v", daemon.DeploymentConfiguration)
	}
}

func TestDescribeServices_OmitsTheDeploymentControllerECS(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.definition("web")
	f.service(c, "s", "web", 0, nil)
	f.externalService(c, "x", 0)
	if s := f.describeService(c, "s"); s.DeploymentController != nil {
		t.Errorf("it shows %v", s.DeploymentController.Type)
	}
	if s := f.describeService(c, "x"); s.DeploymentController == nil || s.DeploymentController.Type != types.DeploymentControllerTypeExternal {
		t.Errorf("an EXTERNAL service shows %v", s.DeploymentController)
	}
	updated := must(f.UpdateService(f.ctx, &awsecs.UpdateServiceInput{Cluster: &c, Service: aws.String("s"), DesiredCount: aws.Int32(1)}))(t).Service
	deleted := must(f.DeleteService(f.ctx, &awsecs.DeleteServiceInput{Cluster: &c, Service: aws.String("s"), Force: aws.Bool(true)}))(t).Service
	for what, s := range map[string]*types.Service{"UpdateService": updated, "DeleteService": deleted} {
		if s.DeploymentController == nil || s.DeploymentController.Type != types.DeploymentControllerTypeEcs {
			t.Errorf("%s shows %v", what, s.DeploymentController)
		}
	}
}

func TestCreateService_IsIdempotentByToken(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.definition("web")
	token := func(token string, count int32) *awsecs.CreateServiceInput {
		return &awsecs.CreateServiceInput{Cluster: &c, ServiceName: aws.String("s"), TaskDefinition: aws.String("web"), DesiredCount: &count, ClientToken: &token}
	}
	first := must(f.CreateService(f.ctx, token("a", 1)))(t).Service
	if again := must(f.CreateService(f.ctx, token("a", 1)))(t).Service; *again.Deployments[0].Id != *first.Deployments[0].Id {
		t.Error("the same request made another service")
	}
	for name, in := range map[string]*awsecs.CreateServiceInput{"another token": token("b", 1), "another request": token("a", 2), "no token": {Cluster: &c, ServiceName: aws.String("s"), TaskDefinition: aws.String("web"), DesiredCount: aws.Int32(1)}} {
		t.Run(name, func(t *testing.T) {
			_, err := f.CreateService(f.ctx, in)
			wantError(t, err, "InvalidParameterException", "Creation of service was not idempotent.")
		})
	}
}

func TestCreateService_Refuses(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.definition("web")
	inactive := f.definition("old")
	must(f.DeregisterTaskDefinition(f.ctx, &awsecs.DeregisterTaskDefinitionInput{TaskDefinition: &inactive}))(t)
	const invalid, client, unsupported = "InvalidParameterException", "ClientException", "UnsupportedFeatureException"
	percent := func(minimum, maximum int32) func(*awsecs.CreateServiceInput) {
		return func(in *awsecs.CreateServiceInput) {
			in.DeploymentConfiguration = &types.DeploymentConfiguration{MinimumHealthyPercent: &minimum, MaximumPercent: &maximum}
		}
	}
	for name, r := range map[string]struct {
		change        func(*awsecs.CreateServiceInput)
		code, message string
	}{
		"a strange name":        {func(in *awsecs.CreateServiceInput) { in.ServiceName = aws.String("a/b") }, invalid, ""},
		"no definition":         {func(in *awsecs.CreateServiceInput) { in.TaskDefinition = nil }, invalid, "TaskDefinition can not be blank."},
		"an unknown definition": {func(in *awsecs.CreateServiceInput) { in.TaskDefinition = aws.String("x") }, client, "TaskDefinition not found."},
		"an inactive one":       {func(in *awsecs.CreateServiceInput) { in.TaskDefinition = &inactive }, client, "TaskDefinition is inactive"},
		"no count":              {func(in *awsecs.CreateServiceInput) { in.DesiredCount = nil }, invalid, ""},
		"a negative count":      {func(in *awsecs.CreateServiceInput) { in.DesiredCount = aws.Int32(-1) }, invalid, ""},
		"a daemon with a count": {func(in *awsecs.CreateServiceInput) { in.SchedulingStrategy = types.SchedulingStrategyDaemon }, invalid, "The daemon scheduling strategy does not support a desired count for services. Remove the desired count value and try again."},
		"a daemon with a strategy": {func(in *awsecs.CreateServiceInput) {
			in.SchedulingStrategy, in.DesiredCount = types.SchedulingStrategyDaemon, nil
			in.PlacementStrategy = []types.PlacementStrategy{{Type: types.PlacementStrategyTypeRandom}}
		}, invalid, ""},
		"FARGATE":             {func(in *awsecs.CreateServiceInput) { in.LaunchType = types.LaunchTypeFargate }, client, "Task definition does not support launch_type FARGATE."},
		"100 and 100 percent": {percent(100, 100), invalid, "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments."},
		"at most 99 percent":  {percent(50, 99), invalid, ""},
		"at least 101":        {percent(101, 200), invalid, ""},
		"service connect": {func(in *awsecs.CreateServiceInput) {
			in.ServiceConnectConfiguration = &types.ServiceConnectConfiguration{Enabled: true}
		}, unsupported, ""},
		"CODE_DEPLOY": {func(in *awsecs.CreateServiceInput) {
			in.DeploymentController = &types.DeploymentController{Type: types.DeploymentControllerTypeCodeDeploy}
		}, invalid, "A service that uses the CODE_DEPLOY deployment controller must be configured to use a load balancer."},
		"blue and green": {func(in *awsecs.CreateServiceInput) {
			in.DeploymentConfiguration = &types.DeploymentConfiguration{Strategy: types.DeploymentStrategyBlueGreen}
		}, unsupported, ""},
		"alarms": {func(in *awsecs.CreateServiceInput) {
			in.DeploymentConfiguration = &types.DeploymentConfiguration{Alarms: &types.DeploymentAlarms{AlarmNames: []string{"a"}, Enable: true}}
		}, unsupported, ""},
		"execute command": {func(in *awsecs.CreateServiceInput) { in.EnableExecuteCommand = true }, unsupported, ""},
		"a grace period":  {func(in *awsecs.CreateServiceInput) { in.HealthCheckGracePeriodSeconds = aws.Int32(5) }, invalid, "Health check grace period is only valid for services configured to use load balancers"},
		"a role":          {func(in *awsecs.CreateServiceInput) { in.Role = aws.String("r") }, invalid, ""},
		"a network": {func(in *awsecs.CreateServiceInput) {
			in.NetworkConfiguration = &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{Subnets: []string{"s"}}}
		}, invalid, "Network Configuration is not valid for the given networkMode of this task definition."},
		"a capacity provider": {func(in *awsecs.CreateServiceInput) {
			in.CapacityProviderStrategy = []types.CapacityProviderStrategyItem{{CapacityProvider: aws.String("p")}}
		}, invalid, "The capacity provider p is not associated with the cluster. Associate it and try again."},
		"memberOf without an expression": {func(in *awsecs.CreateServiceInput) {
			in.PlacementConstraints = []types.PlacementConstraint{{Type: types.PlacementConstraintTypeMemberOf}}
		}, invalid, "The placement constraint memberOf needs an expression."},
		"an expression that is none": {func(in *awsecs.CreateServiceInput) {
			in.PlacementConstraints = []types.PlacementConstraint{memberOf("attribute:a =~ b*+")}
		}, invalid, `Invalid placement constraint: expression "attribute:a =~ b*+": at character 16: possessive quantifiers, *+, are not supported in the pattern "b*+".`},
	} {
		t.Run(name, func(t *testing.T) {
			in := &awsecs.CreateServiceInput{Cluster: &c, ServiceName: aws.String("s"), TaskDefinition: aws.String("web"), DesiredCount: aws.Int32(1)}
			r.change(in)
			_, err := f.CreateService(f.ctx, in)
			wantError(t, err, r.code, r.message)
		})
	}
	if s := must(f.ListServices(f.ctx, &awsecs.ListServicesInput{Cluster: &c}))(t).ServiceArns; len(s) != 0 {
		t.Errorf("what was refused is there all the same: %v", s)
	}
}

func TestUpdateService_BeginsADeploymentForAnotherDefinitionOnly(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.definition("web")
	before := f.service(c, "s", "web", 1, nil)
	update := func(in awsecs.UpdateServiceInput) types.Service {
		t.Helper()
		in.Cluster, in.Service = &c, before.ServiceArn
		return *must(f.UpdateService(f.ctx, &in))(t).Service
	}
	s := update(awsecs.UpdateServiceInput{DesiredCount: aws.Int32(4), TaskDefinition: aws.String("web"), DeploymentConfiguration: &types.DeploymentConfiguration{MaximumPercent: aws.Int32(150)}})
	if len(s.Deployments) != 1 || s.DesiredCount != 4 || s.Deployments[0].DesiredCount != 4 || *s.DeploymentConfiguration.MaximumPercent != 150 || *s.DeploymentConfiguration.MinimumHealthyPercent != 100 {
		t.Errorf("scaling: got %+v", s)
	}
	second := f.definition("web")
	s = update(awsecs.UpdateServiceInput{TaskDefinition: aws.String("web")})
	if len(s.Deployments) != 2 || *s.TaskDefinition != second || *s.Deployments[0].Status != "PRIMARY" || *s.Deployments[1].Status != "ACTIVE" || *s.Deployments[1].Id != *before.Deployments[0].Id {
		t.Errorf("another definition: got %+v", s.Deployments)
	}
	if s = update(awsecs.UpdateServiceInput{ForceNewDeployment: true}); len(s.Deployments) != 3 || *s.Deployments[0].TaskDefinition != second {
		t.Errorf("forced: got %+v", s.Deployments)
	}
	if s = update(awsecs.UpdateServiceInput{PlacementStrategy: []types.PlacementStrategy{{Type: types.PlacementStrategyTypeSpread, Field: aws.String("host")}}}); len(s.PlacementStrategy) != 1 {
		t.Errorf("strategy: got %+v", s.PlacementStrategy)
	}
	if s = update(awsecs.UpdateServiceInput{PlacementStrategy: []types.PlacementStrategy{}}); len(s.PlacementStrategy) != 0 {
		t.Errorf("an empty list removes it: got %+v", s.PlacementStrategy)
	}
}

func TestUpdateService_Refuses(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	d := f.definition("web")
	f.service(c, "s", d, 1, nil)
	must(f.CreateService(f.ctx, &awsecs.CreateServiceInput{Cluster: &c, ServiceName: aws.String("daemon"), TaskDefinition: &d, SchedulingStrategy: types.SchedulingStrategyDaemon}))(t)
	f.service(c, "leaving", d, 0, nil)
	must(f.DeleteService(f.ctx, &awsecs.DeleteServiceInput{Cluster: &c, Service: aws.String("leaving")}))(t)
	for name, r := range map[string]struct {
		in            awsecs.UpdateServiceInput
		code, message string
	}{
		"unknown":                {awsecs.UpdateServiceInput{Service: aws.String("x")}, "ServiceNotFoundException", "Service not found."},
		"draining":               {awsecs.UpdateServiceInput{Service: aws.String("leaving")}, "ServiceNotActiveException", "Service was not ACTIVE."},
		"an unknown definition":  {awsecs.UpdateServiceInput{TaskDefinition: aws.String("x")}, "ClientException", "TaskDefinition not found."},
		"a negative count":       {awsecs.UpdateServiceInput{DesiredCount: aws.Int32(-1)}, "InvalidParameterException", ""},
		"a daemon's count":       {awsecs.UpdateServiceInput{Service: aws.String("daemon"), DesiredCount: aws.Int32(1)}, "InvalidParameterException", ""},
		"bad percents":           {awsecs.UpdateServiceInput{DeploymentConfiguration: &types.DeploymentConfiguration{MaximumPercent: aws.Int32(100)}}, "InvalidParameterException", "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments."},
		"execute command":        {awsecs.UpdateServiceInput{EnableExecuteCommand: aws.Bool(true)}, "UnsupportedFeatureException", ""},
		"another cluster's":      {awsecs.UpdateServiceInput{Service: aws.String("arn:aws:ecs:us-east-1:123456789012:service/d/s")}, "InvalidParameterException", "Invalid identifier: Identifier is for cluster d. Your cluster is c"},
		"another account's":      {awsecs.UpdateServiceInput{Service: aws.String("arn:aws:ecs:us-east-1:999999999999:service/c/s")}, "InvalidParameterException", ""},
		"a deployment of colour": {awsecs.UpdateServiceInput{DeploymentConfiguration: &types.DeploymentConfiguration{Strategy: types.DeploymentStrategyCanary}}, "UnsupportedFeatureException", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r.in.Cluster = &c
			if r.in.Service == nil {
				r.in.Service = aws.String("s")
			}
			_, err := f.UpdateService(f.ctx, &r.in)
			wantError(t, err, r.code, r.message)
		})
	}
}

func TestDeleteService_DrainsAndFreesTheName(t *testing.T) {
	f := newFixture(t)
	c, d := f.cluster("c"), f.definition("web")
	first := f.service(c, "s", d, 2, func(in *awsecs.CreateServiceInput) { in.ClientToken = aws.String("first") })
	f.update(func(tx *store.Tx) {
		tx.PutEvent(&model.ServiceEvent{Service: model.ServiceKey{Cluster: "c", Name: "s"}, Sequence: 1, ID: model.NewUUID(), Message: "of the first"})
	})
	remove := func(force bool) (*awsecs.DeleteServiceOutput, error) {
		return f.DeleteService(f.ctx, &awsecs.DeleteServiceInput{Cluster: &c, Service: aws.String("s"), Force: &force})
	}
	_, err := remove(false)
	wantError(t, err, "InvalidParameterException", "The service cannot be stopped while it is scaled above 0.")
	if s := must(remove(true))(t).Service; *s.Status != "DRAINING" || s.DesiredCount != 0 {
		t.Errorf("got %+v", s)
	}
	if s := must(remove(false))(t).Service; *s.Status != "DRAINING" {
		t.Errorf("deleting again: got %+v", s)
	}
	if listed := must(f.ListServices(f.ctx, &awsecs.ListServicesInput{Cluster: &c}))(t).ServiceArns; len(listed) != 0 {
		t.Errorf("a DRAINING service is listed: %v", listed)
	}
	if s := f.describeService(c, "s"); *s.Status != "DRAINING" || len(s.Deployments) != 1 || len(s.Events) != 1 {
		t.Errorf("described: got %+v", s)
	}
	for what, token := range map[string]*string{"without a token": nil, "the request that made it": aws.String("first"), "another token": aws.String("second")} {
		t.Run(what, func(t *testing.T) {
			_, err := f.CreateService(f.ctx, &awsecs.CreateServiceInput{Cluster: &c, ServiceName: aws.String("s"), TaskDefinition: &d, DesiredCount: aws.Int32(2), ClientToken: token})
			wantError(t, err, "InvalidParameterException", "Unable to Start a service that is still Draining.")
		})
	}
	f.dropService(c, "s")
	if s := f.describeService(c, "s"); *s.Status != "INACTIVE" || s.Deployments == nil || len(s.Deployments) != 0 || s.Events == nil || len(s.Events) != 0 || *s.TaskDefinition != d {
		t.Errorf("got %+v", s)
	}
	_, err = remove(true)
	wantError(t, err, "ServiceNotFoundException", "Service not found.")
	_, err = f.UpdateService(f.ctx, &awsecs.UpdateServiceInput{Cluster: &c, Service: aws.String("s")})
	wantError(t, err, "ServiceNotActiveException", "Service was not ACTIVE.")
	if listed := must(f.ListServices(f.ctx, &awsecs.ListServicesInput{Cluster: &c}))(t).ServiceArns; len(listed) != 0 {
		t.Errorf("an INACTIVE service is listed: %v", listed)
	}
	if again := f.service(c, "s", d, 1, nil); *again.Deployments[0].Id == *first.Deployments[0].Id || len(again.Events) != 0 {
		t.Errorf("the name is not free again: %+v", again)
	}
}

func TestDescribeServices_CountsTasksAndShowsTheLatestEvents(t *testing.T) {
	f := newFixture(t)
	c, d := f.cluster("c"), f.definition("web")
	f.host(c, 4096, 4096)
	created := f.service(c, "s", d, 3, func(in *awsecs.CreateServiceInput) {
		in.Tags = []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}
	})
	for i, task := range f.run(c, d, 3).Tasks {
		f.changeTask(*task.TaskArn, func(task *model.Task) {
			task.Service, task.Deployment = "s", model.DeploymentID(*created.Deployments[0].Id)
			if i == 0 {
				task.LastStatus = model.TaskRunning
			}
		})
	}
	f.update(func(tx *store.Tx) {
		for i := range 105 {
			tx.PutEvent(&model.ServiceEvent{Service: model.ServiceKey{Cluster: "c", Name: "s"}, Sequence: int64(i), ID: model.NewUUID(), CreatedAt: time.Now(), Message: fmt.Sprint("event ", i)})
		}
	})
	s := f.describeService(c, "s")
	if p := s.Deployments[0]; s.RunningCount != 1 || s.PendingCount != 2 || p.RunningCount != 1 || p.PendingCount != 2 {
		t.Errorf("counts: service %d/%d, deployment %d/%d", s.RunningCount, s.PendingCount, p.RunningCount, p.PendingCount)
	}
	if len(s.Events) != 100 || *s.Events[0].Message != "event 104" || *s.Events[99].Message != "event 5" {
		t.Errorf("%d events, first %+v", len(s.Events), s.Events[0])
	}
	if len(s.Tags) != 0 {
		t.Errorf("tags were not asked for: %v", s.Tags)
	}
	out := must(f.DescribeServices(f.ctx, &awsecs.DescribeServicesInput{Cluster: &c, Services: []string{"nope", *created.ServiceArn}, Include: []types.ServiceField{types.ServiceFieldTags}}))(t)
	if len(out.Services) != 1 || len(out.Services[0].Tags) != 1 || len(out.Failures) != 1 || *out.Failures[0].Arn != "arn:aws:ecs:us-east-1:123456789012:service/c/nope" {
		t.Errorf("got %+v", out)
	}
	_, err := f.DescribeServices(f.ctx, &awsecs.DescribeServicesInput{Cluster: &c, Services: make([]string, 11)})
	wantError(t, err, "InvalidParameterException", "services can have at most 10 items.")
}

func TestListServices_FiltersAndHasTenAPage(t *testing.T) {
	f := newFixture(t)
	c, d := f.cluster("c"), f.definition("web")
	for i := range 12 {
		f.service(c, fmt.Sprintf("s%02d", i), d, 0, func(in *awsecs.CreateServiceInput) {
			if i%2 == 0 {
				in.LaunchType = types.LaunchTypeExternal
			}
			if i%3 == 0 {
				in.SchedulingStrategy, in.DesiredCount = types.SchedulingStrategyDaemon, nil
			}
		})
	}
	if page := must(f.ListServices(f.ctx, &awsecs.ListServicesInput{Cluster: &c}))(t); len(page.ServiceArns) != 10 || page.NextToken == nil {
		t.Errorf("got %d", len(page.ServiceArns))
	}
	got := must(f.ListServices(f.ctx, &awsecs.ListServicesInput{Cluster: &c, LaunchType: types.LaunchTypeExternal, SchedulingStrategy: types.SchedulingStrategyDaemon}))(t).ServiceArns
	if !slices.Equal(got, []string{"arn:aws:ecs:us-east-1:123456789012:service/c/s00", "arn:aws:ecs:us-east-1:123456789012:service/c/s06"}) {
		t.Errorf("got %v", got)
	}
}

func TestListServices_PassesOverDrainingServicesFromPageToPage(t *testing.T) {
	f := newFixture(t)
	c, d := f.cluster("c"), f.definition("web")
	var want []string
	for i := range 9 {
		s := f.service(c, fmt.Sprintf("s%d", i), d, 0, nil)
		if i%3 != 0 {
			want = append(want, *s.ServiceArn)
			continue
		}
		must(f.DeleteService(f.ctx, &awsecs.DeleteServiceInput{Cluster: &c, Service: s.ServiceName}))(t)
	}
	var got []string
	in := &awsecs.ListServicesInput{Cluster: &c, MaxResults: aws.Int32(2)}
	for {
		page := must(f.ListServices(f.ctx, in))(t)
		got = append(got, page.ServiceArns...)
		if in.NextToken = page.NextToken; in.NextToken == nil {
			break
		}
		// What the token names last may be deleted meanwhile.
		last := page.ServiceArns[len(page.ServiceArns)-1]
		must(f.DeleteService(f.ctx, &awsecs.DeleteServiceInput{Cluster: &c, Service: &last}))(t)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestDescribeServices_SpellsPlacementStrategiesAsECSDoes(t *testing.T) {
	f := newFixture(t)
	c, d := f.cluster("c"), f.definition("web")
	s := f.service(c, "s", d, 1, nil)
	for given, want := range map[string]string{
		"binpack cpu": "binpack CPU", "binpack Cpu": "binpack CPU", "binpack CPU": "binpack CPU",
		"binpack memory": "binpack MEMORY", "binpack MEMORY": "binpack MEMORY",
		"spread host": "spread instanceId", "spread HOST": "spread instanceId", "spread instanceid": "spread instanceId", "spread instanceId": "spread instanceId",
		"spread attribute:rack": "spread attribute:rack", "spread attribute:Host": "spread attribute:Host",
		"random ": "random ",
	} {
		t.Run(given, func(t *testing.T) {
			kind, field, _ := strings.Cut(given, " ")
			updated := must(f.UpdateService(f.ctx, &awsecs.UpdateServiceInput{Cluster: &c, Service: s.ServiceName,
				PlacementStrategy: []types.PlacementStrategy{{Type: types.PlacementStrategyType(kind), Field: &field}}}))(t).Service
			for _, shown := range []types.Service{*updated, f.describeService(c, "s")} {
				if got := shown.PlacementStrategy[0]; string(got.Type)+" "+aws.ToString(got.Field) != want || len(shown.Deployments) != 1 {
					t.Errorf("got %s %s, %d deployments", got.Type, aws.ToString(got.Field), len(shown.Deployments))
				}
			}
		})
	}
}
