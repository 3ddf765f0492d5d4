package launch

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/placement"
	"github.com/longshore/longshore/proto/ecs"
)

const (
	// ZoneAttribute is the built-in attribute that names an instance's zone.
	ZoneAttribute = "ecs.availability-zone"
	// FamilyGroupPrefix and ServiceGroupPrefix begin the names of task groups.
	FamilyGroupPrefix  = "family:"
	ServiceGroupPrefix = "service:"
)

// Order is an order for tasks that are all alike.
type Order struct {
	Cluster    model.ClusterName
	Definition *model.Definition
	LaunchType ecs.LaunchType
	Group      string
	StartedBy  string
	Service    model.ServiceName // empty for standalone tasks
	Deployment model.DeploymentID
	Overrides  *ecs.TaskOverride // may be nil

	// CapacityStrategy divides the tasks among capacity providers; see Portions.
	CapacityStrategy []ecs.CapacityProviderStrategyItem
	Images           map[string]string // digests that are run, by container; without one, what the tag means

	Zone string // if not empty, the only one where the tasks may go

	CapacityProvider model.ProviderName // of a portion
	pool             string             // of that provider
	Tags             []ecs.Tag

	Network         *ecs.AwsVpcConfiguration // of tasks in awsvpc mode; see Locate
	subnets         []string                 // one of these attributes is needed
	anySubnet       *placement.Predicate     // says so, if there are several
	PlatformVersion string                   // of the launch type FARGATE
	Targets         []model.Target           // of each task

	Strategies []placement.Strategy // none: at random

	constraints Constraints // with those of the definition
}

// ForService returns the order for tasks of a service's PRIMARY deployment, for
// which the definition is given. A service that names no strategy spreads over
// zones and then over instances (ECS guide, service scheduler concepts).
func ForService(s *model.Service, d *model.Definition) (*Order, error) {
	return ForDeployment(s, s.Primary(), d)
}

// ForDeployment is ForService for any of a service's deployments.
func ForDeployment(s *model.Service, of *model.Deployment, d *model.Definition) (*Order, error) {
	return forPart(s, part{of.ID, of.LaunchType, of.CapacityProviderStrategy, &of.Wiring, of.Images}, d)
}

// ForTaskSet is ForService for one of a service's task sets.
func ForTaskSet(s *model.Service, set *model.TaskSet, d *model.Definition) (*Order, error) {
	return forPart(s, part{set.ID, set.LaunchType, set.CapacityProviderStrategy, &set.Wiring, set.Images}, d)
}

// part is a deployment or a task set.
type part struct {
	id         model.DeploymentID
	launchType ecs.LaunchType
	capacity   []ecs.CapacityProviderStrategyItem
	wiring     *model.Wiring
	images     map[string]string // digests by container
}

// forPart returns the order for tasks of a service's deployment or task set.
func forPart(s *model.Service, p part, d *model.Definition) (*Order, error) {
	launchType := p.launchType
	if launchType == "" { // a strategy stands in its place
		launchType = LaunchTypeOf(p.capacity)
	}
	strategies := []placement.Strategy{placement.SpreadAttribute(ZoneAttribute), placement.SpreadInstances()}
	if len(s.PlacementStrategy) > 0 {
		var err error
		if strategies, err = Strategies(s.PlacementStrategy); err != nil {
			return nil, fmt.Errorf("placement strategy of service %s in cluster %s: %w", s.Name, s.Cluster, err)
		}
	}
	constraints, err := ParseConstraints(s.PlacementConstraints)
	if err != nil {
		return nil, fmt.Errorf("placement constraints of service %s in cluster %s: %w", s.Name, s.Cluster, err)
	}
	o := &Order{
		Cluster:    s.Cluster,
		Definition: d,
		LaunchType: launchType,

		CapacityStrategy: p.capacity,
		Images:           p.images,

		Group:      ServiceGroupPrefix + string(s.Name),
		StartedBy:  string(p.id),
		Service:    s.Name,
		Deployment: p.id,
		Tags:       ServiceTaskTags(s, d),
		Strategies: strategies,

		Network:         model.Awsvpc(p.wiring.NetworkConfiguration),
		PlatformVersion: p.wiring.PlatformVersion,
		Targets:         p.wiring.NewTargets(),
	}
	return o, o.constrain(constraints)
}

// Request returns what placement is asked for count tasks of the order.
func (o *Order) Request(count int, source *rand.Rand) placement.Request {
	r := Reserve(&o.Definition.Shape, o.Overrides)
	request := placement.Request{
		Count:              count,
		CPU:                r.CPU,
		MemoryMiB:          r.MemoryMiB,
		TCP:                r.TCP,
		UDP:                r.UDP,
		GPUCount:           gpuCount(&o.Definition.Shape, o.Overrides),
		Group:              o.Group,
		RequiredAttributes: append(requiredAttributes(&o.Definition.Shape), roleAttributes(&o.Definition.Shape, o.Overrides)...),
		Strategies:         o.Strategies,
		Rand:               source,
		MemberOf:           o.constraints.memberOf,
		DistinctInstance:   o.constraints.distinct,
	}
	o.requireOffers(&request)
	if o.Zone != "" {
		request.RequiredAttributes = append(request.RequiredAttributes, placement.Attribute{Name: ZoneAttribute, Value: o.Zone})
	}
	switch {
	case o.CapacityProvider == "", o.CapacityProvider.Reserved():
	case o.pool == "":
		request.Candidates = []string{} // a provider that has no hosts
	default:
		request.RequiredAttributes = append(request.RequiredAttributes, placement.Attribute{Name: model.PoolAttribute, Value: o.pool})
	}
	return request
}

