package main

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// presence lists the string members for which an empty value is not the same
// as none, so that they become pointers: {"name": "A", "value": ""} sets A.
var presence = map[string]bool{
	"KeyValuePair.value":                  true,
	"Tag.value":                           true,
	"Attribute.value":                     true,
	"StopTaskRequest.reason":              true,
	"UpdateServiceRequest.taskDefinition": true,
}

type generator struct {
	m       *model
	buf     bytes.Buffer
	checked map[string]bool // shapes that have constraints, themselves or below
}

func (g *generator) p(format string, args ...any) { fmt.Fprintf(&g.buf, format+"\n", args...) }

func (g *generator) imports(file string) {
	if file == "validate_gen.go" {
		g.p("import (\n\"regexp\"\n\"unicode/utf8\"\n)\n")
	}
	if file == "types_gen.go" && slices.ContainsFunc(sorted(g.m.Shapes), func(n string) bool { return g.m.Shapes[n].Document }) {
		g.p("import \"encoding/json\"\n")
	}
}

func exported(name string) string { return strings.ToUpper(name[:1]) + name[1:] }

// goType returns the Go type of a list's member or a map's value.
func (g *generator) goType(name string) string {
	s := g.m.Shapes[name]
	switch s.Type {
	case "structure":
		if s.Document {
			return "json.RawMessage"
		}
		return name
	case "list":
		return "[]" + g.goType(s.Member.Shape)
	case "map":
		return "map[" + g.goType(s.Key.Shape) + "]" + g.goType(s.Value.Shape)
	case "string":
		if s.Enum != nil {
			return name
		}
		return "string"
	}
	return map[string]string{"boolean": "bool", "integer": "int32", "long": "int64", "double": "float64", "timestamp": "Timestamp"}[s.Type]
}

// field returns the Go type of a structure's member, and whether it is left out
// of JSON when zero.
func (g *generator) field(owner, member string) (goType string, omit bool) {
	target := g.m.Shapes[owner].Members[member].Shape
	s := g.m.Shapes[target]
	t := g.goType(target)
	switch {
	case s.Type == "structure" && !s.Document, s.Box, presence[owner+"."+member]:
		return "*" + t, true
	case s.Type == "boolean", s.Type == "integer", s.Type == "long", s.Type == "double":
		return t, false
	}
	return t, true
}

func (g *generator) types() {
	for _, name := range sorted(g.m.Shapes) {
		s := g.m.Shapes[name]
		if s.Type != "structure" || s.Exception || s.Document {
			continue
		}
		g.p("// %s is the API's shape of that name.\ntype %s struct {", name, name)
		for _, member := range s.Order {
			t, omit := g.field(name, member)
			tag := member
			if omit {
				tag += ",omitzero"
			}
			g.p("%s %s `json:%q`", exported(member), t, tag)
		}
		g.p("}\n")
	}
}

func (g *generator) enums() {
	for _, name := range sorted(g.m.Shapes) {
		s := g.m.Shapes[name]
		if s.Enum == nil {
			continue
		}
		g.p("// %s is the API's enum of that name.\ntype %s string\n\n// Values of %s.\nconst (", name, name, name)
		for _, v := range s.Enum {
			g.p("%s%s %s = %q", name, constName(v), name, v)
		}
		g.p(")\n")
		g.p("// Known tells whether e is a value of the enum.\nfunc (e %s) Known() bool {\nswitch e {\ncase %s:\nreturn true\n}\nreturn false\n}\n", name, joined(s.Enum, func(v string) string { return name + constName(v) }))
	}
	g.p("// Codes of the model's exceptions.\nconst (")
	shared := []string{"AccessDeniedException"} // declared by hand with the protocol's codes
	for _, name := range sorted(g.m.Shapes) {
		if g.m.Shapes[name].Exception && !slices.Contains(shared, name) {
			g.p("Code%s = %q", strings.TrimSuffix(name, "Exception"), name)
		}
	}
	g.p(")")
}

// constName turns an enum's value into the tail of a Go name: "ecs.svc-x" and
// "ECS_SVC_X" give EcsSvcX and ECSSVCX, which stays unique within each enum.
func constName(v string) string {
	var b strings.Builder
	up := true
	for _, r := range v {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			up = true
			continue
		}
		if up {
			r, up = unicode.ToUpper(r), false
		}
		b.WriteRune(r)
	}
	return b.String()
}

func joined(values []string, f func(string) string) string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = f(v)
	}
	return strings.Join(out, ", ")
}

func (g *generator) operations() {
	g.p(`// Operation is one operation of the API.
type Operation struct {
	Name   string
	Errors []string // codes that the model says it may raise
	InSeed bool     // one of the 52 that Longshore answers
	In2015 bool     // one of the first 26
	Input  func() any // a new, empty input: a pointer to its structure
	Output func() any // a new, empty output
}

// Operations returns all operations of the model, by name.
func Operations() []Operation {
	return []Operation{`)
	for _, name := range sorted(g.m.Operations) {
		o := g.m.Operations[name]
		g.p("{%q, []string{%s}, %t, %t, func() any { return new(%s) }, func() any { return new(%s) }},",
			name, joined(o.Errors, strconv.Quote), o.InSeed, o.In2015, o.Input, o.Output)
	}
	g.p("}\n}")
}

// findChecked marks the shapes from which a constraint can be reached.
func (g *generator) findChecked() {
	for changed := true; changed; {
		changed = false
		for name, s := range g.m.Shapes {
			if !g.checked[name] && g.constrained(s) {
				g.checked[name], changed = true, true
			}
		}
	}
}

