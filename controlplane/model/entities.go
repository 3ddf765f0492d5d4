package model

import (
	"time"

	"github.com/longshore/longshore/proto/ecs"
)

// Cluster is a group of container instances, tasks and services.
type Cluster struct {
	Name      ClusterName          `json:",omitzero"`
	Status    string               `json:",omitzero"` // ACTIVE or INACTIVE
	CreatedAt time.Time            `json:",omitzero"`
	Settings  []ecs.ClusterSetting `json:",omitzero"`
	Tags      []ecs.Tag            `json:",omitzero"`

	Configuration *ecs.ClusterConfiguration `json:",omitzero"`
	// CapacityProviders are those associated with the cluster, in the order of the
	// request; DefaultStrategy names some of them.
	CapacityProviders []ProviderName                     `json:",omitzero"`
	DefaultStrategy   []ecs.CapacityProviderStrategyItem `json:",omitzero"`
}

// Statuses of clusters, services and container instances.
const (
	StatusActive   = "ACTIVE"
	StatusDraining = "DRAINING"
	StatusInactive = "INACTIVE"
)

// FamilyRecord remembers the last revision that a family has had, so that none
// is given out twice.
type FamilyRecord struct {
	Name         Family `json:",omitzero"`
	LastRevision int32  `json:",omitzero"`
}

// Definition is one revision of a task definition.
type Definition struct {
	Ref    DefinitionRef            `json:",omitzero"`
	Shape  ecs.TaskDefinition       `json:",omitzero"` // as DescribeTaskDefinition answers it
	Tags   []ecs.Tag                `json:",omitzero"`
	Status ecs.TaskDefinitionStatus `json:",omitzero"`
}

// Instance is a container instance: a host with an agent.
type Instance struct {
	ID            InstanceID       `json:",omitzero"`
	Cluster       ClusterName      `json:",omitzero"`
	EC2InstanceID string           `json:",omitzero"` // the host's own id, as it registered with; may be empty
	Status        string           `json:",omitzero"` // ACTIVE, DRAINING or INACTIVE
	RegisteredAt  time.Time        `json:",omitzero"`
	Version       int64            `json:",omitzero"` // grows by one with each change
	VersionInfo   *ecs.VersionInfo `json:",omitzero"`
	Resources     []ecs.Resource   `json:",omitzero"` // as registered
	Attributes    []ecs.Attribute  `json:",omitzero"`
	Tags          []ecs.Tag        `json:",omitzero"`

	AgentConnected bool      `json:",omitzero"`
	ConnectedAt    time.Time `json:",omitzero"` // when that last became true
	// SilentSince is when the agent was last heard of; zero while it is connected.
	SilentSince time.Time `json:",omitzero"`
	// Agent is the name in the certificate of the agent that opened the first
	// session with one; no other may act as the instance. Empty: none had any.
	Agent string `json:",omitzero"`
}

