package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/longshore/longshore/agent/runtime"
)

// Op is a kind of action.
type Op int

// The kinds of actions. Cancel asks the one that is under way to end early;
// the others are under way until End.
const (
	None          Op = iota
	CreateVolumes    // and groups: what the task as a whole needs
	Pull             // have the image on the host
	Create
	Start // start, then inspect
	Inspect
	Stop // stop, then inspect
	Remove
	RemoveVolumes
	Cancel
	Resolve          // find out the values that the definition names
	RestartContainer // start once more, then inspect
	RemoveGroups
)

// String returns a short name, as metrics show it.
func (o Op) String() string {
	return [...]string{"none", "create_volumes", "pull", "create", "start", "inspect", "stop", "remove", "remove_volumes", "cancel", "resolve", "restart", "remove_groups"}[o]
}

// NoUnit is the Unit of actions on the task's volumes and groups.
const NoUnit = -1

// AllUnits is the Unit of Resolve, which is for all containers of the task.
const AllUnits = -2

// Action is one thing to do now. Actions of one plan may run in parallel.
type Action struct {
	Op    Op
	Unit  int           // index of the container, or NoUnit
	Grace time.Duration // of Stop
	Began time.Time     // of RestartContainer: when the run began that has ended
	Limit time.Duration // of the engine's time; 0: the default of its kind
}

// Limits bound how long the engine may take over what a task fails for if it
// takes longer. Stop is beyond the grace, and is tried again.
type Limits struct{ Create, Start, Stop time.Duration }

// DefaultLimits are those of the ECS agent (ECS_CONTAINER_CREATE_TIMEOUT, ECS_CONTAINER_START_TIMEOUT).
var DefaultLimits = Limits{Create: 4 * time.Minute, Start: 3 * time.Minute, Stop: 2 * time.Minute}

func (l Limits) of(op Op, grace time.Duration) time.Duration {
	switch op {
	case Create:
		return l.Create
	case Start, RestartContainer:
		return l.Start
	case Stop:
		if l.Stop > 0 {
			return grace + l.Stop
		}
	}
	return 0
}

// Deadline is how long the action may take, as in the ECS agent. 0: the one who
// pulls sets it, because waiting for one's turn does not count.
func (a Action) Deadline() time.Duration {
	if a.Limit > 0 {
		return a.Limit
	}
	switch a.Op {
	case Create, Start, RestartContainer, Stop:
		return DefaultLimits.of(a.Op, a.Grace)
	case Inspect:
		return 30 * time.Second
	case CreateVolumes, Remove, RemoveVolumes, RemoveGroups:
		return 5 * time.Minute
	case Resolve:
		return 2 * time.Minute
	}
	return 0
}

// PullDeadline bounds one pull.
const PullDeadline = 2 * time.Hour

// Result is what came of an action.
type Result struct {
	Err       error
	RuntimeID string             // of Create
	Digest    string             // of Pull
	Values    []*Values          // of Resolve, by unit
	Container *runtime.Container // of Start, RestartContainer, Stop and Inspect: what is true now, if it could be found out
}

// The names of failures, as ECS writes them before the engine's text.
const (
	faultPull       = "CannotPullContainerError"
	faultCreate     = "CannotCreateContainerError"
	faultStart      = "CannotStartContainerError"
	faultVolume     = "CannotCreateVolumeError"
	faultTimeout    = "DockerTimeoutError"
	faultInitialize = "ResourceInitializationError"
)

// FaultInitialize words the reason of a task that cannot be run at all.
func FaultInitialize(err error) string { return faultInitialize + ": " + err.Error() }

// How long a thing that came to nothing is left alone: doubled from the first
// to the last. Removing what cannot be removed can wait for longer.
const (
	firstRetry      = 100 * time.Millisecond
	lastRetry       = 5 * time.Second
	lastRemoveRetry = 5 * time.Minute
)

func (a *Activity) putOff(now time.Time, limit time.Duration) {
	delay := limit
	if a.Attempts < 20 {
		delay = min(firstRetry<<a.Attempts, limit)
	}
	a.Attempts++
	a.RetryAt = now.Add(delay)
}

func (s *State) activity(unit int) *Activity {
	switch unit {
	case NoUnit:
		return &s.Setup
	case AllUnits:
		return &s.Resolving
	}
	return &s.Containers[unit].Activity
}

// Begin notes that an action of a plan is under way.
func (s *State) Begin(a Action, now time.Time) {
	act := s.activity(a.Unit)
	if a.Op == Cancel {
		act.Cancelled = true
		return
	}
	act.Doing, act.Cancelled = a.Op, false
	if a.Op == RestartContainer {
		s.Containers[a.Unit].beginRestart()
	}
	if a.Op == Pull && s.PullStartedAt.IsZero() {
		s.PullStartedAt = now
	}
}

