package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func groupARN(pool string) string {
	return "arn:aws:autoscaling:us-east-1:123456789012:autoScalingGroup:1f6b3a1c-0000-4000-8000-000000000001:autoScalingGroupName/" + pool
}

// provider makes a capacity provider for a pool of hosts of the same name.
func (f *fixture) provider(name string) types.CapacityProvider {
	f.t.Helper()
	return *must(f.CreateCapacityProvider(f.ctx, &awsecs.CreateCapacityProviderInput{
		Name: &name, AutoScalingGroupProvider: &types.AutoScalingGroupProvider{AutoScalingGroupArn: aws.String(groupARN(name))},
	}))(f.t).CapacityProvider
}

func (f *fixture) describeProvider(name string) types.CapacityProvider {
	f.t.Helper()
	out := must(f.DescribeCapacityProviders(f.ctx, &awsecs.DescribeCapacityProvidersInput{
		CapacityProviders: []string{name}, Include: []types.CapacityProviderField{types.CapacityProviderFieldTags},
	}))(f.t)
	if len(out.CapacityProviders) != 1 {
		f.t.Fatalf("no capacity provider %s: %+v", name, out.Failures)
	}
	return out.CapacityProviders[0]
}

func TestCapacityProviders_LiveFromCreateToDelete(t *testing.T) {
	f := newFixture(t)
	created := must(f.CreateCapacityProvider(f.ctx, &awsecs.CreateCapacityProviderInput{
		Name: aws.String("gpu"),
		AutoScalingGroupProvider: &types.AutoScalingGroupProvider{
			AutoScalingGroupArn: aws.String(groupARN("racks/gpu")),
			ManagedScaling:      &types.ManagedScaling{Status: types.ManagedScalingStatusEnabled, TargetCapacity: aws.Int32(80)},
		},
		Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("x")}},
	}))(t).CapacityProvider
	if *created.CapacityProviderArn != "arn:aws:ecs:us-east-1:123456789012:capacity-provider/gpu" || created.Status != types.CapacityProviderStatusActive || created.Type != types.CapacityProviderTypeEc2Autoscaling {
		t.Errorf("created %+v", created)
	}
	group, scaling := created.AutoScalingGroupProvider, created.AutoScalingGroupProvider.ManagedScaling
	if *scaling.TargetCapacity != 80 || *scaling.MinimumScalingStepSize != 1 || *scaling.MaximumScalingStepSize != 10000 || *scaling.InstanceWarmupPeriod != 300 ||
		group.ManagedTerminationProtection != types.ManagedTerminationProtectionDisabled || group.ManagedDraining != types.ManagedDrainingEnabled {
		t.Errorf("defaults are not as documented: %+v, %+v", group, scaling)
	}
	must(f.UpdateCapacityProvider(f.ctx, &awsecs.UpdateCapacityProviderInput{
		Name: aws.String("gpu"),
		AutoScalingGroupProvider: &types.AutoScalingGroupProviderUpdate{
			ManagedScaling:               &types.ManagedScaling{MaximumScalingStepSize: aws.Int32(5)},
			ManagedTerminationProtection: types.ManagedTerminationProtectionEnabled,
		},
	}))(t)
	got := f.describeProvider("gpu")
	scaling = got.AutoScalingGroupProvider.ManagedScaling
	if *scaling.TargetCapacity != 80 || *scaling.MaximumScalingStepSize != 5 || scaling.Status != types.ManagedScalingStatusEnabled || got.UpdateStatus != types.CapacityProviderUpdateStatusUpdateComplete ||
		*got.AutoScalingGroupProvider.AutoScalingGroupArn != groupARN("racks/gpu") || len(got.Tags) != 1 {
		t.Errorf("updated %+v, %+v", got, scaling)
	}
	deleted := must(f.DeleteCapacityProvider(f.ctx, &awsecs.DeleteCapacityProviderInput{CapacityProvider: created.CapacityProviderArn}))(t).CapacityProvider
	if deleted.Status != types.CapacityProviderStatusInactive || deleted.UpdateStatus != types.CapacityProviderUpdateStatusDeleteComplete {
		t.Errorf("deleted %+v", deleted)
	}
	if got := f.describeProvider("gpu"); got.Status != types.CapacityProviderStatusInactive {
		t.Errorf("a deleted provider must be describable and INACTIVE, got %+v", got)
	}
	f.provider("gpu")
	if got := f.describeProvider("gpu"); got.Status != types.CapacityProviderStatusActive || got.UpdateStatus != "" || len(got.Tags) != 0 {
		t.Errorf("made again: %+v", got)
	}
}

