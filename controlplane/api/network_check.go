package api

import (
	"slices"

	"github.com/longshore/longshore/controlplane/launch"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// Of a task (AwsVpcConfiguration, seed 000).
const (
	maxSubnets        = 16
	maxSecurityGroups = 5
	maxSubnetName     = 100 // so that the attribute that offers it has a legal name
)

// checkNetwork checks what a network configuration says by itself.
func checkNetwork(n *ecs.NetworkConfiguration) error {
	if n == nil {
		return nil
	}
	a := n.AwsvpcConfiguration
	switch {
	case a == nil:
		return invalid("awsvpcConfiguration can not be empty.")
	case len(a.Subnets) == 0:
		return invalid("subnets can not be empty.")
	case len(a.Subnets) > maxSubnets:
		return invalid("subnets can have at most %d items.", maxSubnets)
	case len(a.SecurityGroups) > maxSecurityGroups:
		return invalid("securityGroups can have at most %d items.", maxSecurityGroups)
	}
	if slices.Contains(a.SecurityGroups, "") {
		return invalid("The ids of security groups can not be blank.")
	}
	for _, s := range a.Subnets {
		if !model.ValidName(s) || len(s) > maxSubnetName {
			return invalid("Error retrieving subnet information for [%s]: it is no ID of a subnet.", clip(s))
		}
	}
	return nil
}

// checkNetworkOf holds a network configuration against the definition and launch
// type of the tasks that it is for, and against what the cluster's hosts offer.
func checkNetworkOf(t *store.Tables, c model.ClusterName, n *ecs.NetworkConfiguration, d *ecs.TaskDefinition, l ecs.LaunchType) error {
	switch {
	case d.NetworkMode == ecs.NetworkModeAwsvpc && n == nil:
		return invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
	case d.NetworkMode != ecs.NetworkModeAwsvpc && n != nil:
		return invalid("Network Configuration is not valid for the given networkMode of this task definition.")
	case n == nil:
		return nil
	case n.AwsvpcConfiguration.AssignPublicIp == ecs.AssignPublicIpENABLED && l != ecs.LaunchTypeFARGATE:
		return invalid("Assign public IP is not supported for this launch type.")
	}
	return checkSubnets(t, c, n.AwsvpcConfiguration.Subnets)
}

// checkSubnets refuses subnets that no host of the cluster offers. Without any host
// there is nothing to hold them against: services wait for one.
func checkSubnets(t *store.Tables, c model.ClusterName, subnets []string) error {
	if t.AttributeOffered(c, model.AnySubnetAttribute) || !anyInstance(t, c) {
		return nil
	}
	for _, s := range subnets {
		if !t.AttributeOffered(c, model.SubnetAttribute+s) {
			return invalid("Error retrieving subnet information for [%s]: The subnet ID '%s' does not exist (ErrorCode: InvalidSubnetID.NotFound)", s, s)
		}
	}
	return nil
}

func anyInstance(t *store.Tables, c model.ClusterName) bool {
	for range t.LiveInstances(c, "") {
		return true
	}
	return false
}

// latestPlatform is what a request may say for the newest platform version.
const latestPlatform = "LATEST"

// checkPlatformVersion checks what only FARGATE tasks have.
func checkPlatformVersion(version string, l ecs.LaunchType) error {
	switch {
	case l != ecs.LaunchTypeFARGATE && version != "":
		return invalid("The platform version must be null when specifying an EC2 or EXTERNAL launch type.")
	case version == "", version == latestPlatform, version == launch.FargatePlatform:
		return nil
	}
	return ecs.Errorf(ecs.CodePlatformUnknown, "The specified platform does not exist: there are %s and %s, not %q.", latestPlatform, launch.FargatePlatform, clip(version))
}

// checkFargate refuses what callers cannot choose for tasks of the launch type
// FARGATE.
func checkFargate(l ecs.LaunchType, constraints []ecs.PlacementConstraint, strategies []ecs.PlacementStrategy) error {
	switch {
	case l != ecs.LaunchTypeFARGATE:
		return nil
	case len(constraints) > 0:
		return invalid("Placement constraints are not supported with FARGATE launch type.")
	case len(strategies) > 0:
		return invalid("Placement strategies are not supported with FARGATE launch type.")
	}
	return nil
}
