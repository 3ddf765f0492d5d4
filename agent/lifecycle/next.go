package lifecycle

import (
	"fmt"
	"time"

	"github.com/longshore/longshore/proto/ecs"
)

// Plan is what follows from a task's wishes, its state and the time.
type Plan struct {
	Status    Status
	Verdict   Verdict
	StoppedAt time.Time // set when Status is Stopped
	Actions   []Action
	Wake      time.Time // ask again then, even if nothing happens; zero: no need to
	Done      bool      // nothing of the task is left on the host
}

// Next decides. It may be called at any time and any number of times: what
// State says is under way is not planned a second time.
func Next(t Task, s State, now time.Time) Plan {
	n := next{Task: t, State: s, now: now}
	n.plan.Verdict = n.verdict()
	switch {
	case !n.ending():
		n.forward()
		n.plan.Status = max(s.Status, n.progress())
	case n.settled() && !n.holdsAddress():
		n.plan.Status = Stopped
		n.plan.StoppedAt = n.stoppedAt()
		n.removeGroups()
		n.cleanUp()
	default:
		n.backward()
		// A container that was given up may be found to run after all; the report
		// that it has stopped cannot be taken back, but it is stopped again.
		n.plan.Status = max(s.Status, Stopping)
	}
	return n.plan
}

// next is one evaluation of Next.
type next struct {
	Task
	State
	now  time.Time
	plan Plan
}

func (n *next) ending() bool {
	return n.Stop || n.Status >= Stopping || n.plan.Verdict != Verdict{}
}

func (n *next) settled() bool {
	if n.Setup.Doing == CreateVolumes {
		return false
	}
	for i := range n.Containers {
		if !n.Containers[i].settled() {
			return false
		}
	}
	return true
}

// act plans an action, unless the thing is busy or was put off.
func (n *next) act(op Op, unit int) {
	a := n.activity(unit)
	if a.Doing != None {
		return
	}
	if n.now.Before(a.RetryAt) {
		n.wake(a.RetryAt)
		return
	}
	action := Action{Op: op, Unit: unit}
	switch op {
	case Stop:
		action.Grace = n.Units[unit].StopTimeout
	case RestartContainer:
		action.Began = n.Containers[unit].StartedAt
	}
	action.Limit = n.Limits.of(op, action.Grace)
	n.plan.Actions = append(n.plan.Actions, action)
}

func (n *next) wake(at time.Time) {
	if n.plan.Wake.IsZero() || at.Before(n.plan.Wake) {
		n.plan.Wake = at
	}
}

// forward brings every container one step on.
func (n *next) forward() {
	if len(n.Volumes)+len(n.Groups) > 0 && !n.VolumesReady {
		n.act(CreateVolumes, NoUnit)
	}
	if !n.ValuesReady && n.uncreated(n.Task) {
		n.act(Resolve, AllUnits)
	}
	for i := range n.Containers {
		c := &n.Containers[i]
		switch {
		case c.Uncertain:
			n.act(Inspect, i)
		case c.Phase < Created && !n.resolved(i):
		case c.Phase == Absent:
			n.act(Pull, i)
		case c.Phase == Ready && n.creatable(i):
			n.act(Create, i)
		case c.Phase == Created && n.order(i) == startable:
			n.act(Start, i)
		case c.Phase == Started && c.Fault != "":
			n.act(Stop, i)
		case n.restarts(n.Task, i):
			n.act(RestartContainer, i)
		}
	}
}

func (n *next) creatable(i int) bool {
	u := &n.Units[i]
	if u.NeedsSetup && !n.VolumesReady {
		return false
	}
	for _, other := range u.Needs {
		if n.Containers[other].Phase < Created {
			return false
		}
	}
	return true
}

// standing is how a container stands in the start-up order.
type standing int

const (
	startable standing = iota
	waiting
	stuck // it can never be started
)

