package session

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	agentv1 "github.com/longshore/longshore/proto/agent/v1"
)

const (
	testPatience = 250 * time.Millisecond
	testLost     = 15 * time.Second
)

func newTestOutbox(tasks ...string) *outbox {
	o := newOutbox(testPatience, testLost)
	o.reset(tasks)
	return o
}

func TestOutbox_LateAcknowledgementsHoldReportsUpForAWhileOnly(t *testing.T) {
	o, now := newTestOutbox("a", "b", "c"), time.Now()
	o.put(&agentv1.TaskState{Arn: "a", Status: stopped})
	if r, _ := o.next(now); r.GetSequence() != 1 {
		t.Fatalf("first report %v", r)
	}
	o.put(&agentv1.TaskState{Arn: "b", Status: stopped})
	r, again := o.next(now.Add(testPatience / 2))
	if r != nil || !again.Equal(now.Add(testPatience)) {
		t.Fatalf("report %v, to be asked again after %v", r, again.Sub(now))
	}
	if r, _ = o.next(again); r.GetSequence() != 2 || len(r.Tasks) != 1 || r.Tasks[0].Arn != "b" {
		t.Fatalf("second report %v, want b alone", r)
	}
	if r, again = o.next(now.Add(time.Second)); r != nil || !again.Equal(now.Add(testLost)) {
		t.Fatalf("with nothing to say: %v, to be asked again after %v", r, again.Sub(now))
	}
	if got := o.ack(2); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("delivered %v, want what both reports said", got)
	}
	if _, again := o.next(now.Add(time.Hour)); !again.IsZero() {
		t.Error("something is still under way")
	}
}

// Whatever is said, acknowledged or lost, the newest truth about each task gets there, and
// STOPPED counts as delivered only once it has.
func TestOutbox_EveryTaskIsReportedUntilItsNewestTruthIsAcknowledged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		arns := []string{"a", "b", "c", "d"}
		o, now := newTestOutbox(arns...), time.Unix(0, 0)
		truth, known, version := map[string]string{}, map[string]string{}, 0
		var reports []*agentv1.Report
		delivered := map[string]bool{}
		ask := func() time.Time {
			r, again := o.next(now)
			if r != nil {
				reports = append(reports, r)
			}
			return again
		}
		ack := func(sequence uint64) {
			for _, arn := range o.ack(sequence) {
				delivered[arn] = true
			}
		}
		arrive := func() { // reports get there in order
			for _, r := range reports {
				for _, s := range r.Tasks {
					known[s.Arn] = s.Reason
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				arn := rapid.SampledFrom(arns).Draw(t, "task")
				version++
				truth[arn] = fmt.Sprint(version)
				delete(delivered, arn)
				o.put(&agentv1.TaskState{Arn: arn, Reason: truth[arn], Status: rapid.SampledFrom([]string{"RUNNING", stopped}).Draw(t, "status")})
			},
			"ask": func(*rapid.T) { ask() },
			"wait": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 20_000).Draw(t, "ms")) * time.Millisecond)
			},
			"acknowledge": func(t *rapid.T) {
				if len(reports) > 0 {
					arrive()
					ack(rapid.SampledFrom(reports).Draw(t, "report").Sequence)
				}
			},
			"": func(t *rapid.T) {
				arrive()
				for arn := range delivered {
					if known[arn] != truth[arn] {
						t.Fatalf("%s counts as delivered with %s, and was told as %s", arn, truth[arn], known[arn])
					}
				}
			},
		})
		for range 10 { // with all reports acknowledged at once, nothing is left
			ask()
			if len(reports) > 0 {
				ack(reports[len(reports)-1].Sequence)
			}
		}
		if again := ask(); !again.IsZero() || len(o.queue) > 0 {
			t.Fatalf("to be asked again at %v, with %d in the queue", again, len(o.queue))
		}
		arrive()
		for arn := range truth {
			if known[arn] != truth[arn] {
				t.Errorf("%s was told as %q, want %q", arn, known[arn], truth[arn])
			}
		}
	})
}
