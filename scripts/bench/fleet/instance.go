package fleet

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/longshore/longshore/agent/session"
	agentv1 "github.com/longshore/longshore/proto/agent/v1"
)

// reportDelay is how long an agent keeps to itself that a task has not started yet: one
// that starts within it is one report, as it is of a real agent.
const reportDelay = 250 * time.Millisecond

// imageDigest is as long as that of a real image.
const imageDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// The statuses that a simulated task goes through.
const (
	pending = "PENDING"
	running = "RUNNING"
	stopped = "STOPPED"
)

// instance is one simulated host.
type instance struct {
	session   *session.Session
	startTime time.Duration
	wake      chan struct{} // one slot: starting has got its first entry

	mu       sync.Mutex
	tasks    map[string]*task // by ARN, those that the control plane names
	starting []start          // oldest first; all take the same time, so the first is due first
}

// start is a task that will be RUNNING.
type start struct {
	task *task
	due  time.Time
}

// task is what is true of one task.
type task struct {
	arn                string
	containers         []string // names
	status             string
	pulled             time.Time
	startedAt, endedAt time.Time
}

func (i *instance) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.tasks)
}

// desire takes in what the control plane wants, and begins it.
func (i *instance) desire(d session.Desired, now time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if d.Full {
		named := make(map[string]*task, len(d.Tasks))
		for _, want := range d.Tasks {
			if have := i.tasks[want.ARN]; have != nil {
				named[want.ARN] = have
			}
		}
		i.tasks = named
	}
	for _, arn := range d.Removed {
		delete(i.tasks, arn)
	}
	for _, want := range d.Tasks {
		i.want(want, now)
	}
}

func (i *instance) want(want session.Task, now time.Time) {
	have := i.tasks[want.ARN]
	isNew := have == nil
	if isNew {
		have = &task{arn: want.ARN, status: pending, pulled: now}
		if want.Definition != nil {
			for _, c := range want.Definition.ContainerDefinitions {
				have.containers = append(have.containers, c.Name)
			}
		}
		i.tasks[want.ARN] = have
	}
	switch {
	case want.Stop && have.status != stopped:
		have.status, have.endedAt = stopped, now
	case isNew:
		i.starting = append(i.starting, start{task: have, due: now.Add(i.startTime)})
		if len(i.starting) == 1 {
			select {
			case i.wake <- struct{}{}:
			default:
			}
		}
	default:
		return
	}
	if have.status != pending || i.startTime > reportDelay {
		i.session.Report(have.state())
	}
}

// run brings tasks from PENDING to RUNNING when they are due, until ctx ends.
func (i *instance) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var alarm <-chan time.Time
		if due := i.begin(time.Now()); !due.IsZero() {
			timer.Reset(time.Until(due))
			alarm = timer.C
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-i.wake:
		case <-alarm:
		}
	}
}

// begin reports all that is due, and returns when the next is; zero: none waits.
func (i *instance) begin(now time.Time) time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	for len(i.starting) > 0 {
		next := i.starting[0]
		if next.due.After(now) {
			return next.due
		}
		i.starting = i.starting[1:]
		if next.task.status == pending && i.tasks[next.task.arn] == next.task {
			next.task.status, next.task.startedAt = running, now
			i.session.Report(next.task.state())
		}
	}
	i.starting = nil // lets go of what it held
	return time.Time{}
}

// state is the whole truth about the task, as a report has it.
func (t *task) state() *agentv1.TaskState {
	s := &agentv1.TaskState{
		Arn: t.arn, Status: t.status, HealthStatus: "UNKNOWN",
		PullStartedAt: t.pulled.UnixMilli(), PullStoppedAt: t.pulled.UnixMilli(),
	}
	if !t.startedAt.IsZero() {
		s.StartedAt = t.startedAt.UnixMilli()
	}
	if !t.endedAt.IsZero() && !t.startedAt.IsZero() {
		s.ExecutionStoppedAt = t.endedAt.UnixMilli()
	}
	for _, name := range t.containers {
		c := &agentv1.ContainerState{Name: name, Status: t.status, HealthStatus: "UNKNOWN"}
		if t.status != pending {
			id := t.arn[strings.LastIndexByte(t.arn, '/')+1:]
			c.RuntimeId, c.ImageDigest = id+id, imageDigest // a container's id is twice as long as a task's
		}
		if t.status == stopped {
			c.ExitCode = new(int32)
		}
		s.Containers = append(s.Containers, c)
	}
	return s
}
