package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

const (
	healthPath = "/healthz" // of the sample
	// drainSeconds is how long members are drained: longer than it takes the proxy of
	// the examples to hear of it, and short for somebody who looks on.
	drainSeconds = "5"
)

// targetGroup returns the ARN of the service's target group, which it makes if there
// is none of that name.
func (d deployment) targetGroup(ctx context.Context) (string, error) {
	found, err := d.balancing.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{Names: []string{d.group}})
	var unknown *elbtypes.TargetGroupNotFoundException
	if err != nil && !errors.As(err, &unknown) {
		return "", fmt.Errorf("look for target group %s: %w", d.group, err)
	}
	if err == nil && len(found.TargetGroups) > 0 {
		return aws.ToString(found.TargetGroups[0].TargetGroupArn), nil
	}
	made, err := d.balancing.CreateTargetGroup(ctx, &elb.CreateTargetGroupInput{
		Name: &d.group, Protocol: elbtypes.ProtocolEnumHttp, Port: aws.Int32(80), VpcId: aws.String("longshore"), TargetType: elbtypes.TargetTypeEnumInstance,
		HealthCheckPath: aws.String(healthPath), HealthCheckIntervalSeconds: aws.Int32(5), HealthCheckTimeoutSeconds: aws.Int32(2),
	})
	if err != nil {
		return "", fmt.Errorf("make target group %s: %w", d.group, err)
	}
	arn := made.TargetGroups[0].TargetGroupArn
	_, err = d.balancing.ModifyTargetGroupAttributes(ctx, &elb.ModifyTargetGroupAttributesInput{
		TargetGroupArn: arn,
		Attributes:     []elbtypes.TargetGroupAttribute{{Key: aws.String("deregistration_delay.timeout_seconds"), Value: aws.String(drainSeconds)}},
	})
	if err != nil {
		return "", fmt.Errorf("set the deregistration delay of target group %s: %w", d.group, err)
	}
	return aws.ToString(arn), nil
}

// wiring puts the first port of a definition's first container into a target group.
func wiring(group string, definition *ecs.RegisterTaskDefinitionInput) ([]types.LoadBalancer, error) {
	for _, c := range definition.ContainerDefinitions {
		for _, m := range c.PortMappings {
			return []types.LoadBalancer{{TargetGroupArn: &group, ContainerName: c.Name, ContainerPort: m.ContainerPort}}, nil
		}
	}
	return nil, fmt.Errorf("task definition %s has no port that a target group could lead to", aws.ToString(definition.Family))
}

// isIn tells whether a service has its tasks in a target group.
func isIn(service *types.Service, group string) bool {
	return len(service.LoadBalancers) == 1 && aws.ToString(service.LoadBalancers[0].TargetGroupArn) == group
}
