package query

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// compilePattern makes of a Java regular expression one that matches the same whole
// values. What takes more than linear time, or means something else in Go, is refused by
// name. One difference stays, in what no attribute can hold: the dot matches the line
// ends that are not \n.
func compilePattern(pattern string) (compiled *regexp.Regexp, problem string) {
	t := translator{in: pattern}
	if problem := t.run(); problem != "" {
		return nil, problem + " in the pattern " + strconv.Quote(pattern)
	}
	// Alone first: what is wrong with it must not be mended by what is put around it.
	parsed, err := syntax.Parse(t.out.String(), syntax.Perl)
	if err != nil {
		return nil, "the pattern " + strconv.Quote(pattern) + " is not valid: " + explainSyntax(err)
	}
	if size(parsed) > maxPattern {
		return nil, "the pattern " + strconv.Quote(pattern) + " is too large with its repetitions written out"
	}
	compiled, err = regexp.Compile(`\A(?:` + t.out.String() + `)\z`)
	if err != nil {
		return nil, "the pattern " + strconv.Quote(pattern) + " is not valid: " + explainSyntax(err)
	}
	return compiled, ""
}

// maxPattern bounds a pattern in steps, so that it is compiled and matched quickly: what
// matching a value may cost is this times the value's length.
const maxPattern = 4 * MaxLength

// size is about how many steps a pattern has once its repetitions are written out; all
// sizes above maxPattern are one.
func size(re *syntax.Regexp) int {
	steps := 1
	switch re.Op {
	case syntax.OpLiteral:
		steps = len(re.Rune)
	case syntax.OpCharClass:
		steps += len(re.Rune) / 16 // a step that searches
	}
	for _, sub := range re.Sub {
		steps += size(sub)
	}
	if re.Op == syntax.OpRepeat {
		steps *= max(re.Min+1, re.Max)
	}
	return min(steps, maxPattern+1)
}

// explainSyntax leaves out the translated pattern, which the user did not write.
func explainSyntax(err error) string {
	if e, ok := err.(*syntax.Error); ok {
		return string(e.Code)
	}
	return err.Error()
}

// translator goes through a pattern once and writes it for Go.
type translator struct {
	in     string
	at     int
	class  int // where a character class began, counted from 1; 0 outside
	repeat bool
	out    strings.Builder
}

func (t *translator) run() (problem string) {
	for t.at < len(t.in) && problem == "" {
		c := t.in[t.at]
		repeated := false
		switch {
		case c == '\\':
			problem = t.escape()
		case t.class > 0:
			problem = t.inClass(c)
		case c == '[':
			t.openClass()
		case c == '(':
			problem = t.group()
		case strings.IndexByte("*+?{", c) >= 0:
			repeated = true
			problem = t.quantifier(c)
		default:
			t.copy(1)
		}
		t.repeat = repeated
	}
	if problem == "" && t.class > 0 {
		return "a character class is not closed"
	}
	return problem
}

func (t *translator) copy(n int) {
	t.out.WriteString(t.in[t.at : t.at+n])
	t.at += n
}

// literal writes a character so that it stands for itself everywhere.
func (t *translator) literal(r rune) { fmt.Fprintf(&t.out, `\x{%X}`, r) }

func (t *translator) rest() string { return t.in[t.at:] }

func (t *translator) openClass() {
	t.class = t.at + 1
	t.copy(1)
	if strings.HasPrefix(t.rest(), "^") {
		t.copy(1)
	}
	if strings.HasPrefix(t.rest(), "]") {
		t.literal(']')
		t.at++
	}
}

func (t *translator) inClass(c byte) string {
	switch {
	case c == '[':
		return "classes within a class are not supported"
	case strings.HasPrefix(t.rest(), "&&"):
		return "intersections of classes (&&) are not supported"
	case c == ']':
		t.class = 0
	}
	t.copy(1)
	return ""
}

// group refuses what begins with (? and is not a plain group, a named one, or flags
// that Go has too.
func (t *translator) group() string {
	for _, g := range []struct{ begins, name string }{
		{"(?=", "look-ahead"}, {"(?!", "look-ahead"}, {"(?<=", "look-behind"}, {"(?<!", "look-behind"},
		{"(?>", "atomic groups"},
	} {
		if strings.HasPrefix(t.rest(), g.begins) {
			return fmt.Sprintf("%s, %s…), is not supported", g.name, g.begins)
		}
	}
	flags, ok := strings.CutPrefix(t.rest(), "(?")
	if end := strings.IndexAny(flags, ":)"); ok && end >= 0 && !strings.HasPrefix(flags, "<") {
		if at := strings.IndexFunc(flags[:end], func(r rune) bool { return !strings.ContainsRune("ims-", r) }); at >= 0 {
			return fmt.Sprintf("the flag %q is not supported", flags[at:end])
		}
	}
	t.copy(1)
	return ""
}

// quantifier copies *, +, ?, {n}, {n,} or {n,m}, with the ? that makes it reluctant.
func (t *translator) quantifier(c byte) string {
	n := 1
	if c == '{' {
		n = len(counted.FindString(t.rest()))
		if n == 0 {
			return `a { that counts nothing must be written \{`
		}
	}
	if t.repeat {
		return "a quantifier follows a quantifier"
	}
	t.copy(n)
	switch {
	case strings.HasPrefix(t.rest(), "+"):
		return fmt.Sprintf("possessive quantifiers, %s+, are not supported", t.in[t.at-n:t.at])
	case strings.HasPrefix(t.rest(), "?"):
		t.copy(1)
	}
	return ""
}

