package ecs

import (
	"fmt"
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
	texts []string
}

type step struct {
	name  string
	index int // of a list; -1 for a member
}

// Err returns nil if nothing was violated, and otherwise the violations in the
// words that AWS services use for them.
func (v *Violations) Err() error {
	switch v.count {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("1 validation error detected: %s", v.texts[0])
	}
	return fmt.Errorf("%d validation errors detected: %s", v.count, strings.Join(v.texts, "; "))
}

func (v *Violations) push(member string) { v.path = append(v.path, step{name: member, index: -1}) }
func (v *Violations) pushIndex(i int)    { v.path = append(v.path, step{index: i}) }
func (v *Violations) pop()               { v.path = v.path[:len(v.path)-1] }

func (v *Violations) where(member string) string {
	var b strings.Builder
	for _, s := range append(v.path[:len(v.path):len(v.path)], step{name: member, index: -1}) {
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
	if len(v.texts) >= maxViolations {
		return
	}
	if len(value) > 64 {
		value = strings.ToValidUTF8(value[:64], "") + "…"
	}
	subject := "Value"
	if value != "" {
		subject = "Value '" + value + "'"
	}
	v.texts = append(v.texts, subject+" at '"+v.where(member)+"' failed to satisfy constraint: "+constraint)
}

func (v *Violations) required(member string, present bool) {
	if !present {
		v.add(member, "", "Member must not be null")
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
