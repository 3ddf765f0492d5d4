package query

import (
	"strings"
	"testing"
)

func TestPattern_MatchesWholeValuesAsJavaDoes(t *testing.T) {
	for _, c := range []struct {
		pattern    string
		yes, noFor string // values, separated by semicolons
	}{
		{`a|ab`, "a;ab", "abc;b"},
		{`t2\..*`, "t2.large;t2.", "t2xlarge"},
		{`(?i)ABC`, "abc;aBc", "abcd"},
		{`[^a-c]+`, "xyz", "xaz"},
		{`[]a]+`, "]a", "b"},
		{`[\s]\S[\S]`, " ab", "abc"},
		{`\h\H`, "\ta;\u3000a", "aa"},
		{`[^\h]\v\V`, "a\nb;a\u2028b", "\t\nb"},
		{`\p{Lower}\p{Upper}[\p{Digit}x]\P{Alpha}`, "aB1-;aBx1", "AB1-;aB1a"},
		{`\p{L}\pN\p{Lu}\p{IsGreek}`, "é1Éα", "11Éα"},
		{`\Qa.b*\E+`, "a.b*;a.b**", "axb*"},
		{`\Qa.b`, "a.b", "axb"},
		{`\x41\x{42}\u0043\0104\cA`, "ABCD\x01", "ABCD"},
		{`a{2,3}?b{2}c{1,}`, "aabbc;aaabbcc", "abbc"},
		{`(?<name>a)+?(?:b)??`, "a;aab", "b"},
		{`\-\_\é\/`, `-_é/`, `\-\_é`},
		{`[\-\]x]+`, "]-x", "a"},
		{`\ba\b`, "a", "ab"},
		{``, "", "a"},
	} {
		p, problem := compilePattern(c.pattern)
		if problem != "" {
			t.Errorf("%s: %s", c.pattern, problem)
			continue
		}
		for v := range strings.SplitSeq(c.yes, ";") {
			if !p.MatchString(v) {
				t.Errorf("%s does not match %q", c.pattern, v)
			}
		}
		for v := range strings.SplitSeq(c.noFor, ";") {
			if p.MatchString(v) {
				t.Errorf("%s matches %q", c.pattern, v)
			}
		}
	}
}

func TestPattern_RefusesByNameWhatDoesNotMatchInLinearTime(t *testing.T) {
	for pattern, want := range map[string]string{
		`(a)\1`:               `back-references, \1, are not supported`,
		`(?<n>a)\k<n>`:        `back-references, \k, are not supported`,
		`a(?=b)`:              "look-ahead, (?=…), is not supported",
		`a(?!b)`:              "look-ahead, (?!…), is not supported",
		`(?<=a)b`:             "look-behind, (?<=…), is not supported",
		`(?<!a)b`:             "look-behind, (?<!…), is not supported",
		`(?>a)`:               "atomic groups, (?>…), is not supported",
		`a*+`:                 "possessive quantifiers, *+, are not supported",
		`a++`:                 "possessive quantifiers, ++, are not supported",
		`a?+`:                 "possessive quantifiers, ?+, are not supported",
		`a{1,2}+`:             "possessive quantifiers, {1,2}+, are not supported",
		`a**`:                 "a quantifier follows a quantifier",
		`[a&&b]`:              "intersections of classes (&&) are not supported",
		`[a[b]]`:              "classes within a class are not supported",
		`[a`:                  "a character class is not closed",
		`(?x)a b`:             `the flag "x" is not supported`,
		`(?U:a)`:              `the flag "U" is not supported`,
		`\G`:                  `\G is not supported`,
		`\R`:                  `\R is not supported`,
		`\Z`:                  `\Z is not supported`,
		`[\b]`:                `\b is not supported`,
		`\b{g}`:               `\b is not supported`,
		`\N{SPACE}`:           `\N is not supported`,
		`\p{javaMirrored}`:    `\p{javaMirrored} is not supported`,
		`\p{L`:                `\p has no name`,
		`\xZ`:                 `\x is not followed by the number of a character`,
		`\x{110000}`:          `\x{110000} is no character`,
		`a\`:                  "a backslash has nothing to escape",
		`a{,3}`:               `a { that counts nothing must be written \{`,
		`a{2000}`:             "is not valid: invalid repeat count",
		`(a{900}){900}`:       "is not valid: invalid repeat count",
		`((a{20}){20}){20}`:   "is not valid: invalid repeat count",
		`(abcdefghijkl){999}`: "is too large with its repetitions written out",
		`[\p{L}\p{N}]{1000}`:  "is too large with its repetitions written out",
		`+a`:                  "is not valid: missing argument to repetition operator",
	} {
		if _, problem := compilePattern(pattern); !strings.Contains(problem, want) {
			t.Errorf("%s: %q, want %q", pattern, problem, want)
		}
	}
}
