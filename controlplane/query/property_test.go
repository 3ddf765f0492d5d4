package query

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var drawWord = rapid.SampledFrom([]string{
	"a", "b", "''", "7", "10", "1.2.3", "'it''s'", `"x y"`, "a.*", "[ab]", "'[^a]+'", "true", "false", "and", "2018-06-18", "'(a|b)*'",
})

func drawComparison(t *rapid.T) string {
	subject := rapid.SampledFrom([]string{
		"attribute:a", "attribute:b", "attribute:a", "attribute:b", "attribute:c", "task:group", "agentConnected",
		"agentVersion", "ec2InstanceId", "registeredAt", "runningTasksCount",
	}).Draw(t, "subject")
	operator := spellings[rapid.IntRange(0, len(spellings)-1).Draw(t, "operator")]
	switch {
	case operator.operator.takesNone():
		return subject + " " + operator.text
	case operator.operator.takesList():
		return subject + " " + operator.text + " [" + strings.Join(rapid.SliceOfN(drawWord, 1, 3).Draw(t, "list"), ", ") + "]"
	}
	return subject + " " + operator.text + " " + drawWord.Draw(t, "value")
}

// drawText draws expressions of which most are valid.
func drawText(t *rapid.T, depth int) string {
	if depth == 0 {
		return drawComparison(t)
	}
	switch rapid.IntRange(0, 4).Draw(t, "kind") {
	case 0:
		return "!(" + drawText(t, depth-1) + ")"
	case 1:
		return drawText(t, depth-1) + " and " + drawText(t, depth-1)
	case 2:
		return drawText(t, depth-1) + " || " + drawText(t, depth-1)
	case 3:
		return "(" + drawText(t, depth-1) + ") && not " + drawText(t, depth-1)
	default:
		return drawComparison(t)
	}
}

func drawExpression(t *rapid.T) *Expression {
	e, err := Parse(drawText(t, rapid.IntRange(0, 3).Draw(t, "depth")))
	if err != nil {
		t.Skip(err)
	}
	return e
}

func drawHost(t *rapid.T) *host {
	word := rapid.SampledFrom([]string{"", "a", "b", "7", "10", "1.2.3", "it's", "x y", "ab"})
	return &host{
		attributes: rapid.MapOf(rapid.SampledFrom([]string{"a", "b", "c"}), word).Draw(t, "attributes"),
		groups:     rapid.MapOf(word, rapid.IntRange(1, 3)).Draw(t, "groups"),
		connected:  rapid.Bool().Draw(t, "connected"),
		version:    rapid.SampledFrom([]string{"", "7", "1.2.3", "1.2.3-rc"}).Draw(t, "version"),
		id:         word.Draw(t, "id"),
		running:    rapid.IntRange(5, 12).Draw(t, "running"),
		registered: time.Date(2018, 6, rapid.IntRange(17, 19).Draw(t, "day"), 0, 0, 0, 0, time.UTC),
	}
}

func TestNarrow_NeverLeavesOutAnInstanceThatMatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawExpression(t)
		n := e.Narrow()
		for range 5 {
			h := drawHost(t)
			met := n.metBy(h)
			switch matches := e.Match(h); {
			case matches && !met:
				t.Fatalf("%s matches %+v and is left out", e, h)
			case met && n.Whole && !matches:
				t.Fatalf("%s is said to be met by %+v and does not match", e, h)
			}
		}
	})
}

func (n *Narrowing) metBy(h *host) bool {
	for _, a := range n.Has {
		if value, present := h.Attribute(a.Name); !present || !a.AnyValue && value != a.Value {
			return false
		}
	}
	for _, c := range n.Where {
		if !c.Match(h) || c.Holds != nil && !c.Holds(h.Attribute(c.Attribute)) {
			return false
		}
	}
	for _, g := range n.Groups {
		if (h.GroupTasks(g.Name) > 0) == g.Absent {
			return false
		}
	}
	for _, alternatives := range n.AnyOf {
		if !slices.ContainsFunc(alternatives, func(n Narrowing) bool { return n.metBy(h) }) {
			return false
		}
	}
	return true
}

func TestString_ParsesToWhatMeansTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawExpression(t)
		again, err := Parse(e.String())
		if err != nil {
			t.Fatalf("%s, written as %s: %v", e.Text(), e, err)
		}
		if again.String() != e.String() {
			t.Fatalf("%s is written %s, and that %s", e.Text(), e, again)
		}
		for range 5 {
			if h := drawHost(t); e.Match(h) != again.Match(h) {
				t.Fatalf("%s and %s differ about %+v", e.Text(), e, h)
			}
		}
	})
}

// Whatever the text, parsing ends, errors point into it, and what is accepted is
// written as an expression again.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"attribute:ecs.instance-type =~ t2.* and attribute:ecs.availability-zone != zone-b", "not(task:group == database)",
		"ec2InstanceId in ['i-1', \"i-2\"] || !agentConnected==true", "registeredAt > 2018-06-18T22:28:28+00:00",
		`attribute:a !~ '\Q(\E[\p{Lower}&]\x{41}'`, "runningTasksCount >= 3 && attribute:b !exists",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := Parse(text)
		if err != nil {
			if at := err.(*Error).Position; at < 1 || at > len(text)+1 {
				t.Fatalf("%q: position %d", text, at)
			}
			return
		}
		e.Match(sample)
		if _, err := Parse(e.String()); err != nil && len(e.String()) < MaxLength {
			t.Fatalf("%q, written as %q: %v", text, e, err)
		}
	})
}

// BenchmarkParse is what a request or a plan pays for an expression.
func BenchmarkParse(b *testing.B) {
	for name, text := range map[string]string{
		"equality": "attribute:ecs.instance-type == t2.large",
		"pattern":  "attribute:ecs.instance-type =~ t2.* and attribute:ecs.availability-zone != zone-b",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
