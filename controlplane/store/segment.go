package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/longshore/longshore/controlplane/model"
)

// etcd is paid by the key as well as by the byte, so what one commit changes of tasks is one
// key, a segment, which is put once and never changed. It is the byte segmentForm, the number
// of its entries (four bytes, little-endian), and the entries, at most one of a task: four
// times the length in bytes, one of these kinds added, and what the kind says. The newest
// entry of a task, in the order of the segments' keys, is its record.
const (
	entryChanged = iota // a task's record, see record.go
	entryKept           // the same, only taken over from an older segment: nothing has changed
	entryGone           // cluster and id of a task that was deleted
	entryKinds   = 4
)

const (
	segmentForm   = 1
	segmentHeader = 5

	// entryOverhead is the most that an entry takes besides a record, or the cluster and the id.
	entryOverhead = 16
	// segmentOverhead is what a segment takes besides its entries.
	segmentOverhead = segmentHeader + 64 // its key
)

// taskRef names a task.
type taskRef struct {
	cluster model.ClusterName
	id      model.TaskID
}

func refOf(t *model.Task) taskRef { return taskRef{t.Cluster, t.ID} }

func beginSegment(b []byte) []byte {
	return append(b, segmentForm, 0, 0, 0, 0)
}

func endSegment(b []byte, entries int) {
	binary.LittleEndian.PutUint32(b[1:], uint32(entries))
}

func appendEntry(b []byte, kind int, value []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(value)*entryKinds+kind))
	return append(b, value...)
}

// appendGone writes what an entry of the kind entryGone says.
func appendGone(b []byte, r taskRef) []byte {
	c := codec{b: b}
	c.writeText(string(r.cluster))
	c.writeText(string(r.id))
	return c.b // what is written as digits is digits
}

// eachEntry reads a segment. The values are parts of it.
func eachEntry(segment []byte, f func(kind int, value []byte) error) error {
	if len(segment) == 0 || segment[0] != segmentForm {
		return errors.New("a segment in an unknown form: was it written by a newer version?")
	}
	if len(segment) < segmentHeader {
		return errSegmentShort
	}
	entries, rest := binary.LittleEndian.Uint32(segment[1:]), segment[segmentHeader:]
	for range entries {
		n, size := binary.Uvarint(rest)
		if size <= 0 || n/entryKinds > uint64(len(rest)-size) {
			return errSegmentShort
		}
		end := size + int(n/entryKinds)
		if err := f(int(n%entryKinds), rest[size:end:end]); err != nil {
			return err
		}
		rest = rest[end:]
	}
	if len(rest) > 0 {
		return fmt.Errorf("a segment with %d bytes too many", len(rest))
	}
	return nil
}

var errSegmentShort = errors.New("the segment is cut off")

// entryTask says which task an entry is of. It reads no more of a record than that.
func entryTask(kind int, value []byte) (r taskRef, err error) {
	switch kind {
	case entryChanged, entryKept:
		return recordTask(value)
	case entryGone:
		c := codec{b: value, reading: true}
		r.cluster, r.id = model.ClusterName(c.readText()), model.TaskID(c.readText())
		if c.err == nil && len(c.b) > 0 {
			c.err = fmt.Errorf("a deleted task with %d bytes too many", len(c.b))
		}
		return r, c.err
	}
	return r, errors.New("an entry of an unknown kind: was it written by a newer version?")
}
