package placement

import (
	"math/rand/v2"

	"github.com/longshore/longshore/controlplane/query"
)

// Request is tasks of one kind to be placed. All amounts are per task and not
// negative.
type Request struct {
	Count     int
	CPU       int64
	MemoryMiB int64
	// TCP and UDP are the host ports that the task definition fixes.
	TCP      []uint16
	UDP      []uint16
	GPUCount int
	// Group is the group that the tasks will be in: what spread evens out and what
	// DistinctInstance looks at.
	Group string

	RequiredAttributes []Attribute
	// MemberOf are expressions of the cluster query language; all must match.
	MemberOf []Predicate
	// DistinctInstance allows one task of the group on an instance, beside those that are
	// Stopping.
	DistinctInstance bool
	// Strategies choose among the instances that pass, each among those which the
	// one before it finds equally good. None is [Random].
	Strategies []Strategy

	// Candidates, if not nil, are the only instances that are considered.
	Candidates []string

	// Rand decides what nothing else does. Without it the lowest slots are chosen,
	// which piles up the single tasks of many groups on the same instances.
	Rand *rand.Rand
}

func (r *Request) needs() amounts { return amounts{r.CPU, r.MemoryMiB} }

// use is what one task of the request takes, on the given devices.
func (r *Request) use(gpus []string) Use {
	return Use{CPU: r.CPU, MemoryMiB: r.MemoryMiB, TCP: r.TCP, UDP: r.UDP, GPUs: gpus, Group: r.Group}
}

// intN is a number below n.
func (r *Request) intN(n int) int {
	if r.Rand == nil {
		return 0
	}
	return r.Rand.IntN(n)
}

// Attribute is an attribute that a task definition requires of an instance.
type Attribute struct {
	Name  string
	Value string
	// AnyValue asks for the name only.
	AnyValue bool
}

func (a Attribute) heldBy(in *Instance) bool {
	value, ok := in.Attributes[a.Name]
	return ok && (a.AnyValue || value == a.Value)
}

func (a Attribute) String() string {
	if a.AnyValue || a.Value == "" {
		return a.Name
	}
	return a.Name + "=" + a.Value
}

// Predicate is a MemberOf constraint, compiled.
type Predicate struct {
	// Text is the expression as the user wrote it, for reasons.
	Text string
	// Match must depend on the view alone.
	Match func(View) bool
	// Within is what every instance that matches meets. It keeps the expression from
	// being asked of instances one by one; leaving it out changes nothing but the cost.
	//
	// A condition on an attribute is asked once per value that there is in the fleet, and
	// once for the lack of the attribute. If the instances have too many values for that
	// to save anything, or it is a condition on something else, Match is asked instead
	// until the condition comes again. Who meets it is then remembered, and the next time
	// only those are asked who have changed, and their neighbours in the fleet.
	Within query.Narrowing
}

// MemberOf is the constraint that the instance matches an expression.
func MemberOf(e *query.Expression) Predicate {
	return Predicate{
		Text:   e.Text(),
		Match:  func(v View) bool { return e.Match(v.Facts()) },
		Within: e.Narrow(),
	}
}

// Result is what became of a Request.
type Result struct {
	// Assignments are the tasks that were placed, fewer than asked for if the rest
	// does not fit.
	Assignments []Assignment
	// Failures say of each instance why the first task that could not be placed is
	// not there; of each candidate if there were Candidates, in their order. The
	// tasks placed before it count as being there.
	Failures []Failure
	// Closest is the failure of the instance that came nearest to taking the task.
	Closest *Failure
	// NoInstances is true if the cluster has none of any kind.
	NoInstances bool
}

// Assignment is the place of one task.
type Assignment struct {
	InstanceID string
	GPUs       []string
}
