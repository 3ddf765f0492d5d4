package placement

import (
	"maps"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// Copies that are changed by owners of their own do not see each other's changes, however
// many there are.
func TestSlots_AreAMapOfIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		copies := []slots{{}}
		models := []map[string]int{{}}
		owner := mark(1)
		owners := []mark{owner}
		for step := range rapid.SampledFrom([]int{20, 400, 2}).Draw(t, "steps") {
			i := rapid.IntRange(0, len(copies)-1).Draw(t, "which")
			id := strconv.Itoa(rapid.IntRange(0, 3*mostSince).Draw(t, "id"))
			_, known := models[i][id]
			switch {
			case len(copies) < 4 && rapid.IntRange(0, 30).Draw(t, "copy") == 0:
				// As Clone does: neither side goes on with the owner that it had.
				copies, models = append(copies, copies[i]), append(models, maps.Clone(models[i]))
				owners = append(owners, owner+1)
				owners[i] = owner + 2
				owner += 2
			case known:
				copies[i].remove(owners[i], id)
				delete(models[i], id)
			default:
				copies[i].add(owners[i], id, step)
				models[i][id] = step
			}
		}
		for i, s := range copies {
			if s.size != len(models[i]) {
				t.Fatalf("copy %d has %d, want %d", i, s.size, len(models[i]))
			}
			for n := range 3*mostSince + 1 {
				id := strconv.Itoa(n)
				want, known := models[i][id]
				if got, ok := s.get(id); ok != known || ok && got != want {
					t.Fatalf("copy %d has %s in slot %d, %t; want %d, %t", i, id, got, ok, want, known)
				}
			}
			if most := max(mostSince, len(s.all)/16); len(s.since) > most {
				t.Fatalf("%d changes are kept", len(s.since))
			}
		}
	})
}
