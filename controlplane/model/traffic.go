package model

import (
	"slices"
	"strings"
	"time"

	"github.com/longshore/longshore/proto/ecs"
)

// AddressAttribute is the attribute by which an agent says at which address its
// host's ports are reached.
const AddressAttribute = "longshore.address"

// TargetGroupARN names a target group for good: a group that is deleted and made
// again under its old name is another one.
type TargetGroupARN string

// Name returns the group's name; empty for what is no ARN of a target group.
func (a TargetGroupARN) Name() string {
	parts := strings.Split(string(a), "/")
	if len(parts) != 3 || !strings.HasSuffix(parts[0], ":targetgroup") {
		return ""
	}
	return parts[1]
}

// TargetGroupARN returns the ARN of a target group; id is 16 lowercase hex digits.
func (o Owner) TargetGroupARN(name, id string) TargetGroupARN {
	return TargetGroupARN("arn:aws:elasticloadbalancing:" + o.Region + ":" + o.Account + ":targetgroup/" + name + "/" + id)
}

// NewTargetGroupID returns a fresh random id.
func NewTargetGroupID() string { return randomHex()[:16] }

// Protocols of target groups and of their health checks.
const (
	ProtocolHTTP  = "HTTP"
	ProtocolHTTPS = "HTTPS"
	ProtocolTCP   = "TCP"
)

// Versions of the protocols HTTP and HTTPS.
const (
	VersionHTTP1 = "HTTP1"
	VersionHTTP2 = "HTTP2"
	VersionGRPC  = "GRPC"
)

// What the targets of a group are: ports of hosts, or addresses.
const (
	TargetTypeInstance = "instance"
	TargetTypeIP       = "ip"
)

// TrafficPort is the health check port that stands for each target's own.
const TrafficPort = "traffic-port"

// TargetGroup is a named group of targets that proxies send traffic to. The tasks
// of services that name it are not in the record: they follow from the tasks.
type TargetGroup struct {
	Name            string         `json:",omitzero"`
	ARN             TargetGroupARN `json:",omitzero"`
	Protocol        string         `json:",omitzero"`
	ProtocolVersion string         `json:",omitzero"` // of HTTP and HTTPS
	Port            int32          `json:",omitzero"` // of a manual target that names none
	TargetType      string         `json:",omitzero"`
	VPC             string         `json:",omitzero"` // as the caller gave it; it says nothing here
	HealthCheck     HealthCheck    `json:",omitzero"`
	// DeregistrationDelay is how long a target is drained, in seconds.
	DeregistrationDelay int32     `json:",omitzero"`
	CreatedAt           time.Time `json:",omitzero"`
	Tags                []ecs.Tag `json:",omitzero"`

	// Manual are the targets that callers registered, in the order of their ids.
	Manual []ManualTarget `json:",omitzero"`
	// ManualDue is when the first of them that is drained has been so for long
	// enough; zero if none is.
	ManualDue time.Time `json:",omitzero"`
}

// HealthCheck is how the targets of a group are checked.
type HealthCheck struct {
	Protocol       string `json:",omitzero"` // HTTP, HTTPS or TCP
	Port           string `json:",omitzero"` // TrafficPort or a number
	Path           string `json:",omitzero"` // of HTTP and HTTPS; with GRPC the method
	Interval       int32  `json:",omitzero"` // seconds
	Timeout        int32  `json:",omitzero"` // seconds
	HealthyAfter   int32  `json:",omitzero"` // successes in a row
	UnhealthyAfter int32  `json:",omitzero"` // failures in a row
	Matcher        string `json:",omitzero"` // codes of HTTP or gRPC that are successes: 200,300-399
}

// ManualTarget is a target that a caller registered. Nobody checks its health.
type ManualTarget struct {
	ID           string    `json:",omitzero"` // an instance's own id or its container instance id, or an address
	Port         int32     `json:",omitzero"`
	RegisteredAt time.Time `json:",omitzero"`
	DrainUntil   time.Time `json:",omitzero"` // not zero: it was deregistered
}

// Note sets what follows from the manual targets.
func (g *TargetGroup) Note() {
	g.ManualDue = time.Time{}
	for _, m := range g.Manual {
		if !m.DrainUntil.IsZero() && (g.ManualDue.IsZero() || m.DrainUntil.Before(g.ManualDue)) {
			g.ManualDue = m.DrainUntil
		}
	}
}

