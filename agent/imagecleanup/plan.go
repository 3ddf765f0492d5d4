// Package imagecleanup decides which images a host can do without, by the rules
// of the ECS agent's automated image cleanup: age, number at a time, what was
// used longest ago first; and by disk space, which ECS's does not look at.
//
// It is pure: it removes nothing and reads no clock. Package agent tells it what
// there is and does what it says, one image after the other.
package imagecleanup

import (
	"cmp"
	"slices"
	"time"
)

// Image is an image on the host, with what the agent knows of it.
type Image struct {
	ID        string
	Names     []string // as runtime.StoredImage has them, tags in full
	SizeBytes int64
	CreatedAt time.Time

	InUse  bool      // by a container in any state, whoever made it
	Needed bool      // by a task of this host that has not ended yet
	Ours   bool      // this agent pulled it, and it was not there before
	Pulled time.Time // if Ours
	Used   time.Time // when a task asked for it last; zero: never
}

// Policy is what the operator wants.
type Policy struct {
	MinimumAge time.Duration // since the pull
	PerCycle   int           // images removed at a time
	// Untracked: images that the agent did not pull are removed, too, those that
	// were built at least UntrackedMinimumAge ago.
	Untracked           bool
	UntrackedMinimumAge time.Duration
	Exclude             []string // names of images that are never removed
}

// Due returns the images to remove in a regular cycle, in this order.
func Due(images []Image, p Policy, now time.Time) []Image {
	all := removable(images, p)
	all = slices.DeleteFunc(all, func(i Image) bool { return !oldEnough(i, p, now) })
	return all[:min(len(all), max(p.PerCycle, 0))]
}

// Spare returns all images that may go when the disk is short, in the order in
// which they are to be removed until it is not: age and number do not matter then.
func Spare(images []Image, p Policy) []Image { return removable(images, p) }

// removable returns what may be removed at all: first what the agent has pulled
// itself, and of that first what was used longest ago.
func removable(images []Image, p Policy) []Image {
	var all []Image
	for _, i := range images {
		if !i.InUse && !i.Needed && (i.Ours || p.Untracked) && !excluded(i, p.Exclude) {
			all = append(all, i)
		}
	}
	slices.SortFunc(all, func(a, b Image) int {
		return cmp.Or(foreign(a)-foreign(b), lastUse(a).Compare(lastUse(b)), cmp.Compare(a.ID, b.ID))
	})
	return all
}

func excluded(i Image, names []string) bool {
	return slices.ContainsFunc(i.Names, func(name string) bool { return slices.Contains(names, name) })
}

func oldEnough(i Image, p Policy, now time.Time) bool {
	if i.Ours {
		return now.Sub(i.Pulled) >= p.MinimumAge
	}
	return now.Sub(i.CreatedAt) >= p.UntrackedMinimumAge
}

func foreign(i Image) int {
	if i.Ours {
		return 0
	}
	return 1
}

func lastUse(i Image) time.Time {
	last := i.CreatedAt
	if i.Ours {
		last = i.Pulled
	}
	if i.Used.After(last) {
		return i.Used
	}
	return last
}