// End takes in what came of an action that Begin was told of.
func (s *State) End(t Task, a Action, r Result, now time.Time) {
	act := s.activity(a.Unit)
	act.Doing, act.Cancelled = None, false
	if a.Unit == NoUnit {
		s.endVolumes(a, r, now)
		return
	}
	if a.Unit == AllUnits {
		s.endResolve(r, now)
		return
	}
	c := &s.Containers[a.Unit]
	if r.Container != nil {
		c.observe(*r.Container, now)
	}
	name := t.Units[a.Unit].Name
	switch a.Op {
	case Pull:
		c.endPull(r, now)
		s.notePulls(now)
	case Create:
		c.endCreate(a, r, now)
		s.forgetValues(t)
	case Start:
		c.endStart(a, r, name, now)
	case RestartContainer:
		c.endRestart(r, name, now)
	case Inspect, Stop:
		c.endLook(r, name, now)
	case Remove:
		if c.ended(r.Err, now, lastRemoveRetry) {
			c.Removed = true
		}
	}
}

func (s *State) endVolumes(a Action, r Result, now time.Time) {
	switch {
	case a.Op == RemoveGroups:
		s.GroupsGone = s.Setup.ended(r.Err, now, lastRemoveRetry)
	case a.Op == RemoveVolumes:
		s.VolumesGone = s.Setup.ended(r.Err, now, lastRemoveRetry)
	case lost(r.Err):
		s.Setup.putOff(now, lastRetry)
	case errors.As(r.Err, new(*SetupError)):
		s.Fault = faultText(faultInitialize, a, "created", r.Err)
	case r.Err != nil:
		s.Fault = faultText(faultVolume, a, "created", r.Err)
	default:
		s.VolumesReady = true
		s.Setup.Attempts = 0
	}
}

// notePulls sets when the pulling was over, for good or not.
func (s *State) notePulls(now time.Time) {
	for i := range s.Containers {
		if s.Containers[i].Phase == Absent {
			return
		}
	}
	s.PullStoppedAt = now
}

// ended tells whether it worked, and otherwise puts it off.
func (a *Activity) ended(err error, now time.Time, limit time.Duration) bool {
	if err != nil {
		a.putOff(now, limit)
		return false
	}
	a.Attempts = 0
	return true
}

func (c *Container) endPull(r Result, now time.Time) {
	switch {
	case lost(r.Err):
		c.putOff(now, lastRetry)
	case r.Err != nil:
		c.fail(faultText(faultPull, Action{Op: Pull}, "pulled", r.Err), now)
	default:
		c.Phase, c.ImageDigest, c.Attempts = max(c.Phase, Ready), r.Digest, 0
	}
}

func (c *Container) endCreate(a Action, r Result, now time.Time) {
	switch {
	case r.Err == nil:
		c.Phase, c.RuntimeID, c.Attempts = max(c.Phase, Created), r.RuntimeID, 0
	case lost(r.Err):
		c.Uncertain = true
		c.putOff(now, lastRetry)
	case isTimeout(r.Err):
		c.Uncertain = true
		c.Fault = faultText(faultCreate, a, "created", r.Err)
	case errors.Is(r.Err, runtime.ErrNotFound) && !c.ImageLost:
		c.Phase, c.ImageLost = Absent, true // pull it again, once
	default:
		c.fail(faultText(faultCreate, a, "created", r.Err), now)
	}
}

func (c *Container) endStart(a Action, r Result, name string, now time.Time) {
	switch {
	case c.Phase == Ended:
	case r.Err == nil && r.Container != nil:
		c.Attempts = 0
	case r.Err == nil || lost(r.Err): // it may be running; that was not to be found out
		c.Uncertain = true
		c.putOff(now, lastRetry)
	case isTimeout(r.Err):
		c.Uncertain = true
		c.Fault = faultText(faultStart, a, "started", r.Err)
	case errors.Is(r.Err, runtime.ErrNotFound):
		c.lose(name, now)
	default:
		c.fail(faultText(faultStart, a, "started", r.Err), now)
	}
}

// endLook ends Inspect and Stop. Their failures say nothing about the
// container: look again later.
func (c *Container) endLook(r Result, name string, now time.Time) {
	switch {
	case r.Container != nil && r.Err == nil:
		c.Attempts = 0
	case errors.Is(r.Err, runtime.ErrNotFound):
		c.gone(name, now)
	case c.Phase != Ended:
		c.Uncertain = true
		c.putOff(now, lastRetry)
	}
}

// gone takes in that the engine does not have the container.
func (c *Container) gone(name string, now time.Time) {
	if c.Phase >= Created {
		c.lose(name, now)
		return
	}
	c.Uncertain, c.Attempts = false, 0 // it was never created
	if c.Fault != "" {
		c.fail(c.Fault, now)
	}
}

// lost tells whether an error leaves open what happened. Being cancelled does:
// the agent stops, or the task no longer wants it.
func lost(err error) bool {
	return errors.Is(err, runtime.ErrUnavailable) || errors.Is(err, context.Canceled)
}

func isTimeout(err error) bool { return errors.Is(err, context.DeadlineExceeded) }

func faultText(name string, a Action, reached string, err error) string {
	if isTimeout(err) {
		limit := a.Deadline()
		if a.Op == Pull {
			limit = PullDeadline
		}
		return fmt.Sprintf("%s: Could not transition to %s; timed out after waiting %s", faultTimeout, reached, limit)
	}
	return name + ": " + err.Error()
}
