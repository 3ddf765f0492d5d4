package placement

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// slotsIn lists the slots of a mask.
func slotsIn(mask []uint64) []int { return slices.Collect(members(mask)) }

// where keeps the slots of a set for which a condition holds.
func where(slots map[int]bool, holds func(int) bool) []int {
	var out []int
	for slot := range slots {
		if holds(slot) {
			out = append(out, slot)
		}
	}
	slices.Sort(out)
	return out
}

// Sets of several chunks, with gaps, do what sets do; and a set that is shared stays as
// it was.
func TestBitset_IsASetOfSlots(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const words = 5*chunkWords - 3
		drawSlot := rapid.IntRange(0, words*wordBits-1)
		build := func(label string) (*bitset, map[int]bool) {
			var s *bitset
			model := map[int]bool{}
			for i, slot := range rapid.SliceOfN(drawSlot, 0, 40).Draw(t, label) {
				owner := mark(1 + i/5)
				before, was := s, slices.Clone(s.parts())
				size := s.len()
				if i%4 == 3 {
					for some := range model {
						slot = some
						break
					}
					delete(model, slot)
					s = s.without(owner, slot)
				} else {
					model[slot] = true
					s = s.with(owner, slot)
				}
				if before != nil && before.owner != owner && (before.len() != size || !slices.Equal(before.parts(), was)) {
					t.Fatalf("a shared set was changed")
				}
			}
			return s, model
		}
		a, modelA := build("a")
		b, modelB := build("b")
		inA, inB := func(slot int) bool { return modelA[slot] }, func(slot int) bool { return modelB[slot] }
		notB := func(slot int) bool { return !modelB[slot] }
		every := slices.Repeat([]uint64{^uint64(0)}, words)
		maskA := make([]uint64, words)
		if a.addTo(maskA, every) != (len(modelA) > 0) || !slices.Equal(slotsIn(maskA), where(modelA, inA)) || a.len() != len(modelA) {
			t.Fatalf("the set has %v, want %v", slotsIn(maskA), modelA)
		}
		mask := slices.Clone(maskA)
		if b.leavesAny(mask) != (len(where(modelA, notB)) > 0) {
			t.Fatalf("leavesAny is wrong")
		}
		b.keepIn(mask)
		if !slices.Equal(slotsIn(mask), where(modelA, inB)) {
			t.Fatalf("keepIn leaves %v", slotsIn(mask))
		}
		mask = slices.Clone(maskA)
		b.dropFrom(mask)
		if !slices.Equal(slotsIn(mask), where(modelA, notB)) {
			t.Fatalf("dropFrom leaves %v", slotsIn(mask))
		}
		rest := make([]uint64, words)
		if b.addRest(rest, maskA) != (len(where(modelA, notB)) > 0) || !slices.Equal(slotsIn(rest), where(modelA, notB)) {
			t.Fatalf("addRest adds %v", slotsIn(rest))
		}
		both := len(where(modelA, inB))
		if b.count(maskA) != both || a.countShared(b, every) != both || b.countShared(a, maskA) != both {
			t.Fatalf("counts %d, %d, %d; want %d", b.count(maskA), a.countShared(b, every), b.countShared(a, maskA), both)
		}
		slot := drawSlot.Draw(t, "slot")
		if a.has(slot) != modelA[slot] {
			t.Fatalf("has(%d) is %t", slot, a.has(slot))
		}
	})
}
