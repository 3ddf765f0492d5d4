package docker

import (
	"context"
	"slices"
	"strings"

	"github.com/longshore/longshore/agent/runtime"
)

// Info describes the engine and its host.
func (r *Runtime) Info(ctx context.Context) (runtime.Info, error) {
	engine := r.client()
	info, err := engine.Info(ctx)
	if err != nil {
		return runtime.Info{}, r.fail(ctx, engine, "ask Docker about its host", err)
	}
	return runtime.Info{
		EngineVersion: info.ServerVersion,
		APIVersion:    engine.ClientVersion(),
		CPUs:          info.NCPU,
		MemoryBytes:   info.MemTotal,
		OSType:        info.OSType,
		Architecture:  goArchitecture(info.Architecture),
		Hostname:      info.Name,
		CgroupVersion: info.CgroupVersion,
		CgroupDriver:  info.CgroupDriver,
		LogDrivers:    slices.Clone(info.Plugins.Log),
		VolumeDrivers: slices.Clone(info.Plugins.Volume),
		DataRoot:      localPath(engine.DaemonHost(), info.DockerRootDir),
		SecurityOpts:  securityNames(info.SecurityOptions),
	}, nil
}

// goArchitecture turns the kernel's name of a machine into Go's. A name that
// is the same in both, or unknown here, is kept.
func goArchitecture(machine string) string {
	switch machine {
	case "x86_64":
		return "amd64"
	case "aarch64":
		return "arm64"
	case "armv5l", "armv6l", "armv7l", "armhf", "armel":
		return "arm"
	case "i386", "i486", "i586", "i686":
		return "386"
	}
	return machine
}

// securityNames turns "name=seccomp,profile=default" into "seccomp".
func securityNames(options []string) []string {
	var names []string
	for _, option := range options {
		for field := range strings.SplitSeq(option, ",") {
			if name, ok := strings.CutPrefix(field, "name="); ok {
				names = append(names, name)
			}
		}
	}
	return names
}

// localPath returns a folder of the engine if it is one of this machine, too: a
// socket in the file system is that of a neighbour.
func localPath(host, path string) string {
	if !strings.HasPrefix(host, "unix://") {
		return ""
	}
	return path
}
