package agent_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/longshore/longshore/agent"
	"github.com/longshore/longshore/agent/agenttest"
	"github.com/longshore/longshore/agent/metadata"
	"github.com/longshore/longshore/agent/runtime"
	"github.com/longshore/longshore/proto/ecs"
)

// environments notes what containers are created with.
type environments struct {
	mu    sync.Mutex
	specs []runtime.Spec
}

func (e *environments) hook(ctx context.Context, next runtime.Runtime, spec runtime.Spec) (string, error) {
	e.mu.Lock()
	e.specs = append(e.specs, spec)
	e.mu.Unlock()
	return next.Create(ctx, spec)
}

func (e *environments) last(name string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, entry := range e.specs[len(e.specs)-1].Env {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

func serving() *agenttest.Memory {
	m := agenttest.NewMemory(runtime.Info{})
	m.AddImage("server:1", agenttest.Program{})
	return m
}

func asks(t *testing.T, uri string) int {
	t.Helper()
	response, err := http.Get(uri)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode
}

func roleTask(role string) ecs.TaskDefinition {
	return ecs.TaskDefinition{
		Family: "f", Revision: 1, TaskRoleArn: role,
		ContainerDefinitions: []ecs.ContainerDefinition{{
			Name: "main", Image: "server:1", Memory: ptr(int32(64)),
			Environment: []ecs.KeyValuePair{{Name: "ECS_AGENT_URI", Value: ptr("elsewhere")}, {Name: "OWN", Value: ptr("kept")}},
		}},
	}
}

func TestMetadata_AURIHoldsAfterARestartOfTheAgent(t *testing.T) {
	config := ownMetadata(t)
	var created environments
	c := newControlPlane(t)
	engine := serving()
	h := newHost(t, c, agenttest.Intercept(engine, agenttest.Hooks{Create: created.hook}), func(a *agent.Config) { a.Metadata = config })
	arn := arn("1")
	c.run(arn, roleTask("reader")) // a short name, of the task's account
	c.becomes(arn, "RUNNING")
	uri := created.last("ECS_CONTAINER_METADATA_URI_V4")
	credentials := "http://" + config.Address.String() + created.last("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
	if created.last("OWN") != "kept" || !strings.HasPrefix(created.last("ECS_AGENT_URI"), "http://") {
		t.Errorf("environment %q", created.specs[0].Env)
	}
	for _, u := range []string{uri, credentials} {
		if got := asks(t, u); got != 200 {
			t.Errorf("%s: %d", u, got)
		}
	}
	h.stop()
	config.Roles = nil // what runs goes on without credentials
	h.start()
	got := asks(t, uri)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for ; got == 503; got = asks(t, uri) { // until the agent knows its tasks
		select {
		case <-again.C:
		case <-t.Context().Done():
			t.Fatal("the agent does not get to know its tasks")
		}
	}
	if got != 200 {
		t.Errorf("after the restart: %d", got)
	}
	if got := asks(t, credentials); got != 400 {
		t.Errorf("credentials of a role that is not mapped any more: %d", got)
	}
	c.stop(arn)
	c.becomes(arn, "STOPPED")
	if len(created.specs) != 1 {
		t.Errorf("%d containers were created", len(created.specs))
	}
}

func TestMetadata_ARoleThatNobodyMappedFailsTheTaskByName(t *testing.T) {
	config := ownMetadata(t)
	c := newControlPlane(t)
	engine := serving()
	newHost(t, c, engine, func(a *agent.Config) { a.Metadata = config })
	arn := arn("1")
	c.run(arn, roleTask("nobody"))
	state := c.becomes(arn, "STOPPED")
	if state.StopCode != "TaskFailedToStart" || !strings.Contains(state.Reason, "arn:aws:iam::000000000000:role/nobody") {
		t.Errorf("%s: %s", state.StopCode, state.Reason)
	}
}

// TestMetadata_RestartsAreCountedAcrossLivesOfTheAgent: the engine does not count them.
func TestMetadata_RestartsAreCountedAcrossLivesOfTheAgent(t *testing.T) {
	config := ownMetadata(t)
	var created environments
	c := newControlPlane(t)
	engine := serving()
	h := newHost(t, c, agenttest.Intercept(engine, agenttest.Hooks{Create: created.hook}), func(a *agent.Config) { a.Metadata = config })
	arn := arn("1")
	d := definition(container("main", "server:1", func(d *ecs.ContainerDefinition) {
		d.RestartPolicy = &ecs.ContainerRestartPolicy{Enabled: ptr(true), RestartAttemptPeriod: ptr(int32(1))}
	}))
	c.run(arn, d)
	id := c.becomes(arn, "RUNNING").Containers[0].RuntimeId
	uri := created.last("ECS_CONTAINER_METADATA_URI_V4")

	exit := func() {
		t.Helper()
		seen, err := engine.Inspect(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Until(seen.StartedAt.Add(time.Second))) // a run has to last for the period
		engine.Exit(id, 1)
	}
	if got := restartsTold(t, uri, 0); got != 0 {
		t.Errorf("before the first restart: %d", got)
	}
	exit()
	if got := restartsTold(t, uri, 1); got != 1 {
		t.Errorf("after a restart: %d", got)
	}
	h.stop()
	exit() // which the next agent sees
	h.start()
	if got := restartsTold(t, uri, 2); got != 2 {
		t.Errorf("after one more, of which the agent learns when it starts: %d", got)
	}
	// A crash took the notes with it: how often is not known, and not said.
	h.stop()
	if err := os.Remove(filepath.Join(h.config.DataDir, "restarts.json")); err != nil {
		t.Fatal(err)
	}
	h.start()
	if got := restartsTold(t, uri, -1); got != -1 {
		t.Errorf("without notes: %d", got)
	}
}

// restartsTold asks until the metadata tell the count, or for as long as the test
// may take; -1 is for none.
func restartsTold(t *testing.T, uri string, want int) int {
	t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	deadline := time.After(20 * time.Second)
	for {
		var view struct {
			KnownStatus  string
			RestartCount *int
		}
		response, err := http.Get(uri)
		if err != nil {
			t.Fatal(err)
		}
		err = json.NewDecoder(response.Body).Decode(&view)
		response.Body.Close()
		got := -1
		if view.RestartCount != nil {
			got = *view.RestartCount
		}
		if err == nil && response.StatusCode == 200 && view.KnownStatus == "RUNNING" && got == want {
			return got
		}
		select {
		case <-again.C:
		case <-deadline:
			return got
		}
	}
}

// TestMetadata_AttributesOfRolesAreOfHostsThatGiveThem: SDKs ask at one address only.
func TestMetadata_AttributesOfRolesAreOfHostsThatGiveThem(t *testing.T) {
	config := ownMetadata(t)
	c := newControlPlane(t)
	newHost(t, c, serving(), func(a *agent.Config) { a.Metadata = config })
	for _, a := range c.registrations[0].Attributes {
		if strings.Contains(a.Name, "task-iam-role") {
			t.Errorf("a host at %s registers %s", config.Address, a.Name)
		}
	}
	file := filepath.Join(t.TempDir(), "roles.json")
	if err := os.WriteFile(file, []byte(`{}`), 0o600); err != nil {
		t.Fatal(err)
	}
	roles, err := metadata.NewRoles(metadata.RolesConfig{File: file})
	if err != nil {
		t.Fatal(err)
	}
	// This address agents share, one of the machine's own among them.
	shared := &agent.MetadataConfig{Address: metadata.WellKnown, Roles: roles}
	c = newControlPlane(t)
	newHost(t, c, serving(), func(a *agent.Config) { a.Metadata = shared })
	found := 0
	for _, a := range c.registrations[0].Attributes {
		if strings.Contains(a.Name, "task-iam-role") {
			found++
		}
	}
	if found != 2 {
		t.Errorf("attributes %v", c.registrations[0].Attributes)
	}
}
