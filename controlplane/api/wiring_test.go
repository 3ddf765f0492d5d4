package api_test

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// listening is a container with ports.
func listening(name string, ports ...int32) types.ContainerDefinition {
	return container(name, func(c *types.ContainerDefinition) {
		for _, p := range ports {
			c.PortMappings = append(c.PortMappings, types.PortMapping{ContainerPort: aws.Int32(p)})
		}
	})
}

// balancers are target groups in front of port 80 of the container main.
func balancers(groups ...string) []types.LoadBalancer {
	var out []types.LoadBalancer
	for _, g := range groups {
		arn := "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/" + g + "/0123456789abcdef"
		out = append(out, types.LoadBalancer{TargetGroupArn: &arn, ContainerName: aws.String("main"), ContainerPort: aws.Int32(80)})
	}
	return out
}

// targetGroups makes the groups that balancers names.
func (f *fixture) targetGroups(targetType string, groups ...string) {
	f.t.Helper()
	f.update(func(tx *store.Tx) {
		for _, g := range groups {
			tx.PutTargetGroup(&model.TargetGroup{Name: g, ARN: owner.TargetGroupARN(g, "0123456789abcdef"), Protocol: "HTTP", TargetType: targetType})
		}
	})
}

func registries(id, container string, port int32) []types.ServiceRegistry {
	arn := "arn:aws:servicediscovery:us-east-1:123456789012:service/" + id
	return []types.ServiceRegistry{{RegistryArn: &arn, ContainerName: &container, ContainerPort: &port}}
}

// registry makes a registry that is found by A and SRV records.
func (f *fixture) registry(id model.RegistryID) {
	f.update(func(tx *store.Tx) {
		tx.PutRegistry(&model.Registry{ID: id, Name: string(id), Records: []model.RegistryRecord{{Type: model.RecordA, TTL: 10}, {Type: model.RecordSRV, TTL: 10}}})
	})
}

// inMode makes the definition of one that was registered have another network mode.
func (f *fixture) inMode(family string, revision int32, mode ecs.NetworkMode) {
	f.update(func(tx *store.Tx) {
		have, _ := tx.Definition(model.DefinitionRef{Family: model.Family(family), Revision: revision})
		next := *have
		next.Shape.NetworkMode = mode
		tx.PutDefinition(&next)
	})
}

func TestCreateService_KeepsAndShowsWhatItIsWiredTo(t *testing.T) {
	f := newFixture(t)
	f.registry("srv-1")
	c := f.cluster("c")
	f.definition("web", listening("main", 80))
	f.definition("vpc", listening("main", 80))
	f.inMode("vpc", 1, ecs.NetworkModeAwsvpc)
	f.service(c, "s", "web", 0, func(in *awsecs.CreateServiceInput) {
		in.LoadBalancers, in.ServiceRegistries = balancers("a"), nil
		in.Role, in.HealthCheckGracePeriodSeconds = aws.String("/path/elb"), aws.Int32(30)
	})
	s := f.describeService(c, "s")
	if *s.RoleArn != "arn:aws:iam::123456789012:role/path/elb" || *s.HealthCheckGracePeriodSeconds != 30 || len(s.LoadBalancers) != 1 || *s.LoadBalancers[0].ContainerPort != 80 {
		t.Errorf("got %+v", s)
	}
	f.service(c, "five", "web", 0, func(in *awsecs.CreateServiceInput) {
		in.LoadBalancers, in.ServiceRegistries = balancers("a", "b", "c", "d", "e"), registries("srv-1", "main", 80)
	})
	if s := f.describeService(c, "five"); *s.HealthCheckGracePeriodSeconds != 0 || s.RoleArn != nil || len(s.LoadBalancers) != 5 || len(s.ServiceRegistries) != 1 {
		t.Errorf("got %+v", s)
	}
	for name, in := range map[string]types.ServiceRegistry{
		"address": {}, "port": {Port: aws.Int32(80)}, "container": {ContainerName: aws.String("main"), ContainerPort: aws.Int32(80)},
	} {
		f.registry(model.RegistryID("srv-" + name))
		if name == "address" { // of SRV records, a port is a part
			f.update(func(tx *store.Tx) { tx.PutRegistry(&model.Registry{ID: "srv-address"}) })
		}
		in.RegistryArn = aws.String("arn:aws:servicediscovery:us-east-1:123456789012:service/srv-" + name)
		s := f.service(c, name, "vpc", 0, func(i *awsecs.CreateServiceInput) {
			i.ServiceRegistries, i.NetworkConfiguration = []types.ServiceRegistry{in}, network("subnet-1", "subnet-2")
		})
		if len(s.ServiceRegistries) != 1 || s.NetworkConfiguration.AwsvpcConfiguration.AssignPublicIp != "DISABLED" ||
			len(s.Deployments[0].NetworkConfiguration.AwsvpcConfiguration.Subnets) != 2 {
			t.Errorf("%s: got %+v", name, s)
		}
	}
}

