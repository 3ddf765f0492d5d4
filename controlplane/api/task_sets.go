package api

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

const (
	maxTaskSets = 5   // of a service (ECS quotas: deployments per service)
	maxScale    = 100 // percent
)

var taskSetID = regexp.MustCompile(`^ecs-svc/[0-9]{1,19}$`)

// setTarget names the task sets of one service, as requests do.
type setTarget struct{ cluster, service string }

// serviceOfSets finds the service of a request about task sets. changing ones need
// one that is ACTIVE and EXTERNAL: the task sets of CODE_DEPLOY are not the callers'.
func (h *Handler) serviceOfSets(t *store.Tables, at setTarget, changing bool) (*model.Cluster, *model.Service, error) {
	c, err := h.cluster(t, at.cluster)
	if err != nil {
		return nil, nil, err
	}
	s, err := h.service(t, c.Name, at.service)
	switch {
	case err != nil:
		return nil, nil, err
	case s.Status == model.StatusInactive, changing && s.Status != model.StatusActive:
		return nil, nil, ecs.Errorf(ecs.CodeServiceNotActive, "Service was not ACTIVE.")
	case !s.HasTaskSets(), changing && s.Controller != ecs.DeploymentControllerTypeEXTERNAL:
		return nil, nil, invalid("Amazon ECS only supports task set management on services configured to use external deployment controllers.")
	}
	return c, s, nil
}

// setID reads the id or ARN of a task set of a service.
func (h *Handler) setID(s *model.Service, idOrARN string) (model.DeploymentID, error) {
	id := idOrARN
	if strings.HasPrefix(idOrARN, "arn:") {
		rest, err := h.Owner.Resource(kindTaskSet, idOrARN)
		if err != nil {
			return "", invalid("Task Set Identifier is invalid: %s", clip(err.Error()))
		}
		prefix := string(s.Cluster) + "/" + string(s.Name) + "/"
		if id = strings.TrimPrefix(rest, prefix); id == rest {
			return "", invalid("Task Set Identifier is invalid: %s is not of the service %s in the cluster %s.", clip(idOrARN), s.Name, s.Cluster)
		}
	}
	if !taskSetID.MatchString(id) {
		return "", invalid("Task Set Identifier is invalid: %s", clip(idOrARN))
	}
	return model.DeploymentID(id), nil
}

