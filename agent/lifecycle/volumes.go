package lifecycle

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"

	"github.com/longshore/longshore/proto/ecs"

	"github.com/longshore/longshore/agent/runtime"
)

// Volume is a volume of the engine that containers of a task mount.
type Volume struct {
	runtime.Volume
	Shared    bool // it outlives the task
	MustExist bool // nobody makes it for the task (autoprovision false)
}

// FileSystem is an NFS server's file system.
type FileSystem struct {
	Server string // host name or address
	Path   string // what the server calls the root of the file system
}

// localDriver is the engine's own volume driver.
const localDriver = "local"

// nfsOptions are those that AWS recommends for EFS as far as they suit any
// server: to wait for one that is away rather than to lose writes.
const nfsOptions = "rw,nfsvers=4,hard,timeo=600,retrans=2"

// volume is a volume of the definition as containers mount it.
type volume struct {
	source string  // host path or engine name
	made   *Volume // nil for a host path
}

// volume works out a volume of the definition. Names of the task's own ones follow
// from the task; a shared one has its own name.
func (b *builder) volume(v *ecs.Volume) (volume, error) {
	if v.Host != nil && v.Host.SourcePath != "" {
		return volume{source: v.Host.SourcePath}, nil
	}
	own := Volume{Volume: runtime.Volume{
		Name:   engineName(b.ARN, b.Definition.Family, b.Definition.Revision, "volume", v.Name),
		Labels: b.labels(),
	}}
	switch {
	case v.DockerVolumeConfiguration != nil:
		d := v.DockerVolumeConfiguration
		own.Driver, own.Options = d.Driver, d.DriverOpts
		if d.Scope == ecs.ScopeShared {
			// The agent's labels would make it the task's own.
			own.Name, own.Labels, own.Shared = v.Name, d.Labels, true
			own.MustExist = !is(d.Autoprovision)
			break
		}
		own.Labels = maps.Clone(d.Labels)
		if own.Labels == nil {
			own.Labels = map[string]string{}
		}
		maps.Copy(own.Labels, b.labels())
	case v.EfsVolumeConfiguration != nil:
		e := v.EfsVolumeConfiguration
		fs, ok := b.Host.FileSystems[e.FileSystemId]
		if !ok {
			return volume{}, fmt.Errorf("this host has no file system %s", e.FileSystemId)
		}
		own.Driver = localDriver
		own.Options = map[string]string{
			"type": "nfs", "o": "addr=" + fs.Server + "," + nfsOptions, "device": ":" + path.Join("/", fs.Path, e.RootDirectory),
		}
	}
	return volume{source: own.Name, made: &own}, nil
}

// mount notes that some container mounts the volume.
func (b *builder) mount(v Volume) {
	if !slices.ContainsFunc(b.mounted, func(have Volume) bool { return have.Name == v.Name }) {
		b.mounted = append(b.mounted, v)
	}
}

// ownVolumes are volumes of which the names alone are known.
func ownVolumes(names []string) []Volume {
	var all []Volume
	for _, name := range names {
		all = append(all, Volume{Volume: runtime.Volume{Name: name}})
	}
	return all
}

// VolumeNames are the names on the engine of the volumes that live and die with
// the task.
func (t Task) VolumeNames() []string {
	var names []string
	for _, v := range t.Volumes {
		if !v.Shared {
			names = append(names, v.Name)
		}
	}
	return names
}

// Accept tells whether a volume that is on the engine is the one that v asks for.
func (v Volume) Accept(found runtime.Volume) error {
	if v.MustExist {
		return nil
	}
	driver := cmp.Or(v.Driver, localDriver)
	if found.Driver != driver || !maps.Equal(found.Options, v.Options) || !maps.Equal(found.Labels, v.Labels) {
		return fmt.Errorf("the volume '%s' exists with another driver, driverOpts or labels (%s, %v, %v) than the task definition has (%s, %v, %v)",
			v.Name, found.Driver, found.Options, found.Labels, driver, v.Options, v.Labels)
	}
	return nil
}

// ErrNoVolume is why a task cannot have a shared volume that nobody has made.
func (v Volume) ErrNoVolume() error {
	return fmt.Errorf("volume detection failed, volume '%s' does not exist and autoprovision is set to false", v.Name)
}