func TestCreateCapacityProvider_Refuses(t *testing.T) {
	f := newFixture(t)
	f.provider("taken")
	const invalid, client, unsupported = "InvalidParameterException", "ClientException", "UnsupportedFeatureException"
	for name, r := range map[string]struct {
		change        func(*awsecs.CreateCapacityProviderInput)
		code, message string
	}{
		"a name with a space": {func(in *awsecs.CreateCapacityProviderInput) { in.Name = aws.String("a b") }, invalid, ""},
		"a long name":         {func(in *awsecs.CreateCapacityProviderInput) { in.Name = aws.String(strings.Repeat("x", 256)) }, invalid, ""},
		"a reserved name":     {func(in *awsecs.CreateCapacityProviderInput) { in.Name = aws.String("Fargate-2") }, invalid, ""},
		"a name of aws":       {func(in *awsecs.CreateCapacityProviderInput) { in.Name = aws.String("aws_x") }, invalid, ""},
		"a name that is there": {func(in *awsecs.CreateCapacityProviderInput) { in.Name = aws.String("taken") }, client,
			"The capacity provider taken already exists. Specify a unique name and try again."},
		"a group that is taken": {func(in *awsecs.CreateCapacityProviderInput) {
			in.AutoScalingGroupProvider.AutoScalingGroupArn = aws.String(groupARN("taken"))
		}, client, "The specified Auto Scaling group ARN is already being used by the capacity provider taken. Specify a unique Auto Scaling group ARN and try again."},
		"no group": {func(in *awsecs.CreateCapacityProviderInput) { in.AutoScalingGroupProvider = nil }, invalid, ""},
		"no ARN": {func(in *awsecs.CreateCapacityProviderInput) {
			in.AutoScalingGroupProvider.AutoScalingGroupArn = aws.String("g")
		}, invalid, "The specified Auto Scaling group ARN is not valid. Specify a valid ARN and try again."},
		"another account": {func(in *awsecs.CreateCapacityProviderInput) {
			in.AutoScalingGroupProvider.AutoScalingGroupArn = aws.String(strings.Replace(groupARN("g"), "123456789012", "999999999999", 1))
		}, invalid, ""},
		"no group's name": {func(in *awsecs.CreateCapacityProviderInput) {
			in.AutoScalingGroupProvider.AutoScalingGroupArn = aws.String(groupARN(""))
		}, invalid, ""},
		"a group's name that is no attribute's value": {func(in *awsecs.CreateCapacityProviderInput) {
			in.AutoScalingGroupProvider.AutoScalingGroupArn = aws.String(groupARN("a,b"))
		}, invalid, ""},
		"target capacity 0": {func(in *awsecs.CreateCapacityProviderInput) {
			in.AutoScalingGroupProvider.ManagedScaling = &types.ManagedScaling{TargetCapacity: aws.Int32(0)}
		}, invalid, ""},
		"target capacity 101": {func(in *awsecs.CreateCapacityProviderInput) {
			in.AutoScalingGroupProvider.ManagedScaling = &types.ManagedScaling{TargetCapacity: aws.Int32(101)}
		}, invalid, ""},
		"steps the wrong way round": {func(in *awsecs.CreateCapacityProviderInput) {
			in.AutoScalingGroupProvider.ManagedScaling = &types.ManagedScaling{MinimumScalingStepSize: aws.Int32(5), MaximumScalingStepSize: aws.Int32(4)}
		}, invalid, ""},
		"protection without scaling": {func(in *awsecs.CreateCapacityProviderInput) {
			in.AutoScalingGroupProvider.ManagedTerminationProtection = types.ManagedTerminationProtectionEnabled
		}, invalid, ""},
		"a tag twice": {func(in *awsecs.CreateCapacityProviderInput) {
			in.Tags = []types.Tag{{Key: aws.String("a")}, {Key: aws.String("a")}}
		}, invalid, ""},
		"a cluster": {func(in *awsecs.CreateCapacityProviderInput) { in.Cluster = aws.String("c") }, unsupported, "Longshore does not support cluster yet."},
		"managed instances": {func(in *awsecs.CreateCapacityProviderInput) {
			in.ManagedInstancesProvider = &types.CreateManagedInstancesProviderConfiguration{
				InfrastructureRoleArn: aws.String("arn:aws:iam::123456789012:role/r"),
				InstanceLaunchTemplate: &types.InstanceLaunchTemplate{
					Ec2InstanceProfileArn: aws.String("arn:aws:iam::123456789012:instance-profile/p"),
					NetworkConfiguration:  &types.ManagedInstancesNetworkConfiguration{Subnets: []string{"s"}},
				},
			}
		}, unsupported, "Longshore does not support managedInstancesProvider yet."},
	} {
		t.Run(name, func(t *testing.T) {
			in := &awsecs.CreateCapacityProviderInput{Name: aws.String("new"), AutoScalingGroupProvider: &types.AutoScalingGroupProvider{AutoScalingGroupArn: aws.String(groupARN("new"))}}
			r.change(in)
			_, err := f.CreateCapacityProvider(f.ctx, in)
			wantError(t, err, r.code, r.message)
		})
	}
}

