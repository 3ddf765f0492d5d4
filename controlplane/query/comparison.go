package query

import (
	"slices"
	"strings"
)

type subjectKind int

const (
	attribute subjectKind = iota
	taskGroup
	agentConnected
	agentVersion
	ec2InstanceID
	registeredAt
	runningTasksCount
)

var subjectNames = [...]string{
	attribute:         "attribute:",
	taskGroup:         "task:group",
	agentConnected:    "agentConnected",
	agentVersion:      "agentVersion",
	ec2InstanceID:     "ec2InstanceId",
	registeredAt:      "registeredAt",
	runningTasksCount: "runningTasksCount",
}

// ofTasks tells whether the tasks on an instance decide.
func (k subjectKind) ofTasks() bool { return k == taskGroup || k == runningTasksCount }

type subject struct {
	kind subjectKind
	name string // of an attribute
}

func (s subject) String() string { return subjectNames[s.kind] + s.name }

// operator is an operator. The negative one of a pair follows the positive one.
type operator int

const (
	equals operator = iota
	notEquals
	in
	notIn
	matches
	notMatches
	exists
	notExists
	greater
	greaterEqual
	less
	lessEqual
)

func (o operator) negative() bool {
	return o == notEquals || o == notIn || o == notMatches || o == notExists
}
func (o operator) takesNone() bool    { return o == exists || o == notExists }
func (o operator) takesList() bool    { return o == in || o == notIn }
func (o operator) takesPattern() bool { return o == matches || o == notMatches }
func (o operator) ordering() bool     { return o >= greater }

// spellings are the forms of the operators, symbols before those that they begin
// with; the first of an operator is how it is written out.
var spellings = []struct {
	text     string
	word     bool
	operator operator
}{
	{"==", false, equals}, {"equals", true, equals},
	{"!=", false, notEquals}, {"not_equals", true, notEquals},
	{"=~", false, matches}, {"matches", true, matches},
	{"!~", false, notMatches}, {"not_matches", true, notMatches},
	{"in", true, in},
	{"!in", true, notIn}, {"not_in", true, notIn},
	{"exists", true, exists},
	{"!exists", true, notExists}, {"not_exists", true, notExists},
	{">=", false, greaterEqual}, {"greater_than_equal", true, greaterEqual},
	{">", false, greater}, {"greater_than", true, greater},
	{"<=", false, lessEqual}, {"less_than_equal", true, lessEqual},
	{"<", false, less}, {"less_than", true, less},
}

func (o operator) String() string {
	for _, s := range spellings {
		if s.operator == o {
			return s.text
		}
	}
	return "?"
}

// operatorsOf are those that the documentation names for each subject.
var operatorsOf = [...][]operator{
	attribute: {equals, notEquals, greater, greaterEqual, less, lessEqual, in, notIn, matches, notMatches, exists, notExists},
	taskGroup: {equals, notEquals, in, notIn, matches, notMatches, exists, notExists},

	agentConnected:    {equals, notEquals, in, notIn, matches, notMatches},
	agentVersion:      {equals, notEquals, greater, greaterEqual, less, lessEqual},
	ec2InstanceID:     {equals, notEquals, in, notIn, matches, notMatches},
	registeredAt:      {equals, notEquals, greater, greaterEqual, less, lessEqual},
	runningTasksCount: {equals, notEquals, greater, greaterEqual, less, lessEqual},
}

func (k subjectKind) operators() string {
	names := make([]string, len(operatorsOf[k]))
	for i, o := range operatorsOf[k] {
		names[i] = o.String()
	}
	return strings.Join(names, " ")
}

// comparison asks one thing of an instance. It holds if one of its tests does, or, with
// a negative operator, if none does.
type comparison struct {
	subject   subject
	operator  operator
	arguments []string // as written, without quotes
	tests     []test   // one for each argument
}

// test asks the positive form of an operator.
type test func(Instance) bool

func (c *comparison) match(i Instance) bool {
	held := false
	switch {
	case !c.operator.takesNone():
		held = slices.ContainsFunc(c.tests, func(t test) bool { return t(i) })
	case c.subject.kind == attribute:
		_, held = i.Attribute(c.subject.name)
	default: // task:group
		for range i.Groups() {
			held = true
			break
		}
	}
	return held != c.operator.negative()
}

func (c *comparison) render(int) string {
	text := c.subject.String() + " " + c.operator.String()
	if c.operator.takesNone() {
		return text
	}
	values := make([]string, len(c.arguments))
	for i, a := range c.arguments {
		values[i] = quote(a)
	}
	if c.operator.takesList() {
		return text + " [" + strings.Join(values, ", ") + "]"
	}
	return text + " " + values[0]
}

// quote puts a value in quotes unless it is a plain word.
func quote(value string) string {
	special := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:", r))
	}
	if value != "" && !strings.ContainsFunc(value, special) {
		return value
	}
	return "'" + strings.ReplaceAll(value, "'", "''") + "'"
}