func TestCreateService_RefusesWiringThatDoesNotFit(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.definition("web", listening("main", 80))
	f.definition("vpc", listening("main", 80))
	f.inMode("vpc", 1, ecs.NetworkModeAwsvpc)
	f.definition("none", listening("main", 80))
	f.inMode("none", 1, ecs.NetworkModeNone)
	const invalid, unsupported = "InvalidParameterException", "UnsupportedFeatureException"
	balancer := func(change func(*types.LoadBalancer)) func(*awsecs.CreateServiceInput) {
		return func(in *awsecs.CreateServiceInput) {
			in.LoadBalancers = balancers("a")
			change(&in.LoadBalancers[0])
		}
	}
	registered := func(definition string, change func(*types.ServiceRegistry)) func(*awsecs.CreateServiceInput) {
		return func(in *awsecs.CreateServiceInput) {
			in.TaskDefinition, in.ServiceRegistries = &definition, registries("srv-1", "main", 80)
			if definition == "vpc" {
				in.NetworkConfiguration = network("subnet-1")
			}
			change(&in.ServiceRegistries[0])
		}
	}
	vpc := func(n *types.NetworkConfiguration) func(*awsecs.CreateServiceInput) {
		return func(in *awsecs.CreateServiceInput) { in.TaskDefinition, in.NetworkConfiguration = aws.String("vpc"), n }
	}
	many := func(n int) []string {
		var out []string
		for i := range n {
			out = append(out, fmt.Sprintf("id-%d", i))
		}
		return out
	}
	for name, r := range map[string]struct {
		change        func(*awsecs.CreateServiceInput)
		code, message string
	}{
		"an unknown container": {balancer(func(b *types.LoadBalancer) { b.ContainerName = aws.String("x") }), invalid, "The container x does not exist in the task definition."},
		"an unknown port":      {balancer(func(b *types.LoadBalancer) { b.ContainerPort = aws.Int32(81) }), invalid, "The container main did not have a container port 81 defined."},
		"no container":         {balancer(func(b *types.LoadBalancer) { b.ContainerName = nil }), invalid, "Container Name can not be blank."},
		"no port":              {balancer(func(b *types.LoadBalancer) { b.ContainerPort = nil }), invalid, "Container Port can not be blank."},
		"no target group":      {balancer(func(b *types.LoadBalancer) { b.TargetGroupArn = nil }), invalid, ""},
		"another account's": {balancer(func(b *types.LoadBalancer) {
			b.TargetGroupArn = aws.String("arn:aws:elasticloadbalancing:us-east-1:999999999999:targetgroup/a/0123456789abcdef")
		}), invalid, ""},
		"another region's": {balancer(func(b *types.LoadBalancer) {
			b.TargetGroupArn = aws.String("arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/a/0123456789abcdef")
		}), invalid, ""},
		"no group at all": {balancer(func(b *types.LoadBalancer) {
			b.TargetGroupArn = aws.String("arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/a")
		}), invalid, ""},
		"a classic one": {balancer(func(b *types.LoadBalancer) { b.TargetGroupArn, b.LoadBalancerName = nil, aws.String("classic") }), unsupported, "Longshore does not support loadBalancerName (Classic Load Balancers) yet."},
		"both kinds":    {balancer(func(b *types.LoadBalancer) { b.LoadBalancerName = aws.String("classic") }), invalid, ""},
		"blue and green groups": {balancer(func(b *types.LoadBalancer) {
			b.AdvancedConfiguration = &types.AdvancedConfiguration{AlternateTargetGroupArn: aws.String("x")}
		}), unsupported, ""},
		"six target groups":  {func(in *awsecs.CreateServiceInput) { in.LoadBalancers = balancers("a", "b", "c", "d", "e", "f") }, invalid, "At most 5 load balancer target groups can be given here, not 6."},
		"one of them twice":  {func(in *awsecs.CreateServiceInput) { in.LoadBalancers = balancers("a", "a") }, invalid, ""},
		"a role for several": {func(in *awsecs.CreateServiceInput) { in.LoadBalancers, in.Role = balancers("a", "b"), aws.String("r") }, invalid, ""},
		"a role of another account": {func(in *awsecs.CreateServiceInput) {
			in.LoadBalancers, in.Role = balancers("a"), aws.String("arn:aws:iam::999999999999:role/r")
		}, invalid, ""},
		"a role with awsvpc": {func(in *awsecs.CreateServiceInput) {
			vpc(network("subnet-1"))(in)
			in.LoadBalancers, in.Role = balancers("a"), aws.String("r")
		}, invalid, ""},
		"a negative grace period": {func(in *awsecs.CreateServiceInput) {
			in.LoadBalancers, in.HealthCheckGracePeriodSeconds = balancers("a"), aws.Int32(-1)
		}, invalid, ""},
		"a registry that is none":          {registered("web", func(r *types.ServiceRegistry) { r.RegistryArn = aws.String("x") }), invalid, ""},
		"a registry's unknown container":   {registered("web", func(r *types.ServiceRegistry) { r.ContainerName = aws.String("x") }), invalid, "The container x does not exist in the task definition."},
		"a registry without a container":   {registered("web", func(r *types.ServiceRegistry) { r.ContainerName, r.ContainerPort = nil, nil }), invalid, ""},
		"a registry without a port":        {registered("web", func(r *types.ServiceRegistry) { r.ContainerPort = nil }), invalid, ""},
		"a registry's port in bridge mode": {registered("web", func(r *types.ServiceRegistry) { r.Port = aws.Int32(80) }), invalid, ""},
		"a registry's port and container":  {registered("vpc", func(r *types.ServiceRegistry) { r.Port = aws.Int32(80) }), invalid, "A service registry takes either a port or containerName and containerPort, not both."},
		"a registry's port 0":              {registered("vpc", func(r *types.ServiceRegistry) { r.Port, r.ContainerName, r.ContainerPort = aws.Int32(0), nil, nil }), invalid, ""},
		"a registry without a network":     {registered("none", func(r *types.ServiceRegistry) {}), invalid, ""},
		"no network":                       {vpc(nil), invalid, "Network Configuration must be provided when networkMode 'awsvpc' is specified."},
		"an empty network":                 {vpc(&types.NetworkConfiguration{}), invalid, "awsvpcConfiguration can not be empty."},
		"17 subnets":                       {vpc(network(many(17)...)), invalid, "subnets can have at most 16 items."},
		"6 security groups":                {vpc(&types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{Subnets: many(1), SecurityGroups: many(6)}}), invalid, "securityGroups can have at most 5 items."},
		"a blank subnet":                   {vpc(network("")), invalid, ""},
		"a public address":                 {vpc(&types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{Subnets: many(1), AssignPublicIp: "ENABLED"}}), invalid, "Assign public IP is not supported for this launch type."},
	} {
		t.Run(name, func(t *testing.T) {
			in := &awsecs.CreateServiceInput{Cluster: &c, ServiceName: aws.String("s"), TaskDefinition: aws.String("web"), DesiredCount: aws.Int32(1)}
			r.change(in)
			_, err := f.CreateService(f.ctx, in)
			wantError(t, err, r.code, r.message)
		})
	}
}

