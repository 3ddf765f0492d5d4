package lifecycle

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/longshore/longshore/proto/ecs"

	"github.com/longshore/longshore/agent/runtime"
)

// defaultSwappiness is that of a container which says how much it may swap, and
// not how eagerly (LinuxParameters, seed 000).
const defaultSwappiness = 60

// permissionLetters are the permissions of a device as cgroups write them.
var permissionLetters = []struct {
	permission ecs.DeviceCgroupPermission
	letter     string
}{
	{ecs.DeviceCgroupPermissionRead, "r"},
	{ecs.DeviceCgroupPermissionWrite, "w"},
	{ecs.DeviceCgroupPermissionMknod, "m"},
}

// linux copies what a container asks of the kernel, but for its swap space,
// which depends on its memory.
func linux(s *runtime.Spec, l *ecs.LinuxParameters) {
	if l == nil {
		return
	}
	s.Init = is(l.InitProcessEnabled)
	if l.Capabilities != nil {
		s.CapAdd, s.CapDrop = l.Capabilities.Add, l.Capabilities.Drop
	}
	for _, d := range l.Devices {
		s.Devices = append(s.Devices, runtime.Device{
			HostPath: d.HostPath, ContainerPath: cmp.Or(d.ContainerPath, d.HostPath), Permissions: permissions(d.Permissions),
		})
	}
	s.ShmSizeBytes = value(l.SharedMemorySize) * mebibyte
	for _, t := range l.Tmpfs {
		if s.Tmpfs == nil {
			s.Tmpfs = map[string]string{}
		}
		// The size stands last, where it counts.
		options := append(slices.Clone(t.MountOptions), "size="+strconv.Itoa(int(t.Size))+"m")
		s.Tmpfs[t.ContainerPath] = strings.Join(options, ",")
	}
}

// permissions without any named are all.
func permissions(named []ecs.DeviceCgroupPermission) string {
	letters := ""
	for _, p := range permissionLetters {
		if len(named) == 0 || slices.Contains(named, p.permission) {
			letters += p.letter
		}
	}
	return letters
}

// swap bounds memory and swap space together, as ECS translates maxSwap: there
// must be a limit on memory, and swappiness counts beside maxSwap only.
func swap(s *runtime.Spec, l *ecs.LinuxParameters) {
	if l == nil || l.MaxSwap == nil || s.MemoryBytes == 0 {
		return
	}
	s.MemorySwapBytes = s.MemoryBytes + value(l.MaxSwap)*mebibyte
	swappiness := int64(defaultSwappiness)
	if l.Swappiness != nil {
		swappiness = value(l.Swappiness)
	}
	s.Swappiness = &swappiness
}

// ofNetwork tells whether a kernel parameter is that of a network namespace.
func ofNetwork(name string) bool { return strings.HasPrefix(name, "net.") }

func networkSysctls(controls []ecs.SystemControl) map[string]string {
	all := sysctls(controls)
	maps.DeleteFunc(all, func(name, _ string) bool { return !ofNetwork(name) })
	return all
}

func sysctls(controls []ecs.SystemControl) map[string]string {
	if len(controls) == 0 {
		return nil
	}
	all := make(map[string]string, len(controls))
	for _, c := range controls {
		all[c.Namespace] = c.Value
	}
	return all
}