// order tells how the container stands: the worst of its dependencies.
func (n *next) order(i int) standing {
	worst := startable
	for _, d := range n.Units[i].After {
		worst = max(worst, n.dependency(d))
	}
	return worst
}

// dependency follows ECS: HEALTHY is asked for at start-up only, and the start
// timeout of the container depended upon bounds all conditions but START.
func (n *next) dependency(d Dependency) standing {
	c := &n.Containers[d.Unit]
	if c.Phase == Ended && c.Cause != ByItself {
		return stuck
	}
	met := false
	switch {
	case d.Condition == ecs.ContainerConditionSTART:
		return pick(c.ran(), startable, waiting)
	case n.restarts(n.Task, d.Unit):
		return waiting
	}
	switch d.Condition {
	case ecs.ContainerConditionHEALTHY:
		met = c.Phase == Started && c.Health == "healthy"
	case ecs.ContainerConditionCOMPLETE:
		met = c.Phase == Ended
	case ecs.ContainerConditionSUCCESS:
		met = c.Phase == Ended && *c.ExitCode == 0
	}
	switch {
	case met:
		return startable
	case c.Phase == Ended:
		return stuck
	}
	if limit := n.Units[d.Unit].StartTimeout; limit > 0 && c.Phase == Started {
		giveUp := c.StartedAt.Add(limit)
		if !n.now.Before(giveUp) {
			return stuck
		}
		n.wake(giveUp)
	}
	return waiting
}

func pick[T any](yes bool, a, b T) T {
	if yes {
		return a
	}
	return b
}

// progress is the status of a task that is not ending: RUNNING once everything
// has been started as far as the order lets it, the essential containers in any case.
func (n *next) progress() Status {
	for i := range n.Containers {
		c := &n.Containers[i]
		waits := c.Phase == Created && !n.Units[i].Essential && n.order(i) == waiting
		if c.Phase < Started && !waits {
			return Pending
		}
	}
	return Running
}

// verdict is why the task stops on its own. The first one stands. A task that
// is stopped by somebody does not stop on its own: its containers' ends are
// what was asked for.
func (n *next) verdict() Verdict {
	switch {
	case n.Verdict != Verdict{} || n.Stop || n.Status >= Stopping:
		return n.Verdict
	case n.Fault != "":
		return failed(n.Fault)
	}
	first := -1
	for i := range n.Containers {
		c := &n.Containers[i]
		over := c.Phase == Ended && !n.restarts(n.Task, i) || c.Fault != ""
		if over && n.Units[i].Essential && (first < 0 || c.FinishedAt.Before(n.Containers[first].FinishedAt)) {
			first = i
		}
	}
	if first >= 0 {
		return n.essentialEnd(first)
	}
	for i := range n.Containers {
		if n.Containers[i].Phase <= Created && n.order(i) == stuck {
			return failed(n.stuckReason(i))
		}
	}
	if n.allEnded() {
		return Verdict{Code: string(ecs.TaskStopCodeEssentialContainerExited), Reason: "All containers in task exited"}
	}
	return Verdict{}
}

func failed(reason string) Verdict {
	return Verdict{Code: string(ecs.TaskStopCodeTaskFailedToStart), Reason: reason}
}

func (n *next) essentialEnd(unit int) Verdict {
	c := &n.Containers[unit]
	switch {
	case n.Units[unit].Internal && c.Fault != "":
		return failed(faultInitialize + ": " + c.Fault)
	case n.Units[unit].Internal && !n.anyRan():
		return failed(faultInitialize + ": " + pauseEnded)
	case n.Units[unit].Internal:
		return Verdict{Code: string(ecs.TaskStopCodeEssentialContainerExited), Reason: pauseEnded}
	case c.Fault != "":
		return failed(c.Fault)
	case c.Cause == Missing:
		return Verdict{Code: string(ecs.TaskStopCodeEssentialContainerExited), Reason: c.Reason}
	}
	return Verdict{Code: string(ecs.TaskStopCodeEssentialContainerExited), Reason: "Essential container in task exited"}
}

