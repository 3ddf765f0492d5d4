package ecs

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxViolations bounds how many violations one answer spells out.
const maxViolations = 10

// Violations are the ways in which an input breaks the constraints of its
// shape: required members, ranges, lengths, patterns and enums.
type Violations struct {
	path  []step
	count int
	first []violation
}

// violation is one of those that are spelled out.
type violation struct {
	text string
	// absent is the required member that is not there: null, or an empty string.
	absent []step
}

type step struct {
	name  string
	index int // of a list; -1 for a member
}

// Err returns nil if nothing was violated, and otherwise a [ValidationError].
func (v *Violations) Err() error {
	if v.count == 0 {
		return nil
	}
	return &ValidationError{v.count, v.first}
}

// ValidationError says what an input violates.
type ValidationError struct {
	count int
	first []violation
}

// Error is the violations in the words that AWS services use for them.
func (e *ValidationError) Error() string {
	texts := make([]string, len(e.first))
	for i := range e.first {
		texts[i] = e.first[i].text
	}
	if e.count == 1 {
		return "1 validation error detected: " + texts[0]
	}
	return fmt.Sprintf("%d validation errors detected: %s", e.count, strings.Join(texts, "; "))
}

// In is Error for the input that was read from a body. Of what is required the body tells
// an empty string from nothing, as the input does not, and ECS speaks of it in other words
// once nothing else is violated.
func (e *ValidationError) In(body []byte) string {
	var in any
	if json.Unmarshal(body, &in) != nil {
		return e.Error()
	}
	others, empty := ValidationError{count: e.count}, ""
	for _, v := range e.first {
		if len(v.absent) == 0 || at(in, v.absent) != "" {
			others.first = append(others.first, v)
			continue
		}
		if empty == "" {
			empty = where(v.absent)
		}
		others.count--
	}
	if others.count > 0 {
		return others.Error()
	}
	return strings.ToUpper(empty[:1]) + empty[1:] + " cannot be empty."
}

// at finds what is at a path of decoded JSON; nil if there is nothing.
func at(in any, path []step) any {
	for _, s := range path {
		switch {
		case s.index >= 0:
			list, _ := in.([]any)
			if s.index >= len(list) {
				return nil
			}
			in = list[s.index]
		case s.name != "":
			members, _ := in.(map[string]any)
			in = members[s.name]
		}
	}
	return in
}

func (v *Violations) push(member string) { v.path = append(v.path, step{name: member, index: -1}) }
func (v *Violations) pushIndex(i int)    { v.path = append(v.path, step{index: i}) }
func (v *Violations) pop()               { v.path = v.path[:len(v.path)-1] }

// to is the path of a member of what is looked at.
func (v *Violations) to(member string) []step {
	return append(v.path[:len(v.path):len(v.path)], step{name: member, index: -1})
}

func where(path []step) string {
	var b strings.Builder
	for _, s := range path {
		switch {
		case s.index >= 0:
			b.WriteString("." + strconv.Itoa(s.index+1) + ".member")
		case s.name != "":
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(s.name)
		}
	}
	return b.String()
}

func (v *Violations) add(member, value, constraint string) {
	v.count++
	if len(v.first) >= maxViolations {
		return
	}
	if len(value) > 64 {
		value = strings.ToValidUTF8(value[:64], "") + "…"
	}
	subject := "Value"
	if value != "" {
		subject = "Value '" + value + "'"
	}
	v.first = append(v.first, violation{text: subject + " at '" + where(v.to(member)) + "' failed to satisfy constraint: " + constraint})
}

func (v *Violations) required(member string, present bool) {
	if present {
		return
	}
	v.add(member, "", "Member must not be null")
	if v.count <= maxViolations {
		v.first[v.count-1].absent = slices.Clone(v.to(member))
	}
}

func (v *Violations) atLeast(member string, value, minimum float64) {
	if value < minimum {
		v.add(member, formatNumber(value), "Member must have value greater than or equal to "+formatNumber(minimum))
	}
}

func (v *Violations) atMost(member string, value, maximum float64) {
	if value > maximum {
		v.add(member, formatNumber(value), "Member must have value less than or equal to "+formatNumber(maximum))
	}
}

func (v *Violations) minLength(member string, length, minimum int) {
	if length < minimum {
		v.add(member, "", "Member must have length greater than or equal to "+strconv.Itoa(minimum))
	}
}

func (v *Violations) maxLength(member string, length, maximum int) {
	if length > maximum {
		v.add(member, "", "Member must have length less than or equal to "+strconv.Itoa(maximum))
	}
}

func (v *Violations) pattern(member, value, pattern string, matched bool) {
	if !matched {
		v.add(member, value, "Member must satisfy regular expression pattern: "+pattern)
	}
}

func (v *Violations) oneOf(member, value string, known bool, values string) {
	if !known {
		v.add(member, value, "Member must satisfy enum value set: ["+values+"]")
	}
}

func formatNumber(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
