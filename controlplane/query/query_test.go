package query

import (
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// host is an instance of tests.
type host struct {
	attributes map[string]string
	connected  bool
	version    string
	id         string
	registered time.Time
	running    int
	groups     map[string]int
}

func (h *host) Attribute(name string) (string, bool) { v, ok := h.attributes[name]; return v, ok }
func (h *host) AgentConnected() bool                 { return h.connected }
func (h *host) AgentVersion() string                 { return h.version }
func (h *host) EC2InstanceID() string                { return h.id }
func (h *host) RegisteredAt() time.Time              { return h.registered }
func (h *host) RunningTasks() int                    { return h.running }
func (h *host) GroupTasks(group string) int          { return h.groups[group] }

func (h *host) Groups() iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		for _, group := range slices.Sorted(maps.Keys(h.groups)) {
			if !yield(group, h.groups[group]) {
				return
			}
		}
	}
}

var sample = &host{
	attributes: map[string]string{
		"ecs.instance-type": "t2.large", "ecs.availability-zone": "zone-a", "rack": "7", "empty": "",
		"kernel": "5.10.12", "owner": "it's me", "path/a\\b": "x", "not": "1", "label": "a b",
	},
	connected: true, version: "1.64.0", id: "i-1", running: 2,
	registered: time.Date(2018, 6, 18, 22, 28, 28, 700e6, time.UTC),
	groups:     map[string]int{"service:web": 1, "family:db": 1},
}

