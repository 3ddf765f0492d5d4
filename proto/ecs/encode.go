package ecs

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Structure is a structure of the model, by its pointer.
type Structure interface{ encode(*encoder) }

// AppendJSON appends a structure to b as json.Marshal writes it, byte for byte, in a
// fraction of the time: no reflection, and no second look at what a part has written.
// The error is that of a value which JSON cannot say, such as a number that is none.
func AppendJSON(b []byte, s Structure) ([]byte, error) {
	e := encoder{b: b}
	s.encode(&e)
	return e.b, e.err
}

// encoder appends JSON. Each member and element is followed by a comma, in whose place
// the end of its object or list then goes.
type encoder struct {
	b   []byte
	err error // the first one
}

func (e *encoder) begin(bracket byte) { e.b = append(e.b, bracket) }
func (e *encoder) next()              { e.b = append(e.b, ',') }

// label begins a member: its name quoted, and the colon.
func (e *encoder) label(label string) { e.b = append(e.b, label...) }

func (e *encoder) end(bracket byte) {
	if last := len(e.b) - 1; e.b[last] == ',' {
		e.b[last] = bracket
	} else {
		e.b = append(e.b, bracket) // nothing was in it
	}
}

// plain are the bytes that a string has in JSON as they are.
var plain = func() (plain [256]bool) {
	for c := byte(' '); c <= '~'; c++ {
		plain[c] = !strings.ContainsRune(`"\<>&`, rune(c))
	}
	return plain
}()

// quote leaves what has to be escaped, or is no ASCII, to json.Marshal.
func (e *encoder) quote(s string) {
	for i := range len(s) {
		if !plain[s[i]] {
			e.marshal(s)
			return
		}
	}
	e.b = append(e.b, '"')
	e.b = append(e.b, s...)
	e.b = append(e.b, '"')
}

func (e *encoder) marshal(value any) {
	b, err := json.Marshal(value)
	if err != nil && e.err == nil {
		e.err = err
	}
	e.b = append(e.b, b...)
}

// The functions below write one member each, of a kind that the generator knows them by.
// Those for what a pointer is to, for strings, moments and lists leave a member out that
// is not there.

func structure[T any, P interface {
	*T
	Structure
}](e *encoder, label string, s P) {
	if s != nil {
		e.label(label)
		s.encode(e)
		e.next()
	}
}

func structures[T any, P interface {
	*T
	Structure
}](e *encoder, label string, list []T) {
	if list == nil {
		return
	}
	e.label(label)
	e.begin('[')
	for i := range list {
		P(&list[i]).encode(e)
		e.next()
	}
	e.end(']')
	e.next()
}

func text[S ~string](e *encoder, label string, s S) {
	if s != "" {
		textPointer(e, label, &s)
	}
}

func textPointer[S ~string](e *encoder, label string, s *S) {
	if s != nil {
		e.label(label)
		e.quote(string(*s))
		e.next()
	}
}

func texts[S ~string](e *encoder, label string, list []S) {
	if list == nil {
		return
	}
	e.label(label)
	e.begin('[')
	for _, s := range list {
		e.quote(string(s))
		e.next()
	}
	e.end(']')
	e.next()
}

func number[N int32 | int64](e *encoder, label string, n N) {
	e.label(label)
	e.b = strconv.AppendInt(e.b, int64(n), 10)
	e.next()
}

func numberPointer[N int32 | int64](e *encoder, label string, n *N) {
	if n != nil {
		number(e, label, *n)
	}
}

func truth(e *encoder, label string, t bool) {
	e.label(label)
	e.b = strconv.AppendBool(e.b, t)
	e.next()
}

func truthPointer(e *encoder, label string, t *bool) {
	if t != nil {
		truth(e, label, *t)
	}
}

func moment(e *encoder, label string, t Timestamp) {
	if !t.IsZero() {
		e.label(label)
		e.b = t.append(e.b)
		e.next()
	}
}

// other writes what is rare: a fraction.
func other[T any](e *encoder, label string, value T) {
	e.label(label)
	e.marshal(value)
	e.next()
}

func otherPointer[T any](e *encoder, label string, value *T) {
	if value != nil {
		other(e, label, *value)
	}
}

func otherMap(e *encoder, label string, value map[string]string) {
	if value != nil {
		other(e, label, value)
	}
}

// otherList writes a list of numbers, or a document, which is JSON already.
func otherList[T any, L ~[]T](e *encoder, label string, list L) {
	if list != nil {
		other(e, label, list)
	}
}
