package api_test

import (
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/model"
)

func TestDescribeTasks_ConnectivityIsThatOfTheAgentOnceItKnowsTheTask(t *testing.T) {
	f := newFixture(t)
	c, d := f.cluster("c"), f.definition("web")
	host := f.host(c, 1024, 1024)
	arn := *f.run(c, d, 1).Tasks[0].TaskArn
	want := func(connectivity string, at time.Time) {
		t.Helper()
		task := f.describeTask(c, arn)
		switch {
		case string(task.Connectivity) != connectivity:
			t.Errorf("got %q, want %q", task.Connectivity, connectivity)
		case (task.ConnectivityAt == nil) != at.IsZero(), task.ConnectivityAt != nil && !task.ConnectivityAt.Equal(at):
			t.Errorf("at %v, want %s", task.ConnectivityAt, at)
		}
	}
	want("", time.Time{})
	first := time.Unix(1_900_000_000, 0).UTC()
	f.changeTask(arn, func(task *model.Task) {
		next, _ := task.Reported(model.TaskReport{PullStartedAt: first}, first)
		*task = *next
	})
	want("CONNECTED", first)
	f.changeTask(arn, func(task *model.Task) {
		next, _ := task.Reported(model.TaskReport{Status: model.TaskRunning}, first.Add(time.Second))
		*task = *next
	})
	want("CONNECTED", first)
	f.changeInstance(host, func(i *model.Instance) { i.AgentConnected = false })
	want("DISCONNECTED", first)
	back := first.Add(time.Minute)
	f.changeInstance(host, func(i *model.Instance) { i.AgentConnected, i.ConnectedAt = true, back })
	want("CONNECTED", back)
	f.changeTask(arn, func(task *model.Task) {
		next, _ := task.Reported(model.TaskReport{Status: model.TaskStopped}, back.Add(time.Second))
		*task = *next
	})
	f.changeInstance(host, func(i *model.Instance) { i.AgentConnected = false })
	want("CONNECTED", back)
}
