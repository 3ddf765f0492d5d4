package query

// Attribute is an attribute that an instance has.
type Attribute struct {
	Name  string
	Value string
	// AnyValue says that only the name counts.
	AnyValue bool
}

// Condition is a condition on one attribute.
type Condition struct {
	Attribute string
	// Holds is asked with the value, or with false if there is none.
	Holds func(value string, present bool) bool
}

// Narrowing is what every instance that matches an expression meets.
type Narrowing struct {
	Has   []Attribute
	Where []Condition
	// Whole says that an instance which meets all of it matches.
	Whole bool
}

// Narrow finds what an expression says of single attributes: an index of attributes can
// then leave out most of the instances that do not match.
func (e *Expression) Narrow() Narrowing {
	n := Narrowing{Whole: true}
	n.require(e.root, false)
	return n
}

// require adds what holds of an instance on which a part holds, or, if it is negated,
// does not.
func (n *Narrowing) require(part node, negated bool) {
	switch p := part.(type) {
	case *negation:
		n.require(p.part, !negated)
		return
	case *conjunction:
		if !negated {
			n.requireAll(p.parts, false)
			return
		}
	case *disjunction:
		if negated { // none of its parts holds
			n.requireAll(p.parts, true)
			return
		}
	case *comparison:
		if !negated && p.subject.kind == attribute && (p.operator == equals || p.operator == exists) {
			has := Attribute{Name: p.subject.name, AnyValue: p.operator == exists}
			if !has.AnyValue {
				has.Value = p.arguments[0]
			}
			n.Has = append(n.Has, has)
			return
		}
	}
	name, ok := onlyAttribute(part)
	if !ok {
		n.Whole = false
		return
	}
	n.Where = append(n.Where, Condition{name, func(value string, present bool) bool {
		return part.match(lone{value: value, present: present}) != negated
	}})
}

func (n *Narrowing) requireAll(parts []node, negated bool) {
	for _, p := range parts {
		n.require(p, negated)
	}
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
