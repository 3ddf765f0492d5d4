package main

// encoders writes for each structure how it becomes JSON, one statement a member;
// proto/ecs/encode.go says what the statements do.
func (g *generator) encoders() {
	for _, name := range sorted(g.m.Shapes) {
		s := g.m.Shapes[name]
		if s.Type != "structure" || s.Exception || s.Document {
			continue
		}
		g.p("func (x *%s) encode(e *encoder) {\ne.begin('{')", name)
		for _, member := range s.Order {
			g.p("%s(e, `\"%s\":`, x.%s)", g.encoderOf(name, member), member, exported(member))
		}
		g.p("e.end('}')\n}\n")
	}
}

// encoderOf is the function that writes a member as its field's type and tag make
// json.Marshal write it.
func (g *generator) encoderOf(owner, member string) string {
	s := g.m.Shapes[g.m.Shapes[owner].Members[member].Shape]
	goType, _ := g.field(owner, member)
	function := map[string]string{
		"structure": "structure", "string": "text", "boolean": "truth", "integer": "number", "long": "number", "timestamp": "moment",
	}[s.Type]
	switch {
	case s.Type == "list" && g.m.Shapes[s.Member.Shape].Type == "structure" && !g.m.Shapes[s.Member.Shape].Document:
		return "structures"
	case s.Type == "list" && g.m.Shapes[s.Member.Shape].Type == "string":
		return "texts"
	case s.Document, s.Type == "list":
		return "otherList"
	case s.Type == "map":
		return "otherMap"
	case function == "":
		function = "other"
	}
	if goType[0] == '*' && s.Type != "structure" {
		function += "Pointer"
	}
	return function
}
