package placement

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Few amounts, so that several lanes have the same, and the bounds of what a column tells.
var drawAmount = rapid.SampledFrom([]int64{0, 1, 64, -5, 1024, mostRoom, math.MaxInt64, math.MinInt64})

func TestBlock_SaysWhatItsColumnsHave(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBlock(1)
		var amountsOf [wordBits]amounts
		for range rapid.IntRange(0, 100).Draw(t, "changes") {
			lane := rapid.IntRange(0, wordBits-1).Draw(t, "lane")
			amountsOf[lane] = amounts{drawAmount.Draw(t, "cpu"), drawAmount.Draw(t, "memory")}
			b.setFree(lane, amountsOf[lane])
			if err := compareBlock(b); err != nil {
				t.Fatal(err)
			}
		}
		needed := room{int32(rapid.IntRange(0, 100).Draw(t, "need")), int32(rapid.IntRange(0, 100).Draw(t, "need memory"))}
		var fit []int
		for lane := range wordBits {
			if left := amountsOf[lane].room(); left[cpu] >= needed[cpu] && left[memory] >= needed[memory] {
				fit = append(fit, lane)
			}
		}
		if got := slotsIn([]uint64{b.fitting(needed)}); !slices.Equal(got, fit) {
			t.Fatalf("%v fit, want %v", got, fit)
		}
		for _, lanes := range []uint64{math.MaxUint64, 0x0f0f0f0f0f0f0f0f, 1<<20 | 1<<3, 0} {
			checkTightest(t, b, lanes)
		}
	})
}

// checkTightest asks a block for the tightest of some lanes.
func checkTightest(t *rapid.T, b *block, lanes uint64) {
	for r := range resources {
		want, least := 0, int32(nothingFree)
		for lane := range members([]uint64{lanes}) {
			if free := b.free[r][lane]; free < least {
				want, least = lane, free
			}
		}
		if lane, free := b.tightest(r, lanes); lane != want || free != least {
			t.Fatalf("of %b by resource %d lane %d with %d, want %d with %d", lanes, r, lane, free, want, least)
		}
	}
}
