package elbv2

import (
	"net/url"
	"strconv"
)

// form is a request. The first of its parameters that is not what it should be is
// kept as its error.
type form struct {
	values url.Values
	err    error
}

func (f *form) has(name string) bool { return f.values.Has(name) }

func (f *form) text(name string) string { return f.values.Get(name) }

func (f *form) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

// number reads a parameter that, if it is given, lies between two bounds.
func (f *form) number(name string, standard, least, most int32) int32 {
	if !f.has(name) {
		return standard
	}
	n, err := strconv.ParseInt(f.text(name), 10, 32)
	if err != nil || int32(n) < least || int32(n) > most {
		f.fail(invalid("%s '%s' must be between %d and %d", name, clip(f.text(name)), least, most))
		return standard
	}
	return int32(n)
}

// members calls read for each member of a list, with the prefix of its parameters.
func (f *form) members(name string, read func(prefix string)) {
	for i := 1; ; i++ {
		prefix := name + ".member." + strconv.Itoa(i)
		if !f.has(prefix) && !f.hasBelow(prefix+".") {
			return
		}
		read(prefix)
	}
}

// given tells whether a list has any member.
func (f *form) given(name string) bool {
	found := false
	f.members(name, func(string) { found = true })
	return found
}

// texts reads a list of texts.
func (f *form) texts(name string) []string {
	var out []string
	f.members(name, func(prefix string) { out = append(out, f.text(prefix)) })
	return out
}

// hasBelow tells whether a structure has any member: those here have one of these.
func (f *form) hasBelow(prefix string) bool {
	for _, member := range []string{"Key", "Value", "Id", "Port"} {
		if f.has(prefix + member) {
			return true
		}
	}
	return false
}

// check returns what was wrong with the parameters read so far.
func (f *form) check() error { return f.err }