func TestUpdateAndDeleteCapacityProvider_Refuse(t *testing.T) {
	f := newFixture(t)
	f.provider("p")
	f.provider("gone")
	must(f.DeleteCapacityProvider(f.ctx, &awsecs.DeleteCapacityProviderInput{CapacityProvider: aws.String("gone")}))(t)
	f.cluster("c")
	f.associate("c", nil, "p")
	for name, want := range map[string][2]string{
		"FARGATE":      {"ClientException", "The capacity provider FARGATE is reserved and cannot be updated or deleted."},
		"FARGATE_SPOT": {"ClientException", ""},
		"nobody":       {"ClientException", "The specified capacity provider does not exist. Specify a valid name or ARN and try again."},
		"gone":         {"ClientException", "The specified capacity provider does not exist. Specify a valid name or ARN and try again."},
		"a b":          {"InvalidParameterException", ""},
		"arn:aws:ecs:us-east-1:999999999999:capacity-provider/p": {"InvalidParameterException", ""},
	} {
		_, err := f.DeleteCapacityProvider(f.ctx, &awsecs.DeleteCapacityProviderInput{CapacityProvider: &name})
		wantError(t, err, want[0], want[1])
		_, err = f.UpdateCapacityProvider(f.ctx, &awsecs.UpdateCapacityProviderInput{Name: &name, AutoScalingGroupProvider: &types.AutoScalingGroupProviderUpdate{}})
		wantError(t, err, want[0], want[1])
	}
	_, err := f.DeleteCapacityProvider(f.ctx, &awsecs.DeleteCapacityProviderInput{CapacityProvider: aws.String("p")})
	wantError(t, err, "ClientException", "The capacity provider cannot be deleted because it is associated with cluster: c. Remove the capacity provider from the cluster and try again.")
	_, err = f.DeleteCapacityProvider(f.ctx, &awsecs.DeleteCapacityProviderInput{CapacityProvider: aws.String("p"), Cluster: aws.String("c")})
	wantError(t, err, "UnsupportedFeatureException", "")
	_, err = f.UpdateCapacityProvider(f.ctx, &awsecs.UpdateCapacityProviderInput{Name: aws.String("p")})
	wantError(t, err, "InvalidParameterException", "autoScalingGroupProvider is required.")
	_, err = f.UpdateCapacityProvider(f.ctx, &awsecs.UpdateCapacityProviderInput{Name: aws.String("p"), AutoScalingGroupProvider: &types.AutoScalingGroupProviderUpdate{
		ManagedTerminationProtection: types.ManagedTerminationProtectionEnabled,
	}})
	wantError(t, err, "InvalidParameterException", "")
	must(f.DeleteCluster(f.ctx, &awsecs.DeleteClusterInput{Cluster: aws.String("c")}))(t)
	must(f.DeleteCapacityProvider(f.ctx, &awsecs.DeleteCapacityProviderInput{CapacityProvider: aws.String("p")}))(t)
}

