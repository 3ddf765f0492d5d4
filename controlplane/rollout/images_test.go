package rollout

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/model"
)

// runs notes what the agents of all tasks without an image report.
func (w *world) runs(digest string) {
	for i, t := range w.tasks {
		if len(t.Containers) > 0 {
			continue
		}
		next := *t
		next.Containers = []model.Container{{Name: "main", ImageDigest: digest}, {Name: "local"}}
		w.tasks[i] = &next
	}
}

func TestPlan_TheFirstTaskPinsTheImagesOfItsDeployment(t *testing.T) {
	w := steady(t, 2, 2)
	w.runs("sha256:1")
	w.plan()
	want := map[string]string{"main": "sha256:1"}
	if got := w.svc.Primary().Images; !maps.Equal(got, want) {
		t.Fatalf("pinned %v, want %v", got, want)
	}
	w.change(func(s *model.Service) { s.DesiredCount = 4 })
	w.settle()
	w.runs("sha256:2")
	w.plan()
	if got := w.svc.Primary().Images; !maps.Equal(got, want) {
		t.Errorf("a later task pinned %v, want %v still", got, want)
	}
	w.deploy(2)
	if got := w.svc.Primary().Images; got != nil {
		t.Errorf("a new deployment begins with %v, want what its own first task runs", got)
	}
	w.plan()
	if got := w.svc.Primary().Images; got != nil {
		t.Errorf("the tasks of another deployment pinned %v", got)
	}
}

// A plan may be outdated before it is stored; the roster that it used goes on to the next one.
func TestPlan_ThatWasNotStoredPinsAgain(t *testing.T) {
	w := steady(t, 2, 2)
	w.runs("sha256:1")
	in := w.input()
	in.Tasks, in.Roster = nil, NewRoster(slices.Values(w.tasks))
	for i := range 2 {
		if got := Plan(in).Service.Primary().Images["main"]; got != "sha256:1" {
			t.Errorf("plan %d pins %q, want sha256:1", i, got)
		}
	}
}

func TestPlan_OfSeveralTasksTheOldestPins(t *testing.T) {
	w := steady(t, 3, 2)
	for i, task := range w.tasks {
		next := *task
		next.CreatedAt = epoch.Add(-time.Duration(i) * time.Second)
		next.Containers = []model.Container{{Name: "main", ImageDigest: "sha256:" + string(rune('a'+i))}}
		w.tasks[i] = &next
	}
	w.plan()
	if got := w.svc.Primary().Images["main"]; got != "sha256:c" {
		t.Errorf("pinned %s, want that of the task created first, sha256:c", got)
	}
}

func TestPlan_RollsBackToTheImagesThatATagMeant(t *testing.T) {
	w := steady(t, 1, 2)
	w.breaker(true)
	w.runs("sha256:good")
	w.plan()
	w.pass(time.Minute)
	w.change(func(s *model.Service) {
		completed := *s.Primary()
		s.LastCompleted = &completed
	})
	w.deploy(1) // by force: the same definition, whose tag means another image by now
	w.failDeployment()
	d := w.svc.Primary()
	if d.Images["main"] != "sha256:good" || w.svc.Deployments[1].RolloutState != "FAILED" {
		t.Fatalf("deployments %+v, want a rollback to the image of the first", w.svc.Deployments)
	}
	id := d.ID
	w.failDeployment()
	if got := w.svc.Primary().ID; got != id {
		t.Errorf("the rollback was rolled back, to %s", got)
	}
}

func TestPlan_EachTaskSetRunsTheImagesOfItsOwnFirstTask(t *testing.T) {
	w := newSetsWorld(t, 2, 2)
	blue := w.addSet(1, 100)
	w.settleSets()
	w.runs("sha256:1")
	w.planSets()
	green := w.addSet(1, 100) // the same definition, whose tag means another image by now
	w.settleSets()
	w.runs("sha256:2")
	w.planSets()
	w.change(func(s *model.Service) { s.DesiredCount = 4 })
	w.settleSets()
	w.runs("sha256:3")
	w.planSets()
	for id, want := range map[model.DeploymentID]string{blue: "sha256:1", green: "sha256:2"} {
		set, ok := w.svc.TaskSet(id)
		if !ok || !maps.Equal(set.Images, map[string]string{"main": want}) {
			t.Errorf("task set %s pinned %v, want %s", id, set.Images, want)
		}
	}
}
