package lifecycle

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	agentv1 "github.com/longshore/longshore/proto/agent/v1"
	"github.com/longshore/longshore/proto/ecs"

	"github.com/longshore/longshore/agent/runtime"
)

// DefaultStopTimeout is how long a container has between its stop signal and
// being killed where neither its definition nor the agent's settings say (ECS_CONTAINER_STOP_TIMEOUT).
const DefaultStopTimeout = 30 * time.Second

// Input is everything that a Task is made from.
type Input struct {
	ARN        string // of the task
	Cluster    string // name
	Instance   string // ARN of the container instance
	Definition *ecs.TaskDefinition
	Overrides  *ecs.TaskOverride // may be nil
	Subnets    []string          // of a task in awsvpc mode; it goes into the first that Host offers
	Host       Host

	Assigned map[string]Assigned // by container name
	// LogDrivers are those of the engine: what awslogs becomes depends on them.
	LogDrivers []string

	StopTimeout time.Duration // of containers that do not say; 0: DefaultStopTimeout
	CleanupWait time.Duration // how long the containers of a stopped task are kept
}

// Assigned is what the control plane has chosen for one container.
type Assigned struct {
	GPUs        []string // ids
	ImageDigest string   // "sha256:…", which runs whatever the image's tag means by now; empty: that
}

// Task is what the control plane wants of one task, worked out once. The fields
// from Stop on are wishes that change; the others never do.
type Task struct {
	ARN         string
	Units       []Unit   // in the order of the definition, then perhaps the pause container
	Volumes     []Volume // that containers mount
	Groups      []Group  // one if the task has a limit of its own
	Subnet      string   // of a task in awsvpc mode, which has an interface of its own
	Labels      map[string]string
	CleanupWait time.Duration
	Limits      Limits // zero: the defaults

	Stop     bool // desired status STOPPED
	Released bool // the control plane knows durably that it is STOPPED: it may be cleaned up
	Discard  bool // nobody wants it any more: no waiting before the clean-up
}

// Unit is one container of a Task.
type Unit struct {
	Name         string
	Essential    bool
	Internal     bool // the agent's own, of which nobody is told
	Spec         runtime.Spec
	StopTimeout  time.Duration
	StartTimeout time.Duration // how long others wait for it to be COMPLETE, SUCCESS or HEALTHY; 0: for ever

	// After are the units that have to get somewhere before this one starts:
	// dependsOn, links and volumesFrom.
	After []Dependency
	// Before are the indexes of those that have this one in After. They end first.
	Before []int
	// Needs are the indexes of those that must exist for this one to be created.
	Needs []int

	// Secret: the control plane has values for it. EnvironmentFiles are ARNs.
	Secret           bool
	EnvironmentFiles []string

	Restart       Restart
	HealthChecked bool // the definition has a health check
	NeedsSetup    bool // it needs some of Task.Volumes or Task.Groups
	// HostPorts are the bindings of a unit in the host's network, which the
	// engine knows nothing of.
	HostPorts []*agentv1.NetworkBinding
}

// Dependency is one edge of the start-up order.
type Dependency struct {
	Unit      int // index
	Condition ecs.ContainerCondition
}

// Compile works a task out. Its errors are about definitions that the control
// plane should have refused; their text is fit to be the reason of a stopped task.
func Compile(in Input) (Task, error) {
	if in.Definition == nil {
		return Task{}, errors.New("the task has no definition")
	}
	b := builder{Input: in, index: map[string]int{}, volumes: map[string]volume{}}
	if b.StopTimeout == 0 {
		b.StopTimeout = DefaultStopTimeout
	}
	if err := b.prepare(); err != nil {
		return Task{}, err
	}
	t := Task{ARN: in.ARN, CleanupWait: in.CleanupWait, Labels: b.labels()}
	for i := range in.Definition.ContainerDefinitions {
		u, err := b.unit(&in.Definition.ContainerDefinitions[i])
		if err != nil {
			return Task{}, fmt.Errorf("container %q: %w", in.Definition.ContainerDefinitions[i].Name, err)
		}
		t.Units = append(t.Units, u)
	}
	t.Volumes, t.Groups, t.Subnet = b.mounted, b.groups(), b.subnet
	if pause, ok := b.pause(); ok {
		t.Units = withPause(t.Units, pause)
	}
	for i := range t.Units {
		b.join(&t.Units[i], t.Groups)
	}
	if err := connect(t.Units); err != nil {
		return Task{}, err
	}
	return t, nil
}

// Orphan makes a Task of containers and volumes that were found on the engine
// and that nobody wants any more: all there is to do is to stop and remove them.
func Orphan(arn string, found []runtime.Container, volumes []string, stopTimeout, cleanupWait time.Duration) Task {
	if stopTimeout == 0 {
		stopTimeout = DefaultStopTimeout
	}
	t := Task{ARN: arn, Volumes: ownVolumes(volumes), CleanupWait: cleanupWait, Stop: true, Released: true}
	for _, c := range found {
		u := Unit{Name: c.Labels[LabelContainer], StopTimeout: stopTimeout, Spec: runtime.Spec{Name: c.Name}}
		if u.Name == PauseName {
			u.Internal, u.StopTimeout = true, 0
		}
		t.Units = append(t.Units, u)
		// One that still runs has been given up by the control plane. What has
		// ended may well have been reported, and its logs are kept as long as any.
		t.Discard = t.Discard || c.State != runtime.Exited
	}
	if pause := t.pauseUnit(); pause >= 0 { // the others go first
		for i := range t.Units {
			if i != pause {
				t.Units[pause].Before = append(t.Units[pause].Before, i)
			}
		}
	}
	return t
}

// Invalid makes a Task of one that cannot be run at all.
func Invalid(arn string) Task { return Task{ARN: arn} }

// connect fills in Before and makes sure that the order has no circle, in which
// everything would wait for ever.
func connect(units []Unit) error {
	for i := range units {
		for _, d := range units[i].After {
			if !slices.Contains(units[d.Unit].Before, i) {
				units[d.Unit].Before = append(units[d.Unit].Before, i)
			}
		}
	}
	const walking, walked = 1, 2
	mark := make([]int, len(units))
	var walk func(i int, path []string) error
	walk = func(i int, path []string) error {
		path = append(path, units[i].Name)
		if mark[i] == walking {
			return fmt.Errorf("containers wait for one another in a circle: %s", strings.Join(path, " → "))
		}
		if mark[i] == walked {
			return nil
		}
		mark[i] = walking
		for _, d := range units[i].After {
			if err := walk(d.Unit, path); err != nil {
				return err
			}
		}
		mark[i] = walked
		return nil
	}
	for i := range units {
		if err := walk(i, nil); err != nil {
			return err
		}
	}
	return nil
}
