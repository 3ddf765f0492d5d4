package api

import (
	"slices"
	"strconv"
	"strings"

	"github.com/longshore/longshore/proto/ecs"
)

// kernelCapabilities are those that can be added and dropped (KernelCapabilities, seed 000).
var kernelCapabilities = strings.Fields(`ALL AUDIT_CONTROL AUDIT_WRITE BLOCK_SUSPEND CHOWN DAC_OVERRIDE
	DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD
	NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_ADMIN SYS_BOOT SYS_CHROOT
	SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG SYSLOG WAKE_ALARM`)

// tmpfsOptions are the mount options of a tmpfs (Tmpfs, seed 000); the last ones take a value.
var tmpfsOptions = strings.Fields(`defaults ro rw suid nosuid dev nodev exec noexec sync async dirsync remount
	mand nomand atime noatime diratime nodiratime bind rbind unbindable runbindable private rprivate shared rshared
	slave rslave relatime norelatime strictatime nostrictatime mode uid gid nr_inodes nr_blocks mpol`)

func checkLinux(c *ecs.ContainerDefinition, taskMemory string) error {
	l := c.LinuxParameters
	if l == nil {
		return nil
	}
	switch {
	case l.SharedMemorySize != nil && *l.SharedMemorySize < 1:
		return wrong(c, "'sharedMemorySize' must be at least 1 MiB.")
	case l.MaxSwap != nil && *l.MaxSwap < 0:
		return wrong(c, "'maxSwap' must be 0 or a positive number of MiB.")
	case l.MaxSwap != nil && c.Memory == nil && taskMemory == "":
		return wrong(c, "'maxSwap' needs a limit on memory, to which it is added: 'memory'.")
	case l.Swappiness != nil && (*l.Swappiness < 0 || *l.Swappiness > 100):
		return wrong(c, "'swappiness' must be from 0 to 100, not %d.", *l.Swappiness)
	}
	if l.Capabilities != nil {
		for _, name := range slices.Concat(l.Capabilities.Add, l.Capabilities.Drop) {
			if !slices.Contains(kernelCapabilities, name) {
				return wrong(c, "There is no kernel capability %q.", clip(name))
			}
		}
	}
	for _, d := range l.Devices {
		if !absolute(d.HostPath) || d.ContainerPath != "" && !absolute(d.ContainerPath) {
			return wrong(c, "The paths of a device must begin with /.")
		}
	}
	for _, t := range l.Tmpfs {
		if err := checkTmpfs(c, &t); err != nil {
			return err
		}
	}
	return nil
}

func checkTmpfs(c *ecs.ContainerDefinition, t *ecs.Tmpfs) error {
	switch {
	case !absolute(t.ContainerPath):
		return wrong(c, "The 'containerPath' of a tmpfs must begin with /, not %q.", clip(t.ContainerPath))
	case t.Size < 1:
		return wrong(c, "The 'size' of a tmpfs must be at least 1 MiB.")
	}
	for _, o := range t.MountOptions {
		if name, _, _ := strings.Cut(o, "="); !slices.Contains(tmpfsOptions, name) {
			return wrong(c, "A tmpfs has no mount option %q.", clip(o))
		}
	}
	return nil
}

func checkUlimits(c *ecs.ContainerDefinition) error {
	seen := map[ecs.UlimitName]bool{}
	for _, u := range c.Ulimits {
		switch {
		case u.SoftLimit < -1 || u.HardLimit < -1:
			return wrong(c, "The limits of ulimit %s must not be negative, but for -1, no limit.", u.Name)
		case u.SoftLimit > u.HardLimit && u.HardLimit != -1, u.SoftLimit == -1 && u.HardLimit != -1:
			return wrong(c, "The soft limit of ulimit %s must not be above the hard one.", u.Name)
		case seen[u.Name]:
			return wrong(c, "The ulimit %s is given twice.", u.Name)
		}
		seen[u.Name] = true
	}
	return nil
}

// ofNetwork tells whether a kernel parameter belongs to the network namespace.
func ofNetwork(namespace string) bool { return strings.HasPrefix(namespace, "net.") }

