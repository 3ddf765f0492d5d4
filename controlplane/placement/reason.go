package placement

import "fmt"

// Reason is why an instance does not take a task, as ECS writes it in the failures
// of RunTask and StartTask.
type Reason string

// The reasons, in the order in which they are looked for.
const (
	ReasonMissing          Reason = "MISSING"
	ReasonInactive         Reason = "INACTIVE"
	ReasonAgent            Reason = "AGENT"
	ReasonAttribute        Reason = "ATTRIBUTE"
	ReasonMemberOf         Reason = "MemberOf placement constraint unsatisfied."
	ReasonDistinctInstance Reason = "DistinctInstance placement constraint unsatisfied."
	ReasonCPU              Reason = "RESOURCE:CPU"
	ReasonMemory           Reason = "RESOURCE:MEMORY"
	ReasonPorts            Reason = "RESOURCE:PORTS"
	ReasonGPU              Reason = "RESOURCE:GPU"
)

// passed is how many kinds of checks an instance came through before the reason.
func (r Reason) passed() int {
	for i, each := range [...]Reason{
		ReasonMissing, ReasonInactive, ReasonAgent, ReasonAttribute, ReasonMemberOf,
		ReasonDistinctInstance, ReasonCPU, ReasonMemory, ReasonPorts, ReasonGPU,
	} {
		if each == r {
			return i
		}
	}
	return 0
}

// Failure is why one instance does not take a task.
type Failure struct {
	InstanceID string
	Reason     Reason
	// Needed and Available are what the task asks for and what is there: CPU units,
	// MiB, devices. For ports, Needed is the number of the port in the way. For
	// DistinctInstance, Available is the number of tasks of the group on it.
	Needed    int64
	Available int64
	// Subject is what the reason is about: the attribute, the expression, the group,
	// the protocol of the port, the status.
	Subject string
}

// String says what was wanted and what was there.
func (f Failure) String() string {
	switch f.Reason {
	case ReasonMissing:
		return "no such container instance"
	case ReasonInactive:
		return "the container instance is " + f.Subject
	case ReasonAgent:
		return "the agent is not connected"
	case ReasonAttribute:
		return "needs the attribute " + f.Subject
	case ReasonMemberOf:
		return "does not match " + f.Subject
	case ReasonDistinctInstance:
		return fmt.Sprintf("already has %d of the tasks of %s", f.Available, f.Subject)
	case ReasonCPU:
		return fmt.Sprintf("needs %d CPU units, %d available", f.Needed, f.Available)
	case ReasonMemory:
		return fmt.Sprintf("needs %d MiB of memory, %d available", f.Needed, f.Available)
	case ReasonPorts:
		return fmt.Sprintf("needs %s port %d, which is reserved or in use", f.Subject, f.Needed)
	case ReasonGPU:
		return fmt.Sprintf("needs %d GPUs, %d available", f.Needed, f.Available)
	default:
		return string(f.Reason)
	}
}

// closer tells whether an instance came nearer to taking the task than another: it
// came further in the checks, or as far and lacks less, or that too and has the
// lower id.
func (f *Failure) closer(than *Failure) bool {
	if a, b := f.Reason.passed(), than.Reason.passed(); a != b {
		return a > b
	}
	if a, b := f.lack(), than.lack(); a != b {
		return a < b
	}
	return f.InstanceID < than.InstanceID
}

// lack is how much is missing, where the reason is one of quantity.
func (f *Failure) lack() int64 {
	switch f.Reason {
	case ReasonCPU, ReasonMemory, ReasonGPU:
		return f.Needed - f.Available
	default:
		return 0
	}
}

// Explain examines one instance for one task of the request: why it would not take
// it, or true if it would.
func Explain(f *Fleet, r Request, instanceID string) (Failure, bool) {
	slot, ok := f.hosts.slots.get(instanceID)
	if !ok {
		return Failure{InstanceID: instanceID, Reason: ReasonMissing}, false
	}
	return examine(f.view(slot), &r)
}

// examine makes the checks in ECS's order and stops at the first that fails.
func examine(v View, r *Request) (Failure, bool) {
	fail := Failure{InstanceID: v.ID()}
	in := v.Instance()
	switch {
	case in.Status != Active:
		fail.Reason, fail.Subject = ReasonInactive, in.Status.String()
		return fail, false
	case !in.Connected:
		fail.Reason = ReasonAgent
		return fail, false
	}
	for _, a := range r.RequiredAttributes {
		if !a.heldBy(in) {
			fail.Reason, fail.Subject = ReasonAttribute, a.String()
			return fail, false
		}
	}
	for i := range r.MemberOf {
		if p := &r.MemberOf[i]; !p.Match(v) {
			fail.Reason, fail.Subject = ReasonMemberOf, p.Text
			return fail, false
		}
	}
	if there := v.node.group(r.Group).staying(); r.DistinctInstance && there > 0 {
		fail.Reason, fail.Subject, fail.Available = ReasonDistinctInstance, r.Group, int64(there)
		return fail, false
	}
	return examineResources(v, r, fail)
}

func examineResources(v View, r *Request, fail Failure) (Failure, bool) {
	if fail.Needed, fail.Available = r.CPU, v.FreeCPU(); fail.Needed > fail.Available {
		fail.Reason = ReasonCPU
		return fail, false
	}
	if fail.Needed, fail.Available = r.MemoryMiB, v.FreeMemoryMiB(); fail.Needed > fail.Available {
		fail.Reason = ReasonMemory
		return fail, false
	}
	for _, p := range hostPorts(r.TCP, r.UDP) {
		if v.node.portTaken(p) {
			fail.Reason, fail.Needed, fail.Available = ReasonPorts, p.number(), 0
			fail.Subject = p.protocol()
			return fail, false
		}
	}
	if r.GPUCount > 0 {
		fail.Needed, fail.Available = int64(r.GPUCount), int64(v.node.freeGPUs())
		if fail.Needed > fail.Available {
			fail.Reason = ReasonGPU
			return fail, false
		}
	}
	return Failure{}, true
}
