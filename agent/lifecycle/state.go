package lifecycle

import (
	"fmt"
	"time"

	"github.com/longshore/longshore/agent/runtime"
)

// Status is how far a task has come, in the four steps that an agent knows of.
type Status int

// The statuses of a task, in their order. It never moves backwards.
const (
	Pending Status = iota
	Running
	Stopping
	Stopped
)

// String returns ECS's name of the status.
func (s Status) String() string { return [...]string{"PENDING", "RUNNING", "STOPPING", "STOPPED"}[s] }

// ParseStatus reads any of ECS's statuses, the control plane's own included.
func ParseStatus(name string) (Status, error) {
	switch name {
	case "", "PROVISIONING", "PENDING", "ACTIVATING":
		return Pending, nil
	case "RUNNING":
		return Running, nil
	case "DEACTIVATING", "STOPPING", "DEPROVISIONING":
		return Stopping, nil
	case "STOPPED":
		return Stopped, nil
	}
	return Pending, fmt.Errorf("unknown task status %q", name)
}

// Phase is how far one container has come. It only moves forward, but for a
// container with a restart policy: from Ended back to Started.
type Phase int

// The phases of a container.
const (
	Absent  Phase = iota // nothing of it is there
	Ready                // its image is
	Created              // the container exists, and was never started
	Started              // it runs
	Ended                // it ran and ended, or never will run
)

// Cause says why a container is Ended other than by its process ending.
type Cause int

// The causes.
const (
	ByItself      Cause = iota // its process ended; ExitCode is set
	FailedToStart              // it was not pulled, created or started
	Missing                    // it was removed by somebody else
)

// Container is what is known of one container.
type Container struct {
	Activity
	Phase     Phase
	RuntimeID string
	// Uncertain: what is known may no longer be so, because an outcome was lost
	// or the engine said that something changed. Inspect tells.
	Uncertain bool
	Removed   bool // from the engine

	// Fault is why it is not to run, in ECS's words. A container with a fault that
	// turns out to be running is stopped.
	Fault string
	Cause Cause
	Final bool // it is not restarted any more, whatever its policy says

	Runs Runs

	ImageDigest string
	ImageID     string
	CreatedAt   time.Time
	ImageLost   bool // the image went away between being looked up and being used; it happened once already

	ExitCode              *int32
	Reason                string // why it ended, where the exit code does not say
	StartedAt, FinishedAt time.Time
	Health                string // the engine's word
	Ports                 []runtime.PortBinding
	// Of its own interface, if it has one: while it runs and after that.
	Address, MAC, Gateway string
	PrefixLength          int // of the address's network, in bits

}

// Activity is what is being done to a container, or to a task's volumes.
type Activity struct {
	Doing     Op
	Cancelled bool      // of Doing: it was asked to end early
	Attempts  int       // in a row that came to nothing
	RetryAt   time.Time // not before
}

// Verdict is why a task stops on its own. The zero value: it does not.
type Verdict struct {
	Code   string // an ecs.TaskStopCode
	Reason string
}

// State is everything known of one task on this host. It has one owner, who
// alone calls its methods.
type State struct {
	Status     Status
	Verdict    Verdict
	Containers []Container // as Task.Units

	Setup        Activity // what is being done to volumes and groups
	VolumesReady bool
	VolumesGone  bool // and groups
	GroupsGone   bool
	Fault        string // why the task as a whole cannot run

	Resolving   Activity
	ValuesReady bool      // the values that the definition names are known, or were
	values      []*Values // by unit; nil once every container has been created

	PullStartedAt, PullStoppedAt time.Time
	StoppedAt                    time.Time

	Serving bool // clients are sent to the task, or were when it ended
}

// NewState is the state of a task that the agent begins to look after: known is
// what the control plane has been told, found the task's containers on the
// engine, all of them. What has run already is not run a second time: where
// known says that the containers were started, one that is not there is missing.
// (A task known to be stopping starts nothing anyway, and may never have had it.)
func NewState(t Task, known Status, found []runtime.Container, now time.Time) State {
	s := State{Status: known, Containers: make([]Container, len(t.Units))}
	s.Observe(t, found, now)
	for i := range s.Containers {
		c := &s.Containers[i]
		if c.Phase == Absent && known == Running {
			c.lose(t.Units[i].Name, now)
		}
		// Groups, unlike volumes, go with a reboot of the host.
		s.VolumesReady = s.VolumesReady || c.Phase >= Created && t.Units[i].NeedsSetup && len(t.Groups) == 0
	}
	return s
}

// NewFault is the state of a task that can not run, for the given reason.
func NewFault(known Status, reason string) State { return State{Status: known, Fault: reason} }

// Observe takes in what the engine says of containers of the task. Those it
// does not mention are left as they are. Old news is harmless.
func (s *State) Observe(t Task, found []runtime.Container, now time.Time) {
	for _, rc := range found {
		i := t.find(rc)
		if i < 0 || s.Containers[i].Doing == RestartContainer {
			continue // which is about to know better
		}
		if c := &s.Containers[i]; c.Phase == Started && c.otherRun(rc) {
			c.Uncertain = true // of what it says and what is known, either may be the older
			continue
		}
		s.Containers[i].observe(rc, now)
	}
}

