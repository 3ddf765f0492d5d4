package imagecleanup_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/longshore/longshore/agent/imagecleanup"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func drawImages(t *rapid.T) []imagecleanup.Image {
	ago := func(label string) time.Time {
		return now.Add(-time.Duration(rapid.IntRange(0, 180).Draw(t, label)) * time.Minute)
	}
	var all []imagecleanup.Image
	for n := range rapid.IntRange(0, 12).Draw(t, "images") {
		all = append(all, imagecleanup.Image{
			ID: fmt.Sprint("id", n), Names: []string{fmt.Sprint("name", n)}, CreatedAt: ago("created"),
			InUse: rapid.Bool().Draw(t, "in use"), Needed: rapid.Bool().Draw(t, "needed"), Ours: rapid.Bool().Draw(t, "ours"),
			Pulled: ago("pulled"), Used: ago("used"),
		})
	}
	return all
}

func drawPolicy(t *rapid.T) imagecleanup.Policy {
	return imagecleanup.Policy{
		MinimumAge:          time.Duration(rapid.IntRange(0, 120).Draw(t, "minimum age")) * time.Minute,
		PerCycle:            rapid.IntRange(0, 5).Draw(t, "per cycle"),
		Untracked:           rapid.Bool().Draw(t, "untracked"),
		UntrackedMinimumAge: time.Duration(rapid.IntRange(0, 120).Draw(t, "untracked age")) * time.Minute,
		Exclude:             []string{"name3", "name5"},
	}
}

func checkSafe(t *rapid.T, what string, chosen []imagecleanup.Image, p imagecleanup.Policy) {
	for _, i := range chosen {
		switch {
		case i.InUse, i.Needed:
			t.Fatalf("%s removes %+v, which is used", what, i)
		case !i.Ours && !p.Untracked:
			t.Fatalf("%s removes %+v, which the agent did not pull", what, i)
		case slices.Contains(p.Exclude, i.Names[0]):
			t.Fatalf("%s removes %+v, which is excluded", what, i)
		}
	}
}

func TestDueAndSpare_NeverTakeWhatIsUsedExcludedOrSomebodyElses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		images, p := drawImages(t), drawPolicy(t)
		due, spare := imagecleanup.Due(images, p, now), imagecleanup.Spare(images, p)
		checkSafe(t, "Due", due, p)
		checkSafe(t, "Spare", spare, p)
		if len(due) > p.PerCycle {
			t.Fatalf("%d at a time, want at most %d", len(due), p.PerCycle)
		}
		for _, i := range due {
			if age := now.Sub(i.Pulled); i.Ours && age < p.MinimumAge {
				t.Fatalf("%+v is removed %v after its pull", i, age)
			}
			if age := now.Sub(i.CreatedAt); !i.Ours && age < p.UntrackedMinimumAge {
				t.Fatalf("%+v is removed at the age of %v", i, age)
			}
			if !slices.ContainsFunc(spare, func(s imagecleanup.Image) bool { return s.ID == i.ID }) {
				t.Fatalf("%+v is due, and not to spare", i)
			}
		}
	})
}

func TestSpare_IsEverythingThatMayGoOldestUseFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		images, p := drawImages(t), drawPolicy(t)
		spare := imagecleanup.Spare(images, p)
		want := 0
		for _, i := range images {
			if !i.InUse && !i.Needed && (i.Ours || p.Untracked) && !slices.Contains(p.Exclude, i.Names[0]) {
				want++
			}
		}
		if len(spare) != want {
			t.Fatalf("%d to spare, want %d", len(spare), want)
		}
		for n := 1; n < len(spare); n++ {
			a, b := spare[n-1], spare[n]
			if !a.Ours && b.Ours || a.Ours && b.Ours && a.Used.After(b.Used) && a.Used.After(b.Pulled) {
				t.Fatalf("%+v goes before %+v", a, b)
			}
		}
		// The order of the question does not matter.
		shuffled := rapid.Permutation(images).Draw(t, "shuffled")
		again := imagecleanup.Spare(shuffled, p)
		same := func(a, b imagecleanup.Image) bool { return a.ID == b.ID }
		if !slices.EqualFunc(spare, again, same) {
			t.Fatalf("%v, and asked in another order %v", spare, again)
		}
	})
}

func TestDue_TakesTheOldestUseFirstAndNoMoreThanACyclesWorth(t *testing.T) {
	image := func(id string, pulled, used time.Duration) imagecleanup.Image {
		return imagecleanup.Image{ID: id, Ours: true, Pulled: now.Add(-pulled), Used: now.Add(-used)}
	}
	due := imagecleanup.Due([]imagecleanup.Image{
		image("fresh", time.Minute, time.Minute), image("busy", 9*time.Hour, time.Minute),
		image("second", 5*time.Hour, 3*time.Hour), image("first", 4*time.Hour, 4*time.Hour),
	}, imagecleanup.Policy{MinimumAge: time.Hour, PerCycle: 2}, now)
	if len(due) != 2 || due[0].ID != "first" || due[1].ID != "second" {
		t.Errorf("due are %+v, want first and second", due)
	}
}
