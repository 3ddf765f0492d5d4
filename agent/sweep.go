package agent

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/longshore/longshore/agent/imagecleanup"
	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/runtime"
)

// diskPeriod is how often the space on the engine's disk is looked at, besides
// after each pull. Nothing tells when a disk fills up.
const diskPeriod = time.Minute

// sweeper removes images that the host can do without, and keeps the notes. It
// is one goroutine, so one image at a time is removed.
type sweeper struct {
	images *images
	config ImageCleanup
	policy imagecleanup.Policy
	off    bool
	disk   func(path string) (free float64, err error)
	log    *slog.Logger

	dataRoot string // of the engine; empty: not known yet
	asked    bool   // for dataRoot, and answered
	short    bool   // the disk was, when it was looked at last
}

func newSweeper(c Config, im *images) *sweeper {
	return &sweeper{
		images: im, config: c.ImageCleanup, disk: c.ImageCleanup.FreePercent, log: c.Logger,
		// ECS's rule: who prefers what is cached does not want it removed.
		off: c.ImageCleanup.Disabled || c.PullBehavior == PullPreferCached,
		policy: imagecleanup.Policy{
			MinimumAge: c.ImageCleanup.MinimumAge, PerCycle: c.ImageCleanup.PerCycle,
			Untracked: c.ImageCleanup.Untracked, UntrackedMinimumAge: c.ImageCleanup.UntrackedMinimumAge,
			Exclude: fullNames(c.ImageCleanup.Exclude),
		},
	}
}

// run works until ctx ends, and keeps the notes a last time then.
func (s *sweeper) run(ctx context.Context) error {
	cycle, look := time.NewTicker(s.config.Interval), time.NewTicker(diskPeriod)
	defer cycle.Stop()
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			s.keep()
			return ctx.Err()
		case <-s.images.notes.wake:
			s.keep()
			s.relieve(ctx)
		case <-look.C:
			s.relieve(ctx)
		case <-cycle.C:
			s.clean(ctx)
			s.keep()
		}
	}
}

func (s *sweeper) keep() {
	if err := s.images.notes.save(); err != nil {
		s.log.Error("the notes of images are not kept", "error", err)
	}
}

// clean does a regular cycle.
func (s *sweeper) clean(ctx context.Context) {
	if s.off {
		return
	}
	all, err := s.list(ctx)
	if err != nil {
		s.log.Warn("images can not be cleaned up", "error", err)
		return
	}
	for _, image := range imagecleanup.Due(all, s.policy, time.Now()) {
		s.remove(ctx, image, "age")
	}
}

// relieve removes images until the disk is no longer short of space, or none is
// left that may go.
func (s *sweeper) relieve(ctx context.Context) {
	if s.off || s.config.LowWaterPercent <= 0 || !s.isShort(ctx) {
		s.short = false
		return
	}
	all, err := s.list(ctx)
	if err != nil {
		s.log.Warn("images can not be cleaned up", "error", err)
		return
	}
	spare := imagecleanup.Spare(all, s.policy)
	if !s.short {
		s.log.Warn("the engine's disk is short of space", "path", s.dataRoot, "low_water_percent", s.config.LowWaterPercent, "removable_images", len(spare))
	}
	s.short = true
	for _, image := range spare {
		s.remove(ctx, image, "disk space")
		if ctx.Err() != nil || !s.isShort(ctx) {
			return
		}
	}
}

// isShort measures. A disk that cannot be measured is not taken for short.
func (s *sweeper) isShort(ctx context.Context) bool {
	if !s.asked {
		info, err := s.info(ctx)
		if err != nil {
			return false // the engine is away: later
		}
		s.dataRoot, s.asked = info.DataRoot, true
		if s.dataRoot == "" {
			s.log.Warn("the engine is on another machine: images are not cleaned up for want of disk space")
		}
	}
	if s.dataRoot == "" {
		return false
	}
	free, err := s.disk(s.dataRoot)
	if err != nil {
		s.log.Warn("the engine's disk can not be measured", "path", s.dataRoot, "error", err)
		return false
	}
	return free < float64(s.config.LowWaterPercent)
}

func (s *sweeper) info(ctx context.Context) (runtime.Info, error) {
	ctx, cancel := context.WithTimeout(ctx, lifecycle.Action{Op: lifecycle.Inspect}.Deadline())
	defer cancel()
	info, err := s.images.runtime.Info(ctx)
	s.images.metrics.called("info", err)
	return info, err
}

// list is what the engine has, with what the agent knows of it.
func (s *sweeper) list(ctx context.Context) ([]imagecleanup.Image, error) {
	ctx, cancel := context.WithTimeout(ctx, listDeadline)
	defer cancel()
	stored, err := s.images.runtime.ListImages(ctx)
	s.images.metrics.called("list_images", err)
	if err != nil {
		return nil, err
	}
	there := make(map[string]bool, len(stored))
	all := make([]imagecleanup.Image, 0, len(stored))
	for _, i := range stored {
		there[i.ID] = true
		all = append(all, s.known(i))
	}
	s.images.notes.prune(there)
	return all, nil
}

func (s *sweeper) known(i runtime.StoredImage) imagecleanup.Image {
	note := s.images.notes.of(i.ID)
	names := fullNames(i.Names)
	// A name that the agent did not give makes it somebody else's, too.
	ours := note.ID != "" && !note.Found && !slices.ContainsFunc(names, func(name string) bool {
		return !strings.Contains(name, "@") && !slices.Contains(note.Names, name)
	})
	return imagecleanup.Image{
		ID: i.ID, Names: names, SizeBytes: i.SizeBytes, CreatedAt: i.CreatedAt, InUse: i.InUse,
		Needed: s.images.needs(i.ID, names), Ours: ours, Pulled: note.Pulled, Used: note.Used,
	}
}

// remove removes an image, unless a task has come to need it meanwhile.
func (s *sweeper) remove(ctx context.Context, image imagecleanup.Image, why string) {
	done, ok := s.images.reserve(image.ID, image.Names)
	if !ok {
		return
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, lifecycle.Action{Op: lifecycle.Remove}.Deadline())
	defer cancel()
	names := image.Names
	if len(names) == 0 {
		names = []string{image.ID}
	}
	for _, name := range names {
		err := s.images.runtime.RemoveImage(ctx, name)
		s.images.metrics.called("remove_image", err)
		switch {
		case errors.Is(err, runtime.ErrInUse): // since it was listed
			s.log.Info("image is in use after all", "image", name)
			return
		case err != nil:
			s.log.Warn("image can not be removed", "image", name, "error", err)
			return
		}
	}
	s.log.Info("image removed", "image", image.Names, "id", image.ID, "bytes", image.SizeBytes, "why", why)
}