// Doubt marks a container about which the engine has news.
func (s *State) Doubt(i int) {
	c := &s.Containers[i]
	if !c.Removed && c.Phase != Ended {
		c.Uncertain = true
	}
}

// Refresh is called when the engine was out of reach and is back: what was put
// off is tried now, and what the engine did not list has to be looked at.
func (s *State) Refresh(t Task, listed []runtime.Container, now time.Time) {
	s.Setup.RetryAt = time.Time{}
	seen := make(map[int]bool, len(listed))
	for _, rc := range listed {
		seen[t.find(rc)] = true
	}
	for i := range s.Containers {
		c := &s.Containers[i]
		c.RetryAt = time.Time{}
		// The list may be older than the container, so its silence is no proof.
		if !seen[i] && c.RuntimeID != "" {
			s.Doubt(i)
		}
	}
	s.Observe(t, listed, now)
}

// Commit keeps what Next decided.
func (s *State) Commit(p Plan) {
	s.Status, s.Verdict = p.Status, p.Verdict
	if s.StoppedAt.IsZero() {
		s.StoppedAt = p.StoppedAt
	}
	if s.Status == Stopped {
		s.values = nil
	}
}

// find returns the index of an engine's container in the task, or -1. Two
// containers never share a label, except when a name was taken over from another task.
func (t Task) find(rc runtime.Container) int {
	for i := range t.Units {
		if t.Units[i].Name == rc.Labels[LabelContainer] && rc.Labels[LabelTask] == t.ARN {
			return i
		}
	}
	return -1
}

func (c *Container) observe(rc runtime.Container, now time.Time) {
	if c.RuntimeID != "" && c.RuntimeID != rc.ID {
		return // not the one that this task started
	}
	c.RuntimeID = rc.ID
	c.ImageID, c.CreatedAt = rc.ImageID, rc.CreatedAt
	if rc.IPAddress != "" { // an ended container has given it back; keep what it had
		c.Address, c.MAC, c.PrefixLength, c.Gateway = rc.IPAddress, rc.MACAddress, rc.PrefixLength, rc.Gateway
	}
	c.Uncertain = false
	if c.Phase == Ended {
		return
	}
	switch rc.State {
	case runtime.Created:
		c.Phase = max(c.Phase, Created)
		if c.Fault != "" {
			c.fail(c.Fault, now)
		}
	case runtime.Running:
		c.Phase = Started
		c.StartedAt, c.Health, c.Ports = rc.StartedAt, rc.Health, rc.Ports
		c.ExitCode, c.FinishedAt, c.Reason = nil, time.Time{}, "" // of a run before
		c.Runs.saw(rc.StartedAt)
	case runtime.Exited:
		c.exit(rc, now)
	}
}

// otherRun tells whether the engine speaks of another run of the container than
// the one that is known.
func (c *Container) otherRun(rc runtime.Container) bool {
	return c.RuntimeID == rc.ID && !c.StartedAt.IsZero() && !rc.StartedAt.Equal(c.StartedAt)
}

func (c *Container) exit(rc runtime.Container, now time.Time) {
	if rc.Error != "" && rc.StartedAt.IsZero() {
		if c.Fault == "" {
			c.Fault = faultStart + ": " + rc.Error
		}
		c.fail(c.Fault, now)
		return
	}
	c.Phase = Ended
	code := int32(rc.ExitCode)
	c.ExitCode, c.Reason = &code, ""
	c.StartedAt, c.FinishedAt, c.Health = rc.StartedAt, rc.FinishedAt, rc.Health
	c.Runs.saw(rc.StartedAt)
	if len(rc.Ports) > 0 { // an ended container has given them back; keep what it had
		c.Ports = rc.Ports
	}
	if c.FinishedAt.IsZero() {
		c.FinishedAt = now
	}
	if rc.Error != "" { // it ran, and could not be started once more
		c.Final, c.Reason = true, faultStart+": "+rc.Error
	}
	// Where the task has a limit, the kernel tells all of its containers of it. One
	// that ended well was not killed.
	if rc.OOMKilled && rc.ExitCode != 0 {
		c.Reason = "OutOfMemoryError: Container killed due to memory usage"
	}
	if c.Fault != "" { // it was started against an error; the error is why it was stopped
		c.Cause, c.Reason = FailedToStart, c.Fault
	}
}

// fail ends a container that never ran.
func (c *Container) fail(reason string, now time.Time) {
	c.Phase, c.Cause, c.Fault, c.Reason = Ended, FailedToStart, reason, reason
	c.FinishedAt = now
}

// lose ends a container that somebody removed.
func (c *Container) lose(name string, now time.Time) {
	c.Removed, c.Uncertain = true, false
	if c.Phase == Ended {
		return
	}
	c.Phase, c.Cause = Ended, Missing
	c.Reason = fmt.Sprintf("Container %s is missing on the host", name)
	c.FinishedAt = now
}

// ran tells whether the container's process was started at some time.
func (c *Container) ran() bool {
	return c.Phase == Started || c.Phase == Ended && !c.StartedAt.IsZero()
}

// settled tells whether the container does not run and will not, provided that
// nothing more is started.
func (c *Container) settled() bool {
	return c.Phase == Ended || c.Phase < Started && c.Doing == None && !c.Uncertain
}
