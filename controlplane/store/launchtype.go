package store

import (
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

// ByLaunchType is a number for each launch type.
type ByLaunchType struct{ EC2, Fargate, External int32 }

// Total is the number over all launch types.
func (n ByLaunchType) Total() int32 { return n.EC2 + n.Fargate + n.External }

func (n *ByLaunchType) of(l ecs.LaunchType) *int32 {
	switch l {
	case ecs.LaunchTypeFARGATE:
		return &n.Fargate
	case ecs.LaunchTypeEXTERNAL:
		return &n.External
	}
	return &n.EC2
}

// launchTypeOf is the launch type of a service's tasks, also where the service
// itself shows a capacity provider strategy in its place. The providers of one
// strategy are all of one kind.
func launchTypeOf(s *model.Service) ecs.LaunchType {
	if strategy := s.CapacityProviderStrategy; len(strategy) > 0 && model.ProviderName(strategy[0].CapacityProvider).Reserved() {
		return ecs.LaunchTypeFARGATE
	}
	return s.LaunchType
}
