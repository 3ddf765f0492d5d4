package api

import (
	"slices"
	"strings"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

const maxEvents = 100 // that DescribeServices shows

// tally counts tasks as services, deployments and container instances show them.
type tally struct{ running, pending int32 }

func (n *tally) add(t *model.Task) {
	switch {
	case t.LastStatus == model.TaskRunning:
		n.running++
	case t.LastStatus.Starting():
		n.pending++
	}
}

// serviceShape is a service as the API shows it. Its counts are those of its
// tasks; it has none of its own.
func (h *Handler) serviceShape(t *store.Tables, s *model.Service, tags bool) ecs.Service {
	all := tallyOf(t, s, "")
	shape := ecs.Service{
		ServiceArn:                  h.Owner.ServiceARN(s.Key()),
		ServiceName:                 string(s.Name),
		ClusterArn:                  h.Owner.ClusterARN(s.Cluster),
		LoadBalancers:               orEmpty(s.LoadBalancers),
		ServiceRegistries:           orEmpty(s.ServiceRegistries),
		NetworkConfiguration:        s.NetworkConfiguration,
		RoleArn:                     s.RoleARN,
		Status:                      s.Status,
		DesiredCount:                s.DesiredCount,
		RunningCount:                all.running,
		PendingCount:                all.pending,
		LaunchType:                  s.LaunchType,
		CapacityProviderStrategy:    s.CapacityProviderStrategy,
		PlatformVersion:             s.PlatformVersion,
		PlatformFamily:              familyOf(s.PlatformVersion),
		DeploymentConfiguration:     &s.DeploymentConfiguration,
		Deployments:                 make([]ecs.Deployment, len(s.Deployments)),
		Events:                      h.eventShapes(t, s.Key()),
		CreatedAt:                   ecs.At(s.CreatedAt),
		PlacementConstraints:        orEmpty(s.PlacementConstraints),
		PlacementStrategy:           strategiesShown(s.PlacementStrategy),
		SchedulingStrategy:          s.SchedulingStrategy,
		DeploymentController:        &ecs.DeploymentController{Type: controllerShown(s)},
		CreatedBy:                   h.principal(),
		EnableECSManagedTags:        s.EnableECSManagedTags,
		PropagateTags:               s.PropagateTags,
		AvailabilityZoneRebalancing: rebalancingShown(s),
		Tags:                        []ecs.Tag{},
		ResourceManagementType:      ecs.ResourceManagementTypeCUSTOMER, // hosts are the operator's own
	}
	if len(s.Deployments) > 0 {
		shape.TaskDefinition = h.Owner.DefinitionARN(s.Primary().Definition)
	}
	if tags {
		shape.Tags = orEmpty(s.Tags)
	}
	for i := range s.Deployments {
		shape.Deployments[i] = h.deploymentShape(&s.Deployments[i], tallyOf(t, s, s.Deployments[i].ID))
	}
	if s.Status == model.StatusInactive { // of which ECS shows what it was, not what became of it
		shape.Deployments, shape.Events = []ecs.Deployment{}, []ecs.ServiceEvent{}
	}
	shape.HealthCheckGracePeriodSeconds = s.HealthCheckGracePeriod
	if s.HasTaskSets() {
		shape.TaskSets = make([]ecs.TaskSet, len(s.TaskSets))
	}
	for i := range s.TaskSets {
		set := &s.TaskSets[i]
		shape.TaskSets[i] = h.taskSetShape(s, set, tallyOf(t, s, set.ID), tags)
		if set.Status == model.DeploymentPrimary {
			shape.TaskDefinition = h.Owner.DefinitionARN(set.Definition)
		}
	}
	return shape
}

// strategiesShown are placement strategies as ECS spells them, however the caller did.
func strategiesShown(in []ecs.PlacementStrategy) []ecs.PlacementStrategy {
	out := make([]ecs.PlacementStrategy, len(in))
	for i, s := range in {
		switch {
		case s.Type == ecs.PlacementStrategyTypeBinpack:
			s.Field = strings.ToUpper(s.Field)
		case strings.EqualFold(s.Field, "host"), strings.EqualFold(s.Field, "instanceId"):
			s.Field = "instanceId"
		}
		out[i] = s
	}
	return out
}

// tallyOf is the tally of a service's deployment or task set; with "" that of the service.
func tallyOf(t *store.Tables, s *model.Service, d model.DeploymentID) tally {
	running, pending := t.ServiceCounts(s.Key(), d)
	return tally{running, pending}
}

func (h *Handler) deploymentShape(d *model.Deployment, n tally) ecs.Deployment {
	return ecs.Deployment{
		Id:             string(d.ID),
		Status:         d.Status,
		TaskDefinition: h.Owner.DefinitionARN(d.Definition),
		DesiredCount:   d.DesiredCount,
		PendingCount:   n.pending,
		RunningCount:   n.running,
		FailedTasks:    d.FailedTasks,
		CreatedAt:      ecs.At(d.CreatedAt),
		UpdatedAt:      ecs.At(d.UpdatedAt),
		LaunchType:     d.LaunchType,

		CapacityProviderStrategy: d.CapacityProviderStrategy,
		NetworkConfiguration:     d.NetworkConfiguration,
		PlatformVersion:          d.PlatformVersion,
		PlatformFamily:           familyOf(d.PlatformVersion),

		RolloutState:       d.RolloutState,
		RolloutStateReason: d.RolloutStateReason,
	}
}

// familyOf is shown beside a platform version.
func familyOf(version string) string {
	if version == "" {
		return ""
	}
	return platformFamily
}

// eventShapes are the latest events of a service, newest first.
func (h *Handler) eventShapes(t *store.Tables, k model.ServiceKey) []ecs.ServiceEvent {
	out := []ecs.ServiceEvent{}
	for e := range t.Events(k) {
		out = append(out, ecs.ServiceEvent{Id: e.ID, CreatedAt: ecs.At(e.CreatedAt), Message: e.Message})
	}
	if len(out) > maxEvents {
		out = out[len(out)-maxEvents:]
	}
	slices.Reverse(out)
	return out
}