func (h *Handler) createTaskSet(ctx context.Context, in *ecs.CreateTaskSetRequest) (*ecs.CreateTaskSetResponse, error) {
	wanted, err := h.newTaskSet(in)
	if err != nil {
		return nil, err
	}
	var service *model.Service
	id := wanted.ID
	err = h.store.Update(ctx, func(tx *store.Tx) error {
		c, have, err := h.serviceOfSets(tx.Tables, setTarget{in.Cluster, in.Service}, true)
		if err != nil {
			return err
		}
		if same, repeated, err := createdBefore(have, wanted); repeated || err != nil {
			service, id = have, same
			return err
		}
		if n := len(have.TaskSets); n >= maxTaskSets {
			return invalid("%d deployments exist on the service. Unable to create new TaskSet since this exceeds the maximum limit.", n)
		}
		set := *wanted
		if err := h.equipTaskSet(tx.Tables, c, have, &set, in); err != nil {
			return err
		}
		next := *have
		next.TaskSets = append(slices.Clone(have.TaskSets), set)
		service = &next
		tx.PutService(service)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &ecs.CreateTaskSetResponse{TaskSet: h.shownTaskSet(service, id)}, nil
}

// newTaskSet is the task set that a request asks for, as far as that can be said
// without its service and definition.
func (h *Handler) newTaskSet(in *ecs.CreateTaskSetRequest) (*model.TaskSet, error) {
	if err := checkToken(in.ClientToken); err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	if err := checkCapacity(in.CapacityProviderStrategy, in.LaunchType); err != nil {
		return nil, err
	}
	scale := 0.0
	if in.Scale != nil {
		scale = in.Scale.Value
	}
	if err := checkScale(scale); err != nil {
		return nil, err
	}
	hash, err := requestHash(in, func(r *ecs.CreateTaskSetRequest) { r.ClientToken = "" })
	if err != nil {
		return nil, err
	}
	now := h.Clock()
	return &model.TaskSet{
		ID: model.NewDeploymentID(), Status: model.DeploymentActive, ExternalID: in.ExternalId, Scale: scale, Tags: in.Tags,
		ClientToken: in.ClientToken, RequestHash: hash,
		CreatedAt: now, UpdatedAt: now, Stability: ecs.StabilityStatusSTABILIZING, StabilityAt: now,
	}, nil
}

func checkScale(value float64) error {
	if !(value >= 0 && value <= maxScale) {
		return invalid("The scale of a task set must be between 0 and %d percent, not %g.", maxScale, value)
	}
	return nil
}

// createdBefore finds the task set that an earlier copy of a request made.
func createdBefore(s *model.Service, wanted *model.TaskSet) (model.DeploymentID, bool, error) {
	if wanted.ClientToken == "" {
		return "", false, nil
	}
	i := slices.IndexFunc(s.TaskSets, func(set model.TaskSet) bool { return set.ClientToken == wanted.ClientToken })
	switch {
	case i < 0:
		return "", false, nil
	case s.TaskSets[i].RequestHash != wanted.RequestHash:
		return "", false, invalid("Creation of task set was not idempotent.")
	}
	return s.TaskSets[i].ID, true, nil
}

// equipTaskSet says what the tasks of a new task set run, where they come from and
// how they are reached.
func (h *Handler) equipTaskSet(t *store.Tables, c *model.Cluster, s *model.Service, set *model.TaskSet, in *ecs.CreateTaskSetRequest) error {
	d, err := h.runnable(t, in.TaskDefinition)
	if err != nil {
		return err
	}
	if err := checkConstraintsOfTask(d, s.PlacementConstraints); err != nil {
		return err
	}
	from, err := h.capacityOf(c, in.LaunchType, in.CapacityProviderStrategy, &d.Shape)
	if err != nil {
		return err
	}
	set.Definition, set.LaunchType, set.CapacityProviderStrategy = d.Ref, from.launchType, from.strategy
	set.Wiring, err = h.wire(t, s, &d.Shape, from, model.Wiring{
		NetworkConfiguration: in.NetworkConfiguration, PlatformVersion: in.PlatformVersion,
		LoadBalancers: in.LoadBalancers, ServiceRegistries: in.ServiceRegistries,
	})
	return err
}

// changeTaskSet changes one task set of an EXTERNAL service. change gets a copy of
// the service to work on.
func (h *Handler) changeTaskSet(ctx context.Context, at setTarget, idOrARN string, change func(*model.Service, *model.TaskSet) error) (*ecs.TaskSet, error) {
	var service *model.Service
	var id model.DeploymentID
	err := h.store.Update(ctx, func(tx *store.Tx) error {
		_, have, err := h.serviceOfSets(tx.Tables, at, true)
		if err != nil {
			return err
		}
		if id, err = h.setID(have, idOrARN); err != nil {
			return err
		}
		next := *have
		next.TaskSets = slices.Clone(have.TaskSets)
		set, ok := next.TaskSet(id)
		if !ok {
			return ecs.Errorf(ecs.CodeTaskSetNotFound, "The specified task set could not be found. Specify a valid task set and try again.")
		}
		if err := change(&next, set); err != nil {
			return err
		}
		service = &next
		tx.PutService(service)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return h.shownTaskSet(service, id), nil
}

func (h *Handler) updateTaskSet(ctx context.Context, in *ecs.UpdateTaskSetRequest) (*ecs.UpdateTaskSetResponse, error) {
	if err := checkScale(in.Scale.Value); err != nil {
		return nil, err
	}
	set, err := h.changeTaskSet(ctx, setTarget{in.Cluster, in.Service}, in.TaskSet, func(s *model.Service, set *model.TaskSet) error {
		if set.Status == model.TaskSetDraining {
			return errSetDraining(set)
		}
		before := s.ComputedCount(set)
		set.Scale, set.UpdatedAt = in.Scale.Value, h.Clock()
		if s.ComputedCount(set) != before {
			h.unsettle(set)
		}
		renew(s, set)
		return nil
	})
	return &ecs.UpdateTaskSetResponse{TaskSet: set}, err
}

// renew forgets what went wrong with a task set before it was changed.
func renew(s *model.Service, set *model.TaskSet) {
	set.FailedStarts, set.PauseUntil, set.LastPlacement = 0, time.Time{}, ""
	s.SteadyReported = false
}

func errSetDraining(set *model.TaskSet) error {
	return invalid("The task set %s is DRAINING: it was deleted and can not be changed any more.", set.ID)
}

func (h *Handler) deleteTaskSet(ctx context.Context, in *ecs.DeleteTaskSetRequest) (*ecs.DeleteTaskSetResponse, error) {
	forced := in.Force != nil && *in.Force
	set, err := h.changeTaskSet(ctx, setTarget{in.Cluster, in.Service}, in.TaskSet, func(s *model.Service, set *model.TaskSet) error {
		switch {
		case set.Status == model.TaskSetDraining:
			return nil
		case set.Status == model.DeploymentPrimary && !forced:
			return invalid("The task set %s is PRIMARY and can only be deleted with force.", set.ID)
		case set.Scale > 0 && !forced:
			return invalid("The task set %s is scaled above 0. Scale it down to 0, or use force.", set.ID)
		}
		wasPrimary := set.Status == model.DeploymentPrimary
		h.drain(set)
		if wasPrimary {
			s.FollowPrimary()
		}
		s.SteadyReported = false
		return nil
	})
	return &ecs.DeleteTaskSetResponse{TaskSet: set}, err
}

// drain makes a task set one that is deleted. The service loop stops its tasks and
// forgets it once none is left.
func (h *Handler) drain(set *model.TaskSet) {
	set.Status, set.Scale, set.UpdatedAt = model.TaskSetDraining, 0, h.Clock()
	h.unsettle(set)
}

func (h *Handler) updateServicePrimaryTaskSet(ctx context.Context, in *ecs.UpdateServicePrimaryTaskSetRequest) (*ecs.UpdateServicePrimaryTaskSetResponse, error) {
	set, err := h.changeTaskSet(ctx, setTarget{in.Cluster, in.Service}, in.PrimaryTaskSet, func(s *model.Service, set *model.TaskSet) error {
		switch set.Status {
		case model.TaskSetDraining:
			return errSetDraining(set)
		case model.DeploymentPrimary:
			return nil
		}
		now := h.Clock()
		if old, ok := s.PrimaryTaskSet(); ok {
			old.Status, old.UpdatedAt = model.DeploymentActive, now
		}
		set.Status, set.UpdatedAt = model.DeploymentPrimary, now
		s.FollowPrimary()
		return nil
	})
	return &ecs.UpdateServicePrimaryTaskSetResponse{TaskSet: set}, err
}

func (h *Handler) describeTaskSets(_ context.Context, in *ecs.DescribeTaskSetsRequest) (*ecs.DescribeTaskSetsResponse, error) {
	view := h.store.View()
	_, s, err := h.serviceOfSets(view, setTarget{in.Cluster, in.Service}, false)
	if err != nil {
		return nil, err
	}
	if len(in.TaskSets) > maxDescribed {
		return nil, invalid("At most %d task sets can be described at once, not %d.", maxDescribed, len(in.TaskSets))
	}
	var ids []model.DeploymentID
	for _, name := range in.TaskSets {
		id, err := h.setID(s, name)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	if len(in.TaskSets) == 0 {
		for i := range s.TaskSets {
			ids = append(ids, s.TaskSets[i].ID)
		}
	}
	tags := asked(in.Include, ecs.TaskSetFieldTAGS)
	out := &ecs.DescribeTaskSetsResponse{TaskSets: []ecs.TaskSet{}, Failures: []ecs.Failure{}}
	for _, id := range ids {
		if set, ok := s.TaskSet(id); ok {
			out.TaskSets = append(out.TaskSets, h.taskSetShape(s, set, tallyOf(view, s, id), tags))
		} else {
			out.Failures = append(out.Failures, missing(h.Owner.TaskSetARN(s.Key(), id)))
		}
	}
	return out, nil
}

// shownTaskSet is a task set as the operations that change it show it.
func (h *Handler) shownTaskSet(s *model.Service, id model.DeploymentID) *ecs.TaskSet {
	set, ok := s.TaskSet(id)
	if !ok {
		return nil
	}
	return pointer(h.taskSetShape(s, set, tallyOf(h.store.View(), s, id), true))
}

// taskSetShape is a task set as the API shows it. STEADY_STATE is what the service
// loop said last; the numbers in the same answer must agree with it.
func (h *Handler) taskSetShape(s *model.Service, set *model.TaskSet, n tally, tags bool) ecs.TaskSet {
	shape := ecs.TaskSet{
		Id:                       string(set.ID),
		TaskSetArn:               h.Owner.TaskSetARN(s.Key(), set.ID),
		ServiceArn:               h.Owner.ServiceARN(s.Key()),
		ClusterArn:               h.Owner.ClusterARN(s.Cluster),
		ExternalId:               set.ExternalID,
		Status:                   set.Status,
		TaskDefinition:           h.Owner.DefinitionARN(set.Definition),
		ComputedDesiredCount:     s.ComputedCount(set),
		PendingCount:             n.pending,
		RunningCount:             n.running,
		CreatedAt:                ecs.At(set.CreatedAt),
		UpdatedAt:                ecs.At(set.UpdatedAt),
		LaunchType:               set.LaunchType,
		CapacityProviderStrategy: set.CapacityProviderStrategy,
		NetworkConfiguration:     set.NetworkConfiguration,
		LoadBalancers:            orEmpty(set.LoadBalancers),
		ServiceRegistries:        orEmpty(set.ServiceRegistries),
		Scale:                    &ecs.Scale{Value: set.Scale, Unit: ecs.ScaleUnitPERCENT},
		StabilityStatus:          set.Stability,
		StabilityStatusAt:        ecs.At(set.StabilityAt),
		Tags:                     []ecs.Tag{},
	}
	if n.pending > 0 || n.running != shape.ComputedDesiredCount {
		shape.StabilityStatus = ecs.StabilityStatusSTABILIZING
	}
	if tags {
		shape.Tags = orEmpty(set.Tags)
	}
	return shape
}