// ofIPC tells whether a kernel parameter belongs to the IPC namespace.
func ofIPC(namespace string) bool {
	return strings.HasPrefix(namespace, "fs.mqueue.") || strings.HasPrefix(namespace, "kernel.msg") ||
		strings.HasPrefix(namespace, "kernel.shm") || namespace == "kernel.sem"
}

// checkSystemControls: a kernel parameter must belong to a namespace that is the
// container's own, or the engine does not start it.
func checkSystemControls(c *ecs.ContainerDefinition, mode ecs.NetworkMode, ipc ecs.IpcMode) error {
	seen := map[string]bool{}
	for _, s := range c.SystemControls {
		switch {
		case s.Namespace == "" || s.Value == "":
			return wrong(c, "A system control needs a namespace and a value.")
		case seen[s.Namespace]:
			return wrong(c, "The system control %s is given twice.", clip(s.Namespace))
		case ipc == ecs.IpcModeHost && ofIPC(s.Namespace):
			return wrong(c, "The system control %s is not supported when ipcMode=host.", clip(s.Namespace))
		case mode == ecs.NetworkModeHost && ofNetwork(s.Namespace):
			return wrong(c, "Longshore does not support the system control %s when networkMode=host: it would be the host's.", clip(s.Namespace))
		}
		seen[s.Namespace] = true
	}
	for _, s := range c.SystemControls {
		if !ofIPC(s.Namespace) && !ofNetwork(s.Namespace) {
			return wrong(c, "The system control %s is not one of a namespace: only net.* and those of IPC (fs.mqueue.*, kernel.msg*, kernel.sem, kernel.shm*) can be set for a container.", clip(s.Namespace))
		}
	}
	return nil
}

// checkSecurity checks options against the forms that ECS takes (ContainerDefinition, seed 000).
func checkSecurity(c *ecs.ContainerDefinition) error {
	for _, o := range c.DockerSecurityOptions {
		kind, value, _ := strings.Cut(o, ":")
		switch {
		case kind == "credentialspec" && value != "":
			return refused("Longshore does not support the Docker security option credentialspec of container '%s': it is for Windows.", c.Name)
		case kind == "no-new-privileges" && (value == "" || value == "true" || value == "false"):
		case value != "" && slices.Contains([]string{"apparmor", "label", "credentialspec"}, kind):
		default:
			return wrong(c, "A Docker security option is no-new-privileges, apparmor:PROFILE, label:VALUE or credentialspec:PATH, not %q.", clip(o))
		}
	}
	if len(c.CredentialSpecs) > 1 {
		return wrong(c, "There is at most one credential spec, not %d.", len(c.CredentialSpecs))
	}
	for _, s := range c.CredentialSpecs {
		kind, value, _ := strings.Cut(s, ":")
		if value == "" || kind != "credentialspec" && kind != "credentialspecdomainless" {
			return wrong(c, "A credential spec is credentialspec:ARN or credentialspecdomainless:ARN, not %q.", clip(s))
		}
	}
	return nil
}

func checkRequirements(c *ecs.ContainerDefinition) error {
	gpus := false
	for _, r := range c.ResourceRequirements {
		if r.Type != ecs.ResourceTypeGPU {
			continue // checkAccelerators knows the names of the others
		}
		if gpus {
			return wrong(c, "The resource requirement GPU is given twice.")
		}
		gpus = true
		if n, err := strconv.ParseInt(r.Value, 10, 32); err != nil || n < 1 {
			return wrong(c, "The resource requirement GPU needs a positive whole number, not %q.", clip(r.Value))
		}
	}
	return nil
}

const maxIgnoredExitCodes = 50

// checkRestarts: ContainerRestartPolicy, API documentation.
func checkRestarts(c *ecs.ContainerDefinition) error {
	r := c.RestartPolicy
	switch {
	case r == nil:
	case r.RestartAttemptPeriod != nil && (*r.RestartAttemptPeriod < 60 || *r.RestartAttemptPeriod > 1800):
		return wrong(c, "'restartAttemptPeriod' must be from 60 to 1800 seconds, not %d.", *r.RestartAttemptPeriod)
	case len(r.IgnoredExitCodes) > maxIgnoredExitCodes:
		return wrong(c, "At most %d exit codes can be ignored, not %d.", maxIgnoredExitCodes, len(r.IgnoredExitCodes))
	}
	return nil
}
