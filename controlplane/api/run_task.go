package api

import (
	"context"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/longshore/longshore/controlplane/launch"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/placement"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

const (
	maxRun       = 10 // tasks of one RunTask, instances of one StartTask
	maxStartedBy = 36
	maxGroup     = 255
	maxReference = 1024
)

// launched is what became of a RunTask or a StartTask.
type launched struct {
	cluster model.ClusterName
	tasks   []*model.Task
	failed  []placement.Failure

	// look, if set, is shown each part of the order before it is placed.
	look func(*placement.Fleet, launch.Portion)
}

func (h *Handler) runTask(ctx context.Context, in *ecs.RunTaskRequest) (*ecs.RunTaskResponse, error) {
	var l launched
	if err := h.launch(ctx, in, &l, h.store.Update); err != nil {
		return nil, err
	}
	return &ecs.RunTaskResponse{Tasks: h.startedShapes(l.tasks), Failures: h.placementFailures(l.cluster, l.failed)}, nil
}

// transact runs a function in a transaction: store.Update, or store.Plan to see what it
// would do.
type transact func(context.Context, func(*store.Tx) error) error

// launch places and records tasks in one transaction, so that no two requests can take
// the same room.
func (h *Handler) launch(ctx context.Context, in *ecs.RunTaskRequest, l *launched, transact transact) error {
	count, err := h.checkRunTask(in)
	if err != nil {
		return err
	}
	constraints, err := readConstraints(in.PlacementConstraints)
	if err != nil {
		return err
	}
	strategies, err := checkStrategies(in.PlacementStrategy)
	if err != nil {
		return err
	}
	hash := ""
	if in.ClientToken != "" {
		if hash, err = requestHash(in, func(r *ecs.RunTaskRequest) { r.ClientToken = "" }); err != nil {
			return err
		}
	}
	return transact(ctx, func(tx *store.Tx) error {
		c, err := h.cluster(tx.Tables, in.Cluster)
		if err != nil {
			return err
		}
		l.cluster = c.Name
		now := h.Clock()
		if l.tasks, err = h.startedBefore(tx, c.Name, in.ClientToken, hash, now); err != nil || l.tasks != nil {
			return err
		}
		order, err := h.standaloneOrder(tx, c, in.TaskDefinition, standalone{
			capacity: capacity{in.LaunchType, in.CapacityProviderStrategy}, group: in.Group, startedBy: in.StartedBy, overrides: in.Overrides,
			tags: in.Tags, propagate: in.PropagateTags, managed: in.EnableECSManagedTags,
			given: in.PlacementConstraints, constraints: constraints,
			network: in.NetworkConfiguration, platformVersion: in.PlatformVersion,
		})
		if err != nil {
			return err
		}
		if err := checkFargate(order.LaunchType, in.PlacementConstraints, in.PlacementStrategy); err != nil {
			return err
		}
		if order.LaunchType != ecs.LaunchTypeFARGATE {
			order.Strategies = strategies
		}
		if err := l.place(tx, order, count, now); err != nil {
			return err
		}
		remember(tx, c.Name, in.ClientToken, hash, l.tasks, now)
		return nil
	})
}

// place records as many of the tasks as fit, and why the next one does not.
func (l *launched) place(tx *store.Tx, order *launch.Order, count int, now time.Time) error {
	source := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	for _, portion := range order.Portions(count, nil, tx.PoolOfProvider) {
		if l.look != nil {
			l.look(tx.Fleet(order.Cluster), portion)
		}
		result := portion.Place(tx.Fleet(order.Cluster), source)
		switch {
		case result.NoInstances && portion.CapacityProvider != "":
			return invalid("No Container Instances were found in your capacity provider.")
		case result.NoInstances:
			return invalid("No Container Instances were found in your cluster.")
		}
		for _, a := range result.Assignments {
			t := portion.Task(model.NewTaskID(), a, now)
			tx.PutTask(t)
			l.tasks = append(l.tasks, t)
		}
		l.failed = append(l.failed, result.Failures...)
	}
	return nil
}

// checkRunTask checks what a request says without looking at the cluster, and
// returns how many tasks it is for.
func (h *Handler) checkRunTask(in *ecs.RunTaskRequest) (int, error) {
	if err := refuseUnhonoured(in, "cluster", "count", "enableECSManagedTags", "group", "launchType", "overrides",
		"placementConstraints", "placementStrategy", "propagateTags", "referenceId", "startedBy", "tags",
		"taskDefinition", "clientToken", "networkConfiguration", "platformVersion", "capacityProviderStrategy"); err != nil {
		return 0, err
	}
	count := 1
	if in.Count != nil {
		count = int(*in.Count)
	}
	if count < 1 || count > maxRun {
		return 0, invalid("Count must be between 1 and %d, not %d.", maxRun, count)
	}
	if err := checkToken(in.ClientToken); err != nil {
		return 0, err
	}
	if err := checkCapacity(in.CapacityProviderStrategy, in.LaunchType); err != nil {
		return 0, err
	}
	if err := checkNetwork(in.NetworkConfiguration); err != nil {
		return 0, err
	}
	return count, checkLabels(in.Group, in.StartedBy, in.ReferenceId, in.Tags, in.PropagateTags)
}

// checkLabels checks what RunTask and StartTask put on tasks. The reference id
// has no effect but on whether two requests are the same: ECS shows it nowhere.
func checkLabels(group, startedBy, reference string, tags []ecs.Tag, propagate ecs.PropagateTags) error {
	switch {
	case strings.HasPrefix(group, launch.ServiceGroupPrefix):
		return invalid("Invalid namespace for group: %q is for the tasks of services.", launch.ServiceGroupPrefix)
	case len(group) > maxGroup:
		return invalid("group is longer than %d characters.", maxGroup)
	case len(startedBy) > maxStartedBy:
		return invalid("startedBy longer than %d.", maxStartedBy)
	case startedBy != "" && !model.ValidName(startedBy):
		return invalid("startedBy must be letters, digits, hyphens and underscores, not %q.", startedBy)
	case len(reference) > maxReference:
		return invalid("referenceId is longer than %d characters.", maxReference)
	case propagate == ecs.PropagateTagsSERVICE:
		return invalid("propagateTags SERVICE is for the tasks of services only.")
	}
	return checkTags(tags)
}

// standalone is what RunTask and StartTask have in common.
type standalone struct {
	capacity         capacity // as the request says it
	group, startedBy string
	overrides        *ecs.TaskOverride
	tags             []ecs.Tag
	propagate        ecs.PropagateTags
	managed          bool
	given            []ecs.PlacementConstraint
	constraints      launch.Constraints // compiled of the given
	network          *ecs.NetworkConfiguration
	platformVersion  string
}

func (h *Handler) standaloneOrder(tx *store.Tx, c *model.Cluster, definition string, r standalone) (*launch.Order, error) {
	d, err := h.runnable(tx.Tables, definition)
	if err != nil {
		return nil, err
	}
	from, err := h.capacityOf(c, r.capacity.launchType, r.capacity.strategy, &d.Shape)
	if err != nil {
		return nil, err
	}
	l := from.launchTypeOfTasks()
	if err := checkPlatformVersion(r.platformVersion, l); err != nil {
		return nil, err
	}
	if r.overrides, err = checkOverrides(r.overrides, &d.Shape, l); err != nil {
		return nil, err
	}
	if err := checkNetworkOf(tx.Tables, c.Name, r.network, &d.Shape, l); err != nil {
		return nil, err
	}
	if err := checkConstraintsOfTask(d, r.given); err != nil {
		return nil, err
	}
	if r.group == "" {
		r.group = launch.FamilyGroupPrefix + string(d.Ref.Family)
	}
	var propagated []ecs.Tag
	if r.propagate == ecs.PropagateTagsTASKDEFINITION {
		propagated = d.Tags
	}
	order, err := launch.Standalone(launch.Order{
		Cluster: c.Name, Definition: d, LaunchType: l, CapacityStrategy: from.strategy,
		Group: r.group, StartedBy: r.startedBy, Network: model.Awsvpc(r.network), PlatformVersion: r.platformVersion,
		Overrides: r.overrides, Tags: launch.StandaloneTaskTags(c.Name, r.tags, propagated, r.managed),
	}, r.constraints)
	if err != nil {
		return nil, err
	}
	if l == ecs.LaunchTypeFARGATE {
		order.Strategies = launch.FargateStrategies()
	}
	return order, order.Locate(func(attribute string) bool { return tx.AttributeOffered(c.Name, attribute) })
}

// startTask starts one task on each of the given instances that has room for it.
func (h *Handler) startTask(ctx context.Context, in *ecs.StartTaskRequest) (*ecs.StartTaskResponse, error) {
	if err := refuseUnhonoured(in, "cluster", "containerInstances", "enableECSManagedTags", "group", "overrides",
		"propagateTags", "referenceId", "startedBy", "tags", "taskDefinition", "networkConfiguration"); err != nil {
		return nil, err
	}
	if err := checkNetwork(in.NetworkConfiguration); err != nil {
		return nil, err
	}
	if err := checkLabels(in.Group, in.StartedBy, in.ReferenceId, in.Tags, in.PropagateTags); err != nil {
		return nil, err
	}
	var l launched
	err := h.store.Update(ctx, func(tx *store.Tx) error {
		c, err := h.cluster(tx.Tables, in.Cluster)
		if err != nil {
			return err
		}
		l.cluster = c.Name
		instances, err := h.eachInCluster(kindInstance, c.Name, in.ContainerInstances, maxRun)
		if err != nil {
			return err
		}
		order, err := h.standaloneOrder(tx, c, in.TaskDefinition, standalone{
			capacity: capacity{launchType: ecs.LaunchTypeEC2}, // the instances are given
			group:    in.Group, startedBy: in.StartedBy, overrides: in.Overrides,
			tags: in.Tags, propagate: in.PropagateTags, managed: in.EnableECSManagedTags, network: in.NetworkConfiguration,
		})
		if err != nil {
			return err
		}
		l.startOn(tx, order, instances, h.Clock())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &ecs.StartTaskResponse{Tasks: h.startedShapes(l.tasks), Failures: h.placementFailures(l.cluster, l.failed)}, nil
}

// startOn records a task on each instance that takes it. Each task is seen by
// the checks of the next, which may be for the same instance.
func (l *launched) startOn(tx *store.Tx, order *launch.Order, instances []string, now time.Time) {
	request := order.Request(1, nil)
	for _, id := range instances {
		request.Candidates = []string{id}
		result := placement.Place(tx.Fleet(order.Cluster), request)
		for i := range result.Failures {
			// Placement knows only instances that are registered.
			if have, known := tx.Instance(order.Cluster, model.InstanceID(id)); known && !store.InstanceLive(have) {
				result.Failures[i] = placement.Failure{InstanceID: id, Reason: placement.ReasonInactive, Subject: have.Status}
			}
		}
		l.failed = append(l.failed, result.Failures...)
		for _, a := range result.Assignments {
			t := order.Task(model.NewTaskID(), a, now)
			tx.PutTask(t)
			l.tasks = append(l.tasks, t)
		}
	}
}

// placementFailures are the failures as the API answers them.
func (h *Handler) placementFailures(c model.ClusterName, in []placement.Failure) []ecs.Failure {
	out := make([]ecs.Failure, len(in))
	for i, f := range in {
		out[i] = ecs.Failure{
			Arn:    h.Owner.InstanceARN(c, model.InstanceID(f.InstanceID)),
			Reason: string(f.Reason),
			Detail: f.String(),
		}
	}
	return out
}

// startedShapes are new tasks as RunTask and StartTask answer them: with tags.
func (h *Handler) startedShapes(tasks []*model.Task) []ecs.Task {
	return h.taskShapes(h.store.View(), tasks, true)
}