// describedProviders collects the names on all pages.
func (f *fixture) describedProviders(in awsecs.DescribeCapacityProvidersInput) (pages int, names, failures []string) {
	f.t.Helper()
	for {
		out := must(f.DescribeCapacityProviders(f.ctx, &in))(f.t)
		pages++
		for _, p := range out.CapacityProviders {
			names = append(names, *p.Name)
		}
		for _, x := range out.Failures {
			failures = append(failures, *x.Arn+" "+*x.Reason)
		}
		if out.NextToken == nil {
			return pages, names, failures
		}
		in.NextToken = out.NextToken
	}
}

func TestDescribeCapacityProviders_PagesThroughAllThatAreActive(t *testing.T) {
	f := newFixture(t)
	want := []string{"FARGATE", "FARGATE_SPOT"}
	for i := range 11 {
		name := fmt.Sprintf("p%02d", i)
		f.provider(name)
		want = append(want, name)
	}
	must(f.DeleteCapacityProvider(f.ctx, &awsecs.DeleteCapacityProviderInput{CapacityProvider: aws.String("p03")}))(t)
	want = slices.DeleteFunc(want, func(s string) bool { return s == "p03" })
	for size, pages := range map[int32]int{0: 2, 10: 2, 5: 3, 1: 12} {
		in := awsecs.DescribeCapacityProvidersInput{}
		if size > 0 {
			in.MaxResults = &size
		}
		if n, got, _ := f.describedProviders(in); n != pages || !slices.Equal(got, want) {
			t.Errorf("maxResults %d: %d pages of %v", size, n, got)
		}
	}
	named := awsecs.DescribeCapacityProvidersInput{CapacityProviders: []string{"p07", "nobody", "p03", "arn:aws:ecs:us-east-1:123456789012:capacity-provider/FARGATE", "p07"}, MaxResults: aws.Int32(2)}
	n, got, failures := f.describedProviders(named)
	if n != 3 || !slices.Equal(got, []string{"p07", "p03", "FARGATE", "p07"}) || !slices.Equal(failures, []string{"arn:aws:ecs:us-east-1:123456789012:capacity-provider/nobody MISSING"}) {
		t.Errorf("%d pages of %v, failures %v", n, got, failures)
	}
	f.cluster("c")
	f.associate("c", nil, "p05", "FARGATE", "p01")
	if n, got, _ := f.describedProviders(awsecs.DescribeCapacityProvidersInput{Cluster: aws.String("c"), MaxResults: aws.Int32(2)}); n != 2 || !slices.Equal(got, []string{"FARGATE", "p01", "p05"}) {
		t.Errorf("of the cluster: %d pages of %v", n, got)
	}
	if _, got, failures := f.describedProviders(awsecs.DescribeCapacityProvidersInput{Cluster: aws.String("c"), CapacityProviders: []string{"p01", "p02"}}); !slices.Equal(got, []string{"p01"}) || len(failures) != 1 {
		t.Errorf("named, of the cluster: %v, failures %v", got, failures)
	}
}

func TestDescribeCapacityProviders_Refuses(t *testing.T) {
	f := newFixture(t)
	for name, c := range map[string]struct {
		in   awsecs.DescribeCapacityProvidersInput
		code string
	}{
		"maxResults 0":       {awsecs.DescribeCapacityProvidersInput{MaxResults: aws.Int32(0)}, "InvalidParameterException"},
		"maxResults 11":      {awsecs.DescribeCapacityProvidersInput{MaxResults: aws.Int32(11)}, "InvalidParameterException"},
		"a made-up token":    {awsecs.DescribeCapacityProvidersInput{NextToken: aws.String("x")}, "InvalidParameterException"},
		"101 names":          {awsecs.DescribeCapacityProvidersInput{CapacityProviders: slices.Repeat([]string{"x"}, 101)}, "InvalidParameterException"},
		"a blank name":       {awsecs.DescribeCapacityProvidersInput{CapacityProviders: []string{""}}, "InvalidParameterException"},
		"an unknown include": {awsecs.DescribeCapacityProvidersInput{Include: []types.CapacityProviderField{"X"}}, "InvalidParameterException"},
		"no such cluster":    {awsecs.DescribeCapacityProvidersInput{Cluster: aws.String("nowhere")}, "ClusterNotFoundException"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.DescribeCapacityProviders(f.ctx, &c.in)
			wantError(t, err, c.code, "")
		})
	}
}
