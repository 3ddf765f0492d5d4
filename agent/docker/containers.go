package docker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/longshore/longshore/agent/runtime"
)

// Create makes a container, or finds the one that an earlier call made whose
// answer was lost.
func (r *Runtime) Create(ctx context.Context, spec runtime.Spec) (string, error) {
	doing := "create container " + spec.Name
	// Docker reserves a name before the container can be found under it. In
	// turn, the second of two creations finds what the first one made.
	done, err := r.creating.take(ctx, spec.Name)
	if err != nil {
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	defer done()

	if spec, err = r.placeRanges(spec); err != nil {
		return "", err
	}
	engine := r.client()
	// Whatever has the name may go away between the refusal and the look at
	// it; that leaves room for one more try.
	for range 2 {
		made, err := engine.ContainerCreate(ctx, containerConfig(spec), hostConfig(spec), nil, nil, spec.Name)
		if err == nil {
			r.fresh.Store(made.ID, struct{}{})
			return made.ID, nil
		}
		if !isNameTaken(err) {
			return "", r.fail(ctx, engine, doing, err)
		}
		id, err := r.sameByName(ctx, spec, engineText(err))
		if !errors.Is(err, runtime.ErrNotFound) {
			return id, err
		}
	}
	return "", unavailable(doing, errors.New("the name is reserved by another creation that has not ended"))
}

// isNameTaken tells a taken name from the other conflicts of a creation.
func isNameTaken(err error) bool {
	return errdefs.IsConflict(err) && strings.Contains(err.Error(), "The container name")
}

// sameByName returns the container that has the name of spec if it was made
// from the same definition. The error is taken, the engine's refusal, as a
// runtime.ErrConflict if it was not, and a runtime.ErrNotFound if there is
// none any more.
func (r *Runtime) sameByName(ctx context.Context, spec runtime.Spec, taken string) (string, error) {
	engine := r.client()
	found, err := engine.ContainerInspect(ctx, spec.Name)
	if err != nil {
		return "", r.fail(ctx, engine, "look for container "+spec.Name, err)
	}
	if strings.TrimPrefix(found.Name, "/") != spec.Name {
		// Docker takes the beginning of an id for a name, too.
		return "", &refusal{text: "No such container: " + spec.Name, kind: runtime.ErrNotFound}
	}
	if found.State.Status == container.StateRemoving {
		if err := r.awaitRemoved(ctx, found.ID); err != nil {
			return "", err
		}
		return "", &refusal{text: "No such container: " + spec.Name, kind: runtime.ErrNotFound}
	}
	if hash, ok := found.Config.Labels[runtime.LabelSpecHash]; !ok || hash != spec.Hash {
		return "", &refusal{text: taken, kind: runtime.ErrConflict}
	}
	return found.ID, nil
}

// Start starts a container that was never started. Docker itself would start
// one again that has ended, so whether it was started must be known before.
//
// That is asked of Docker unless this process made the container and has not
// tried to start it. Between that question and the start, no other call to
// this Runtime can start the container; another process could.
func (r *Runtime) Start(ctx context.Context, id string) error {
	doing := "start container " + id
	done, err := r.starting.take(ctx, id)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	defer done()

	if _, fresh := r.fresh.LoadAndDelete(id); !fresh {
		now, err := r.Inspect(ctx, id)
		if err != nil {
			return err
		}
		if now.State != runtime.Created {
			return nil
		}
	}
	return r.run(ctx, doing, id)
}

// Restart starts a container once more whose run that began at the given time
// has ended. What has become of that run is asked of Docker first, in turn with
// other starts of this Runtime.
func (r *Runtime) Restart(ctx context.Context, id string, began time.Time) error {
	doing := "restart container " + id
	done, err := r.starting.take(ctx, id)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	defer done()

	now, err := r.Inspect(ctx, id)
	if err != nil {
		return err
	}
	if now.State != runtime.Exited || now.StartedAt.IsZero() || !now.StartedAt.Equal(began) {
		return nil
	}
	return r.run(ctx, doing, id)
}

// run has Docker start a container that is known not to run.
func (r *Runtime) run(ctx context.Context, doing, id string) error {
	engine := r.client()
	err := r.fail(ctx, engine, doing, engine.ContainerStart(ctx, id, container.StartOptions{}))
	var refused *refusal
	if errors.As(err, &refused) && refused.text != "No such container: "+id {
		// Something else is missing, like a network: the container is there.
		refused.kind = nil
	}
	return err
}

// Stop sends the stop signal, waits up to grace (which Docker takes in whole
// seconds: it is rounded up), then kills. Docker does all that within one
// request, which has no time limit but that of ctx.
func (r *Runtime) Stop(ctx context.Context, id string, grace time.Duration) error {
	engine := r.client()
	seconds := int(math.Ceil(max(grace, 0).Seconds()))
	err := r.fail(ctx, engine, "stop container "+id, engine.ContainerStop(ctx, id, container.StopOptions{Timeout: &seconds}))
	if errors.Is(err, runtime.ErrNotFound) {
		return nil
	}
	return err
}

// Remove deletes a container, running or not, with its anonymous volumes.
func (r *Runtime) Remove(ctx context.Context, id string) error {
	engine := r.client()
	err := engine.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true})
	switch {
	case err == nil, errdefs.IsNotFound(err):
		r.fresh.Delete(id)
		return nil
	case errdefs.IsConflict(err) && strings.Contains(err.Error(), "already in progress"):
		return r.awaitRemoved(ctx, id)
	}
	return r.fail(ctx, engine, "remove container "+id, err)
}

// awaitRemoved waits until a removal that someone else began has ended.
func (r *Runtime) awaitRemoved(ctx context.Context, id string) error {
	engine := r.client()
	ended, failed := engine.ContainerWait(ctx, id, container.WaitConditionRemoved)
	select {
	case result := <-ended:
		if result.Error != nil {
			return &refusal{text: result.Error.Message}
		}
		return nil
	case err := <-failed:
		err = r.fail(ctx, engine, "wait for the removal of container "+id, err)
		if errors.Is(err, runtime.ErrNotFound) {
			return nil
		}
		return err
	}
}
