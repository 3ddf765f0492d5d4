package query

import (
	"fmt"
	"iter"
	"time"
)

const (
	// MaxLength is the greatest length of an expression in characters
	// (PlacementConstraint.expression, ECS API).
	MaxLength = 2000
	// maxDepth bounds parentheses and negations within each other.
	maxDepth = 100
)

// Instance is what an expression is asked of.
type Instance interface {
	Attribute(name string) (value string, present bool)
	AgentConnected() bool
	AgentVersion() string // empty if the agent did not say
	EC2InstanceID() string
	RegisteredAt() time.Time
	RunningTasks() int
	// GroupTasks is the number of tasks of one group, Groups lists all groups that
	// have any.
	GroupTasks(group string) int
	Groups() iter.Seq2[string, int]
}

// Expression is an expression that was parsed and checked. It is immutable.
type Expression struct {
	text string
	root node
}

// Error says what is wrong with an expression, and where.
type Error struct {
	// Position counts characters from 1.
	Position int
	// Problem says what was expected, and what was there.
	Problem string
}

func (e *Error) Error() string {
	return fmt.Sprintf("at character %d: %s", e.Position, e.Problem)
}

// Text is the expression as it was written.
func (e *Expression) Text() string { return e.text }

// String is the expression in one form for all that mean the same to the parser: with
// the symbols for operators, quotes where they may be needed, and the fewest parentheses.
func (e *Expression) String() string { return e.root.render(looseOr) }

// Match tells whether an instance matches.
func (e *Expression) Match(i Instance) bool { return e.root.match(i) }

// DependsOnTasks tells whether the answer can change with the tasks on an instance.
func (e *Expression) DependsOnTasks() bool {
	depends := false
	e.root.visit(func(c *comparison) {
		depends = depends || c.subject.kind.ofTasks()
	})
	return depends
}

// How tightly operators bind.
const (
	looseOr = iota
	looseAnd
	tight
)

// node is a part of an expression.
type node interface {
	match(Instance) bool
	// render writes the part where what binds at least as tightly as given may stand
	// without parentheses.
	render(binding int) string
	visit(func(*comparison))
}

type (
	conjunction struct{ parts []node } // two or more
	disjunction struct{ parts []node } // two or more
	negation    struct{ part node }
)

func (n *conjunction) match(i Instance) bool {
	for _, p := range n.parts {
		if !p.match(i) {
			return false
		}
	}
	return true
}

func (n *disjunction) match(i Instance) bool {
	for _, p := range n.parts {
		if p.match(i) {
			return true
		}
	}
	return false
}

func (n *negation) match(i Instance) bool { return !n.part.match(i) }

func (n *conjunction) render(binding int) string {
	return join(n.parts, " && ", tight, binding > looseAnd)
}

func (n *disjunction) render(binding int) string {
	return join(n.parts, " || ", looseAnd, binding > looseOr)
}

func (n *negation) render(int) string { return "!" + n.part.render(tight) }

func join(parts []node, operator string, binding int, enclosed bool) string {
	text := ""
	for i, p := range parts {
		if i > 0 {
			text += operator
		}
		text += p.render(binding)
	}
	if enclosed {
		return "(" + text + ")"
	}
	return text
}

func (n *conjunction) visit(f func(*comparison)) { visitAll(n.parts, f) }
func (n *disjunction) visit(f func(*comparison)) { visitAll(n.parts, f) }
func (n *negation) visit(f func(*comparison))    { n.part.visit(f) }
func (c *comparison) visit(f func(*comparison))  { f(c) }

func visitAll(parts []node, f func(*comparison)) {
	for _, p := range parts {
		p.visit(f)
	}
}
