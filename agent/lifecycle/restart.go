package lifecycle

import (
	"errors"
	"slices"
	"time"

	"github.com/longshore/longshore/proto/ecs"

	"github.com/longshore/longshore/agent/runtime"
)

// defaultRestartPeriod is how long a container has to run to be restarted where
// its policy does not say (ContainerRestartPolicy, API documentation).
const defaultRestartPeriod = 300 * time.Second

// Restart is a container's restart policy. The zero value: it is never
// restarted.
type Restart struct {
	// Period is how long a run must have lasted for the container to be started
	// once more when it ends. That is also what keeps restarts apart.
	Period  time.Duration
	Ignored []int32 // exit codes after which it is not restarted
}

func restartPolicy(p *ecs.ContainerRestartPolicy) Restart {
	if p == nil || !is(p.Enabled) {
		return Restart{}
	}
	r := Restart{Period: defaultRestartPeriod, Ignored: p.IgnoredExitCodes}
	if p.RestartAttemptPeriod != nil {
		r.Period = time.Duration(*p.RestartAttemptPeriod) * time.Second
	}
	return r
}

// wants tells whether the container is to be started once more. It is decided
// from what the engine itself remembers of the run, so that it is decided the
// same by an agent that comes later.
func (r Restart) wants(c *Container) bool {
	return r.Period > 0 && c.Phase == Ended && c.Cause == ByItself && !c.Final && !c.Removed && !c.StartedAt.IsZero() &&
		c.ExitCode != nil && !slices.Contains(r.Ignored, *c.ExitCode) && c.FinishedAt.Sub(c.StartedAt) >= r.Period
}

// restarts tells whether a container that has ended is about to be started once
// more: to everybody else it goes on running. A task that ends restarts nothing.
func (s *State) restarts(t Task, i int) bool {
	ending := t.Stop || s.Status >= Stopping || s.Verdict != Verdict{}
	return !ending && t.Units[i].Restart.wants(&s.Containers[i])
}

// beginRestart takes the container for running, until it is known whether it
// is: its task must not be over before that. What its last run left is kept for
// the case that it comes to nothing.
func (c *Container) beginRestart() { c.Phase = Started }

func (c *Container) endRestart(r Result, name string, now time.Time) {
	switch {
	case r.Err == nil && r.Container != nil:
		c.Attempts = 0
	case errors.Is(r.Err, runtime.ErrNotFound):
		c.lose(name, now)
	case r.Err == nil || lost(r.Err) || isTimeout(r.Err):
		c.Uncertain = true // an Inspect tells of which run it has
		c.putOff(now, lastRetry)
	default:
		// The last run was the last, then; how it ended is still true.
		c.Phase, c.Final = Ended, true
		c.Reason = faultText(faultStart, Action{Op: RestartContainer}, "started", r.Err)
	}
}

// Runs count the restarts of a container by its policy: each run but the first,
// told apart by when they began. The engine keeps no such count.
type Runs struct {
	Restarts int       `json:"restarts"`
	Latest   time.Time `json:"latestStart"` // zero: it has not run
	// Lost: it ran under an agent that left no note of how often.
	Lost bool `json:"-"`
}

// Known tells whether there is a true count.
func (r Runs) Known() bool { return !r.Latest.IsZero() && !r.Lost }

// saw takes in when the run began that the engine speaks of.
func (r *Runs) saw(began time.Time) {
	if !began.After(r.Latest) {
		return
	}
	if !r.Latest.IsZero() {
		r.Restarts++
	}
	r.Latest = began
}

// Recall takes in what an earlier agent noted of the runs of containers that were
// found. Of those without a note, the count is lost.
func (s *State) Recall(noted func(id string) (Runs, bool)) {
	for i := range s.Containers {
		c := &s.Containers[i]
		if c.StartedAt.IsZero() {
			continue
		}
		before, ok := noted(c.RuntimeID)
		before.saw(c.StartedAt)
		c.Runs, c.Runs.Lost = before, !ok
	}
}
