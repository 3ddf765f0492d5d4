package model_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

// Control planes that are older wrote, and read, a whole task in its place.
func TestForgotten_IsReadAndWrittenAsATaskWas(t *testing.T) {
	task := model.Task{
		ID: "t", Cluster: "c", Instance: "i", Definition: model.DefinitionRef{Family: "f", Revision: 3}, LaunchType: ecs.LaunchTypeEC2,
		CapacityProvider: "p", Group: "g", StartedBy: "s", Reserved: model.Reservation{CPU: 1, MemoryMiB: 2, TCP: []uint16{80}},
		CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
	}
	stopped := task
	stopped.DesiredStatus, stopped.LastStatus = model.TaskStopped, model.TaskStopped
	running := task
	running.LastStatus, running.Version, running.Containers = model.TaskRunning, 3, []model.Container{{ID: "u"}}
	forgotten := running.Forgotten()
	if got := *forgotten.Task(); !reflect.DeepEqual(got, stopped) {
		t.Errorf("shown as %+v, want %+v", got, stopped)
	}
	var read model.Forgotten
	convert(t, stopped, &read)
	if !reflect.DeepEqual(read, forgotten) {
		t.Errorf("read as %+v, want %+v", read, forgotten)
	}
	var older model.Task
	convert(t, forgotten, &older)
	if !reflect.DeepEqual(older, task) {
		t.Errorf("an older one reads %+v, want %+v", older, task)
	}
}

func convert(t *testing.T, from, to any) {
	t.Helper()
	b, err := json.Marshal(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, to); err != nil {
		t.Fatal(err)
	}
}
