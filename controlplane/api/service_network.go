package api

import (
	"reflect"

	"github.com/longshore/longshore/controlplane/launch"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// launchTypeOfService is the launch type of a service's tasks.
func launchTypeOfService(s *model.Service) ecs.LaunchType {
	if s.LaunchType != "" {
		return s.LaunchType
	}
	return launch.LaunchTypeOf(s.CapacityProviderStrategy)
}

// setNetwork gives a service its network configuration and platform version, for
// tasks of the definition. Its capacity must be known.
func setNetwork(t *store.Tables, s *model.Service, n *ecs.NetworkConfiguration, version string, d *ecs.TaskDefinition) error {
	l := launchTypeOfService(s)
	if err := checkPlatformVersion(version, l); err != nil {
		return err
	}
	if err := checkNetworkOf(t, s.Cluster, n, d, l); err != nil {
		return err
	}
	if l == ecs.LaunchTypeFARGATE && isDaemon(s) {
		return invalid("The daemon scheduling strategy is not supported for the FARGATE launch type.")
	}
	if err := checkFargate(l, s.PlacementConstraints, s.PlacementStrategy); err != nil {
		return err
	}
	if l == ecs.LaunchTypeFARGATE && version == "" {
		version = latestPlatform
	}
	s.NetworkConfiguration, s.PlatformVersion = n, version
	return nil
}

// applyNetwork changes where a service's tasks are to run from now on, and tells
// whether that takes a new deployment. Also another definition, or other capacity,
// can ask for another configuration.
func (h *Handler) applyNetwork(t *store.Tables, s *model.Service, in *ecs.UpdateServiceRequest, ref model.DefinitionRef) (moved bool, err error) {
	d, ok := t.Definition(ref)
	if !ok {
		return false, nil // it was deleted; the service goes on as it is
	}
	network, version := s.NetworkConfiguration, s.PlatformVersion
	if in.NetworkConfiguration != nil {
		network = in.NetworkConfiguration
	} else if d.Shape.NetworkMode != ecs.NetworkModeAwsvpc {
		network = nil // of the definition that it had before
	}
	if in.PlatformVersion != "" {
		version = in.PlatformVersion
	} else if launchTypeOfService(s) != ecs.LaunchTypeFARGATE {
		version = ""
	}
	before := *s
	if err := setNetwork(t, s, network, version, &d.Shape); err != nil {
		return false, err
	}
	return !reflect.DeepEqual(before.NetworkConfiguration, s.NetworkConfiguration) || before.PlatformVersion != s.PlatformVersion, nil
}