func (g *generator) constrained(s *shape) bool {
	if s.Enum != nil || s.Min != nil || s.Max != nil || s.Pattern != "" || s.Required != nil {
		return true
	}
	if s.Type == "list" && g.checked[s.Member.Shape] {
		return true
	}
	for _, m := range s.Members {
		if g.checked[m.Shape] {
			return true
		}
	}
	return false
}

func (g *generator) checks() {
	g.patterns()
	inputs := map[string]bool{}
	for _, o := range g.m.Operations {
		inputs[o.Input] = true
	}
	reachable := map[string]bool{}
	for in := range inputs {
		g.reach(in, reachable)
	}
	for _, name := range sorted(g.m.Shapes) {
		s := g.m.Shapes[name]
		if inputs[name] {
			g.p("// Validate checks the constraints of the shape and of all below it.\nfunc (x *%s) Validate() error {", name)
			if g.checked[name] {
				g.p("var v Violations\nx.check(&v)\nreturn v.Err()\n}\n")
			} else {
				g.p("return nil\n}\n")
			}
		}
		if s.Type == "structure" && g.checked[name] && reachable[name] {
			g.p("func (x *%s) check(v *Violations) {", name)
			for _, member := range s.Order {
				g.checkMember(name, member)
			}
			g.p("}\n")
		}
	}
}

func (g *generator) reach(name string, seen map[string]bool) {
	if seen[name] {
		return
	}
	seen[name] = true
	s := g.m.Shapes[name]
	for _, r := range []*ref{s.Member, s.Key, s.Value} {
		if r != nil {
			g.reach(r.Shape, seen)
		}
	}
	for _, r := range s.Members {
		g.reach(r.Shape, seen)
	}
}

func (g *generator) patterns() {
	g.p("// Patterns of the model; they match the whole value.\nvar (")
	for _, name := range sorted(g.m.Shapes) {
		if p := g.m.Shapes[name].Pattern; p != "" {
			g.p("pattern%s = regexp.MustCompile(%q)", name, "^(?:"+p+")$")
		}
	}
	g.p(")\n")
}

func (g *generator) checkMember(owner, member string) {
	s := g.m.Shapes[owner]
	target := s.Members[member].Shape
	t := g.m.Shapes[target]
	goType, _ := g.field(owner, member)
	x := "x." + exported(member)
	if slices.Contains(s.Required, member) {
		if present := presentExpr(x, goType); present != "" {
			g.p("v.required(%q, %s)", member, present)
		}
	}
	if !g.checked[target] {
		return
	}
	if t.Type == "structure" {
		g.p("if %s != nil {\nv.push(%q)\n%s.check(v)\nv.pop()\n}", x, member, x)
		return
	}
	pointer := strings.HasPrefix(goType, "*")
	switch {
	case pointer:
		g.p("if %s != nil {", x)
		x = "*" + x
	case t.Type == "string":
		g.p("if %s != \"\" {", x)
	default:
		g.p("{")
	}
	g.checkValue(strconv.Quote(member), x, target)
	g.p("}")
}

func presentExpr(x, goType string) string {
	switch {
	case strings.HasPrefix(goType, "*"), strings.HasPrefix(goType, "[]"), strings.HasPrefix(goType, "map["), goType == "json.RawMessage":
		return x + " != nil"
	case goType == "Timestamp":
		return "!" + x + ".IsZero()"
	case goType == "bool" || goType == "int32" || goType == "int64" || goType == "float64":
		return "" // an unboxed scalar cannot tell absent from zero
	}
	return x + ` != ""`
}

// checkValue writes the checks of one value of a shape that is no structure.
func (g *generator) checkValue(member, x, shapeName string) {
	s := g.m.Shapes[shapeName]
	switch s.Type {
	case "string":
		if s.Enum != nil {
			g.p("v.oneOf(%s, string(%s), %s.Known(), %q)", member, x, paren(x), strings.Join(s.Enum, ", "))
		}
		g.lengths(member, "utf8.RuneCountInString("+x+")", s)
		if s.Pattern != "" {
			g.p("v.pattern(%s, %s, %q, pattern%s.MatchString(%s))", member, x, s.Pattern, shapeName, x)
		}
	case "integer", "long", "double":
		if s.Min != nil {
			g.p("v.atLeast(%s, float64(%s), %v)", member, x, *s.Min)
		}
		if s.Max != nil {
			g.p("v.atMost(%s, float64(%s), %v)", member, x, int64(*s.Max))
		}
	case "list":
		g.lengths(member, "len("+x+")", s)
		if element := s.Member.Shape; g.checked[element] {
			g.p("v.push(%s)\nfor i := range %s {\nv.pushIndex(i)", member, x)
			if g.m.Shapes[element].Type == "structure" {
				g.p("%s[i].check(v)", x)
			} else {
				g.checkValue(`""`, x+"[i]", element)
			}
			g.p("v.pop()\n}\nv.pop()")
		}
	}
}

func paren(x string) string {
	if strings.HasPrefix(x, "*") {
		return "(" + x + ")"
	}
	return x
}

func (g *generator) lengths(member, length string, s *shape) {
	if s.Min != nil && *s.Min > 0 {
		g.p("v.minLength(%s, %s, %d)", member, length, int(*s.Min))
	}
	if s.Max != nil {
		g.p("v.maxLength(%s, %s, %d)", member, length, int(*s.Max))
	}
}
