// Package query parses.
package query

import (
	"math/rand"

	"github.com/tidwall/btree"
)

var _ btree.Map[string, int]

var die = rand.Intn(6)
