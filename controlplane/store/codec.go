package store

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// codec writes or reads a record, so that one list of members is enough for both: b is
// what was written, or what is left to be read. After an error nothing more is done, and
// what reading yields is zero.
type codec struct {
	b       []byte
	reading bool
	err     error // the first one
}

// object is the members between begin and end. Its mask says which of them are there.
type object struct {
	*codec
	mask uint64
	at   int // of the mask, in what was written
	bit  int
}

const maskSize = 8

var errShort = errors.New("the record is cut off")

func (c *codec) begin() object {
	o := object{codec: c, at: len(c.b)}
	if !c.reading {
		c.b = append(c.b, make([]byte, maskSize)...)
	} else if mask := c.take(maskSize); mask != nil {
		o.mask = binary.LittleEndian.Uint64(mask)
	}
	return o
}

func (o *object) end() {
	switch {
	case !o.reading:
		binary.LittleEndian.PutUint64(o.b[o.at:], o.mask)
	case o.mask>>o.bit != 0:
		o.fail(errors.New("the record has members that are not known: was it written by a newer version?"))
	}
}

// member begins the next member, and tells whether it is there: when writing, as the
// caller says.
func (o *object) member(there bool) bool {
	bit := uint64(1) << o.bit
	o.bit++
	if o.reading {
		return o.err == nil && o.mask&bit != 0
	}
	if there {
		o.mask |= bit
	}
	return there
}

func (c *codec) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// take reads n bytes; nil if they are not there.
func (c *codec) take(n int) []byte {
	if c.err != nil || n < 0 || n > len(c.b) {
		c.fail(errShort)
		return nil
	}
	taken := c.b[:n:n]
	c.b = c.b[n:]
	return taken
}

// integer writes n, or reads and returns another.
func (c *codec) integer(n int64) int64 {
	if !c.reading {
		c.b = binary.AppendVarint(c.b, n)
		return n
	}
	n, size := binary.Varint(c.b)
	if size <= 0 {
		size = len(c.b) + 1 // it is cut off, or too large
	}
	if c.take(size) == nil {
		return 0
	}
	return n
}

// count is integer for the number of parts that follow, each of a byte at least.
func (c *codec) count(n int) int {
	m := c.integer(int64(n))
	if m < 0 || c.reading && m > int64(len(c.b)) {
		c.fail(errShort)
		return 0
	}
	return int(m)
}

func number[N ~int32 | ~int64](o *object, n *N) {
	if !o.member(*n != 0) {
		return
	}
	// What is written may be shared with others, and is not touched.
	if value := o.integer(int64(*n)); o.reading {
		*n = N(value)
	}
}

// optional is a number that may be there and be 0.
func optional(o *object, n **int32) {
	if !o.member(*n != nil) {
		return
	}
	if o.reading {
		value := int32(o.integer(0))
		*n = &value
		return
	}
	o.integer(int64(**n))
}

func truth(o *object, b *bool) {
	if o.member(*b) && o.reading {
		*b = true
	}
}

// moment is seconds and nanoseconds since 1970. The zone is not kept.
func moment(o *object, t *time.Time) {
	if !o.member(!t.IsZero()) {
		return
	}
	seconds, nanoseconds := o.integer(t.Unix()), o.integer(int64(t.Nanosecond()))
	if o.reading && o.err == nil {
		*t = time.Unix(seconds, nanoseconds)
	}
}

// rare is a member as JSON.
func rare[T any](o *object, value *T, there bool) {
	if !o.member(there) {
		return
	}
	if o.reading {
		if b := o.take(o.count(0)); b != nil {
			if err := json.Unmarshal(b, value); err != nil {
				o.fail(err)
			}
		}
		return
	}
	b, err := json.Marshal(value)
	if err != nil {
		o.fail(err)
	}
	o.count(len(b))
	o.b = append(o.b, b...)
}

// Text begins with a number: four times its length in bytes, and one of these forms.
// Most of a record is identifiers, which are hexadecimal numbers and take half as many
// bytes as digits.
const (
	asIs   = iota
	digits // two to a byte
	digest // digestPrefix and 64 digits
	forms  = 4
)

const digestPrefix = "sha256:"

func text[S ~string](o *object, s *S) {
	if !o.member(*s != "") {
		return
	}
	if o.reading {
		*s = S(o.readText())
		return
	}
	o.writeText(string(*s))
}

func (c *codec) writeText(s string) {
	form, packed := asIs, s
	switch rest, isDigest := strings.CutPrefix(s, digestPrefix); {
	case isDigest && isHex(rest):
		form, packed = digest, rest
	case isHex(s):
		form = digits
	}
	if form == asIs {
		c.integer(int64(len(s)*forms + asIs))
		c.b = append(c.b, s...)
		return
	}
	c.integer(int64(len(packed)/2*forms + form))
	b, err := hex.AppendDecode(c.b, []byte(packed))
	if err != nil {
		c.fail(fmt.Errorf("writing %q as hexadecimal digits: %w", packed, err))
		return
	}
	c.b = b
}

// isHex tells whether a string is hexadecimal digits as hex.EncodeToString writes them,
// and enough of them to care.
func isHex(s string) bool {
	if len(s) < 16 || len(s)%2 != 0 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func (c *codec) readText() string {
	n := c.integer(0)
	if n < 0 {
		c.fail(errShort)
	}
	b := c.take(int(n / forms))
	switch n % forms {
	case asIs:
		return string(b)
	case digits:
		return hex.EncodeToString(b)
	case digest:
		return digestPrefix + hex.EncodeToString(b)
	}
	c.fail(errors.New("text in an unknown form: was it written by a newer version?"))
	return ""
}
