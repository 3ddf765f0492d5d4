package api_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func breakerAt(kind types.ThresholdType, value int32) *types.DeploymentConfiguration {
	return &types.DeploymentConfiguration{DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{
		Enable: true, Rollback: true, ResetOnHealthyTask: aws.Bool(false),
		ThresholdConfiguration: &types.ThresholdConfiguration{Type: kind, Value: value},
	}}
}

func TestServices_KeepTheThresholdOfTheCircuitBreaker(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.definition("web")
	f.service(c, "s", "web", 2, func(in *awsecs.CreateServiceInput) {
		in.DeploymentConfiguration = breakerAt(types.ThresholdTypeUnboundedPercent, 30)
	})
	shown := func(what string, kind types.ThresholdType, value int32) {
		t.Helper()
		b := f.describeService(c, "s").DeploymentConfiguration.DeploymentCircuitBreaker
		if b.ResetOnHealthyTask == nil || *b.ResetOnHealthyTask || b.ThresholdConfiguration == nil ||
			b.ThresholdConfiguration.Type != kind || b.ThresholdConfiguration.Value != value {
			t.Errorf("%s: the circuit breaker is %+v", what, b)
		}
	}
	shown("created", types.ThresholdTypeUnboundedPercent, 30)
	must(f.UpdateService(f.ctx, &awsecs.UpdateServiceInput{
		Cluster: &c, Service: aws.String("s"), DeploymentConfiguration: breakerAt(types.ThresholdTypeCount, 4),
	}))(t)
	shown("updated", types.ThresholdTypeCount, 4)
	must(f.UpdateService(f.ctx, &awsecs.UpdateServiceInput{Cluster: &c, Service: aws.String("s"), DesiredCount: aws.Int32(3)}))(t)
	shown("scaled", types.ThresholdTypeCount, 4)

	_, err := f.UpdateService(f.ctx, &awsecs.UpdateServiceInput{
		Cluster: &c, Service: aws.String("s"), DeploymentConfiguration: breakerAt(types.ThresholdTypeCount, 0),
	})
	wantError(t, err, "InvalidParameterException", "The value of the thresholdConfiguration of the deployment circuit breaker must be at least 1, not 0.")
}
