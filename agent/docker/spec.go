package docker

import (
	"maps"
	"path"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/strslice"
	"github.com/docker/go-connections/nat"

	"github.com/longshore/longshore/agent/runtime"
)

// containerConfig is the part of a spec that is about the program.
func containerConfig(spec runtime.Spec) *container.Config {
	exposed, _ := portConfig(spec.Ports)
	return &container.Config{
		Image:        spec.Image,
		Labels:       specLabels(spec),
		Entrypoint:   strslice.StrSlice(spec.EntryPoint),
		Cmd:          strslice.StrSlice(spec.Command),
		Env:          spec.Env,
		User:         spec.User,
		WorkingDir:   spec.WorkingDir,
		Hostname:     spec.Hostname,
		ExposedPorts: exposed,
		OpenStdin:    spec.OpenStdin,
		Tty:          spec.TTY,
		Healthcheck:  healthCheck(spec.HealthCheck),

		NetworkDisabled: spec.NetworkDisabled,
	}
}

// hostConfig is the part of a spec that is about the machine. What is not
// set is the engine's default.
func hostConfig(spec runtime.Spec) *container.HostConfig {
	_, published := portConfig(spec.Ports)
	binds, mounts := mountConfig(spec.Mounts)
	host := &container.HostConfig{
		NetworkMode:    container.NetworkMode(spec.NetworkMode),
		PortBindings:   published,
		Links:          spec.Links,
		DNS:            spec.DNSServers,
		DNSSearch:      spec.DNSSearch,
		ExtraHosts:     spec.ExtraHosts,
		Binds:          binds,
		Mounts:         mounts,
		VolumesFrom:    spec.VolumesFrom,
		Privileged:     spec.Privileged,
		ReadonlyRootfs: spec.ReadonlyRootFS,
		SecurityOpt:    spec.SecurityOptions,
		PidMode:        container.PidMode(spec.PIDMode),
		IpcMode:        container.IpcMode(spec.IPCMode),
		CapAdd:         spec.CapAdd,
		CapDrop:        spec.CapDrop,
		ShmSize:        spec.ShmSizeBytes,
		Tmpfs:          spec.Tmpfs,
		Sysctls:        spec.Sysctls,
		LogConfig:      container.LogConfig{Type: spec.LogDriver, Config: spec.LogOptions},
		Resources:      resources(spec),
	}
	if spec.Init {
		host.Init = &spec.Init
	}
	return host
}

// specLabels are those of the spec and the hash that Create recognises its work by.
func specLabels(spec runtime.Spec) map[string]string {
	all := make(map[string]string, len(spec.Labels)+1)
	maps.Copy(all, spec.Labels)
	all[runtime.LabelSpecHash] = spec.Hash
	return all
}

func resources(spec runtime.Spec) container.Resources {
	limits := container.Resources{
		CgroupParent:      spec.CgroupParent,
		CPUShares:         spec.CPUShares,
		Memory:            spec.MemoryBytes,
		MemoryReservation: spec.MemoryReservation,
		MemorySwap:        spec.MemorySwapBytes,
		MemorySwappiness:  spec.Swappiness,
		Devices:           devices(spec.Devices),
		DeviceRequests:    gpuRequests(spec.GPUs),
	}
	for _, u := range spec.Ulimits {
		limits.Ulimits = append(limits.Ulimits, &container.Ulimit{Name: u.Name, Soft: u.Soft, Hard: u.Hard})
	}
	return limits
}

// portConfig gives the container ports to expose and where to publish them. A
// container port may be published on several host ports.
func portConfig(mappings []runtime.PortMapping) (nat.PortSet, nat.PortMap) {
	if len(mappings) == 0 {
		return nil, nil
	}
	exposed := make(nat.PortSet, len(mappings))
	published := make(nat.PortMap, len(mappings))
	for _, m := range mappings {
		port := nat.Port(strconv.Itoa(int(m.ContainerPort)) + "/" + m.Protocol)
		host := "" // a free one
		if m.HostPort != 0 {
			host = strconv.Itoa(int(m.HostPort))
		}
		exposed[port] = struct{}{}
		published[port] = append(published[port], nat.PortBinding{HostPort: host})
	}
	return exposed, published
}

// mountConfig gives host paths as binds, because with these every engine makes a
// path that is missing, and volumes as mounts. A bind is text with colons in
// it: a path that has one itself must be a mount, and engines before API 1.42
// want it to exist.
func mountConfig(all []runtime.Mount) (binds []string, mounts []mount.Mount) {
	for _, m := range all {
		switch {
		case !path.IsAbs(m.Source):
			mounts = append(mounts, mount.Mount{
				Type: mount.TypeVolume, Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly,
			})
		case strings.Contains(m.Source+m.Target, ":"):
			mounts = append(mounts, mount.Mount{
				Type: mount.TypeBind, Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly,
				BindOptions: &mount.BindOptions{CreateMountpoint: true},
			})
		case m.ReadOnly:
			binds = append(binds, m.Source+":"+m.Target+":ro")
		default:
			binds = append(binds, m.Source+":"+m.Target)
		}
	}
	return binds, mounts
}

func healthCheck(check *runtime.HealthCheck) *container.HealthConfig {
	if check == nil {
		return nil
	}
	return &container.HealthConfig{
		Test:        check.Test,
		Interval:    check.Interval,
		Timeout:     check.Timeout,
		StartPeriod: check.StartPeriod,
		Retries:     check.Retries,
	}
}