const pauseEnded = "The pause container, which holds the namespaces of the task, ended"

// anyRan tells whether a container of the definition was started at some time.
func (n *next) anyRan() bool {
	for i := range n.Containers {
		if !n.Units[i].Internal && n.Containers[i].ran() {
			return true
		}
	}
	return false
}

func (n *next) allEnded() bool {
	for i := range n.Containers {
		if !n.Units[i].Internal && (n.Containers[i].Phase != Ended || n.restarts(n.Task, i)) {
			return false
		}
	}
	return len(n.Containers) > 0
}

// stuckReason names the first dependency that cannot be met.
func (n *next) stuckReason(i int) string {
	for _, d := range n.Units[i].After {
		if n.dependency(d) != stuck {
			continue
		}
		c, on := &n.Containers[d.Unit], n.Units[d.Unit].Name
		why := "it timed out after " + n.Units[d.Unit].StartTimeout.String()
		switch {
		case c.Phase == Ended && c.Cause != ByItself:
			why = c.Reason
		case c.Phase == Ended:
			why = fmt.Sprintf("it exited with code %d", *c.ExitCode)
		}
		return fmt.Sprintf("Container %s can not be started: dependency %s did not reach %s: %s", n.Units[i].Name, on, d.Condition, why)
	}
	return ""
}

// backward stops what runs, those that were started on top of others first.
func (n *next) backward() {
	for i := range n.Containers {
		c := &n.Containers[i]
		switch {
		case c.Doing == Pull && !c.Cancelled:
			n.plan.Actions = append(n.plan.Actions, Action{Op: Cancel, Unit: i})
		case c.Uncertain:
			n.act(Inspect, i)
		case c.Phase == Started && n.dependentsSettled(i) && !(n.Units[i].Internal && n.holdsAddress()):
			n.act(Stop, i)
		}
	}
}

func (n *next) dependentsSettled(i int) bool {
	for _, d := range n.Units[i].Before {
		if !n.Containers[d].settled() {
			return false
		}
	}
	return true
}

// stoppedAt is when the last container ended; after a restart of the agent that may be long ago.
func (n *next) stoppedAt() time.Time {
	if !n.StoppedAt.IsZero() {
		return n.StoppedAt
	}
	var last time.Time
	for i := range n.Containers {
		if at := n.Containers[i].FinishedAt; at.After(last) {
			last = at
		}
	}
	if last.IsZero() || last.After(n.now) {
		return n.now
	}
	return last
}

// removeGroups gives the task's share of the host back as soon as nothing runs in
// it. The engine's containers, which stay for a while, need no group once they have
// ended: the engine removes their own when they do, perhaps a moment later.
func (n *next) removeGroups() {
	if len(n.Groups) == 0 || n.GroupsGone || n.VolumesGone {
		return
	}
	made := n.VolumesReady
	for i := range n.Containers {
		made = made || n.Containers[i].RuntimeID != ""
	}
	if made {
		n.act(RemoveGroups, NoUnit)
	}
}

// cleanUp removes the containers, then the volumes. Nothing is removed before
// the control plane has the exit codes for good: they are kept nowhere else.
func (n *next) cleanUp() {
	if !n.Released {
		return
	}
	if due := n.plan.StoppedAt.Add(n.CleanupWait); !n.Discard && n.now.Before(due) {
		n.wake(due)
		return
	}
	left := false
	for i := range n.Containers {
		c := &n.Containers[i]
		if c.RuntimeID != "" && !c.Removed || c.Doing != None {
			left = true
			n.act(Remove, i)
		}
	}
	switch {
	case left:
	case len(n.VolumeNames())+len(n.Groups) > 0 && !n.VolumesGone:
		n.act(RemoveVolumes, NoUnit)
	default:
		n.plan.Done = true
	}
}
