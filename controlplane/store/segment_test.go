package store

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

type testEntry struct {
	kind  int
	value []byte
}

func segmentOf(entries ...testEntry) []byte {
	b := beginSegment(nil)
	for _, e := range entries {
		b = appendEntry(b, e.kind, e.value)
	}
	endSegment(b, len(entries))
	return b
}

func entriesOf(segment []byte) (out []testEntry, err error) {
	err = eachEntry(segment, func(kind int, value []byte) error {
		out = append(out, testEntry{kind, value})
		return nil
	})
	return out, err
}

func TestSegment_ComesBackAsItWasAndIsRefusedCutOff(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) testEntry {
			return testEntry{rapid.IntRange(0, entryGone).Draw(t, "kind"), rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "value")}
		}), 1, 5).Draw(t, "entries")
		b := segmentOf(want...)
		got, err := entriesOf(b)
		if err != nil || len(got) != len(want) {
			t.Fatalf("read %d entries, %v, want %d", len(got), err, len(want))
		}
		for i := range got {
			if got[i].kind != want[i].kind || !bytes.Equal(got[i].value, want[i].value) {
				t.Fatalf("entry %d is %v, want %v", i, got[i], want[i])
			}
		}
		if n := rapid.IntRange(0, len(b)-1).Draw(t, "cut"); true {
			if _, err := entriesOf(b[:n]); err == nil {
				t.Fatalf("%d bytes of %d were read as a segment", n, len(b))
			}
		}
		if _, err := entriesOf(append(b, 0)); err == nil {
			t.Fatal("a byte too many was read")
		}
	})
}

func TestSegment_NamesTheTasksOfItsEntries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		task := randomRecord(t)
		task.Cluster = "c"
		b, err := appendTask(nil, task)
		if err != nil {
			t.Fatal(err)
		}
		for kind, value := range map[int][]byte{entryChanged: b, entryKept: b, entryGone: appendGone(nil, refOf(task))} {
			if r, err := entryTask(kind, value); err != nil || r != refOf(task) {
				t.Fatalf("an entry of the kind %d is of %v, %v, want %v", kind, r, err, refOf(task))
			}
		}
	})
}

func TestSegment_OfANewerVersionIsRefusedByThatName(t *testing.T) {
	for _, b := range [][]byte{{}, {2, 0, 0, 0, 0}, segmentOf(testEntry{entryGone + 1, []byte("x")})} {
		err := eachEntry(b, func(kind int, value []byte) error {
			_, err := entryTask(kind, value)
			return err
		})
		if err == nil || !strings.Contains(err.Error(), "newer version") {
			t.Errorf("reading %q: %v, want that it may be a newer version's", b, err)
		}
	}
}

func FuzzSegment(f *testing.F) {
	f.Add(segmentOf(testEntry{entryChanged, []byte("x")}))
	f.Fuzz(func(_ *testing.T, b []byte) {
		l := newTaskLoader()
		if l.segment(segmentKey(1), b) == nil { // whatever it says, it comes back
			_ = fmt.Sprint(l.finish(newTables()))
		}
	})
}
