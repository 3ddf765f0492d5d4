package query

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// scanner reads the words of an expression. Which characters belong to a word depends
// on what is expected, so the parser asks for what it wants.
type scanner struct {
	text string
	at   int // in bytes
}

// fail reports what was expected at an offset in bytes.
func (s *scanner) fail(at int, problem string) *Error {
	return &Error{Position: utf8.RuneCountInString(s.text[:at]) + 1, Problem: problem}
}

// expected reports that something else is at the present place.
func (s *scanner) expected(what string) *Error {
	return s.fail(s.at, "expected "+what+", found "+s.found())
}

// found is what is at the present place, for errors.
func (s *scanner) found() string {
	if s.ended() {
		return "the end"
	}
	rest := s.text[s.at:]
	end := strings.IndexFunc(rest, unicode.IsSpace)
	if end < 0 {
		end = len(rest)
	}
	const most = 30
	word := []rune(strings.ToValidUTF8(rest[:end], "?"))
	if len(word) > most {
		return `"` + string(word[:most]) + `…"`
	}
	return `"` + string(word) + `"`
}

// ended skips spaces and tells whether nothing is left.
func (s *scanner) ended() bool {
	s.at = len(s.text) - len(strings.TrimLeftFunc(s.text[s.at:], unicode.IsSpace))
	return s.at == len(s.text)
}

// takes goes past a symbol if it comes next.
func (s *scanner) takes(symbol string) bool {
	if s.ended() || !strings.HasPrefix(s.text[s.at:], symbol) {
		return false
	}
	s.at += len(symbol)
	return true
}

// takesWord goes past a word of letters and underscores if it comes next and ends there.
func (s *scanner) takesWord(word string) bool {
	if s.ended() || !strings.HasPrefix(s.text[s.at:], word) {
		return false
	}
	next, _ := utf8.DecodeRuneInString(s.text[s.at+len(word):])
	if s.at+len(word) < len(s.text) && !unicode.IsSpace(next) && !strings.ContainsRune(`()[],'"!=<>~&|`, next) {
		return false
	}
	s.at += len(word)
	return true
}

// run goes past characters until one ends it, or && or || does.
func (s *scanner) run(ends string) string {
	start := s.at
	for s.at < len(s.text) {
		r, size := utf8.DecodeRuneInString(s.text[s.at:])
		rest := s.text[s.at:]
		if unicode.IsSpace(r) || strings.ContainsRune(ends, r) || strings.HasPrefix(rest, "&&") || strings.HasPrefix(rest, "||") {
			break
		}
		s.at += size
	}
	return s.text[start:s.at]
}

// quoted reads text in quotes, whose first one comes next.
func (s *scanner) quoted() (string, *Error) {
	start, quote := s.at, s.text[s.at:s.at+1]
	var out strings.Builder
	for s.at++; ; {
		end := strings.Index(s.text[s.at:], quote)
		if end < 0 {
			return "", s.fail(start, "the quote "+quote+" is not closed")
		}
		out.WriteString(s.text[s.at : s.at+end])
		s.at += end + 1
		if !strings.HasPrefix(s.text[s.at:], quote) {
			return out.String(), nil
		}
		out.WriteString(quote)
		s.at++
	}
}
