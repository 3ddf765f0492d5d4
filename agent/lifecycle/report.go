package lifecycle

import (
	"time"

	agentv1 "github.com/longshore/longshore/proto/agent/v1"
	"github.com/longshore/longshore/proto/ecs"

	"github.com/longshore/longshore/agent/runtime"
)

// Report is what the control plane is told of a task: the whole truth each
// time, so that only the newest counts.
func Report(t Task, s State) *agentv1.TaskState {
	r := &agentv1.TaskState{
		Arn:                t.ARN,
		Status:             statusName(t, s),
		StopCode:           s.Verdict.Code,
		Reason:             s.Verdict.Reason,
		PullStartedAt:      millis(s.PullStartedAt),
		PullStoppedAt:      millis(s.PullStoppedAt),
		StartedAt:          millis(startedAt(t, s)),
		ExecutionStoppedAt: millis(executionStoppedAt(t, s)),
		HealthStatus:       string(taskHealth(t, s)),
		NetworkInterface:   networkInterface(t, s),
	}
	for i := range t.Units {
		if t.Units[i].Internal {
			continue
		}
		r.Containers = append(r.Containers, containerReport(&t.Units[i], &s.Containers[i], s.Status, s.restarts(t, i)))
	}
	return r
}

// Minor tells whether a report says only how far a task has come that has not
// started anything: when its images were pulled, which containers were made. An
// agent that crashes before it has told that finds it on the engine again.
func Minor(r *agentv1.TaskState) bool {
	if r.Status != Pending.String() || r.StopCode != "" || r.Reason != "" {
		return false
	}
	for _, c := range r.Containers {
		if c.Status != Pending.String() || c.Reason != "" {
			return false
		}
	}
	return true
}

func containerReport(u *Unit, c *Container, task Status, restarts bool) *agentv1.ContainerState {
	r := &agentv1.ContainerState{
		Name:            u.Name,
		RuntimeId:       c.RuntimeID,
		Status:          Pending.String(),
		ImageDigest:     c.ImageDigest,
		HealthStatus:    string(containerHealth(u, c)),
		NetworkBindings: bindings(u, c),
	}
	ended := c.Phase == Ended && !restarts
	if ended { // a container that runs again has left nothing to tell
		r.ExitCode, r.Reason = c.ExitCode, c.Reason
	}
	switch {
	case ended || task == Stopped:
		r.Status = Stopped.String()
	case c.Phase == Started || restarts:
		r.Status = Running.String()
	}
	return r
}

func bindings(u *Unit, c *Container) []*agentv1.NetworkBinding {
	if !c.ran() {
		return nil
	}
	if len(u.HostPorts) > 0 {
		return u.HostPorts
	}
	var all, ranges []*agentv1.NetworkBinding
	for _, p := range c.Ports {
		if u.inRange(p) {
			ranges = joinRange(ranges, p)
			continue
		}
		all = append(all, binding(p))
	}
	return append(all, ranges...)
}

func binding(p runtime.PortBinding) *agentv1.NetworkBinding {
	return &agentv1.NetworkBinding{
		BindIp: p.BindIP, ContainerPort: uint32(p.ContainerPort), HostPort: uint32(p.HostPort), Protocol: p.Protocol,
	}
}

// containerHealth counts only checks of the task definition; what an image
// brings along is its own affair, as in ECS.
func containerHealth(u *Unit, c *Container) ecs.HealthStatus {
	if u.HealthChecked && c.ran() {
		switch c.Health {
		case "healthy":
			return ecs.HealthStatusHEALTHY
		case "unhealthy":
			return ecs.HealthStatusUNHEALTHY
		}
	}
	return ecs.HealthStatusUNKNOWN
}

// taskHealth is the worst of the essential containers that have a check: one
// UNHEALTHY makes the task so, and all must be HEALTHY for it to be.
func taskHealth(t Task, s State) ecs.HealthStatus {
	count := map[ecs.HealthStatus]int{}
	for i := range t.Units {
		if u := &t.Units[i]; u.Essential && u.HealthChecked {
			count[containerHealth(u, &s.Containers[i])]++
		}
	}
	switch {
	case count[ecs.HealthStatusUNHEALTHY] > 0:
		return ecs.HealthStatusUNHEALTHY
	case count[ecs.HealthStatusUNKNOWN] > 0 || count[ecs.HealthStatusHEALTHY] == 0:
		return ecs.HealthStatusUNKNOWN
	}
	return ecs.HealthStatusHEALTHY
}

// startedAt is when the last essential container was started, once all have been.
func startedAt(t Task, s State) time.Time {
	if s.Status < Running {
		return time.Time{}
	}
	var last time.Time
	for i := range t.Units {
		if !t.Units[i].Essential || t.Units[i].Internal {
			continue
		}
		at := s.Containers[i].StartedAt
		if at.IsZero() {
			return time.Time{}
		}
		if at.After(last) {
			last = at
		}
	}
	return last
}

// executionStoppedAt is when the first essential container ended.
func executionStoppedAt(t Task, s State) time.Time {
	var first time.Time
	for i := range t.Units {
		c := &s.Containers[i]
		if !t.Units[i].Essential || t.Units[i].Internal || c.Phase != Ended || !c.ran() || s.restarts(t, i) {
			continue
		}
		if first.IsZero() || c.FinishedAt.Before(first) {
			first = c.FinishedAt
		}
	}
	return first
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