func TestMatch_FollowsTheMeaningOfEachOperator(t *testing.T) {
	for expression, want := range map[string]bool{
		"attribute:ecs.instance-type == t2.large":         true,
		"attribute:ecs.instance-type equals t2.small":     false,
		"attribute:ecs.instance-type==t2.large":           true,
		"attribute:ecs.instance-type != t2.large":         false,
		"attribute:missing != a":                          true,
		"attribute:missing == ''":                         false,
		"attribute:empty == ''":                           true,
		"attribute:rack exists":                           true,
		"attribute:missing exists":                        false,
		"attribute:missing !exists":                       true,
		"attribute:missing not_exists":                    true,
		"attribute:rack in [6, 7]":                        true,
		"attribute:rack in ['6','8']":                     false,
		"attribute:rack !in [6]":                          true,
		"attribute:rack not_in [7]":                       false,
		"attribute:missing not_in [7]":                    true,
		"attribute:ecs.instance-type =~ t2.*":             true,
		"attribute:ecs.instance-type =~ t2":               false,
		"attribute:ecs.instance-type matches [a-t]2.+":    true,
		"attribute:ecs.instance-type =~ 't2\\.(s|l).*'":   true,
		"attribute:ecs.instance-type !~ g2.*":             true,
		"attribute:ecs.instance-type not_matches t2.*":    false,
		"attribute:ecs.instance-type =~ a|t2.large":       true,
		"attribute:rack > 10":                             false, // as numbers: 7 < 10
		"attribute:rack >= 7.0":                           true,
		"attribute:rack less_than 10":                     true,
		"attribute:kernel > 5.9.0":                        true,
		"attribute:kernel < 5.9.0":                        false,
		"attribute:kernel greater_than_equal 5.10.12.0":   true,
		"attribute:ecs.instance-type > 3":                 false, // is no number
		"attribute:ecs.instance-type > t2.a":              true,
		"attribute:owner == 'it''s me'":                   true,
		`attribute:owner == "it's me"`:                    true,
		`attribute:path/a\b == x`:                         true,
		"attribute:not == 1":                              true,
		"attribute:label in ['a b']":                      true,
		"task:group == service:web":                       true,
		"task:group == service:api":                       false,
		"task:group != service:web":                       false,
		"not(task:group == database)":                     true,
		"task:group in [a, family:db]":                    true,
		"task:group =~ service:.*":                        true,
		"task:group !~ batch.*":                           true,
		"task:group exists":                               true,
		"agentConnected == true":                          true,
		"agentConnected in [false]":                       false,
		"agentConnected =~ t.*":                           true,
		"agentVersion > 1.9.1":                            true,
		"agentVersion == v1.64":                           true,
		"agentVersion <= 1.64.0":                          true,
		"agentVersion > 1.64.0-rc1":                       true,
		"agentVersion != dev":                             true,
		"ec2InstanceId == i-1":                            true,
		"ec2InstanceId in ['i-abcd1234', 'i-1']":          true,
		"ec2InstanceId =~ i-[0-9]":                        true,
		"registeredAt > 2018-06-18":                       true,
		"registeredAt == 2018-06-18T22:28:28Z":            true,
		"registeredAt == 2018-06-18T22:28:28":             true,
		"registeredAt == 2018-06-19T00:28:28+02:00":       true,
		"registeredAt < 2018-06-18T22:28:28+00:00":        false,
		"runningTasksCount == 2":                          true,
		"runningTasksCount < 2":                           false,
		"runningTasksCount != 3":                          true,
		"runningTasksCount >= 1 and runningTasksCount<=2": true,
		// or binds least, then and, then not
		"attribute:rack == 7 || attribute:rack == 8 && attribute:rack == 9":   true,
		"(attribute:rack == 7 || attribute:rack == 8) && attribute:rack == 9": false,
		"! attribute:rack == 8 and attribute:rack == 7":                       true,
		"not attribute:rack == 7 or attribute:rack == 7":                      true,
		"!!attribute:rack == 7":                                               true,
		"((attribute:rack == 7))":                                             true,
		"attribute:rack==7&&attribute:rack!=8||attribute:rack==9":             true,
	} {
		e, err := Parse(expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		if got := e.Match(sample); got != want {
			t.Errorf("%s: %v, want %v", expression, got, want)
		}
	}
}

func TestParse_SaysWhereItStoppedAndWhatItExpected(t *testing.T) {
	for expression, want := range map[string]string{
		"":                               "at character 1: expected a subject, ! or (, found the end",
		"  ":                             "at character 3: expected a subject, ! or (, found the end",
		"zone == a":                      `at character 1: expected a subject (attribute:NAME, task:group, agentConnected, agentVersion, ec2InstanceId, registeredAt, runningTasksCount), found "zone"`,
		"attribute: == a":                `at character 12: expected the name of an attribute, found "=="`,
		"attribute:a":                    "at character 12: expected an operator of attribute:a (== != > >= < <= in !in =~ !~ exists !exists), found the end",
		"attribute:é = a":                `at character 13: expected an operator of attribute:é (== != > >= < <= in !in =~ !~ exists !exists), found "="`,
		"attribute:a ==":                 "at character 15: expected a value, found the end",
		"attribute:a == )":               `at character 16: expected a value, found ")"`,
		"attribute:a == = b":             `at character 16: expected a value (in quotes, if it begins with =, <, >, ! or ~), found "="`,
		"attribute:a == 'b":              "at character 16: the quote ' is not closed",
		"attribute:a in b":               `at character 16: expected [ and a list of values, found "b"`,
		"attribute:a in []":              `at character 17: expected a value, found "]"`,
		"attribute:a in [b":              "at character 18: expected , or ], found the end",
		"attribute:a in [b c]":           `at character 19: expected , or ], found "c]"`,
		"(attribute:a == b":              "at character 18: expected &&, || or ), found the end",
		"attribute:a == b)":              `at character 17: expected &&, || or the end, found ")"`,
		"attribute:a == b c":             `at character 18: expected &&, || or the end, found "c"`,
		"attribute:a == b &&":            "at character 20: expected a subject, ! or (, found the end",
		"attribute:a exists b":           `at character 20: expected &&, || or the end, found "b"`,
		"agentConnected > true":          "at character 16: agentConnected takes the operators == != in !in =~ !~, not >",
		"agentConnected == yes":          `at character 19: expected true or false, found "yes"`,
		"agentVersion in [1.2]":          "at character 14: agentVersion takes the operators == != > >= < <=, not in",
		"agentVersion > new":             `at character 16: expected a version like 1.64.0, found "new"`,
		"task:group > a":                 "at character 12: task:group takes the operators == != in !in =~ !~ exists !exists, not >",
		"registeredAt > yesterday":       `at character 16: expected a date like 2018-06-18 or 2018-06-18T22:28:28+00:00, found "yesterday"`,
		"runningTasksCount < few":        `at character 21: expected a number of tasks, found "few"`,
		"runningTasksCount < -1":         `at character 21: expected a number of tasks, found "-1"`,
		"attribute:a =~ '('":             `at character 16: the pattern "(" is not valid: missing closing )`,
		"attribute:a =~ 'b)(c'":          `at character 16: the pattern "b)(c" is not valid: unexpected )`,
		strings.Repeat("(", 200):         "at character 101: parentheses and negations are more than 100 deep",
		strings.Repeat("!", 200):         "at character 101: parentheses and negations are more than 100 deep",
		strings.Repeat("ä", 2001):        "at character 2001: an expression has at most 2000 characters, not 2001",
		"attribute:a == \xff":            "at character 1: the expression is not valid UTF-8",
		"attribute:a == b ! attribute:c": `at character 18: expected &&, || or the end, found "!"`,
		"attribute:a == b attribute:c":   `at character 18: expected &&, || or the end, found "attribute:c"`,
		"attribute:" + strings.Repeat("x", 3) + " ~ b": `at character 15: expected an operator of attribute:xxx (== != > >= < <= in !in =~ !~ exists !exists), found "~"`,
	} {
		_, err := Parse(expression)
		if err == nil {
			t.Errorf("%q was accepted", expression)
		} else if err.Error() != want {
			t.Errorf("%q: %v\nwant %s", expression, err, want)
		}
	}
}

func TestParse_TakesTheLongestExpressionAndTheDeepest(t *testing.T) {
	long := "attribute:a == " + strings.Repeat("b", MaxLength-15)
	deep := strings.Repeat("(", maxDepth) + "attribute:a == b" + strings.Repeat(")", maxDepth)
	for _, expression := range []string{long, deep} {
		if _, err := Parse(expression); err != nil {
			t.Error(err)
		}
	}
}

func TestString_WritesOneFormWithTheFewestParentheses(t *testing.T) {
	for expression, want := range map[string]string{
		"(attribute:a equals b)":                                         "attribute:a == b",
		"attribute:a not_in [b,'c d']and not(task:group exists)":         "attribute:a !in [b, 'c d'] && !task:group exists",
		"(attribute:a == 1 or attribute:a == 2) and attribute:b !~x":     "(attribute:a == 1 || attribute:a == 2) && attribute:b !~ x",
		"attribute:a == 1 or (attribute:a == 2 and attribute:b =~ 'x*')": "attribute:a == 1 || attribute:a == 2 && attribute:b =~ 'x*'",
		"!(attribute:a == 'it''s' || attribute:b exists)":                "!(attribute:a == 'it''s' || attribute:b exists)",
	} {
		e, err := Parse(expression)
		if err != nil {
			t.Error(err)
		} else if got := e.String(); got != want {
			t.Errorf("%s is written %s, want %s", expression, got, want)
		}
	}
}

func TestDependsOnTasks(t *testing.T) {
	for expression, want := range map[string]bool{
		"attribute:a == task:group":                      false,
		"!(attribute:a == b || task:group == c)":         true,
		"attribute:a == b && runningTasksCount < 3":      true,
		"agentConnected == true && agentVersion > 1.0.0": false,
	} {
		e, err := Parse(expression)
		if err != nil {
			t.Fatal(err)
		}
		if e.DependsOnTasks() != want {
			t.Errorf("%s: %v", expression, !want)
		}
	}
}

func TestNarrow_FindsWhatEveryMatchMeets(t *testing.T) {
	for expression, want := range map[string]string{
		"attribute:a == b":                                               "a=b whole",
		"attribute:a exists && attribute:b != c":                         "a b? whole",
		"attribute:a == b || attribute:a == c":                           "a? whole",
		"attribute:a == b || attribute:c == d && attribute:e exists":     "(a=b whole | c=d e whole) whole",
		"attribute:a == b || runningTasksCount < 3":                      "",
		"attribute:a == b && runningTasksCount < 3":                      "a=b",
		"(attribute:a == b && runningTasksCount < 3) || task:group == c": "(a=b | +c whole)",
		"!(attribute:a == b || !attribute:c =~ d)":                       "a? c? whole",
		"!!attribute:a == b":                                             "a=b whole",
		"!(attribute:a == b && attribute:c == d)":                        "(a? whole | c? whole) whole",
		"!(attribute:a == b && attribute:a exists)":                      "a? whole",
		"task:group == c && attribute:d > 10":                            "d? +c whole",
		"task:group != c":                                                "-c",
		"!task:group == c || task:group =~ d":                            "",
		"agentConnected == true":                                         "? whole",
		"ec2InstanceId in [x, y] or attribute:a == b":                    "(? whole | a=b whole) whole",
		"agentVersion < 1.2.3 && runningTasksCount > 1":                  "?",
		"!(registeredAt > 2018-06-18 && task:group == c)":                "(? whole | -c)",
	} {
		e, err := Parse(expression)
		if err != nil {
			t.Fatal(err)
		}
		n := e.Narrow()
		if got := describe(&n); got != want {
			t.Errorf("%s: %q, want %q", expression, got, want)
		}
	}
}

func describe(n *Narrowing) string {
	var words []string
	for _, a := range n.Has {
		if a.AnyValue {
			words = append(words, a.Name)
		} else {
			words = append(words, a.Name+"="+a.Value)
		}
	}
	for _, c := range n.Where {
		words = append(words, c.Attribute+"?")
	}
	for _, g := range n.Groups {
		words = append(words, map[bool]string{false: "+", true: "-"}[g.Absent]+g.Name)
	}
	for _, alternatives := range n.AnyOf {
		var parts []string
		for i := range alternatives {
			parts = append(parts, describe(&alternatives[i]))
		}
		words = append(words, "("+strings.Join(parts, " | ")+")")
	}
	if n.Whole {
		words = append(words, "whole")
	}
	return strings.Join(words, " ")
}
