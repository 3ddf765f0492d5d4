package reaper

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/controlplane/store/storetest"
	"github.com/longshore/longshore/proto/ecs"
)

func TestReap_ForgetsDeletedDefinitionsThatNothingUses(t *testing.T) {
	requested := time.Unix(1_700_000_000, 0)
	ref := model.DefinitionRef{Family: "web", Revision: 2}
	other := model.DefinitionRef{Family: "web", Revision: 1}
	service := func(change func(*model.Service)) func(*store.Tx) {
		s := &model.Service{Cluster: "c", Name: "s", Status: model.StatusActive, Deployments: []model.Deployment{{Definition: other}}}
		change(s)
		return func(tx *store.Tx) { tx.PutService(s) }
	}
	task := func(status model.TaskStatus) func(*store.Tx) {
		return func(tx *store.Tx) {
			tx.PutTask(&model.Task{Cluster: "c", ID: "t", Definition: ref, LastStatus: status, StoppedAt: requested.Add(time.Hour)})
		}
	}
	nothing := func(*store.Tx) {}
	server := storetest.Etcd(t)
	s := storetest.On(t, server, nil)
	r := New(Config{Store: s, StoppedTaskRetention: time.Hour, Logger: slog.New(slog.DiscardHandler)})
	for name, c := range map[string]struct {
		use   func(*store.Tx)
		after time.Duration
		gone  bool
	}{
		"unused":                       {nothing, time.Hour, true},
		"unused for less than an hour": {nothing, time.Hour - time.Second, false},
		"with a task":                  {task(model.TaskRunning), time.Hour, false},
		"with a task that has stopped": {task(model.TaskStopped), time.Hour, true},
		"of a service":                 {service(func(s *model.Service) { s.Deployments[0].Definition = ref }), time.Hour, false},
		"of a task set": {service(func(s *model.Service) {
			s.Deployments, s.Controller, s.TaskSets = nil, ecs.DeploymentControllerTypeEXTERNAL, []model.TaskSet{{Definition: other}, {Definition: ref}}
		}), time.Hour, false},
		"of a service that would return":             {service(func(s *model.Service) { s.LastCompleted = &model.Deployment{Definition: ref} }), time.Hour, false},
		"of another revision's service":              {service(func(*model.Service) {}), time.Hour, true},
		"of a service that is gone":                  {service(func(s *model.Service) { s.Status, s.Deployments[0].Definition = model.StatusInactive, ref }), time.Hour, true},
		"of an EXTERNAL service without deployments": {service(func(s *model.Service) { s.Deployments = nil }), time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			update(t, s, func(tx *store.Tx) {
				tx.PutCluster(&model.Cluster{Name: "c", Status: model.StatusActive})
				tx.PutDefinition(&model.Definition{Ref: ref, Status: ecs.TaskDefinitionStatusDELETEINPROGRESS, Shape: ecs.TaskDefinition{DeleteRequestedAt: ecs.At(requested)}})
				c.use(tx)
			})
			now := requested.Add(c.after)
			next, err := r.reap(context.Background(), now)
			if err != nil {
				t.Fatal(err)
			}
			if _, there := s.View().Definition(ref); there == c.gone {
				t.Errorf("the definition is there: %t", there)
			}
			if c.after < time.Hour && !next.Equal(requested.Add(time.Hour)) {
				t.Errorf("looks again at %s", next)
			}
			update(t, s, func(tx *store.Tx) {
				if have, ok := tx.Task("c", "t"); ok {
					tx.DeleteTask(have)
				}
				if have, ok := tx.Service(model.ServiceKey{Cluster: "c", Name: "s"}); ok {
					tx.DeleteService(have)
				}
			})
		})
	}
}

// A definition whose deletion was asked for must be found again after a restart.
func TestReap_KnowsAfterARestartWhatIsBeingDeleted(t *testing.T) {
	requested := time.Unix(1_700_000_000, 0)
	ref := model.DefinitionRef{Family: "web", Revision: 1}
	server := storetest.Etcd(t)
	t.Run("before", func(t *testing.T) {
		update(t, storetest.On(t, server, nil), func(tx *store.Tx) {
			tx.PutDefinition(&model.Definition{Ref: ref, Status: ecs.TaskDefinitionStatusDELETEINPROGRESS, Shape: ecs.TaskDefinition{DeleteRequestedAt: ecs.At(requested)}})
		})
	})
	s := storetest.On(t, server, nil)
	if _, ok := s.View().Definition(ref); !ok {
		t.Fatal("the definition is lost")
	}
	r := New(Config{Store: s, StoppedTaskRetention: time.Hour, Logger: slog.New(slog.DiscardHandler)})
	if _, err := r.reap(context.Background(), requested.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.View().Definition(ref); ok {
		t.Error("the definition is still there")
	}
}

func update(t *testing.T, s *store.Store, change func(*store.Tx)) {
	t.Helper()
	if err := s.Update(context.Background(), func(tx *store.Tx) error { change(tx); return nil }); err != nil {
		t.Fatal(err)
	}
}