// Service keeps a number of tasks running.
type Service struct {
	Cluster   ClusterName `json:",omitzero"`
	Name      ServiceName `json:",omitzero"`
	Status    string      `json:",omitzero"` // ACTIVE, DRAINING or INACTIVE
	CreatedAt time.Time   `json:",omitzero"`

	DesiredCount            int32                       `json:",omitzero"`
	LaunchType              ecs.LaunchType              `json:",omitzero"` // empty with a capacity provider strategy
	SchedulingStrategy      ecs.SchedulingStrategy      `json:",omitzero"`
	PlacementConstraints    []ecs.PlacementConstraint   `json:",omitzero"`
	PlacementStrategy       []ecs.PlacementStrategy     `json:",omitzero"`
	DeploymentConfiguration ecs.DeploymentConfiguration `json:",omitzero"` // with its defaults filled in
	HealthCheckGracePeriod  *int32                      `json:",omitzero"` // seconds
	RoleARN                 string                      `json:",omitzero"`
	EnableECSManagedTags    bool                        `json:",omitzero"`
	PropagateTags           ecs.PropagateTags           `json:",omitzero"`
	Tags                    []ecs.Tag                   `json:",omitzero"`

	CapacityProviderStrategy []ecs.CapacityProviderStrategyItem `json:",omitzero"` // empty with a launch type

	Wiring

	AvailabilityZoneRebalancing ecs.AvailabilityZoneRebalancing `json:",omitzero"` // empty for DISABLED

	Controller ecs.DeploymentControllerType `json:",omitzero"` // empty for ECS, rolling updates
	TaskSets   []TaskSet                    `json:",omitzero"` // oldest first; see HasTaskSets

	// Deployments are newest first; the first is PRIMARY, the others are ACTIVE
	// until their tasks are gone, and then they are dropped.
	Deployments []Deployment `json:",omitzero"`

	// LastCompleted is the deployment that a failed one is rolled back to; nil
	// before the first has completed.
	LastCompleted *Deployment `json:",omitzero"`

	ClientToken string `json:",omitzero"` // of the request that made it
	RequestHash string `json:",omitzero"` // of that request without its token
	LastEvent   int64  `json:",omitzero"` // sequence number of the newest event

	// Backoff slows a service whose tasks fail to reach RUNNING.
	FailedStarts   int32     `json:",omitzero"` // rounds of starts that failed, in a row
	PauseUntil     time.Time `json:",omitzero"` // no task is started before; a task created before belongs to an earlier round
	LastPlacement  string    `json:",omitzero"` // the placement event that was last written; not repeated until something changes
	Rebalancing    bool      `json:",omitzero"` // tasks move to other zones; those beyond the desired count are no surplus
	SteadyReported bool      `json:",omitzero"` // "has reached a steady state" was written since the last change
}

// Key returns the name of the service in the account.
func (s *Service) Key() ServiceKey { return ServiceKey{s.Cluster, s.Name} }

// Primary returns the deployment that the service is to have in the end.
func (s *Service) Primary() *Deployment { return &s.Deployments[0] }

// Deployment is one roll-out of a service.
type Deployment struct {
	ID                 DeploymentID               `json:",omitzero"`
	Status             string                     `json:",omitzero"` // PRIMARY or ACTIVE
	Definition         DefinitionRef              `json:",omitzero"`
	LaunchType         ecs.LaunchType             `json:",omitzero"`
	DesiredCount       int32                      `json:",omitzero"`
	CreatedAt          time.Time                  `json:",omitzero"`
	UpdatedAt          time.Time                  `json:",omitzero"`
	RolloutState       ecs.DeploymentRolloutState `json:",omitzero"`
	RolloutStateReason string                     `json:",omitzero"`
	FailedTasks        int32                      `json:",omitzero"`

	CapacityProviderStrategy []ecs.CapacityProviderStrategyItem `json:",omitzero"` // instead of LaunchType
	Wiring

	// Images are the digests, by container, of the images that the first task of
	// the deployment ran: later ones run the same, whatever the tags mean by then.
	// Never changed in place.
	Images map[string]string `json:",omitzero"`

	// What the service's fields of these names are for the PRIMARY deployment, for an older one
	// that still starts tasks in the place of some that it lost.
	FailedStarts int32     `json:",omitzero"`
	PauseUntil   time.Time `json:",omitzero"`
	// UnplacedSince is since when tasks have found no place while nothing else was under way, or when
	// that last counted as a failure.
	UnplacedSince time.Time `json:",omitzero"`
}

// Deployment statuses.
const (
	DeploymentPrimary = "PRIMARY"
	DeploymentActive  = "ACTIVE"
)

// ServiceEvent is one line of a service's event stream.
type ServiceEvent struct {
	Service   ServiceKey `json:",omitzero"`
	Sequence  int64      `json:",omitzero"` // grows by one with each event of the service
	ID        string     `json:",omitzero"`
	CreatedAt time.Time  `json:",omitzero"`
	Message   string     `json:",omitzero"`
}

