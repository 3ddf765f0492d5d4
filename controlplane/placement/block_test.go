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
			switch rapid.IntRange(0, 3).Draw(t, "change") {
			case 0:
				b.setEligible(lane, rapid.Bool().Draw(t, "eligible"))
			default:
				amountsOf[lane] = amounts{drawAmount.Draw(t, "cpu"), drawAmount.Draw(t, "memory")}
				b.setFree(lane, amountsOf[lane])
			}
			if err := compareBlock(b, b.eligible); err != nil {
				t.Fatal(err)
			}
		}
		needed := room{int32(rapid.IntRange(0, 100).Draw(t, "need")), int32(rapid.IntRange(0, 100).Draw(t, "need memory"))}
		var fit []int
		for lane := range members([]uint64{b.eligible}) {
			if left := amountsOf[lane].room(); left[cpu] >= needed[cpu] && left[memory] >= needed[memory] {
				fit = append(fit, lane)
			}
		}
		if got := slotsIn([]uint64{b.fitting(needed) & b.eligible}); !slices.Equal(got, fit) {
			t.Fatalf("%v fit, want %v", got, fit)
		}
		lanes := b.eligible & rapid.SampledFrom([]uint64{math.MaxUint64, 0x0f0f0f0f0f0f0f0f, 1<<20 | 1<<3}).Draw(t, "lanes")
		checkTightest(t, b, needed, lanes, fit)
	})
}

// checkTightest asks a block for the tightest of some lanes, given which fit at all.
func checkTightest(t *rapid.T, b *block, needed room, lanes uint64, fit []int) {
	for r := range resources {
		want := -1
		for _, lane := range fit {
			if lanes>>lane&1 != 0 && (want < 0 || b.free[r][lane] < b.free[r][want]) {
				want = lane
			}
		}
		lane, free, ok := b.tightest(r, needed, lanes)
		if ok != (want >= 0) || ok && (lane != want || free != b.free[r][want]) {
			t.Fatalf("of %b by resource %d lane %d with %d (%t), want %d", lanes, r, lane, free, ok, want)
		}
	}
}
