package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/longshore/longshore/agent/cgroup"
	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/runtime"
)

// setUp makes or removes what a task needs as a whole: its volumes and its group.
func (j *job) setUp(ctx context.Context) error {
	// Of the task only what never changes may be read here; no copy of all of it.
	task := &j.worker.task
	var errs []error
	if j.Op == lifecycle.RemoveGroups {
		for _, g := range task.Groups {
			errs = append(errs, j.removeGroup(g.Name))
		}
		return errors.Join(errs...)
	}
	if j.Op == lifecycle.RemoveVolumes {
		for _, v := range task.Volumes {
			if v.Shared {
				continue
			}
			err := j.table.runtime.RemoveVolume(ctx, v.Name)
			j.called(err)
			errs = append(errs, err)
		}
		for _, g := range task.Groups {
			errs = append(errs, j.removeGroup(g.Name))
		}
		return errors.Join(errs...)
	}
	for _, g := range task.Groups {
		errs = append(errs, j.makeGroup(g))
	}
	for _, v := range task.Volumes {
		errs = append(errs, j.makeVolume(ctx, v))
	}
	return errors.Join(errs...)
}

// makeVolume makes a volume, or sees whether the one that others made will do.
func (j *job) makeVolume(ctx context.Context, v lifecycle.Volume) error {
	if !v.Shared {
		err := j.table.runtime.CreateVolume(ctx, v.Volume)
		j.called(err)
		return err
	}
	found, err := j.table.runtime.Volume(ctx, v.Name)
	j.table.metrics.called("volume", err)
	switch {
	case err == nil:
		return v.Accept(found)
	case !errors.Is(err, runtime.ErrNotFound):
		return err
	case v.MustExist:
		return v.ErrNoVolume()
	}
	err = j.table.runtime.CreateVolume(ctx, v.Volume)
	j.called(err)
	return err
}

var errNoGroups = errors.New("this host has no control groups for tasks")

func (j *job) makeGroup(g lifecycle.Group) error {
	groups := j.table.groups()
	if groups == nil {
		return &lifecycle.SetupError{Err: errNoGroups}
	}
	err := groups.Make(g.Name, cgroup.Limits{CPU: g.CPU, Shares: g.Shares, MemoryBytes: g.MemoryBytes})
	if err != nil {
		return &lifecycle.SetupError{Err: fmt.Errorf("limit the task: %w", err)}
	}
	return nil
}

func (j *job) removeGroup(name string) error {
	groups := j.table.groups()
	if groups == nil {
		return errNoGroups
	}
	return groups.Remove(name)
}

func groupNames(groups []lifecycle.Group) []string {
	var names []string
	for _, g := range groups {
		names = append(names, g.Name)
	}
	return names
}

func namedGroups(names []string) []lifecycle.Group {
	var groups []lifecycle.Group
	for _, name := range names {
		groups = append(groups, lifecycle.Group{Name: name})
	}
	return groups
}
