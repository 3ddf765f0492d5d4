package services_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/rollout"
	"github.com/longshore/longshore/controlplane/services"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/controlplane/store/storetest"
	"github.com/longshore/longshore/proto/ecs"
)

// look makes a preview of web after a change, in a store without a loop.
func look(t *testing.T, s *store.Store, change func(*model.Service)) services.Preview {
	t.Helper()
	var p services.Preview
	before := s.View()
	err := s.Plan(t.Context(), func(tx *store.Tx) error {
		have, _ := tx.Service(key)
		next := *have
		change(&next)
		tx.PutService(&next)
		var err error
		p, err = services.Look(tx, key, rollout.DefaultSettings(), time.Now())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.View() != before {
		t.Error("something was committed")
	}
	if got, _ := s.View().Service(key); len(slices.Collect(s.View().LiveTasksOfService(key))) != 2 || got.DesiredCount != 2 {
		t.Error("the preview shows in the store")
	}
	return p
}

// newStill is a store with two running tasks of web on two hosts, and nobody at work.
func newStill(t *testing.T, cpu int32) *store.Store {
	s := storetest.New(t, nil)
	err := s.Update(t.Context(), func(tx *store.Tx) error {
		for _, id := range []model.InstanceID{"i1", "i2"} {
			tx.PutInstance(host(id, cpu))
		}
		for revision := range int32(2) {
			tx.PutDefinition(&model.Definition{Ref: model.DefinitionRef{Family: "f", Revision: revision + 1}, Status: ecs.TaskDefinitionStatusACTIVE,
				Shape: ecs.TaskDefinition{ContainerDefinitions: []ecs.ContainerDefinition{{Name: "main", Cpu: 100, Memory: new(int32(64))}}}})
		}
		web := model.Service{Cluster: "c", Name: "web", Status: model.StatusActive, SchedulingStrategy: ecs.SchedulingStrategyREPLICA, DesiredCount: 2,
			DeploymentConfiguration: ecs.DeploymentConfiguration{MaximumPercent: new(int32(150)), MinimumHealthyPercent: new(int32(100))}}
		web = rollout.Deploy(web, "ecs-svc/1", model.DefinitionRef{Family: "f", Revision: 1}, time.Now())
		tx.PutService(&web)
		for _, id := range []model.InstanceID{"i1", "i2"} {
			task := guest(model.TaskID("t"+string(id)), id, "service:web")
			task.Service, task.Deployment, task.LastStatus, task.StartedAt = "web", "ecs-svc/1", model.TaskRunning, time.Now().Add(-time.Hour)
			task.Reserved = model.Reservation{CPU: 100, MemoryMiB: 64}
			tx.PutTask(task)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLook_ShowsARollingUpdateStepByStepAndDoesNothing(t *testing.T) {
	s := newStill(t, 2048)
	p := look(t, s, func(web *model.Service) {
		*web = rollout.Deploy(*web, "ecs-svc/2", model.DefinitionRef{Family: "f", Revision: 2}, time.Now())
	})
	if p.Desired != 2 || p.AtLeast != 2 || p.AtMost != 3 || !p.Settled {
		t.Errorf("limits %d, %d, %d, settled %v", p.Desired, p.AtLeast, p.AtMost, p.Settled)
	}
	var started, stopped int
	there := 2
	for _, step := range p.Steps {
		started, stopped = started+len(step.Started), stopped+len(step.Stopped)
		if there += len(step.Started); there > p.AtMost {
			t.Errorf("%d tasks at once", there)
		}
		if there -= len(step.Stopped); there < p.AtLeast {
			t.Errorf("only %d tasks", there)
		}
		for _, task := range step.Stopped {
			if task.Definition.Revision != 1 || !strings.HasPrefix(task.StoppedReason, "Scaling activity initiated by") {
				t.Errorf("stops %+v", task)
			}
		}
	}
	if started != 2 || stopped != 2 || len(p.Steps[0].Started) != 1 || len(p.Steps[0].Stopped) != 0 {
		t.Errorf("starts %d, stops %d: %+v", started, stopped, p.Steps)
	}
}

func TestLook_SaysOfEachInstanceWhyItHasNoRoom(t *testing.T) {
	s := newStill(t, 250)
	p := look(t, s, func(web *model.Service) { web.DesiredCount = 5 })
	step := p.Steps[len(p.Steps)-1]
	if len(step.Started) != 2 || p.Settled || len(step.Failures) != 2 {
		t.Fatalf("got %+v", p)
	}
	for i, f := range step.Failures {
		if f.InstanceID != []string{"i1", "i2"}[i] || f.String() != "needs 100 CPU units, 50 available" {
			t.Errorf("got %+v", f)
		}
	}
	if !slices.ContainsFunc(step.Events, func(e string) bool { return strings.Contains(e, "has insufficient CPU units available") }) {
		t.Errorf("events %q", step.Events)
	}
}

func TestLook_SaysWhyADeploymentCanNotGoOn(t *testing.T) {
	for name, c := range map[string]struct {
		minimum, maximum, revision int32
		stuck                      string
	}{
		"room for none beside those that must stay": {100, 120, 2, "(service web) was unable to stop or start tasks during a deployment because of the service deployment configuration. Update the minimumHealthyPercent or maximumPercent value and try again."},
		"one may be stopped":                        {50, 120, 2, ""},
		"one may be started":                        {100, 150, 2, ""},
		"no definition":                             {100, 150, 3, "(service web) was unable to place a task. Reason: the task definition f:3 does not exist."},
	} {
		t.Run(name, func(t *testing.T) {
			p := look(t, newStill(t, 2048), func(web *model.Service) {
				web.DeploymentConfiguration.MinimumHealthyPercent, web.DeploymentConfiguration.MaximumPercent = &c.minimum, &c.maximum
				*web = rollout.Deploy(*web, "ecs-svc/2", model.DefinitionRef{Family: "f", Revision: c.revision}, time.Now())
			})
			if p.Stuck != c.stuck || p.Settled != (c.stuck == "") {
				t.Errorf("stuck %q, settled %v, after %+v", p.Stuck, p.Settled, p.Steps)
			}
			if c.stuck != "" && (len(p.Steps) != 1 || !slices.Contains(p.Steps[0].Events, c.stuck)) {
				t.Errorf("steps %+v", p.Steps)
			}
		})
	}
}
