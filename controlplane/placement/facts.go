package placement

import (
	"iter"
	"time"
)

// Facts is what an expression can ask of an instance and the tasks on it: an Instance of
// package query. Like a View it is good until the fleet is next changed.
//
// It is a single pointer, so that to pass it as an interface costs nothing.
type Facts struct{ node *node }

// Facts are the facts of the instance.
func (v View) Facts() Facts { return Facts(v) }

// Attribute is the value of an attribute, and whether the instance has it.
func (f Facts) Attribute(name string) (string, bool) {
	value, ok := f.node.instance.Attributes[name]
	return value, ok
}

// AgentConnected tells whether the instance's agent is connected.
func (f Facts) AgentConnected() bool { return f.node.instance.Connected }

// AgentVersion is the version that the agent registered with, or empty.
func (f Facts) AgentVersion() string { return f.node.instance.AgentVersion }

// EC2InstanceID is the host's own id, or empty.
func (f Facts) EC2InstanceID() string { return f.node.instance.EC2InstanceID }

// RegisteredAt is when the instance was registered.
func (f Facts) RegisteredAt() time.Time { return f.node.instance.RegisteredAt }

// RunningTasks is the number of tasks that are on the instance, those included that have
// only just been placed there: the tasks of one request see each other.
func (f Facts) RunningTasks() int { return f.node.tasks }

// GroupTasks is the number of tasks of one group on the instance.
func (f Facts) GroupTasks(group string) int { return View(f).GroupTasks(group) }

// Groups lists the groups with tasks on the instance and how many, in order of name.
func (f Facts) Groups() iter.Seq2[string, int] { return View(f).Groups() }