// Task is one instantiation of a task definition on a container instance.
type Task struct {
	ID         TaskID         `json:",omitzero"`
	Cluster    ClusterName    `json:",omitzero"`
	Instance   InstanceID     `json:",omitzero"`
	Definition DefinitionRef  `json:",omitzero"`
	LaunchType ecs.LaunchType `json:",omitzero"`

	CapacityProvider ProviderName `json:",omitzero"` // that a strategy chose; empty without one

	Group      string       `json:",omitzero"` // family:F or service:S, or what the caller gave
	StartedBy  string       `json:",omitzero"`
	Service    ServiceName  `json:",omitzero"` // empty for a standalone task
	Deployment DeploymentID `json:",omitzero"` // of a service's task: its deployment or task set

	DesiredStatus TaskStatus       `json:",omitzero"` // TaskRunning or TaskStopped
	LastStatus    TaskStatus       `json:",omitzero"`
	Version       int64            `json:",omitzero"` // grows by one with each change
	StopCode      ecs.TaskStopCode `json:",omitzero"`
	StoppedReason string           `json:",omitzero"`
	HealthStatus  ecs.HealthStatus `json:",omitzero"`

	// OutcomeCounted tells that the task's service has taken note of how the
	// task ended, so that no failure is counted twice.
	OutcomeCounted bool `json:",omitzero"`
	// Lost tells that the task's service stopped counting on it because its
	// host was silent for too long.
	Lost bool `json:",omitzero"`

	// Reserved is what the task takes of its instance, worked out from its
	// definition and overrides when it was placed.
	Reserved  Reservation       `json:",omitzero"`
	Overrides *ecs.TaskOverride `json:",omitzero"`
	Tags      []ecs.Tag         `json:",omitzero"`

	EnableExecuteCommand bool `json:",omitzero"`
	// ProtectedUntil is when the protection from scaling and deployments ends.
	ProtectedUntil time.Time `json:",omitzero"`

	// Network and Attachments are of a task that has an interface of its own.
	Network     *ecs.AwsVpcConfiguration `json:",omitzero"`
	Attachments []Attachment             `json:",omitzero"`
	// PlatformVersion is of a task of the launch type FARGATE.
	PlatformVersion string `json:",omitzero"`

	// Targets are the task's places in target groups, from RegisteredAt on and until it
	// is STOPPING. One that is to stop is drained in them until DrainUntil.
	Targets      []Target  `json:",omitzero"`
	RegisteredAt time.Time `json:",omitzero"`
	DrainUntil   time.Time `json:",omitzero"`

	Containers []Container `json:",omitzero"`

	CreatedAt          time.Time `json:",omitzero"`
	ConnectivityAt     time.Time `json:",omitzero"` // when its agent was first heard of it
	PullStartedAt      time.Time `json:",omitzero"`
	PullStoppedAt      time.Time `json:",omitzero"`
	StartedAt          time.Time `json:",omitzero"`
	StoppingAt         time.Time `json:",omitzero"`
	ExecutionStoppedAt time.Time `json:",omitzero"`
	StoppedAt          time.Time `json:",omitzero"`
}

// Reservation is an amount of an instance's resources.
type Reservation struct {
	CPU       int64    `json:",omitzero"` // CPU units, 1024 a core
	MemoryMiB int64    `json:",omitzero"` // MiB
	TCP, UDP  []uint16 `json:",omitzero"` // fixed host ports
}

// Container is one container of a task.
type Container struct {
	ID              string               `json:",omitzero"` // UUID, the last part of its ARN
	Name            string               `json:",omitzero"`
	Image           string               `json:",omitzero"`
	ImageDigest     string               `json:",omitzero"` // as the agent says
	PinnedDigest    string               `json:",omitzero"` // to be run whatever the image's tag means; empty: that
	GPUs            []string             `json:",omitzero"` // ids of the instance's devices that it was given
	RuntimeID       string               `json:",omitzero"` // the engine's id
	LastStatus      TaskStatus           `json:",omitzero"`
	ExitCode        *int32               `json:",omitzero"`
	Reason          string               `json:",omitzero"`
	HealthStatus    ecs.HealthStatus     `json:",omitzero"`
	NetworkBindings []ecs.NetworkBinding `json:",omitzero"`
}
