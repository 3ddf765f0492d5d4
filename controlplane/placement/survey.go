package placement

import (
	"math"
	"sync"
)

// survey is what is known of where a fleet has room for a need: which slots have it, row by
// row, and which of them are the tightest. What was found out about a row depends on the
// row and the need and on nothing else, so only the rows that changed since are looked at
// again, and of them only the blocks that did: what is left to do per row is to compare a
// version and a few words. One search at a time has a survey.
type survey struct {
	need room
	rows []surveyed
}

// surveyed is what is known of a row.
type surveyed struct {
	version  mark              // of the row
	versions [rowBlocks]mark   // of its blocks
	fitting  [rowBlocks]uint64 // who has what is needed
	tightest [resources]answers
}

// sides is how many answers are known about a row and a resource: requests that spread over
// zones allow one set of slots after the other.
const sides = 8

type answers struct {
	given int
	known [sides]answer // the last that were given
}

// answer is the tightest of the slots of a row that a scope allows.
type answer struct {
	scope [rowBlocks]uint64
	slot  int32 // in the row
	free  int32 // what it has left; nothingFree if no slot will do
}

const nothingFree = math.MaxInt32 // more than any column tells

// about tells whether the answer is also that for another scope: if that is a part of the
// one it was given for and has the tightest.
func (a *answer) about(scope []uint64) bool {
	if a.free != nothingFree && !has(scope, int(a.slot)) {
		return false
	}
	asked, others := a.scope[:len(scope)], uint64(0)
	for i, w := range scope {
		others |= w &^ asked[i]
	}
	return others == 0
}

// row is what is known of the row with the number, as it is now.
func (v *survey) row(f *Fleet, number int) *surveyed {
	known, in := &v.rows[number], f.rows.list[number]
	if known.version == in.version {
		return known
	}
	for i, b := range in.blocks {
		if b != nil && known.versions[i] != in.versions[i] {
			known.versions[i], known.fitting[i] = in.versions[i], b.fitting(v.need)
		}
	}
	known.version = in.version
	for r := range known.tightest {
		known.tightest[r].given = 0
	}
	return known
}

// ofRow is the tightest slot that a scope allows in the row with the number.
func (v *survey) ofRow(f *Fleet, number, resource int, scope []uint64) *answer {
	known := v.row(f, number)
	given := &known.tightest[resource]
	for i := range min(given.given, sides) {
		if a := &given.known[i]; a.about(scope) {
			return a
		}
	}
	a := &given.known[given.given%sides]
	given.given++
	*a = answer{free: nothingFree}
	copy(a.scope[:], scope)
	for i, lanes := range scope {
		if lanes &= known.fitting[i]; lanes == 0 {
			continue
		}
		if lane, free := f.rows.list[number].blocks[i].tightest(resource, lanes); free < a.free {
			a.slot, a.free = int32(i<<wordShift+lane), free
		}
	}
	return a
}

// surveyed is the survey of the search's need.
func (s *search) surveyed() *survey {
	if s.survey == nil {
		s.survey = s.fleet.kin.surveys.take(s.room, len(s.fleet.rows.list))
	}
	return s.survey
}

// tightest is the slot of the scope that has what is needed and the least left of the
// resource, the lowest of several.
func (s *search) tightest(scope []uint64, resource int) (slot int, free int32, ok bool) {
	v, free := s.surveyed(), int32(nothingFree)
	for i := range s.fleet.rows.list {
		part := rowOf(scope, i)
		if !anyOf(part) {
			continue
		}
		if a := v.ofRow(s.fleet, i, resource, part); a.free < free {
			slot, free = i*rowBlocks<<wordShift+int(a.slot), a.free
			if free == s.room[resource] {
				break // less would not do
			}
		}
	}
	return slot, free, free < nothingFree
}

// asTight fills a mask with the slots of the scope that have so much left, which is what
// the tightest has.
func (s *search) asTight(mask, scope []uint64, resource int, free int32) {
	v := s.surveyed()
	clear(mask)
	for i, in := range s.fleet.rows.list {
		part := rowOf(scope, i)
		if !anyOf(part) || v.ofRow(s.fleet, i, resource, part).free != free {
			continue
		}
		for j, lanes := range part {
			if _, least := in.blocks[j].tightest(resource, lanes&v.rows[i].fitting[j]); least == free {
				rowOf(mask, i)[j] = lanes & in.blocks[j].having(resource, free)
			}
		}
	}
}

// mostSurveys bounds those that are kept.
const mostSurveys = 32

// surveys are those that no search has, for the next with the same need. The clones of a
// fleet share them; any number of goroutines may use them at once.
type surveys struct {
	mu   sync.Mutex
	idle map[room]*survey
}

// take gives the survey for a need, with place for so many rows, to the caller alone.
func (k *surveys) take(need room, rows int) *survey {
	k.mu.Lock()
	defer k.mu.Unlock()
	v := k.idle[need]
	if v == nil {
		v = &survey{need: need}
	}
	delete(k.idle, need)
	if missing := rows - len(v.rows); missing > 0 {
		v.rows = append(v.rows, make([]surveyed, missing)...)
	}
	return v
}

// give takes a survey back. It makes room by forgetting everything: what is in use soon
// comes again.
func (k *surveys) give(v *survey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.idle == nil || len(k.idle) == mostSurveys {
		k.idle = make(map[room]*survey, mostSurveys)
	}
	k.idle[v.need] = v
}
