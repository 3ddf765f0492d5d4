// Package placement chooses.
package placement

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/tidwall/btree"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

type state struct {
	tree btree.Map[string, ecs.Task]
	id   model.TaskID
	addr netip.Addr
	wake time.Time
}

func pick(r *rand.Rand, now time.Time) (int, time.Time) { return r.IntN(2), now.Add(time.Second) }

func source() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }
