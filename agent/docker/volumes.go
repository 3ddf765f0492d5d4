package docker

import (
	"context"
	"errors"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/volume"

	"github.com/longshore/longshore/agent/runtime"
)

// CreateVolume makes a named volume; Docker leaves one of that name as it is.
func (r *Runtime) CreateVolume(ctx context.Context, v runtime.Volume) error {
	engine := r.client()
	_, err := engine.VolumeCreate(ctx, volume.CreateOptions{Name: v.Name, Driver: v.Driver, DriverOpts: v.Options, Labels: v.Labels})
	return r.fail(ctx, engine, "create volume "+v.Name, err)
}

// Volume looks a volume up by its name.
func (r *Runtime) Volume(ctx context.Context, name string) (runtime.Volume, error) {
	engine := r.client()
	found, err := engine.VolumeInspect(ctx, name)
	if err != nil {
		return runtime.Volume{}, r.fail(ctx, engine, "look up volume "+name, err)
	}
	return runtime.Volume{Name: found.Name, Driver: found.Driver, Options: found.Options, Labels: found.Labels}, nil
}

// RemoveVolume deletes a named volume. One that is not there is no error; one
// that a container uses is refused by Docker.
func (r *Runtime) RemoveVolume(ctx context.Context, name string) error {
	engine := r.client()
	err := r.fail(ctx, engine, "remove volume "+name, engine.VolumeRemove(ctx, name, false))
	if errors.Is(err, runtime.ErrNotFound) {
		return nil
	}
	return err
}

// ListVolumes returns the names of the volumes that carry all the given labels.
func (r *Runtime) ListVolumes(ctx context.Context, labels map[string]string) ([]string, error) {
	engine := r.client()
	list, err := engine.VolumeList(ctx, volume.ListOptions{Filters: labelFilter(labels)})
	if err != nil {
		return nil, r.fail(ctx, engine, "list volumes", err)
	}
	names := make([]string, 0, len(list.Volumes))
	for _, v := range list.Volumes {
		names = append(names, v.Name)
	}
	return names, nil
}

// labelFilter asks Docker for what carries all the given labels.
func labelFilter(labels map[string]string) filters.Args {
	args := filters.NewArgs()
	for name, value := range labels {
		args.Add("label", name+"="+value)
	}
	return args
}
