package agenttest

import (
	"slices"
	"strings"

	"github.com/longshore/longshore/agent/runtime"
)

// leastMemory is what Docker asks for from 20.10 on.
const leastMemory = 6 << 20

// checkSpec refuses what Docker refuses to create a container with.
func (m *Memory) checkSpec(spec runtime.Spec) error {
	switch {
	case spec.MemoryBytes != 0 && spec.MemoryBytes < leastMemory:
		return refuse("Minimum memory limit allowed is 6MB")
	case spec.MemorySwapBytes > 0 && spec.MemoryBytes == 0:
		return refuse("You should always set the Memory limit when using Memoryswap limit, see usage")
	case spec.MemorySwapBytes > 0 && spec.MemorySwapBytes < spec.MemoryBytes:
		return refuse("Minimum memoryswap limit should be larger than memory limit, see usage")
	case spec.Swappiness != nil && (*spec.Swappiness < 0 || *spec.Swappiness > 100):
		return refuse("Invalid value: %v, valid memory swappiness range is 0-100", *spec.Swappiness)
	case spec.LogDriver != "" && !slices.Contains(m.info.LogDrivers, spec.LogDriver):
		return refuse("logger: no log driver named '%s' is registered", spec.LogDriver)
	}
	for _, name := range append(slices.Clone(spec.CapAdd), spec.CapDrop...) {
		if name == "" || strings.ToUpper(name) != name {
			return refuse("invalid capability: %q", name)
		}
	}
	return nil
}

// sysctlRefusal is why the kernel parameters cannot be set, if they cannot: each
// must belong to a namespace that is the container's own.
func sysctlRefusal(spec runtime.Spec) error {
	for name := range spec.Sysctls {
		ipc := strings.HasPrefix(name, "kernel.msg") || strings.HasPrefix(name, "kernel.shm") || name == "kernel.sem" || strings.HasPrefix(name, "fs.mqueue.")
		net := strings.HasPrefix(name, "net.")
		switch {
		case net && spec.NetworkMode == "host":
			return refuse("sysctl %q not allowed in host network namespace", name)
		case !ipc && !net:
			return refuse("sysctl %q is not in a separate kernel namespace", name)
		}
	}
	return nil
}
