package api_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

const enabled, disabled = types.AvailabilityZoneRebalancingEnabled, types.AvailabilityZoneRebalancingDisabled

func zoneSpread() []types.PlacementStrategy {
	return []types.PlacementStrategy{{Type: types.PlacementStrategyTypeSpread, Field: aws.String("attribute:ecs.availability-zone")}}
}

func TestCreateService_RefusesToRebalanceWhatCannotBe(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.definition("web")
	const start, end = "availabilityZoneRebalancing ENABLED is not supported with ", ". Set it to DISABLED, or change that."
	for name, r := range map[string]struct {
		change        func(*awsecs.CreateServiceInput)
		code, message string
	}{
		"DAEMON": {func(in *awsecs.CreateServiceInput) {
			in.SchedulingStrategy, in.DesiredCount = types.SchedulingStrategyDaemon, nil
		}, "InvalidParameterException", start + "the DAEMON scheduling strategy" + end},
		"EXTERNAL": {func(in *awsecs.CreateServiceInput) { in.LaunchType = types.LaunchTypeExternal },
			"InvalidParameterException", start + "the EXTERNAL launch type" + end},
		"no room": {func(in *awsecs.CreateServiceInput) {
			in.DeploymentConfiguration = &types.DeploymentConfiguration{MinimumHealthyPercent: aws.Int32(50), MaximumPercent: aws.Int32(100)}
		}, "InvalidParameterException", start + "a maximumPercent of 100" + end},
		"binpack first": {func(in *awsecs.CreateServiceInput) {
			pack := types.PlacementStrategy{Type: types.PlacementStrategyTypeBinpack, Field: aws.String("cpu")}
			in.PlacementStrategy = append([]types.PlacementStrategy{pack}, zoneSpread()...)
		}, "InvalidParameterException", start + "a first placement strategy other than spread by attribute:ecs.availability-zone" + end},
		"one zone only": {func(in *awsecs.CreateServiceInput) {
			in.PlacementConstraints = []types.PlacementConstraint{memberOf("attribute:ecs.availability-zone == a")}
		}, "InvalidParameterException", start + "a placement constraint on attribute:ecs.availability-zone" + end},
		"task sets": {func(in *awsecs.CreateServiceInput) {
			in.TaskDefinition, in.DeploymentController = nil, &types.DeploymentController{Type: types.DeploymentControllerTypeExternal}
		}, "UnsupportedFeatureException", ""},
	} {
		t.Run(name, func(t *testing.T) {
			in := &awsecs.CreateServiceInput{
				Cluster: &c, ServiceName: aws.String("s"), TaskDefinition: aws.String("web"), DesiredCount: aws.Int32(1), AvailabilityZoneRebalancing: enabled,
			}
			r.change(in)
			_, err := f.CreateService(f.ctx, in)
			wantError(t, err, r.code, r.message)
		})
	}
}

func TestUpdateService_TurnsRebalancingOnAndOffWithoutADeployment(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.definition("web")
	made := must(f.CreateService(f.ctx, &awsecs.CreateServiceInput{
		Cluster: &c, ServiceName: aws.String("s"), TaskDefinition: aws.String("web"), DesiredCount: aws.Int32(1),
	}))(t).Service
	if made.AvailabilityZoneRebalancing != disabled {
		t.Errorf("not asked for: %s", made.AvailabilityZoneRebalancing)
	}
	for _, step := range []struct {
		in   awsecs.UpdateServiceInput
		want types.AvailabilityZoneRebalancing
	}{
		{awsecs.UpdateServiceInput{AvailabilityZoneRebalancing: enabled}, enabled},
		{awsecs.UpdateServiceInput{DesiredCount: aws.Int32(3)}, enabled}, // stays what it was
		{awsecs.UpdateServiceInput{AvailabilityZoneRebalancing: disabled}, disabled},
		{awsecs.UpdateServiceInput{AvailabilityZoneRebalancing: enabled, PlacementStrategy: zoneSpread()}, enabled},
	} {
		step.in.Cluster, step.in.Service = &c, aws.String("s")
		must(f.UpdateService(f.ctx, &step.in))(t)
		got := must(f.DescribeServices(f.ctx, &awsecs.DescribeServicesInput{Cluster: &c, Services: []string{"s"}}))(t).Services[0]
		if got.AvailabilityZoneRebalancing != step.want || len(got.Deployments) != 1 || *got.Deployments[0].Id != *made.Deployments[0].Id {
			t.Errorf("after %+v: %s, %d deployments", step.in, got.AvailabilityZoneRebalancing, len(got.Deployments))
		}
	}
	_, err := f.UpdateService(f.ctx, &awsecs.UpdateServiceInput{Cluster: &c, Service: aws.String("s"),
		DeploymentConfiguration: &types.DeploymentConfiguration{MinimumHealthyPercent: aws.Int32(50), MaximumPercent: aws.Int32(100)}})
	wantError(t, err, "InvalidParameterException", "availabilityZoneRebalancing ENABLED is not supported with a maximumPercent of 100. Set it to DISABLED, or change that.")
}
