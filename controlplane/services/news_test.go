package services

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/rollout"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/controlplane/store/storetest"
	"github.com/longshore/longshore/proto/ecs"
)

// After any changes, heard by some looks or by none, what the loop keeps of a service gives the
// plan that its records give.
func TestNews_KeepWhatTheTablesSay(t *testing.T) {
	var l *Loop
	s := storetest.New(t, func(s *store.Store) {
		l = newLoop(Config{Store: s, Settings: rollout.DefaultSettings()})
		s.Observe(l.observe)
	})
	l.news.begin(s.View())
	keys := []model.ServiceKey{{Cluster: "c", Name: "a"}, {Cluster: "c", Name: "b"}}
	put := func(f func(tx *store.Tx)) {
		if err := s.Update(t.Context(), func(tx *store.Tx) error { f(tx); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	put(func(tx *store.Tx) {
		for _, k := range keys {
			service := rollout.Deploy(model.Service{
				Cluster: k.Cluster, Name: k.Name, Status: model.StatusActive, SchedulingStrategy: ecs.SchedulingStrategyREPLICA, DesiredCount: 4,
			}, model.DeploymentID("d-"+k.Name), model.DefinitionRef{Family: "f", Revision: 1}, time.Now())
			tx.PutService(&service)
		}
	})
	r := rand.New(rand.NewPCG(1, 2))
	for step := range 400 {
		put(func(tx *store.Tx) {
			for range 1 + r.IntN(3) {
				disturb(tx, r)
			}
		})
		if step == 200 {
			l.news.forget(keys[0])
		}
		if k := keys[r.IntN(2)]; r.IntN(3) == 0 {
			checkNews(t, l, k)
		}
	}
	for _, k := range keys {
		checkNews(t, l, k)
	}
}

// disturb changes a task or an instance, or makes or deletes it.
func disturb(tx *store.Tx, r *rand.Rand) {
	if r.IntN(4) == 0 {
		i := &model.Instance{Cluster: "c", ID: model.InstanceID(fmt.Sprint("i", r.IntN(4))), Status: model.StatusActive, AgentConnected: true}
		switch zone := fmt.Sprint("az", r.IntN(2)); r.IntN(4) {
		case 0:
			i.Status = model.StatusDraining
		case 1:
			i.Status = model.StatusInactive
		case 2:
			i.AgentConnected, i.SilentSince = false, time.Now().Add(-time.Duration(r.IntN(20))*time.Second)
		case 3:
			i.Attributes = []ecs.Attribute{{Name: "ecs.availability-zone", Value: &zone}}
		}
		tx.PutInstance(i)
		return
	}
	id := model.TaskID(fmt.Sprintf("%02d", r.IntN(30)))
	if have, ok := tx.Task("c", id); ok && r.IntN(6) == 0 {
		tx.DeleteTask(have)
		return
	}
	t := &model.Task{
		Cluster: "c", ID: id, Instance: model.InstanceID(fmt.Sprint("i", r.IntN(5))), Service: model.ServiceName([]string{"a", "b", ""}[int(id[1])%3]),
		DesiredStatus: model.TaskRunning, LastStatus: []model.TaskStatus{model.TaskPending, model.TaskRunning, model.TaskStopped}[r.IntN(3)],
		HealthStatus: []ecs.HealthStatus{"UNKNOWN", "HEALTHY", "UNHEALTHY"}[r.IntN(3)], OutcomeCounted: r.IntN(3) == 0, Lost: r.IntN(5) == 0,
		StartedAt: time.Unix(1, 0), CreatedAt: time.Unix(int64(r.IntN(3)), 0), Definition: model.DefinitionRef{Family: "f", Revision: 1},
	}
	t.Deployment = model.DeploymentID("d-" + t.Service)
	if r.IntN(3) == 0 {
		t.Deployment, t.Definition.Revision = "d-old", 2
	}
	if r.IntN(3) == 0 {
		t.DesiredStatus = model.TaskStopped
	}
	tx.PutTask(t)
}

func checkNews(t *testing.T, l *Loop, k model.ServiceKey) {
	t.Helper()
	view, roster := l.news.catchUp(k)
	if view != l.cfg.Store.View() {
		t.Fatal("a look is not made on the newest tables")
	}
	service, _ := view.Service(k)
	in := l.input(view, service, time.Now())
	in.NextDeployment = "d-next"
	in.Roster = rollout.NewRoster(view.OpenTasksOfService(k))
	want := rollout.Plan(in)
	in.Roster = roster
	if got := rollout.Plan(in); !reflect.DeepEqual(got, want) {
		t.Fatalf("the plan is\n%+v\nand from the tables\n%+v", got, want)
	}
}
