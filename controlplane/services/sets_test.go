package services_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

func (w *world) external(desired int32, sets ...model.TaskSet) {
	w.t.Helper()
	w.update(func(tx *store.Tx) {
		s := &model.Service{Cluster: key.Cluster, Name: key.Name, Status: model.StatusActive, SchedulingStrategy: ecs.SchedulingStrategyREPLICA,
			CreatedAt: time.Now(), DesiredCount: desired, Controller: ecs.DeploymentControllerTypeEXTERNAL, TaskSets: sets}
		s.DeploymentConfiguration = ecs.DeploymentConfiguration{MaximumPercent: new(int32(200)), MinimumHealthyPercent: new(int32(100))}
		tx.PutService(s)
	})
}

func taskSet(id model.DeploymentID, revision int32, scale float64) model.TaskSet {
	return model.TaskSet{ID: id, Status: model.DeploymentActive, Definition: model.DefinitionRef{Family: "f", Revision: revision}, LaunchType: ecs.LaunchTypeEC2, Scale: scale}
}

func (w *world) changeSet(id model.DeploymentID, change func(*model.TaskSet)) {
	w.t.Helper()
	w.update(func(tx *store.Tx) {
		s, _ := tx.Service(key)
		next := *s
		next.TaskSets = slices.Clone(s.TaskSets)
		set, _ := next.TaskSet(id)
		change(set)
		tx.PutService(&next)
	})
}

// stable tells whether each task set has its tasks running and is said to be steady.
func stable(want map[model.DeploymentID]int) func(*store.Tables) bool {
	return func(v *store.Tables) bool {
		have := map[model.DeploymentID]int{}
		for task := range v.LiveTasksOfService(key) {
			if task.LastStatus != model.TaskRunning || task.DesiredStatus != model.TaskRunning {
				return false
			}
			have[task.Deployment]++
		}
		s, _ := v.Service(key)
		for i := range s.TaskSets {
			set := &s.TaskSets[i]
			if set.Stability != ecs.StabilityStatusSTEADYSTATE || have[set.ID] != want[set.ID] {
				return false
			}
			delete(have, set.ID)
		}
		return len(s.TaskSets) == len(want) && len(have) == 0
	}
}

func TestLoop_KeepsTheTasksOfEachTaskSet(t *testing.T) {
	w := newWorld(t, host("i1", 2048), host("i2", 2048))
	w.external(4, taskSet("ecs-svc/1", 1, 100), taskSet("ecs-svc/2", 2, 30))
	w.await("the tasks of both task sets", stable(map[model.DeploymentID]int{"ecs-svc/1": 4, "ecs-svc/2": 2}))
	var victim *model.Task
	for task := range w.store.View().LiveTasksOfService(key) {
		if task.StartedBy != string(task.Deployment) || task.Group != "service:web" || (task.Deployment == "ecs-svc/2") != (task.Definition.Revision == 2) {
			t.Errorf("task %+v", task)
		}
		victim = task
	}
	w.update(func(tx *store.Tx) {
		task, _ := tx.Task("c", victim.ID)
		next, _ := task.Reported(model.TaskReport{Status: model.TaskStopped, StopCode: ecs.TaskStopCodeEssentialContainerExited}, time.Now())
		tx.PutTask(next)
	})
	w.await("the dead task replaced", func(v *store.Tables) bool {
		dead, _ := v.Task("c", victim.ID)
		return dead.OutcomeCounted && stable(map[model.DeploymentID]int{"ecs-svc/1": 4, "ecs-svc/2": 2})(v)
	})
	w.changeSet("ecs-svc/2", func(set *model.TaskSet) { set.Scale = 100 })
	w.await("the second task set in full", stable(map[model.DeploymentID]int{"ecs-svc/1": 4, "ecs-svc/2": 4}))
	w.changeSet("ecs-svc/1", func(set *model.TaskSet) { set.Status, set.Scale = model.TaskSetDraining, 0 })
	w.await("the first task set gone", stable(map[model.DeploymentID]int{"ecs-svc/2": 4}))
	for _, want := range []string{
		"(service web) updated computedDesiredCount for taskSet ecs-svc/2 to 2.", "(service web, taskSet ecs-svc/2) updated state to STEADY_STATE.",
		"(service web) updated computedDesiredCount for taskSet ecs-svc/1 to 0.", "(service web) has reached a steady state.",
	} {
		if !slices.Contains(w.events(), want) {
			t.Errorf("no event %q in %q", want, w.events())
		}
	}
	w.update(func(tx *store.Tx) {
		s, _ := tx.Service(key)
		next := *s
		next.Status, next.DesiredCount = model.StatusDraining, 0
		tx.PutService(&next)
	})
	w.await("the service INACTIVE", func(v *store.Tables) bool {
		s, _ := v.Service(key)
		return s.Status == model.StatusInactive && len(s.TaskSets) == 0 && len(slices.Collect(v.LiveTasksOfService(key))) == 0
	})
}

func TestLoop_StartsTaskSetsOnceThereIsRoom(t *testing.T) {
	w := newWorld(t, host("i1", 250))
	w.external(2, taskSet("ecs-svc/1", 1, 100), taskSet("ecs-svc/2", 2, 50))
	w.await("the shortage told", func(v *store.Tables) bool {
		return running(v, 1)+running(v, 2) == 2 && slices.ContainsFunc(w.events(), func(e string) bool {
			return strings.Contains(e, "(container-instance i1) has insufficient CPU units available")
		})
	})
	w.update(func(tx *store.Tx) { tx.PutInstance(host("i2", 250)) })
	w.await("all tasks once a second host is there", stable(map[model.DeploymentID]int{"ecs-svc/1": 2, "ecs-svc/2": 1}))
}

func TestLoop_DividesATaskSetAmongItsCapacityProviders(t *testing.T) {
	w := newWorld(t)
	w.update(func(tx *store.Tx) {
		for id, pool := range map[model.InstanceID]string{"i1": "a", "i2": "b"} {
			i := host(id, 4096)
			i.Attributes = append(i.Attributes, ecs.Attribute{Name: model.PoolAttribute, Value: &pool})
			tx.PutInstance(i)
			p := &model.CapacityProvider{Name: model.ProviderName("p" + pool), Status: ecs.CapacityProviderStatusACTIVE}
			p.Group.AutoScalingGroupArn = "arn:aws:autoscaling:us-east-1:1:autoScalingGroup:u:autoScalingGroupName/" + pool
			tx.PutCapacityProvider(p)
		}
	})
	set := taskSet("ecs-svc/1", 1, 100)
	set.LaunchType = ""
	set.CapacityProviderStrategy = []ecs.CapacityProviderStrategyItem{{CapacityProvider: "pa", Weight: 1}, {CapacityProvider: "pb", Weight: 3}}
	w.external(4, set)
	w.await("four tasks", stable(map[model.DeploymentID]int{"ecs-svc/1": 4}))
	have := map[model.ProviderName]int{}
	for task := range w.store.View().LiveTasksOfService(key) {
		have[task.CapacityProvider]++
	}
	if have["pa"] != 1 || have["pb"] != 3 {
		t.Errorf("got %v", have)
	}
}