var counted = regexp.MustCompile(`^\{[0-9]+(,[0-9]*)?\}`)

// spaces are the characters of classes that are others in Go, or that it lacks, as
// ranges: of the class and of what is not in it.
var spaces = map[byte]string{
	's': `\t-\r `,
	'S': `\x00-\x08\x0E-\x1F!-\x{10FFFF}`,
	'h': `\t \xA0\x{1680}\x{180E}\x{2000}-\x{200A}\x{202F}\x{205F}\x{3000}`,
	'H': `\x00-\x08\n-\x1F!-\x{9F}\x{A1}-\x{167F}\x{1681}-\x{180D}\x{180F}-\x{1FFF}\x{200B}-\x{202E}\x{2030}-\x{205E}\x{2060}-\x{2FFF}\x{3001}-\x{10FFFF}`,
	'v': `\n-\r\x{85}\x{2028}\x{2029}`,
	'V': `\x00-\t\x0E-\x{84}\x{86}-\x{2027}\x{202A}-\x{10FFFF}`,
}

// escape translates what begins with a backslash.
func (t *translator) escape() string {
	r, size := utf8.DecodeRuneInString(t.in[t.at+1:])
	if size == 0 {
		return "a backslash has nothing to escape"
	}
	c := byte(0)
	if r < utf8.RuneSelf {
		c = byte(r)
	}
	after := t.in[t.at+1+size:]
	switch {
	case spaces[c] != "":
		if t.class == 0 {
			t.out.WriteString("[" + spaces[c] + "]")
		} else {
			t.out.WriteString(spaces[c])
		}
	case c >= '1' && c <= '9' || c == 'k':
		return fmt.Sprintf(`back-references, \%c, are not supported`, c)
	case strings.IndexByte("dDwWntrfa", c) >= 0 && c != 0:
		t.out.WriteString(t.in[t.at : t.at+2])
	case strings.IndexByte("bBAz", c) >= 0 && c != 0 && t.class == 0 && !strings.HasPrefix(after, "{"):
		t.out.WriteString(t.in[t.at : t.at+2])
	case c == 'e':
		t.literal(0x1B)
	case c == 'Q':
		text, _, _ := strings.Cut(after, `\E`)
		for _, r := range text {
			t.literal(r)
		}
		size += min(len(text)+2, len(after))
	case c == 'p' || c == 'P':
		return t.property(after, c == 'P')
	case strings.IndexByte("xu0c", c) >= 0 && c != 0:
		return t.code(c, after)
	case unicode.IsLetter(r) && r < utf8.RuneSelf:
		return fmt.Sprintf(`\%c is not supported`, r)
	default:
		t.literal(r)
	}
	t.at += 1 + size
	return ""
}

// codes are the forms of characters that are given by number.
var codes = map[byte]*regexp.Regexp{
	'x': regexp.MustCompile(`^(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]{1,6})\})`),
	'u': regexp.MustCompile(`^([0-9A-Fa-f]{4})`),
	'0': regexp.MustCompile(`^([0-3][0-7]{2}|[0-7]{1,2})`),
	'c': regexp.MustCompile(`^([@-_])`),
}

func (t *translator) code(c byte, after string) string {
	found := codes[c].FindStringSubmatch(after)
	if found == nil {
		return fmt.Sprintf(`\%c is not followed by the number of a character`, c)
	}
	digits := strings.Join(found[1:], "")
	number, base := uint64(0), 16
	switch c {
	case 'c':
		number = uint64(digits[0] ^ 64)
	case '0':
		base = 8
		fallthrough
	default:
		var err error
		if number, err = strconv.ParseUint(digits, base, 32); err != nil || number > unicode.MaxRune {
			return fmt.Sprintf(`\%c%s is no character`, c, found[0])
		}
	}
	t.literal(rune(number))
	t.at += 2 + len(found[0])
	return ""
}

// posix are the properties of Java that Go knows as classes of ASCII.
var posix = map[string]string{
	"Lower": "lower", "Upper": "upper", "ASCII": "ascii", "Alpha": "alpha", "Digit": "digit", "Alnum": "alnum", "Punct": "punct",
	"Graph": "graph", "Print": "print", "Blank": "blank", "Cntrl": "cntrl", "XDigit": "xdigit", "Space": "space",
}

// property translates \p{…}: classes of ASCII, general categories and scripts.
func (t *translator) property(after string, negated bool) string {
	name, _, closed := strings.Cut(strings.TrimPrefix(after, "{"), "}")
	length := len(name) + 2
	if !strings.HasPrefix(after, "{") {
		name, length, closed = after[:min(1, len(after))], 1, after != ""
	}
	if !closed {
		return `\p has no name`
	}
	class, isPOSIX := posix[name]
	letter := "p"
	if negated {
		letter = "P"
	}
	_, isCategory := unicode.Categories[name]
	script := strings.TrimPrefix(name, "Is")
	_, isScript := unicode.Scripts[script]
	switch {
	case isPOSIX && negated:
		class = "[:^" + class + ":]"
	case isPOSIX:
		class = "[:" + class + ":]"
	case isCategory:
		class = `\` + letter + "{" + name + "}"
	case isScript && script != name:
		class = `\` + letter + "{" + script + "}"
	default:
		return fmt.Sprintf(`\p{%s} is not supported`, name)
	}
	if isPOSIX && t.class == 0 {
		class = "[" + class + "]"
	}
	t.out.WriteString(class)
	t.at += 2 + length
	return ""
}
