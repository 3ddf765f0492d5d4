package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
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
	// maxToken is what the present API allows; SDKs send UUIDs of 36.
	maxToken = 64
)

// launched is what became of a RunTask or a StartTask.
type launched struct {
	cluster model.ClusterName
	tasks   []*model.Task
	failed  []placement.Failure
}

// runTask places and records tasks in one transaction, so that no two requests
// can take the same room.
func (h *Handler) runTask(ctx context.Context, in *ecs.RunTaskRequest) (*ecs.RunTaskResponse, error) {
	count, err := h.checkRunTask(in)
	if err != nil {
		return nil, err
	}
	strategies, err := checkStrategies(in.PlacementStrategy)
	if err != nil {
		return nil, err
	}
	hash, err := requestHash(in, func(r *ecs.RunTaskRequest) { r.ClientToken = "" })
	if err != nil {
		return nil, err
	}
	var l launched
	err = h.store.Update(ctx, func(tx *store.Tx) error {
		c, err := h.cluster(tx.Tables, in.Cluster)
		if err != nil {
			return err
		}
		l.cluster = c.Name
		if l.tasks, err = tasksOfToken(tx, h.Owner, c.Name, in.ClientToken, hash); err != nil || l.tasks != nil {
			return err
		}
		order, err := h.standaloneOrder(tx, c, in.TaskDefinition, standalone{
			capacity: capacity{in.LaunchType, in.CapacityProviderStrategy}, group: in.Group, startedBy: in.StartedBy, overrides: in.Overrides,
			tags: in.Tags, propagate: in.PropagateTags, managed: in.EnableECSManagedTags,
		})
		if err != nil {
			return err
		}
		order.ClientToken, order.RequestHash = in.ClientToken, hash
		order.Constraints, order.Strategies = in.PlacementConstraints, strategies
		return l.place(tx, order, count, h.Clock())
	})
	if err != nil {
		return nil, err
	}
	return &ecs.RunTaskResponse{Tasks: h.startedShapes(l.tasks), Failures: h.placementFailures(l.cluster, l.failed)}, nil
}

// place records as many of the tasks as fit, and why the next one does not.
func (l *launched) place(tx *store.Tx, order *launch.Order, count int, now time.Time) error {
	source := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	for _, portion := range order.Portions(count, nil, tx.PoolOfProvider) {
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
	if err := checkPlatformVersion(in.PlatformVersion); err != nil {
		return 0, err
	}
	if err := checkNetwork(in.NetworkConfiguration); err != nil {
		return 0, err
	}
	if err := checkConstraints(in.PlacementConstraints); err != nil {
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
	case len(startedBy) > maxStartedBy || startedBy != "" && !model.ValidName(startedBy):
		return invalid("startedBy must be up to %d letters, digits, hyphens and underscores, not %q.", maxStartedBy, clip(startedBy))
	case len(reference) > maxReference:
		return invalid("referenceId is longer than %d characters.", maxReference)
	case propagate == ecs.PropagateTagsSERVICE:
		return invalid("propagateTags SERVICE is for the tasks of services only.")
	}
	return checkTags(tags)
}

// checkToken checks a client token: printable ASCII.
func checkToken(token string) error {
	if len(token) > maxToken {
		return invalid("clientToken is longer than %d characters.", maxToken)
	}
	for i := range len(token) {
		if token[i] < 33 || token[i] > 126 {
			return invalid("clientToken must be of printable ASCII characters.")
		}
	}
	return nil
}

// requestHash names a request, for telling a repetition from another request
// with the same token. strip takes out of the copy what does not count.
func requestHash[T any](in *T, strip func(*T)) (string, error) {
	stripped := *in
	strip(&stripped)
	encoded, err := json.Marshal(&stripped)
	if err != nil {
		return "", fmt.Errorf("hashing a request: %w", err)
	}
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:]), nil
}

// tasksOfToken returns the tasks that the same request has started before; nil
// if there are none.
func tasksOfToken(tx *store.Tx, owner model.Owner, c model.ClusterName, token, hash string) ([]*model.Task, error) {
	if token == "" {
		return nil, nil
	}
	var tasks []*model.Task
	var arns []string
	same := true
	for t := range tx.TasksOfToken(c, token) {
		tasks = append(tasks, t)
		arns = append(arns, owner.TaskARN(c, t.ID))
		same = same && t.RequestHash == hash
	}
	if !same {
		return nil, &ecs.Error{
			Code:        ecs.CodeConflict,
			Message:     "The client token was used before, for another request.",
			ResourceIDs: arns,
		}
	}
	return tasks, nil
}

// standalone is what RunTask and StartTask have in common.
type standalone struct {
	capacity         capacity // as the request says it
	group, startedBy string
	overrides        *ecs.TaskOverride
	tags             []ecs.Tag
	propagate        ecs.PropagateTags
	managed          bool
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
	if err := checkOverrides(r.overrides, &d.Shape); err != nil {
		return nil, err
	}
	if r.group == "" {
		r.group = launch.FamilyGroupPrefix + string(d.Ref.Family)
	}
	var propagated []ecs.Tag
	if r.propagate == ecs.PropagateTagsTASKDEFINITION {
		propagated = d.Tags
	}
	return &launch.Order{
		Cluster: c.Name, Definition: d, LaunchType: from.launchTypeOfTasks(), CapacityStrategy: from.strategy,
		Group: r.group, StartedBy: r.startedBy,
		Overrides: r.overrides, Tags: launch.StandaloneTaskTags(c.Name, r.tags, propagated, r.managed),
	}, nil
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
			tags: in.Tags, propagate: in.PropagateTags, managed: in.EnableECSManagedTags,
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
	view := h.store.View()
	out := make([]ecs.Task, len(tasks))
	for i, t := range tasks {
		out[i] = h.taskShape(view, t, true)
	}
	return out
}
