// Package plan is the answers of Longshore's own operations PlanRunTask and
// PlanUpdateService, which tell what the ECS operation would do and do nothing. Their
// requests are those of RunTask and UpdateService. It owns the shapes and no behaviour.
package plan

// TargetPrefix stands before the names of the operations in X-Amz-Target.
const TargetPrefix = "Longshore_20260101."

// RunTask is what a RunTask would do.
type RunTask struct {
	ClusterArn        string `json:"clusterArn"`
	TaskDefinitionArn string `json:"taskDefinitionArn,omitempty"`
	// Count is the number of tasks that the request asks for, Placed the number that
	// would start.
	Count  int `json:"count"`
	Placed int `json:"placed"`
	// Repeated lists the tasks that the same request with the same client token has
	// started before: it would answer them, and start none.
	Repeated []string `json:"repeated,omitempty"`
	// Instances are all of the cluster; with a capacity provider strategy, those of each
	// provider that tasks were given to.
	Instances []Instance `json:"instances"`
}

// Instance is what would become of one container instance.
type Instance struct {
	ContainerInstanceArn string `json:"containerInstanceArn"`
	Ec2InstanceID        string `json:"ec2InstanceId,omitempty"`
	CapacityProvider     string `json:"capacityProvider,omitempty"`
	// Tasks is the number of tasks that would be placed there.
	Tasks int `json:"tasks"`
	// Reason is why it takes no task, or no further one, in ECS's words; empty if it
	// would. Detail is what was wanted and what is there.
	Reason string `json:"reason,omitempty"`
	Detail string `json:"detail,omitempty"`
}

// UpdateService is what an UpdateService would make the service do.
type UpdateService struct {
	ServiceArn        string `json:"serviceArn"`
	TaskDefinitionArn string `json:"taskDefinitionArn"`
	DesiredCount      int    `json:"desiredCount"`
	// NewDeployment tells whether the update begins a deployment.
	NewDeployment bool `json:"newDeployment"`
	// AtLeast is the number of healthy tasks that the deployment keeps, AtMost the
	// number that may be there while it goes on.
	AtLeast int `json:"atLeast"`
	AtMost  int `json:"atMost"`
	// Steps are the first steps, if each task that starts comes to run and to be
	// healthy, and each that is stopped ends.
	Steps []Step `json:"steps"`
	// Settled tells that nothing is left to do after the last step.
	Settled bool `json:"settled"`
	// Stuck is the service event that says why the service can not go on after the last
	// step though something is left to do; empty if it goes on or is settled.
	Stuck string `json:"stuck,omitempty"`
}

// Step is what the scheduler would do at once.
type Step struct {
	// AfterSeconds is when, counted from the update.
	AfterSeconds float64 `json:"afterSeconds"`
	Start        []Task  `json:"start"`
	Stop         []Task  `json:"stop"`
	// Events are the service events that it would write.
	Events []string `json:"events"`
	// PassedOver says of each instance why it takes no further task, if one could not
	// be placed.
	PassedOver []Instance `json:"passedOver,omitempty"`
}

// Task is a task that would be started or stopped.
type Task struct {
	TaskArn              string `json:"taskArn,omitempty"` // of one that would be stopped
	ContainerInstanceArn string `json:"containerInstanceArn"`
	TaskDefinitionArn    string `json:"taskDefinitionArn"`
	LastStatus           string `json:"lastStatus,omitempty"`
	CapacityProvider     string `json:"capacityProvider,omitempty"`
	Reason               string `json:"reason,omitempty"`
}