func TestUpdateService_RewiresWithANewDeployment(t *testing.T) {
	f := newFixture(t)
	f.registry("srv-1")
	c := f.cluster("c")
	f.definition("web", listening("main", 80))
	f.definition("web", listening("main", 81))
	f.definition("vpc", listening("main", 80))
	f.inMode("vpc", 1, ecs.NetworkModeAwsvpc)
	f.service(c, "s", "web:1", 0, func(in *awsecs.CreateServiceInput) { in.LoadBalancers, in.Role = balancers("old"), aws.String("r") })
	deployments := 1
	update := func(what string, new int, in awsecs.UpdateServiceInput) types.Service {
		t.Helper()
		in.Cluster, in.Service = &c, aws.String("s")
		s := *must(f.UpdateService(f.ctx, &in))(t).Service
		if deployments += new; len(s.Deployments) != deployments {
			t.Fatalf("%s: %d deployments, want %d", what, len(s.Deployments), deployments)
		}
		return s
	}
	if s := update("a target group", 1, awsecs.UpdateServiceInput{LoadBalancers: balancers("a")}); len(s.LoadBalancers) != 1 || *s.HealthCheckGracePeriodSeconds != 0 || s.RoleArn != nil {
		t.Errorf("got %+v", s)
	}
	update("the same again", 0, awsecs.UpdateServiceInput{LoadBalancers: balancers("a")})
	if s := update("a registry", 1, awsecs.UpdateServiceInput{ServiceRegistries: registries("srv-1", "main", 80)}); len(s.LoadBalancers) != 1 || len(s.ServiceRegistries) != 1 {
		t.Errorf("got %+v", s)
	}
	if s := update("a grace period", 0, awsecs.UpdateServiceInput{HealthCheckGracePeriodSeconds: aws.Int32(7)}); *s.HealthCheckGracePeriodSeconds != 7 {
		t.Errorf("got %+v", s)
	}
	f.targetGroups(model.TargetTypeIP, "ip")
	for name, in := range map[string]*awsecs.UpdateServiceInput{
		"a definition without the port": {TaskDefinition: aws.String("web:2")},
		"a target group of addresses":   {LoadBalancers: balancers("ip")},
		"a group that is not there":     {LoadBalancers: balancers("unknown")},
		"a definition with a network":   {TaskDefinition: aws.String("vpc")},
		"a network without awsvpc":      {NetworkConfiguration: network("subnet-1")},
		"a container that is not there": {ServiceRegistries: registries("srv-1", "x", 80)},
	} {
		in.Cluster, in.Service = &c, aws.String("s")
		_, err := f.UpdateService(f.ctx, in)
		t.Run(name, func(t *testing.T) { wantError(t, err, "InvalidParameterException", "") })
	}
	f.targetGroups(model.TargetTypeIP, "own")
	s := update("awsvpc", 1, awsecs.UpdateServiceInput{TaskDefinition: aws.String("vpc"), NetworkConfiguration: network("subnet-1"), LoadBalancers: balancers("own")})
	if s.NetworkConfiguration == nil || s.Deployments[0].NetworkConfiguration == nil || s.Deployments[1].NetworkConfiguration != nil {
		t.Errorf("got %+v", s)
	}
	update("another subnet", 1, awsecs.UpdateServiceInput{NetworkConfiguration: network("subnet-2")})
	s = update("nothing any more", 1, awsecs.UpdateServiceInput{TaskDefinition: aws.String("web:2"), LoadBalancers: []types.LoadBalancer{}, ServiceRegistries: []types.ServiceRegistry{}})
	if s.NetworkConfiguration != nil || len(s.LoadBalancers)+len(s.ServiceRegistries) != 0 || s.HealthCheckGracePeriodSeconds != nil {
		t.Errorf("got %+v", s)
	}
	_, err := f.UpdateService(f.ctx, &awsecs.UpdateServiceInput{Cluster: &c, Service: aws.String("s"), HealthCheckGracePeriodSeconds: aws.Int32(7)})
	wantError(t, err, "InvalidParameterException", "Health check grace period is only valid for services configured to use load balancers")
}
