package lifecycle

import (
	"slices"
	"time"

	"github.com/longshore/longshore/agent/runtime"
)

// addressHeld is for how long nobody else gets the address of a task that has ended
// unasked, counted from its last end: proxies that ask DNS look again once a second, and
// believe what is not there any more after two answers (deploy/proxies/haproxy.cfg).
const addressHeld = 3 * time.Second

// holdsAddress tells whether the task keeps its address for a moment though nothing of it
// runs: clients are still sent there, because it ended by itself and not after having been
// drained, and the address is one that another task could be given at once, a fixed port of the host
// or an interface. Ports that the engine chooses are the engine's to give.
func (n *next) holdsAddress() bool {
	if !n.Serving || n.Status >= Stopped || n.plan.Verdict == (Verdict{}) {
		return false
	}
	var last time.Time
	for i := range n.Containers {
		u, c := &n.Units[i], &n.Containers[i]
		if !u.Internal && (n.Subnet != "" || u.hasFixedPort()) && c.FinishedAt.After(last) {
			last = c.FinishedAt
		}
	}
	until := last.Add(addressHeld)
	if last.After(n.now) || !n.now.Before(until) { // in the future: the engine has another clock
		return false
	}
	n.wake(until)
	return true
}

func (u *Unit) hasFixedPort() bool {
	return len(u.HostPorts) > 0 || slices.ContainsFunc(u.Spec.Ports, func(p runtime.PortMapping) bool { return p.HostPort != 0 })
}