func requiredAttributes(d *ecs.TaskDefinition) []placement.Attribute {
	out := make([]placement.Attribute, len(d.RequiresAttributes))
	for i, a := range d.RequiresAttributes {
		out[i] = placement.Attribute{Name: a.Name, AnyValue: a.Value == nil}
		if a.Value != nil {
			out[i].Value = *a.Value
		}
	}
	return out
}

// Strategies reads a request's placement strategies.
func Strategies(in []ecs.PlacementStrategy) ([]placement.Strategy, error) {
	out := make([]placement.Strategy, len(in))
	for i, s := range in {
		var err error
		if out[i], err = placement.ParseStrategy(string(s.Type), s.Field); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Task returns the record of a new task of the order where placement has put it.
func (o *Order) Task(id model.TaskID, place placement.Assignment, now time.Time) *model.Task {
	shape := &o.Definition.Shape
	t := &model.Task{
		ID:               id,
		Cluster:          o.Cluster,
		Instance:         model.InstanceID(place.InstanceID),
		Definition:       o.Definition.Ref,
		LaunchType:       o.LaunchType,
		CapacityProvider: o.CapacityProvider,
		Group:            o.Group,
		StartedBy:        o.StartedBy,
		Service:          o.Service,
		Deployment:       o.Deployment,
		DesiredStatus:    model.TaskRunning,
		LastStatus:       model.TaskPending,
		Version:          1,
		HealthStatus:     ecs.HealthStatusUNKNOWN,
		Reserved:         Reserve(shape, o.Overrides),
		Overrides:        o.Overrides,
		Tags:             o.Tags,
		CreatedAt:        now,
		Targets:          o.Targets,
		Containers:       make([]model.Container, len(shape.ContainerDefinitions)),
	}
	if shape.NetworkMode == ecs.NetworkModeAwsvpc {
		t.LastStatus, t.Network = model.TaskProvisioning, o.Network
		t.Attachments = []model.Attachment{model.NewAttachment(id, t.Subnets())}
	}
	if o.LaunchType == ecs.LaunchTypeFARGATE {
		t.PlatformVersion = FargatePlatform
	}
	gpus := place.GPUs
	for i := range shape.ContainerDefinitions {
		c := &shape.ContainerDefinitions[i]
		own := min(gpusOf(c, o.Overrides), len(gpus))
		t.Containers[i] = model.Container{
			ID:           model.NewUUID(),
			Name:         c.Name,
			Image:        c.Image,
			LastStatus:   model.TaskPending,
			HealthStatus: ecs.HealthStatusUNKNOWN,
			GPUs:         slices.Clone(gpus[:own]),
		}
		gpus = gpus[own:]
		if c.VersionConsistency != ecs.VersionConsistencyDisabled {
			t.Containers[i].PinnedDigest = o.Images[c.Name]
		}
	}
	return t
}

// Tags that ECS itself puts on tasks.
const (
	reservedTagPrefix = "aws:"
	clusterNameTag    = "aws:ecs:clusterName"
	serviceNameTag    = "aws:ecs:serviceName"
)

// ServiceTaskTags are the tags of a service's tasks.
func ServiceTaskTags(s *model.Service, d *model.Definition) []ecs.Tag {
	var tags []ecs.Tag
	switch s.PropagateTags {
	case ecs.PropagateTagsSERVICE:
		tags = append(tags, s.Tags...)
	case ecs.PropagateTagsTASKDEFINITION:
		tags = append(tags, d.Tags...)
	}
	if s.EnableECSManagedTags {
		tags = append(tags, managedTag(clusterNameTag, string(s.Cluster)), managedTag(serviceNameTag, string(s.Name)))
	}
	return tags
}

// StandaloneTaskTags are the tags of a task that a caller starts: those of the
// request, those of the definition that it does not override, and ECS's own.
func StandaloneTaskTags(c model.ClusterName, own, propagated []ecs.Tag, managed bool) []ecs.Tag {
	tags := append([]ecs.Tag(nil), own...)
	named := make(map[string]bool, len(own))
	for _, t := range own {
		named[t.Key] = true
	}
	for _, t := range propagated {
		if !named[t.Key] {
			tags = append(tags, t)
		}
	}
	if managed {
		tags = append(tags, managedTag(clusterNameTag, string(c)))
	}
	return tags
}

func managedTag(key, value string) ecs.Tag { return ecs.Tag{Key: key, Value: &value} }

// ReservedTag tells whether only ECS itself may use a tag key or value.
func ReservedTag(s string) bool {
	return len(s) >= len(reservedTagPrefix) && strings.EqualFold(s[:len(reservedTagPrefix)], reservedTagPrefix)
}
