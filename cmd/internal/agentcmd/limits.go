package agentcmd

import (
	"time"

	"github.com/spf13/pflag"

	"github.com/longshore/longshore/agent"
)

// limitFlags bound how long the container engine may take.
type limitFlags struct{ create, start, stop, pull time.Duration }

func (f *limitFlags) add(flags *pflag.FlagSet) {
	flags.DurationVar(&f.create, "container-create-timeout", 4*time.Minute, "how long Docker may take to create a container (ECS_CONTAINER_CREATE_TIMEOUT)")
	flags.DurationVar(&f.start, "container-start-timeout", 3*time.Minute, "how long Docker may take to start a container (ECS_CONTAINER_START_TIMEOUT)")
	flags.DurationVar(&f.stop, "container-stop-margin", 2*time.Minute, "how long beyond its stop timeout Docker may take to stop a container, before it is asked again")
	flags.DurationVar(&f.pull, "image-pull-inactivity", time.Minute, "how long a pull may stand still (ECS_IMAGE_PULL_INACTIVITY_TIMEOUT)")
}

func (f *limitFlags) apply(c *agent.Config) {
	c.CreateTimeout, c.StartTimeout, c.StopMargin, c.PullInactivity = f.create, f.start, f.stop, f.pull
}

// imageFlags say which images are removed from the host.
type imageFlags struct {
	agent.ImageCleanup
	enabled  bool
	lowWater int
}

func (f *imageFlags) add(flags *pflag.FlagSet) {
	flags.BoolVar(&f.enabled, "image-cleanup", true, "remove unused images (ECS_DISABLE_IMAGE_CLEANUP); never with --image-pull prefer-cached")
	flags.DurationVar(&f.Interval, "image-cleanup-interval", 30*time.Minute, "how often unused images are removed, 10m at least (ECS_IMAGE_CLEANUP_INTERVAL)")
	flags.DurationVar(&f.MinimumAge, "image-minimum-age", time.Hour, "time from the pull of an image until it may be removed (ECS_IMAGE_MINIMUM_CLEANUP_AGE)")
	flags.IntVar(&f.PerCycle, "images-per-cycle", 5, "images removed at a time (ECS_NUM_IMAGES_DELETE_PER_CYCLE)")
	flags.BoolVar(&f.Untracked, "image-cleanup-untracked", false, "remove images, too, that the agent did not pull (ECS_ENABLE_UNTRACKED_IMAGE_CLEANUP)")
	flags.DurationVar(&f.UntrackedMinimumAge, "untracked-image-minimum-age", time.Hour, "age at which those may be removed (NON_ECS_IMAGE_MINIMUM_CLEANUP_AGE)")
	flags.StringSliceVar(&f.Exclude, "image-cleanup-exclude", nil, "images that are never removed, comma-separated (ECS_EXCLUDE_UNTRACKED_IMAGE)")
	flags.IntVar(&f.lowWater, "image-low-water", 10, "free percentage of Docker's disk below which unused images are removed at once, whatever their age; 0: never")
}

func (f *imageFlags) apply(c *agent.Config) {
	c.ImageCleanup = f.ImageCleanup
	c.ImageCleanup.Disabled = !f.enabled
	c.ImageCleanup.LowWaterPercent = f.lowWater
	if f.lowWater == 0 {
		c.ImageCleanup.LowWaterPercent = -1 // 0 stands for the default there
	}
}
