package model

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/longshore/longshore/proto/ecs"
)

var statuses = []TaskStatus{TaskProvisioning, TaskPending, TaskActivating, TaskRunning, TaskDeactivating, TaskStopping, TaskDeprovisioning, TaskStopped}

func newTask() *Task {
	return &Task{
		ID: "t", LastStatus: TaskPending, DesiredStatus: TaskRunning, Version: 1, CreatedAt: time.Unix(100, 0),
		Containers: []Container{{Name: "a", LastStatus: TaskPending}, {Name: "b", LastStatus: TaskPending}},
	}
}

// Whatever is reported, in whatever order and however often: nothing moves
// backwards, the first reason stands, and what was stored is not touched.
func TestReported_NeverMovesBackwards(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		task, now := newTask(), time.Unix(200, 0)
		for range rapid.IntRange(1, 12).Draw(t, "reports") {
			now = now.Add(time.Second)
			code := rapid.Int32Range(0, 2).Draw(t, "code")
			r := TaskReport{
				Status: rapid.SampledFrom(statuses).Draw(t, "status"),
				Reason: rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "reason"),
				Containers: []ContainerReport{{
					Name:     rapid.SampledFrom([]string{"a", "b", "unknown"}).Draw(t, "container"),
					Status:   rapid.SampledFrom([]TaskStatus{TaskPending, TaskRunning, TaskStopped}).Draw(t, "container status"),
					ExitCode: &code,
				}},
			}
			before := *task
			next, changed := task.Reported(r, now)
			if task.LastStatus != before.LastStatus || task.Version != before.Version || task.Containers[0].LastStatus != before.Containers[0].LastStatus {
				t.Fatal("the stored task was changed in place")
			}
			if !changed && next != task {
				t.Fatal("unchanged, but another task")
			}
			if changed && next.Version != task.Version+1 {
				t.Fatalf("version %d after %d", next.Version, task.Version)
			}
			checkForward(t, task, next)
			if again, changed := next.Reported(r, now.Add(time.Hour)); changed {
				t.Fatalf("the same report again changed %+v to %+v", next, again)
			}
			task = next
		}
	})
}

func checkForward(t *rapid.T, old, next *Task) {
	if next.LastStatus.Before(old.LastStatus) {
		t.Fatalf("status went from %s to %s", old.LastStatus, next.LastStatus)
	}
	if old.StoppedReason != "" && next.StoppedReason != old.StoppedReason {
		t.Fatalf("reason went from %q to %q", old.StoppedReason, next.StoppedReason)
	}
	for i, c := range next.Containers {
		was := old.Containers[i]
		if c.LastStatus.Before(was.LastStatus) {
			t.Fatalf("container went from %s to %s", was.LastStatus, c.LastStatus)
		}
		if was.ExitCode != nil && *c.ExitCode != *was.ExitCode {
			t.Fatalf("exit code went from %d to %d", *was.ExitCode, *c.ExitCode)
		}
	}
	if next.LastStatus == TaskStopped && (next.StoppedAt.IsZero() || next.DesiredStatus != TaskStopped || next.Containers[0].LastStatus != TaskStopped) {
		t.Fatalf("STOPPED, but %+v", next)
	}
}

func TestReported_StartedByThisClock(t *testing.T) {
	hostClock := time.Unix(999999, 0)
	now := time.Unix(500, 0)
	running, _ := newTask().Reported(TaskReport{Status: TaskRunning, StartedAt: hostClock}, now)
	if !running.StartedAt.Equal(now) {
		t.Errorf("RUNNING: started at %v, want %v", running.StartedAt, now)
	}
	ended, _ := newTask().Reported(TaskReport{Status: TaskStopped, StartedAt: hostClock, ExecutionStoppedAt: hostClock.Add(time.Minute)}, now)
	if want := now.Add(-time.Minute); !ended.StartedAt.Equal(want) {
		t.Errorf("ran for a minute unseen: started at %v, want %v", ended.StartedAt, want)
	}
	failed, _ := newTask().Reported(TaskReport{Status: TaskStopped, StopCode: ecs.TaskStopCodeTaskFailedToStart}, now)
	if !failed.StartedAt.IsZero() {
		t.Errorf("never ran: started at %v", failed.StartedAt)
	}
}