// TargetHealth is what checks say of a target.
type TargetHealth string

// The healths of a target. The zero value is that of one not checked often enough yet.
const (
	TargetInitial   TargetHealth = ""
	TargetHealthy   TargetHealth = "healthy"
	TargetUnhealthy TargetHealth = "unhealthy"
)

// Target is a task's membership of one target group, through one of its ports.
type Target struct {
	Group         TargetGroupARN `json:",omitzero"`
	Container     string         `json:",omitzero"`
	ContainerPort int32          `json:",omitzero"`
	Health        TargetHealth   `json:",omitzero"`
	Reason        string         `json:",omitzero"` // why it is unhealthy, as ELBv2 says it: Target.Timeout
	Description   string         `json:",omitzero"`
}

// TargetReport is what an agent says of the health of a task's target.
type TargetReport Target

// NewTargets are the targets of a new task that is wired so.
func (w *Wiring) NewTargets() []Target {
	var out []Target
	for _, b := range w.LoadBalancers {
		if b.TargetGroupArn == "" || b.ContainerPort == nil {
			continue
		}
		out = append(out, Target{Group: TargetGroupARN(b.TargetGroupArn), Container: b.ContainerName, ContainerPort: *b.ContainerPort})
	}
	return out
}

// InTraffic tells whether a task is in its target groups: it was registered, and its
// containers have not begun to stop. One that is being drained still is.
func (t *Task) InTraffic() bool {
	return !t.RegisteredAt.IsZero() && t.LastStatus.Before(TaskStopping)
}

// MayStop tells whether the task's agent may stop its containers: it is to stop,
// and no target group has it any more.
func (t *Task) MayStop() bool { return t.DesiredStatus == TaskStopped && !t.InTraffic() }

// Activated makes a task that is ACTIVATING, and so in its target groups, RUNNING.
func (t *Task) Activated(now time.Time) {
	t.LastStatus = TaskRunning
	if t.StartedAt.IsZero() {
		t.StartedAt = now
	}
	t.Version++
}

// Deregister takes a task out of its target groups, in which it is drained for
// some time before it may stop.
func (t *Task) Deregister(drain time.Duration, now time.Time) {
	t.LastStatus = TaskDeactivating
	t.DrainUntil = now.Add(drain)
	if t.StoppingAt.IsZero() {
		t.StoppingAt = now
	}
	t.Version++
}

// EndTraffic takes a task out of its target groups at once.
func (t *Task) EndTraffic() {
	t.LastStatus = TaskStopping
	t.Version++
}

// reportTargets takes what an agent found of the task's targets.
func (t *Task) reportTargets(reports []TargetReport) bool {
	changed := false
	for _, r := range reports {
		i := slices.IndexFunc(t.Targets, func(x Target) bool {
			return x.Group == r.Group && x.Container == r.Container && x.ContainerPort == r.ContainerPort
		})
		if i < 0 || t.Targets[i] == Target(r) {
			continue
		}
		if !changed {
			t.Targets = slices.Clone(t.Targets)
			changed = true
		}
		t.Targets[i] = Target(r)
	}
	return changed
}

// registering is the status that a report brings a task to: one with target groups
// is in them before it is RUNNING.
func (t *Task) registering(reported TaskStatus) TaskStatus {
	if reported == TaskRunning && len(t.Targets) > 0 && t.LastStatus.Starting() && t.DesiredStatus != TaskStopped {
		return TaskActivating
	}
	return reported
}

// TargetGroups are the target groups that the service's tasks may come to be in, now
// or after a deployment is rolled back, each once.
func (s *Service) TargetGroups() map[TargetGroupARN]struct{} {
	out := map[TargetGroupARN]struct{}{}
	add := func(w *Wiring) {
		for _, b := range w.LoadBalancers {
			out[TargetGroupARN(b.TargetGroupArn)] = struct{}{}
		}
	}
	add(&s.Wiring)
	for i := range s.Deployments {
		add(&s.Deployments[i].Wiring)
	}
	if s.LastCompleted != nil {
		add(&s.LastCompleted.Wiring)
	}
	for i := range s.TaskSets {
		add(&s.TaskSets[i].Wiring)
	}
	return out
}
