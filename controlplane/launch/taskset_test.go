package launch_test

import (
	"testing"

	"github.com/longshore/longshore/controlplane/launch"
	"github.com/longshore/longshore/controlplane/model"
)

func TestForTaskSet_RunsTheImagesOfTheTaskSet(t *testing.T) {
	s := &model.Service{Cluster: "c", Name: "s", TaskSets: []model.TaskSet{
		{ID: "ecs-svc/1", Images: map[string]string{"a": "sha256:1"}}, {ID: "ecs-svc/2"},
	}}
	for i, want := range []string{"sha256:1", ""} {
		o, err := launch.ForTaskSet(s, &s.TaskSets[i], &model.Definition{})
		if err != nil {
			t.Fatal(err)
		}
		if got := o.Images["a"]; got != want {
			t.Errorf("%s runs %q, want %q", s.TaskSets[i].ID, got, want)
		}
	}
}
