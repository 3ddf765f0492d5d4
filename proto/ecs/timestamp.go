package ecs

import (
	"fmt"
	"strconv"
	"time"
)

// Timestamp is a moment as awsJson1.1 writes it: seconds since the epoch as a
// JSON number, with milliseconds as its fraction. The zero value is absent.
type Timestamp struct{ time.Time }

// maxMilliseconds is the last millisecond of the year 9999. Its 15 digits are as many as
// every float64 keeps apart, which makes the decimal number the shortest one.
const maxMilliseconds = 253402300799999

// At makes a Timestamp of t. The zero time is the absent Timestamp.
func At(t time.Time) Timestamp { return Timestamp{t} }

// MarshalJSON writes seconds with a fraction of milliseconds.
func (t Timestamp) MarshalJSON() ([]byte, error) {
	return t.append(nil), nil
}

// append appends the shortest number that is the moment to a millisecond. Up to the
// year 9999 that is its seconds and the milliseconds without the zeros at their end.
func (t Timestamp) append(b []byte) []byte {
	ms := t.UnixMilli()
	if ms < 0 || ms > maxMilliseconds {
		return strconv.AppendFloat(b, float64(ms)/1000, 'f', -1, 64)
	}
	b = strconv.AppendInt(b, ms/1000, 10)
	fraction := ms % 1000
	if fraction == 0 {
		return b
	}
	b = append(b, '.', byte('0'+fraction/100), byte('0'+fraction/10%10), byte('0'+fraction%10))
	for b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	return b
}

// UnmarshalJSON reads a number of seconds; null leaves t as it is.
func (t *Timestamp) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	seconds, err := strconv.ParseFloat(string(b), 64)
	// The range keeps the conversion to milliseconds exact: year 1 to 9999.
	if err != nil || seconds < -62135596800 || seconds > 253402300799 {
		return fmt.Errorf("timestamp %.40s is not a number of seconds since the epoch", b)
	}
	t.Time = time.UnixMilli(int64(seconds * 1000)).UTC()
	return nil
}
