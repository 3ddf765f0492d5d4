package model

import (
	"slices"
	"time"

	"github.com/longshore/longshore/proto/ecs"
)

// TaskReport is what an agent says of a task: SubmitTaskStateChange. What is zero
// is not known, and changes nothing.
type TaskReport struct {
	Status             TaskStatus
	StopCode           ecs.TaskStopCode
	Reason             string
	HealthStatus       ecs.HealthStatus
	Containers         []ContainerReport
	PullStartedAt      time.Time
	PullStoppedAt      time.Time
	StartedAt          time.Time // zero: it has not run
	ExecutionStoppedAt time.Time
	Interface          InterfaceReport // of a task in awsvpc mode
}

// ContainerReport is what an agent says of a container: SubmitContainerStateChange.
type ContainerReport struct {
	Name            string
	RuntimeID       string
	Status          TaskStatus // PENDING, RUNNING or STOPPED
	ExitCode        *int32
	Reason          string
	ImageDigest     string
	HealthStatus    ecs.HealthStatus
	NetworkBindings []ecs.NetworkBinding
}

// Reported returns the task with the report applied, and whether that changed
// anything; the task itself is not touched. A status never moves backwards, and
// what is known of a container that has stopped stays.
func (t *Task) Reported(r TaskReport, now time.Time) (*Task, bool) {
	if t.LastStatus == TaskStopped {
		return t, false
	}
	next := *t
	changed := next.reportContainers(r.Containers)
	for _, at := range []struct{ have, said *time.Time }{
		{&next.PullStartedAt, &r.PullStartedAt},
		{&next.PullStoppedAt, &r.PullStoppedAt},
		{&next.ExecutionStoppedAt, &r.ExecutionStoppedAt},
	} {
		if at.have.IsZero() && !at.said.IsZero() {
			*at.have, changed = *at.said, true
		}
	}
	if next.Attach(r.attachmentStatus(), r.Interface) {
		changed = true
	}
	if r.HealthStatus != "" && r.HealthStatus != next.HealthStatus {
		next.HealthStatus, changed = r.HealthStatus, true
	}
	if next.LastStatus.Before(r.Status) {
		next.advance(r, now)
		changed = true
	}
	if !changed {
		return t, false
	}
	if next.ConnectivityAt.IsZero() {
		next.ConnectivityAt = now
	}
	next.Version++
	return &next, true
}

// advance moves the task to the status of the report, which is a later one.
func (t *Task) advance(r TaskReport, now time.Time) {
	t.LastStatus = r.Status
	if t.StartedAt.IsZero() && (r.Status == TaskRunning || !r.StartedAt.IsZero()) {
		t.StartedAt = t.started(r, now)
	}
	if r.Status.Rank() >= TaskStopping.Rank() {
		t.Stop(r.StopCode, r.Reason, now)
	}
	if r.Status == TaskStopped {
		t.finish(now)
	}
}

// started tells when the task began to run, by this clock and not the host's:
// services reckon with it. Of a task that has run and ended before anything was
// heard of it, the host's clock says how long it ran.
func (t *Task) started(r TaskReport, now time.Time) time.Time {
	if r.StartedAt.IsZero() || r.ExecutionStoppedAt.Before(r.StartedAt) {
		return now
	}
	began := now.Add(-r.ExecutionStoppedAt.Sub(r.StartedAt))
	if began.Before(t.CreatedAt) {
		return t.CreatedAt
	}
	return began
}

// Stop notes that the task is to stop, and why. The first reason stands.
func (t *Task) Stop(code ecs.TaskStopCode, reason string, now time.Time) {
	t.DesiredStatus = TaskStopped
	if t.StopCode == "" && t.StoppedReason == "" {
		t.StopCode, t.StoppedReason = code, reason
	}
	if t.StoppingAt.IsZero() {
		t.StoppingAt = now
	}
}

// EndLost ends a task whose host is gone: nobody will report it any more.
func (t *Task) EndLost(reason string, now time.Time) {
	t.Stop(ecs.TaskStopCodeTerminationNotice, reason, now)
	t.LastStatus = TaskStopped
	t.finish(now)
	t.Version++
}

// finish fills in what is true of every STOPPED task.
func (t *Task) finish(now time.Time) {
	t.StoppedAt = now
	if t.ExecutionStoppedAt.IsZero() && !t.StartedAt.IsZero() {
		t.ExecutionStoppedAt = now
	}
	t.Attach(AttachmentDeleted, InterfaceReport{})
	t.Containers = slices.Clone(t.Containers)
	for i := range t.Containers {
		t.Containers[i].LastStatus = TaskStopped
	}
}

func (t *Task) reportContainers(reports []ContainerReport) bool {
	changed := false
	for _, r := range reports {
		i := slices.IndexFunc(t.Containers, func(c Container) bool { return c.Name == r.Name })
		if i < 0 || t.Containers[i].LastStatus == TaskStopped {
			continue
		}
		next := t.Containers[i]
		if !next.report(r) {
			continue
		}
		if !changed {
			t.Containers = slices.Clone(t.Containers)
			changed = true
		}
		t.Containers[i] = next
	}
	return changed
}

func (c *Container) report(r ContainerReport) bool {
	before := *c
	if c.LastStatus.Before(r.Status) {
		c.LastStatus = r.Status
	}
	if r.ExitCode != nil && c.ExitCode == nil {
		c.ExitCode = r.ExitCode
	}
	for _, said := range []struct{ have, said *string }{
		{&c.RuntimeID, &r.RuntimeID}, {&c.Reason, &r.Reason}, {&c.ImageDigest, &r.ImageDigest},
		{(*string)(&c.HealthStatus), (*string)(&r.HealthStatus)},
	} {
		if *said.said != "" {
			*said.have = *said.said
		}
	}
	if len(r.NetworkBindings) > 0 && !slices.EqualFunc(c.NetworkBindings, r.NetworkBindings, sameBinding) {
		c.NetworkBindings = r.NetworkBindings
		return true
	}
	return c.LastStatus != before.LastStatus || c.ExitCode != before.ExitCode || c.RuntimeID != before.RuntimeID ||
		c.Reason != before.Reason || c.ImageDigest != before.ImageDigest || c.HealthStatus != before.HealthStatus
}

func sameBinding(a, b ecs.NetworkBinding) bool {
	port := func(p *int32) int32 {
		if p == nil {
			return -1
		}
		return *p
	}
	return a.BindIP == b.BindIP && a.Protocol == b.Protocol &&
		a.ContainerPortRange == b.ContainerPortRange && a.HostPortRange == b.HostPortRange &&
		port(a.ContainerPort) == port(b.ContainerPort) && port(a.HostPort) == port(b.HostPort)
}
