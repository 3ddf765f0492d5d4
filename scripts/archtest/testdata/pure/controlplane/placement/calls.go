package placement

import (
	"math/rand/v2"
	. "strings"
	t "time"
)

func now() t.Time { return t.Now() }

var later = t.AfterFunc

func draw() int { return rand.IntN(6) + Count("aa", "a") }

func shuffle(r *rand.Rand) { r.Shuffle(0, nil) }
