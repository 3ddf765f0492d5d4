package placement

import (
	"errors"
	"fmt"
	"strings"
)

// ErrInvalidStrategy is wrapped by the errors of [ParseStrategy].
var ErrInvalidStrategy = errors.New("invalid placement strategy")

// Strategy is one link of a chain of placement strategies. The zero Strategy is
// [Random].
//
// Spread evens out the tasks of the request's group over the values of its field.
// Tasks on instances that are draining or inactive do not count, for they are about
// to go. The instances that lack an attribute are together one more value of it:
// to skip them would leave new hosts idle until somebody labels them.
type Strategy struct {
	kind      strategyKind
	resource  int    // of pack
	attribute string // of spreadAttribute
}

type strategyKind uint8

const (
	random strategyKind = iota
	pack
	spreadInstances
	spreadAttribute
)

const attributePrefix = "attribute:"

// ParseStrategy makes a strategy of the type and the field of the API's
// placementStrategy: random; binpack by cpu or memory; spread by instanceId or host,
// which are the same, or by attribute:NAME. Only NAME is case-sensitive.
func ParseStrategy(kind, field string) (Strategy, error) {
	switch strings.ToLower(kind) {
	case "random":
		return Strategy{}, nil
	case "binpack":
		switch strings.ToLower(field) {
		case "cpu":
			return Strategy{kind: pack, resource: cpu}, nil
		case "memory":
			return Strategy{kind: pack, resource: memory}, nil
		}
	case "spread":
		switch lower := strings.ToLower(field); {
		case lower == "instanceid", lower == "host":
			return Strategy{kind: spreadInstances}, nil
		case strings.HasPrefix(lower, attributePrefix) && len(field) > len(attributePrefix):
			return Strategy{kind: spreadAttribute, attribute: field[len(attributePrefix):]}, nil
		}
	default:
		return Strategy{}, fmt.Errorf("%w: type %q", ErrInvalidStrategy, kind)
	}
	return Strategy{}, fmt.Errorf("%w: %s by field %q", ErrInvalidStrategy, strings.ToLower(kind), field)
}

// Random places on any instance that passes, each with the same chance. What follows
// it in a chain has no say, as it leaves no ties.
func Random() Strategy { return Strategy{} }

// BinpackCPU places where the least CPU is left.
func BinpackCPU() Strategy { return Strategy{kind: pack, resource: cpu} }

// BinpackMemory places where the least memory is left.
func BinpackMemory() Strategy { return Strategy{kind: pack, resource: memory} }

// SpreadInstances places where the fewest tasks of the group are.
func SpreadInstances() Strategy { return Strategy{kind: spreadInstances} }

// SpreadAttribute places in the value of the attribute with the fewest tasks of the
// group.
func SpreadAttribute(name string) Strategy {
	return Strategy{kind: spreadAttribute, attribute: name}
}

// String is the strategy as "type(field)".
func (s Strategy) String() string {
	switch s.kind {
	case pack:
		return "binpack(" + [...]string{cpu: "cpu", memory: "memory"}[s.resource] + ")"
	case spreadInstances:
		return "spread(instanceId)"
	case spreadAttribute:
		return "spread(" + attributePrefix + s.attribute + ")"
	default:
		return "random"
	}
}
