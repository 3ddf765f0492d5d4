// Package endpoints says who is in a target group: at which addresses, and in which
// state. [Members] and its like derive that from a view of the store; an [Index]
// tells those who pass it on to proxies which groups changed. It stores nothing,
// checks nothing, and speaks to no proxy.
package endpoints

import (
	"slices"
	"strconv"
	"strings"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
)

// State is the state of a target, as DescribeTargetHealth names it.
type State string

// The states. Traffic goes to healthy members and, where nobody checks them, to
// unavailable ones; no new connections go to the others.
const (
	Initial     State = "initial"
	Healthy     State = "healthy"
	Unhealthy   State = "unhealthy"
	Draining    State = "draining"
	Unavailable State = "unavailable"
)

// Member is one target of a group.
type Member struct {
	TargetID string // as ELBv2 names it: an instance's id, or an address
	Address  string // where it is reached
	Port     uint16
	State    State
	// Reason and Description say why it is not healthy, in ELBv2's words.
	Reason, Description string
	Zone                string

	// Of a task; empty for a target that a caller registered.
	Cluster       model.ClusterName
	TaskID        model.TaskID
	Service       model.ServiceName
	Deployment    model.DeploymentID // or task set
	Instance      model.InstanceID
	Container     string
	ContainerPort int32
}

// Ready tells whether new connections may go to the member.
func (m *Member) Ready() bool { return m.State == Healthy || m.State == Unavailable }

// Members returns the targets of a group, in the order of their addresses. Its cost
// is in the size of the group.
func Members(t *store.Tables, group model.TargetGroupARN) []Member {
	g, ok := t.TargetGroupByARN(group)
	if !ok {
		return nil
	}
	var out []Member
	newest := map[string]*model.Task{}
	for task := range t.TasksInGroup(group) {
		for _, target := range task.Targets {
			if target.Group != group {
				continue
			}
			m, ok := OfTask(t, task, target)
			if !ok {
				continue
			}
			// A host's port belongs to the task that was given it last: what is known of
			// an earlier one there is out of date.
			if other := newest[m.key()]; other != nil && other.RegisteredAt.After(task.RegisteredAt) {
				continue
			}
			newest[m.key()] = task
			out = append(out, m)
		}
	}
	out = slices.DeleteFunc(out, func(m Member) bool { return newest[m.key()].ID != m.TaskID })
	for _, manual := range g.Manual {
		if m, ok := ofManual(t, g, manual); ok && newest[m.key()] == nil {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b Member) int { return strings.Compare(a.key(), b.key()) })
	return out
}

func (m *Member) key() string { return m.Address + " " + strconv.Itoa(int(m.Port)) }

// OfTask returns a task as a member of one of its target groups; false while it is
// not known where it is reached, or when it is in none.
func OfTask(t *store.Tables, task *model.Task, target model.Target) (Member, bool) {
	g, ok := t.TargetGroupByARN(target.Group)
	if !ok || !task.InTraffic() {
		return Member{}, false
	}
	m := Member{
		Cluster: task.Cluster, TaskID: task.ID, Service: task.Service, Deployment: task.Deployment,
		Instance: task.Instance, Container: target.Container, ContainerPort: target.ContainerPort,
	}
	i, ok := t.Instance(task.Cluster, task.Instance)
	if !ok {
		return Member{}, false
	}
	m.Zone = attribute(i, "ecs.availability-zone")
	if g.TargetType == model.TargetTypeIP {
		if task.ContainerEnded(target.Container) {
			return Member{}, false
		}
		m.Address, m.Port = ownAddress(task), uint16(target.ContainerPort)
		m.TargetID = m.Address
	} else {
		m.Address, m.Port = attribute(i, model.AddressAttribute), task.HostPort(target.Container, target.ContainerPort)
		m.TargetID = instanceName(i)
	}
	m.State, m.Reason, m.Description = stateOf(task, target)
	return m, m.Address != "" && m.Port != 0
}

func stateOf(task *model.Task, target model.Target) (state State, reason, description string) {
	switch {
	case !task.DrainUntil.IsZero() || task.DesiredStatus == model.TaskStopped:
		return Draining, "Target.DeregistrationInProgress", "Target deregistration is in progress"
	case task.Lost:
		return Unhealthy, "Target.Timeout", "The agent of the target's host is silent"
	case target.Health == model.TargetHealthy:
		return Healthy, "", ""
	case target.Health == model.TargetUnhealthy:
		return Unhealthy, target.Reason, target.Description
	case task.LastStatus.Before(model.TaskRunning):
		return Initial, "Elb.RegistrationInProgress", "Target registration is in progress"
	}
	return Initial, "Elb.InitialHealthChecking", "Initial health checks in progress"
}

// ofManual returns a target that a caller registered as a member.
func ofManual(t *store.Tables, g *model.TargetGroup, manual model.ManualTarget) (Member, bool) {
	m := Member{TargetID: manual.ID, Address: manual.ID, Port: uint16(manual.Port)}
	if g.TargetType == model.TargetTypeInstance {
		i, ok := t.InstanceNamed(manual.ID)
		if !ok {
			return Member{}, false
		}
		m.Address, m.Zone, m.Instance, m.Cluster = attribute(i, model.AddressAttribute), attribute(i, "ecs.availability-zone"), i.ID, i.Cluster
	}
	m.State, m.Reason, m.Description = Unavailable, "Target.HealthCheckDisabled", "Nobody checks the health of targets that are not tasks of a service"
	if !manual.DrainUntil.IsZero() {
		m.State, m.Reason, m.Description = Draining, "Target.DeregistrationInProgress", "Target deregistration is in progress"
	}
	return m, m.Address != ""
}

func instanceName(i *model.Instance) string {
	if i.EC2InstanceID != "" {
		return i.EC2InstanceID
	}
	return string(i.ID)
}

func attribute(i *model.Instance, name string) string {
	for _, a := range i.Attributes {
		if a.Name == name && a.Value != nil {
			return *a.Value
		}
	}
	return ""
}

// ownAddress is that of a task in awsvpc mode.
func ownAddress(t *model.Task) string {
	for _, a := range t.Attachments {
		if a.IPv4Address != "" {
			return a.IPv4Address
		}
	}
	return ""
}
