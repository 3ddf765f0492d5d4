package lifecycle_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/runtime"
	"github.com/longshore/longshore/proto/ecs"
)

// secretive is a definition of which one container names values.
func secretive() ecs.TaskDefinition {
	value := "from the definition"
	return ecs.TaskDefinition{ContainerDefinitions: []ecs.ContainerDefinition{
		{
			Name: "web", Image: "web:1",
			Environment:      []ecs.KeyValuePair{{Name: "A", Value: &value}},
			EnvironmentFiles: []ecs.EnvironmentFile{{Type: "s3", Value: "arn:aws:s3:::b/x.env"}},
			Secrets:          []ecs.Secret{{Name: "PASSWORD", ValueFrom: "db"}},
		},
		{Name: "plain", Image: "plain:1"},
	}}
}

func TestValues_AreKnownBeforeThePullAndForgottenAfterTheCreation(t *testing.T) {
	s := play(t, secretive())
	s.expect("resolve", "pull plain") // who needs nothing does not wait
	auth := &runtime.Auth{Username: "u", Password: "p"}
	s.end("resolve", lifecycle.Result{Values: []*lifecycle.Values{{
		Files:   []lifecycle.Variable{{Name: "A", Value: "from the file"}, {Name: "B", Value: "from the file"}, {Name: "PASSWORD", Value: "from the file"}},
		Secrets: map[string]string{"PASSWORD": "hunter2"}, LogOptions: map[string]string{"token": "t"}, Auth: auth,
	}, nil}})
	s.expect("pull web", "pull plain")
	if s.state.AuthOf(0) != auth || s.state.AuthOf(1) != nil {
		t.Error("the credentials are not those of the one image")
	}
	spec := s.state.SpecOf(s.task, 0)
	if want := []string{"A=from the definition", "B=from the file", "PASSWORD=hunter2"}; !slices.Equal(slices.Sorted(slices.Values(spec.Env)), want) {
		t.Errorf("environment %q, want %q", spec.Env, want)
	}
	if spec.LogOptions["token"] != "t" {
		t.Errorf("log options %v", spec.LogOptions)
	}
	if printed := fmt.Sprintf("%v %+v %#v", s.task, s.state, s.state.AuthOf(1)); strings.Contains(printed, "hunter2") {
		t.Error("the state prints a secret")
	}
	s.ok("pull web", "pull plain", "create web", "create plain")
	if slices.Contains(s.state.SpecOf(s.task, 0).Env, "PASSWORD=hunter2") {
		t.Error("the secret is kept though every container has been created")
	}
}

func TestValues_ThatCannotBeHadStopTheTaskWithTheReason(t *testing.T) {
	s := play(t, secretive())
	s.ok("pull plain")
	s.end("resolve", lifecycle.Result{Err: errors.New("unable to pull secrets or registry auth: no secret db")})
	s.verdict("TaskFailedToStart", "ResourceInitializationError: unable to pull secrets or registry auth: no secret db")
	s.ok("create plain")
	s.status(lifecycle.Stopped)
}

func TestValues_AreAskedForAgainWhenNobodyAnswered(t *testing.T) {
	s := play(t, secretive())
	s.ok("pull plain", "create plain", "start plain")
	s.end("resolve", lifecycle.Result{Err: runtime.ErrUnavailable})
	s.expect()
	s.advance(lifecycle.PullDeadline)
	s.expect("resolve")
	s.status(lifecycle.Pending)
}

func TestValues_AreNotAskedForAgainOnceTheContainersAreThere(t *testing.T) {
	s := play(t, secretive())
	found := []runtime.Container{*s.container("web", runtime.Running, 0), *s.container("plain", runtime.Running, 0)}
	s.state = lifecycle.NewState(s.task, lifecycle.Running, found, s.now)
	s.open = map[string]lifecycle.Action{}
	s.next()
	s.expect()
	s.status(lifecycle.Running)
}

func TestValues_HaveNoPartInTheHash(t *testing.T) {
	s := play(t, secretive())
	before := s.task.Units[0].Spec.Hash
	s.end("resolve", lifecycle.Result{Values: []*lifecycle.Values{{Secrets: map[string]string{"PASSWORD": "hunter2"}}, nil}})
	if spec := s.state.SpecOf(s.task, 0); spec.Hash != before || fmt.Sprint(spec.Labels) != fmt.Sprint(s.task.Units[0].Spec.Labels) {
		t.Error("the values changed the hash or the labels")
	}
}
