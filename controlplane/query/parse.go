package query

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Parse reads an expression. The error is an [*Error].
func Parse(text string) (*Expression, error) {
	if !utf8.ValidString(text) {
		return nil, &Error{1, "the expression is not valid UTF-8"}
	}
	if n := utf8.RuneCountInString(text); n > MaxLength {
		return nil, &Error{MaxLength + 1, fmt.Sprintf("an expression has at most %d characters, not %d", MaxLength, n)}
	}
	p := &parser{scanner: scanner{text: text}}
	root, err := p.disjunction(0)
	if err != nil {
		return nil, err
	}
	if !p.ended() {
		return nil, p.expected("&&, || or the end")
	}
	return &Expression{text: text, root: root}, nil
}

type parser struct{ scanner }

func (p *parser) disjunction(depth int) (node, *Error) {
	parts, err := p.chain(depth, p.conjunction, "||", "or")
	if err != nil {
		return nil, err
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	return &disjunction{parts}, nil
}

func (p *parser) conjunction(depth int) (node, *Error) {
	parts, err := p.chain(depth, p.unary, "&&", "and")
	if err != nil {
		return nil, err
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	return &conjunction{parts}, nil
}

func (p *parser) chain(depth int, part func(int) (node, *Error), symbol, word string) ([]node, *Error) {
	var parts []node
	for {
		n, err := part(depth)
		if err != nil {
			return nil, err
		}
		parts = append(parts, n)
		if !p.takes(symbol) && !p.takesWord(word) {
			return parts, nil
		}
	}
}

func (p *parser) unary(depth int) (node, *Error) {
	if p.ended() {
		return nil, p.expected("a subject, ! or (")
	}
	start := p.at
	negated := p.takes("!") || p.takesWord("not")
	if (negated || strings.HasPrefix(p.text[p.at:], "(")) && depth == maxDepth {
		return nil, p.fail(start, fmt.Sprintf("parentheses and negations are more than %d deep", maxDepth))
	}
	if negated {
		n, err := p.unary(depth + 1)
		if err != nil {
			return nil, err
		}
		return &negation{n}, nil
	}
	if !p.takes("(") {
		return p.comparison()
	}
	n, err := p.disjunction(depth + 1)
	if err != nil {
		return nil, err
	}
	if !p.takes(")") {
		return nil, p.expected("&&, || or )")
	}
	return n, nil
}

func (p *parser) comparison() (node, *Error) {
	subject, err := p.subject()
	if err != nil {
		return nil, err
	}
	start := p.at
	if !p.ended() {
		start = p.at
	}
	operator, ok := p.operator()
	if !ok {
		return nil, p.expected("an operator of " + subject.String() + " (" + subject.kind.operators() + ")")
	}
	if !slices.Contains(operatorsOf[subject.kind], operator) {
		return nil, p.fail(start, fmt.Sprintf("%s takes the operators %s, not %s", subject, subject.kind.operators(), operator))
	}
	c := &comparison{subject: subject, operator: operator}
	for {
		if err := p.argument(c); err != nil {
			return nil, err
		}
		switch {
		case !operator.takesList():
			return c, nil
		case p.takes("]"):
			return c, nil
		case !p.takes(","):
			return nil, p.expected(", or ]")
		}
	}
}

// argument reads the next argument of a comparison, if it takes one.
func (p *parser) argument(c *comparison) *Error {
	if c.operator.takesNone() {
		return nil
	}
	if c.operator.takesList() && len(c.arguments) == 0 && !p.takes("[") {
		return p.expected("[ and a list of values")
	}
	p.ended()
	start := p.at
	value, err := p.value(c.operator.takesPattern())
	if err != nil {
		return err
	}
	test, problem := c.subject.compile(c.operator, value)
	if problem != "" {
		return p.fail(start, problem)
	}
	c.arguments = append(c.arguments, value)
	c.tests = append(c.tests, test)
	return nil
}

func (p *parser) subject() (subject, *Error) {
	start := p.at
	word := p.run(`()[],'"!=<>~`)
	for kind, name := range subjectNames {
		if subjectKind(kind) != attribute && word == name {
			return subject{kind: subjectKind(kind)}, nil
		}
	}
	name, ok := strings.CutPrefix(word, subjectNames[attribute])
	switch {
	case !ok:
		p.at = start
		return subject{}, p.expected("a subject (attribute:NAME, " + strings.Join(subjectNames[attribute+1:], ", ") + ")")
	case name == "":
		return subject{}, p.expected("the name of an attribute")
	}
	return subject{attribute, name}, nil
}

// operator reads an operator in either of its forms.
func (p *parser) operator() (operator, bool) {
	for _, s := range spellings {
		if s.word && p.takesWord(s.text) || !s.word && p.takes(s.text) {
			return s.operator, true
		}
	}
	return 0, false
}

// value reads one value. What an unquoted one cannot begin with is what looks like a
// slip in an operator.
func (p *parser) value(pattern bool) (string, *Error) {
	if p.ended() {
		return "", p.expected("a value")
	}
	if quote := p.text[p.at]; quote == '\'' || quote == '"' {
		return p.quoted()
	}
	start, ends := p.at, `()[],'"`
	if pattern {
		ends = `()'"`
	}
	if strings.ContainsRune(`=<>!~`, rune(p.text[p.at])) {
		return "", p.expected("a value (in quotes, if it begins with =, <, >, ! or ~)")
	}
	if value := p.run(ends); value != "" {
		return value, nil
	}
	p.at = start
	return "", p.expected("a value")
}
