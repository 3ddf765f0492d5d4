package ecs

import (
	"fmt"
	"strconv"
	"time"
)

// Timestamp is a moment as awsJson1.1 writes it: seconds since the epoch as a
// JSON number, with milliseconds as its fraction. The zero value is absent.
type Timestamp struct{ time.Time }

// At makes a Timestamp of t. The zero time is the absent Timestamp.
func At(t time.Time) Timestamp { return Timestamp{t} }

// MarshalJSON writes seconds with a fraction of milliseconds.
func (t Timestamp) MarshalJSON() ([]byte, error) {
	ms := t.UnixMilli()
	return strconv.AppendFloat(nil, float64(ms)/1000, 'f', -1, 64), nil
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
