package launch

import (
	"fmt"
	"slices"
	"strings"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/placement"
	"github.com/longshore/longshore/controlplane/query"
	"github.com/longshore/longshore/proto/ecs"
)

// FargatePlatform is the platform version that tasks of the launch type FARGATE
// show: the one that LATEST stands for.
const FargatePlatform = "1.4.0"

// LaunchTypeOf is the launch type of the tasks of a capacity provider strategy,
// all of whose providers are of one kind.
func LaunchTypeOf(strategy []ecs.CapacityProviderStrategyItem) ecs.LaunchType {
	if len(strategy) > 0 && model.ProviderName(strategy[0].CapacityProvider).Reserved() {
		return ecs.LaunchTypeFARGATE
	}
	return ecs.LaunchTypeEC2
}

// FargateStrategies place tasks of the launch type FARGATE, for which callers
// cannot choose: over zones, and then over instances.
func FargateStrategies() []placement.Strategy {
	return []placement.Strategy{placement.SpreadAttribute(ZoneAttribute), placement.SpreadInstances()}
}

// Locate works out which of the cluster's instances have a subnet for the tasks of
// the order; offers tells whether any instance has an attribute. Names that are
// offered come first; a name that nobody offers will do on hosts that take any for
// the default subnet.
func (o *Order) Locate(offers func(attribute string) bool) error {
	o.subnets, o.anySubnet = nil, nil
	if o.Network == nil {
		return nil
	}
	for _, s := range o.Network.Subnets {
		if a := model.SubnetAttribute + s; offers(a) {
			o.subnets = append(o.subnets, a)
		}
	}
	if len(o.subnets) == 0 && offers(model.AnySubnetAttribute) {
		o.subnets = []string{model.AnySubnetAttribute}
	}
	if len(o.subnets) == 0 && len(o.Network.Subnets) > 0 {
		o.subnets = []string{model.SubnetAttribute + o.Network.Subnets[0]} // which tells what is missing
	}
	if len(o.subnets) < 2 {
		return nil
	}
	one, err := query.Parse("attribute:" + strings.Join(o.subnets, " exists or attribute:") + " exists")
	if err != nil {
		return fmt.Errorf("one of the subnets %s: %w", strings.Join(o.Network.Subnets, ", "), err)
	}
	predicate := placement.MemberOf(one)
	o.anySubnet = &predicate
	return nil
}

// requireOffers asks for instances that can do what the definition alone does not
// say in its requiresAttributes.
func (o *Order) requireOffers(r *placement.Request) {
	shape := &o.Definition.Shape
	need := func(name string) {
		r.RequiredAttributes = append(r.RequiredAttributes, placement.Attribute{Name: name, AnyValue: true})
	}
	if cpu, memory := Size(shape, o.Overrides); cpu > 0 || memory > 0 {
		need(model.TaskSizeAttribute)
	}
	if o.LaunchType == ecs.LaunchTypeFARGATE {
		need(model.FargateAttribute)
	}
	for i := range shape.Volumes {
		if e := shape.Volumes[i].EfsVolumeConfiguration; e != nil {
			need(model.FileSystemAttribute + e.FileSystemId)
		}
	}
	switch {
	case o.anySubnet != nil:
		r.MemberOf = append(slices.Clip(r.MemberOf), *o.anySubnet)
	case len(o.subnets) > 0:
		need(o.subnets[0])
	}
}
