package model

import (
	"math"
	"slices"
	"time"

	"github.com/longshore/longshore/proto/ecs"
)

// TaskSet is a part of a service whose deployment controller is EXTERNAL or
// CODE_DEPLOY: a share of the desired count, with a task definition of its own.
type TaskSet struct {
	ID         DeploymentID   `json:",omitzero"`
	Status     string         `json:",omitzero"` // PRIMARY, ACTIVE or DRAINING
	ExternalID string         `json:",omitzero"`
	Definition DefinitionRef  `json:",omitzero"`
	LaunchType ecs.LaunchType `json:",omitzero"` // empty with a capacity provider strategy
	Scale      float64        `json:",omitzero"` // percent of the service's desired count
	Tags       []ecs.Tag      `json:",omitzero"`
	CreatedAt  time.Time      `json:",omitzero"`
	UpdatedAt  time.Time      `json:",omitzero"`

	CapacityProviderStrategy []ecs.CapacityProviderStrategyItem `json:",omitzero"` // empty with a launch type
	Wiring

	ClientToken string `json:",omitzero"` // of the request that made it
	RequestHash string `json:",omitzero"` // of that request without its token

	Stability   ecs.StabilityStatus `json:",omitzero"`
	StabilityAt time.Time           `json:",omitzero"` // when Stability last changed
	SaidCount   int32               `json:",omitzero"` // the computed desired count that an event told last

	// As for a service; each task set is slowed, and told of, by itself.
	FailedStarts  int32     `json:",omitzero"`
	PauseUntil    time.Time `json:",omitzero"`
	LastPlacement string    `json:",omitzero"`

	Images map[string]string `json:",omitzero"` // as a Deployment's
}

// TaskSetDraining is the status of a task set that was deleted and still has
// tasks. The other statuses are those of deployments.
const TaskSetDraining = "DRAINING"

// Wiring is how the tasks of a service, a deployment or a task set are reached.
type Wiring struct {
	NetworkConfiguration *ecs.NetworkConfiguration `json:",omitzero"` // of tasks in network mode awsvpc
	PlatformVersion      string                    `json:",omitzero"` // of tasks of the launch type FARGATE
	LoadBalancers        []ecs.LoadBalancer        `json:",omitzero"`
	ServiceRegistries    []ecs.ServiceRegistry     `json:",omitzero"`
}

// HasTaskSets tells whether the service is made of task sets. Its Deployments are
// empty then; otherwise its TaskSets are.
func (s *Service) HasTaskSets() bool {
	return s.Controller == ecs.DeploymentControllerTypeEXTERNAL || s.Controller == ecs.DeploymentControllerTypeCODEDEPLOY
}

// TaskSet returns a task set by its id.
func (s *Service) TaskSet(id DeploymentID) (*TaskSet, bool) {
	i := slices.IndexFunc(s.TaskSets, func(set TaskSet) bool { return set.ID == id })
	if i < 0 {
		return nil, false
	}
	return &s.TaskSets[i], true
}

// PrimaryTaskSet returns the task set that is PRIMARY, if there is one.
func (s *Service) PrimaryTaskSet() (*TaskSet, bool) {
	i := slices.IndexFunc(s.TaskSets, func(set TaskSet) bool { return set.Status == DeploymentPrimary })
	if i < 0 {
		return nil, false
	}
	return &s.TaskSets[i], true
}

// FollowPrimary makes the service show what its PRIMARY task set has, and nothing
// if it has none (UpdateServicePrimaryTaskSet, seed 000).
func (s *Service) FollowPrimary() {
	set, ok := s.PrimaryTaskSet()
	if !ok {
		set = &TaskSet{}
	}
	s.LaunchType, s.CapacityProviderStrategy, s.Wiring = set.LaunchType, set.CapacityProviderStrategy, set.Wiring
}

// ComputedCount is how many tasks a task set of the service is to have: its share
// of the desired count, rounded up (TaskSet, seed 000).
func (s *Service) ComputedCount(set *TaskSet) int32 {
	if s.Status != StatusActive || set.Status == TaskSetDraining {
		return 0
	}
	share := float64(s.DesiredCount) * set.Scale / 100
	// 1.1 % of 3000 is 33 tasks, and must not become 34 because 1.1 has no exact
	// binary form.
	const precision = 1e6
	return int32(math.Ceil(math.Round(share*precision) / precision))
}

// Definitions are the task definitions that the service may start tasks of, now or
// after a deployment is rolled back, each once.
func (s *Service) Definitions() []DefinitionRef {
	var out []DefinitionRef
	add := func(ref DefinitionRef) {
		if !slices.Contains(out, ref) {
			out = append(out, ref)
		}
	}
	if len(s.Deployments) > 0 {
		add(s.Primary().Definition)
	}
	if s.LastCompleted != nil {
		add(s.LastCompleted.Definition)
	}
	for i := range s.TaskSets {
		add(s.TaskSets[i].Definition)
	}
	return out
}

// TaskSetARN returns the ARN of a task set.
func (o Owner) TaskSetARN(k ServiceKey, id DeploymentID) string {
	return o.arn("task-set", string(k.Cluster), string(k.Name), string(id))
}
