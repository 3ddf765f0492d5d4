package query

import (
	"cmp"
	"math"
	"strconv"
	"strings"
	"time"
)

// parseNumber reads a decimal number.
func parseNumber(s string) (float64, bool) {
	if strings.Trim(s, "0123456789.+-eE") != "" {
		return 0, false // ParseFloat also takes hexadecimals, underscores and infinities
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil && !math.IsInf(n, 0)
}

// dateForms are those that the documentation names; the fraction of a second, where
// one is written, is read as well.
var dateForms = []string{time.RFC3339, "2006-01-02T15:04:05", time.DateOnly}

func parseDate(s string) (time.Time, bool) {
	for _, form := range dateForms {
		if t, err := time.Parse(form, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// version is a version as software is numbered: numbers, and what comes after them.
type version struct {
	numbers []string // without leading zeros, the trailing ones that are zero left out
	suffix  string   // of a release candidate and the like; empty for the release
}

// parseVersion reads numbers with points between, perhaps after a v. What follows a
// hyphen makes it less than the release, what follows a plus says nothing.
func parseVersion(s string) (version, bool) {
	s, _, _ = strings.Cut(strings.TrimPrefix(s, "v"), "+")
	s, suffix, _ := strings.Cut(s, "-")
	v := version{suffix: suffix}
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || strings.Trim(part, "0123456789") != "" {
			return version{}, false
		}
		v.numbers = append(v.numbers, strings.TrimLeft(part, "0"))
	}
	for len(v.numbers) > 0 && v.numbers[len(v.numbers)-1] == "" {
		v.numbers = v.numbers[:len(v.numbers)-1]
	}
	return v, true
}

func (v version) compare(w version) int {
	for i := range max(len(v.numbers), len(w.numbers)) {
		a, b := v.number(i), w.number(i)
		if c := cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)); c != 0 {
			return c
		}
	}
	switch {
	case v.suffix == w.suffix:
		return 0
	case v.suffix == "":
		return 1
	case w.suffix == "":
		return -1
	}
	return strings.Compare(v.suffix, w.suffix)
}

func (v version) number(i int) string {
	if i < len(v.numbers) {
		return v.numbers[i]
	}
	return ""
}
