package docker

import (
	"context"
	"errors"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"

	"github.com/longshore/longshore/agent/runtime"
)

// ListImages returns every image in the engine's store. Docker's list of
// images does not say which are used, so its list of containers is asked for
// afterwards: an image that comes into use in between is shown as used.
func (r *Runtime) ListImages(ctx context.Context) ([]runtime.StoredImage, error) {
	engine := r.client()
	found, err := engine.ImageList(ctx, image.ListOptions{})
	if err != nil {
		return nil, r.fail(ctx, engine, "list images", err)
	}
	containers, err := engine.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return nil, r.fail(ctx, engine, "list containers", err)
	}
	used := make(map[string]bool, len(containers))
	for _, c := range containers {
		used[c.ImageID] = true
	}
	all := make([]runtime.StoredImage, 0, len(found))
	for _, i := range found {
		all = append(all, runtime.StoredImage{
			ID: i.ID, Names: imageNames(i), SizeBytes: i.Size, CreatedAt: time.Unix(i.Created, 0), InUse: used[i.ID],
		})
	}
	return all, nil
}

// imageNames are the tags, or else the digests. Engines before API 1.43 write
// "<none>" for a name that there is not.
func imageNames(i image.Summary) []string {
	var names []string
	for _, tag := range i.RepoTags {
		if tag != "<none>:<none>" {
			names = append(names, tag)
		}
	}
	if names != nil {
		return names
	}
	for _, digest := range i.RepoDigests {
		if digest != "<none>@<none>" {
			names = append(names, digest)
		}
	}
	return names
}

// RemoveImage takes a name from an image, and deletes it with the last one. It
// is never forced: it is Docker that knows, at that very moment, whether a
// container uses it.
func (r *Runtime) RemoveImage(ctx context.Context, nameOrID string) error {
	engine := r.client()
	_, err := engine.ImageRemove(ctx, nameOrID, image.RemoveOptions{PruneChildren: true})
	inUse := errdefs.IsConflict(err)
	err = r.fail(ctx, engine, "remove image "+nameOrID, err)
	var refused *refusal
	switch {
	case errors.Is(err, runtime.ErrNotFound):
		return nil
	case inUse && errors.As(err, &refused):
		refused.kind = runtime.ErrInUse
	}
	return err
}
