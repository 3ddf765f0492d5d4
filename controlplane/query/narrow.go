package query

// Attribute is an attribute that an instance has.
type Attribute struct {
	Name  string
	Value string
	// AnyValue says that only the name counts.
	AnyValue bool
}

// Condition is a condition on what an instance is whatever tasks it has.
type Condition struct {
	// Text says the condition: two with the same text match the same instances.
	Text string
	// Match asks an instance.
	Match func(Instance) bool
	// Attribute is the only attribute that it depends on, empty if it depends on
	// something else.
	Attribute string
	// Holds is of a condition on an attribute: it is asked with the value, or with false if
	// there is none.
	Holds func(value string, present bool) bool
}

// Group is a condition on one group of tasks.
type Group struct {
	Name string
	// Absent wants no task of the group on the instance, otherwise there must be one.
	Absent bool
}

// Narrowing is what every instance that matches an expression meets: each of Has, Where
// and Groups, and of each list of AnyOf at least one.
type Narrowing struct {
	Has    []Attribute
	Where  []Condition
	Groups []Group
	AnyOf  [][]Narrowing
	// Whole says that an instance which meets all of it matches, and goes on matching
	// when tasks are put on it.
	Whole bool
}

// Narrow finds what an expression says of single attributes, of groups of tasks and of what
// else an instance is: an index of these can then leave out most of the instances that do
// not match.
func (e *Expression) Narrow() Narrowing {
	return narrowing(e.root, false)
}

func narrowing(part node, negated bool) Narrowing {
	n := Narrowing{Whole: true}
	n.require(part, negated)
	return n
}

// saysNothing tells whether every instance meets it.
func (n *Narrowing) saysNothing() bool {
	return len(n.Has)+len(n.Where)+len(n.Groups)+len(n.AnyOf) == 0
}

// require adds what holds of an instance on which a part holds, or, if it is negated,
// does not.
func (n *Narrowing) require(part node, negated bool) {
	if c, ok := part.(*comparison); ok && n.requireSimple(c, negated) {
		return
	}
	if name, ok := onlyAttribute(part); ok && !n.divisible(part, negated) {
		c := conditionOf(part, negated)
		c.Attribute = name
		c.Holds = func(value string, present bool) bool {
			return part.match(lone{value: value, present: present}) != negated
		}
		n.Where = append(n.Where, c)
		return
	}
	switch p := part.(type) {
	case *negation:
		n.require(p.part, !negated)
	case *conjunction:
		n.requireParts(p.parts, negated, !negated)
	case *disjunction:
		n.requireParts(p.parts, negated, negated)
	case *comparison:
		if p.subject.kind.ofTasks() {
			n.Whole = false
			return
		}
		n.Where = append(n.Where, conditionOf(p, negated))
	}
}

// conditionOf is the condition that a part holds, or, if it is negated, does not.
func conditionOf(part node, negated bool) Condition {
	text := part.render(0)
	if negated {
		text = "not (" + text + ")"
	}
	return Condition{Text: text, Match: func(i Instance) bool { return part.match(i) != negated }}
}

// divisible tells whether a part is better looked at in its parts, which may be simple.
func (n *Narrowing) divisible(part node, negated bool) bool {
	switch part.(type) {
	case *negation:
		return true
	case *conjunction:
		return !negated
	case *disjunction:
		return negated
	}
	return false
}

// requireSimple adds a comparison that sets of instances answer without asking a function.
func (n *Narrowing) requireSimple(c *comparison, negated bool) bool {
	switch {
	case c.subject.kind == attribute && !negated && c.operator == equals:
		n.Has = append(n.Has, Attribute{Name: c.subject.name, Value: c.arguments[0]})
	case c.subject.kind == attribute && !negated && c.operator == exists:
		n.Has = append(n.Has, Attribute{Name: c.subject.name, AnyValue: true})
	case c.subject.kind == taskGroup && (c.operator == equals || c.operator == notEquals):
		absent := negated != (c.operator == notEquals)
		n.Groups = append(n.Groups, Group{c.arguments[0], absent})
		n.Whole = n.Whole && !absent
	default:
		return false
	}
	return true
}

// requireParts adds what holds if all of the parts hold, or any of them, each negated or
// not.
func (n *Narrowing) requireParts(parts []node, negated, all bool) {
	if all {
		for _, p := range parts {
			n.require(p, negated)
		}
		return
	}
	alternatives := make([]Narrowing, len(parts))
	for i, p := range parts {
		alternatives[i] = narrowing(p, negated)
		if n.Whole = n.Whole && alternatives[i].Whole; alternatives[i].saysNothing() {
			n.Whole = false
			return
		}
	}
	n.AnyOf = append(n.AnyOf, alternatives)
}

// onlyAttribute is the attribute that a part asks about, if that is all that it does.
func onlyAttribute(part node) (name string, ok bool) {
	ok = true
	first := true
	part.visit(func(c *comparison) {
		ok = ok && c.subject.kind == attribute && (first || c.subject.name == name)
		name, first = c.subject.name, false
	})
	return name, ok
}

// lone is an instance of which one attribute is known. Nothing else is asked of it.
type lone struct {
	Instance
	value   string
	present bool
}

func (l lone) Attribute(string) (string, bool) { return l.value, l.present }
