package model

import (
	"slices"
	"strings"
	"time"

	"github.com/longshore/longshore/proto/ecs"
)

// ProviderName is the name of a capacity provider, unique in the account.
type ProviderName string

// The capacity providers that exist from the start and cannot be changed.
const (
	ProviderFargate     ProviderName = "FARGATE"
	ProviderFargateSpot ProviderName = "FARGATE_SPOT"
)

// PoolAttribute is the attribute with which a container instance says which pool
// of hosts it belongs to.
const PoolAttribute = "longshore.pool"

// CapacityProvider is a named source of container instances. Two are reserved
// (see Reserved); any other is a pool of hosts that the operator defines.
type CapacityProvider struct {
	Name         ProviderName                     `json:",omitzero"`
	Status       ecs.CapacityProviderStatus       `json:",omitzero"` // ACTIVE or INACTIVE
	CreatedAt    time.Time                        `json:",omitzero"`
	Group        ecs.AutoScalingGroupProvider     `json:",omitzero"` // with its defaults filled in
	UpdateStatus ecs.CapacityProviderUpdateStatus `json:",omitzero"` // of the last update or deletion
	Tags         []ecs.Tag                        `json:",omitzero"`
}

// ReservedProviders are the records of the providers that exist from the start.
func ReservedProviders() []*CapacityProvider {
	return []*CapacityProvider{
		{Name: ProviderFargate, Status: ecs.CapacityProviderStatusACTIVE},
		{Name: ProviderFargateSpot, Status: ecs.CapacityProviderStatusACTIVE},
	}
}

// Reserved tells whether a name is that of a provider for FARGATE tasks.
func (n ProviderName) Reserved() bool { return n == ProviderFargate || n == ProviderFargateSpot }

// Type is the kind of capacity, as the API names it.
func (n ProviderName) Type() ecs.CapacityProviderType {
	switch n {
	case ProviderFargate:
		return ecs.CapacityProviderTypeFARGATE
	case ProviderFargateSpot:
		return ecs.CapacityProviderTypeFARGATESPOT
	}
	return ecs.CapacityProviderTypeEC2AUTOSCALING
}

// Pool is the pool of hosts that the provider stands for; empty for the reserved
// ones, which have none.
func (p *CapacityProvider) Pool() string { return PoolOf(p.Group.AutoScalingGroupArn) }

// PoolOf is the name of an Auto Scaling group, the last part of its ARN; empty if
// that is no such ARN.
func PoolOf(groupARN string) string {
	_, name, _ := strings.Cut(groupARN, ":autoScalingGroupName/")
	return name
}

// Pool is the pool of hosts that an instance belongs to; empty for none.
func (i *Instance) Pool() string {
	for _, a := range i.Attributes {
		if a.Name == PoolAttribute && a.Value != nil {
			return *a.Value
		}
	}
	return ""
}

// Providers are the capacity providers that a service may take capacity from, now
// or after a deployment is rolled back, each once.
func (s *Service) Providers() []ProviderName {
	var out []ProviderName
	add := func(strategy []ecs.CapacityProviderStrategyItem) {
		for _, item := range strategy {
			if name := ProviderName(item.CapacityProvider); !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	add(s.CapacityProviderStrategy)
	for i := range s.Deployments {
		add(s.Deployments[i].CapacityProviderStrategy)
	}
	if s.LastCompleted != nil {
		add(s.LastCompleted.CapacityProviderStrategy)
	}
	for i := range s.TaskSets {
		add(s.TaskSets[i].CapacityProviderStrategy)
	}
	return out
}

// ProviderARN returns the ARN of a capacity provider.
func (o Owner) ProviderARN(p ProviderName) string { return o.arn("capacity-provider", string(p)) }
