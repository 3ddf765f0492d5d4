package placement

import (
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// What a block once said of its tightest lane is remembered, and must be forgotten when
// it holds no more: whatever changed, in whichever of several clones.
func TestPlace_PacksAsWellAfterEveryChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newNaive()
		for i := range rapid.SampledFrom([]int{70, 10}).Draw(t, "instances") {
			m.put(Instance{ID: "i" + strconv.Itoa(i), CPU: 1024, MemoryMiB: int64(512 + i*i%7*256), Connected: true,
				Attributes: map[string]string{"zone": string(rune('a' + i%3))}})
		}
		fleets, models := []*Fleet{m.fleet()}, []*naive{m}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			i := rapid.IntRange(0, len(fleets)-1).Draw(t, "which")
			f, m := fleets[i], models[i]
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0, 1:
				change(t, f, m)
			case 2:
				if len(fleets) < 3 {
					fleets, models = append(fleets, f.Clone()), append(models, m.clone())
				}
			default:
				r := Request{Count: 1, CPU: 256, MemoryMiB: 128, Group: "g0"}
				r.Strategies = rapid.SampledFrom([][]Strategy{
					{BinpackCPU()}, {BinpackMemory()}, {SpreadInstances(), BinpackCPU()}, {BinpackCPU(), BinpackMemory()},
					{SpreadAttribute("zone"), BinpackMemory()}, {BinpackMemory(), SpreadInstances()},
				}).Draw(t, "chain")
				result := Place(f, r)
				checkFailures(t, m, &r, &result)
				for _, a := range result.Assignments {
					checkChoice(t, m, &r, a, 0)
					f.AddTask(a.InstanceID, r.use(nil))
					m.add(a.InstanceID, r.use(nil))
				}
			}
		}
	})
}

func TestSurveys_KeepABoundedNumber(t *testing.T) {
	var k surveys
	for i := range int32(10 * mostSurveys) {
		k.give(k.take(room{i, i}, 1))
	}
	if n := len(k.idle); n > mostSurveys || n == 0 {
		t.Errorf("%d are kept", n)
	}
}

func TestSurveys_GiveEachSearchItsOwn(t *testing.T) {
	var k surveys
	first := k.take(room{}, 3)
	if k.take(room{}, 3) == first {
		t.Error("two searches have the same")
	}
	k.give(first)
	if again := k.take(room{}, 5); again != first || len(again.rows) != 5 {
		t.Error("what was given back is not taken again, or does not grow with the fleet")
	}
}

func TestPlace_PacksTheFirstOfSeveralThatAreAsTight(t *testing.T) {
	f := NewFleet()
	for i := range 3 * rowBlocks * wordBits {
		f.PutInstance(host(strconv.Itoa(i)))
	}
	for _, tight := range []string{"1200", "150", "90", "700", "170"} {
		f.AddTask(tight, Use{CPU: 100, Group: "x"})
	}
	r := Request{Count: 5, CPU: 900, Strategies: []Strategy{BinpackCPU()}, Rand: seeded(1)}
	if got := placedOn(Place(f, r)); !slices.Equal(got, []string{"90", "150", "170", "700", "1200"}) {
		t.Errorf("placed on %v", got)
	}
}
