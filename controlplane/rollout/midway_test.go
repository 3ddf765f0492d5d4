package rollout

import (
	"testing"
	"time"
)

// midway is a service of four tasks, two of which a rolling update has replaced so far;
// percentages allow one more at a time.
func midway(t *testing.T) *world {
	w := steady(t, 4, 2)
	w.percent(75, 125)
	w.deploy(2)
	for w.ofRevision(2) < 2 || len(w.live()) > 4 {
		w.plan()
		w.obey()
		w.pass(2 * time.Second)
	}
	if w.ofRevision(1) != 2 {
		t.Fatalf("%d old tasks midway", w.ofRevision(1))
	}
	return w
}

// ofRevision counts the tasks of a revision that are to go on.
func (w *world) ofRevision(revision int32) int {
	n := 0
	for _, t := range w.live() {
		if t.Definition == def(revision) {
			n++
		}
	}
	return n
}

func TestPlan_ScaleOutInTheMiddleOfARolloutStartsBothRevisions(t *testing.T) {
	w := midway(t)
	w.scale(8)
	out := w.plan()
	// 8 at 75 % keeps at least 6, of which there are only 4; 10 may be there at most.
	wantPlan(t, out, 0, 4)
	if w.ofRevision(1) != 4 || w.ofRevision(2) != 6 {
		t.Errorf("%d old and %d new tasks", w.ofRevision(1), w.ofRevision(2))
	}
	w.settle()
	w.checkSteady()
}

func TestPlan_ScaleInInTheMiddleOfARolloutStopsTheOldRevisionFirst(t *testing.T) {
	w := midway(t)
	w.scale(2)
	w.plan()
	w.obey()
	if w.ofRevision(1) != 0 || w.ofRevision(2) != 2 {
		t.Errorf("%d old and %d new tasks", w.ofRevision(1), w.ofRevision(2))
	}
	w.settle()
	w.checkSteady()
	if n := w.ofRevision(2); n != 2 {
		t.Errorf("%d tasks in the end", n)
	}
}

func TestPlan_InstanceThatDrainsInTheMiddleOfARolloutIsLeftByBothRevisions(t *testing.T) {
	w := midway(t)
	w.drain("i00")
	for range 20 {
		w.plan() // in which world checks the percentages
		w.obey()
		w.pass(2 * time.Second)
	}
	if n := w.on("i00"); n != 0 {
		t.Errorf("%d tasks on the draining instance", n)
	}
	if w.ofRevision(1) != 0 || w.ofRevision(2) != 4 {
		t.Errorf("%d old and %d new tasks", w.ofRevision(1), w.ofRevision(2))
	}
	w.checkSteady()
}

func TestPlan_InstanceThatDrainsWhileTheOtherIsFullKeepsWhatServes(t *testing.T) {
	w := midway(t)
	w.capacity = w.on("i01")
	w.drain("i00")
	for range 20 {
		w.plan()
		w.obey()
		w.pass(2 * time.Second)
	}
	serving := 0
	for _, task := range w.live() {
		if w.serves(task) {
			serving++
		}
	}
	if serving < 3 {
		t.Errorf("%d tasks serve, at least 3 of 4 must", serving)
	}
	w.capacity = 100
	w.settle()
	w.checkSteady()
}
