package agent_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/longshore/longshore/agent"
	"github.com/longshore/longshore/agent/agenttest"
	"github.com/longshore/longshore/agent/envfile"
	"github.com/longshore/longshore/agent/runtime"
	agentv1 "github.com/longshore/longshore/proto/agent/v1"
	"github.com/longshore/longshore/proto/ecs"
)

// ResolveSecrets answers with what the test has set, and counts.
func (c *controlPlane) ResolveSecrets(_ context.Context, r *agentv1.ResolveSecretsRequest) (*agentv1.ResolveSecretsResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resolutions++
	if len(c.refusals) > 0 {
		code := c.refusals[0]
		c.refusals = c.refusals[1:]
		return nil, status.Error(code, "refused by the test")
	}
	if r.SessionToken != sessionToken || !c.instances[r.ContainerInstance] || c.tasks[r.Task] == nil {
		return nil, status.Error(codes.PermissionDenied, "not the session's")
	}
	return &agentv1.ResolveSecretsResponse{Containers: c.secrets}, nil
}

const sessionToken = "token of the session"

// created records what the engine is told of containers.
type created struct {
	*agenttest.Memory
	specs chan runtime.Spec
}

func (c *created) Create(ctx context.Context, spec runtime.Spec) (string, error) {
	c.specs <- spec
	return c.Memory.Create(ctx, spec)
}

func secret(name string) func(*ecs.ContainerDefinition) {
	return func(c *ecs.ContainerDefinition) {
		c.Secrets = append(c.Secrets, ecs.Secret{Name: name, ValueFrom: name})
	}
}

func private(c *ecs.ContainerDefinition) {
	c.RepositoryCredentials = &ecs.RepositoryCredentials{CredentialsParameter: "registry"}
}

func TestAgent_PullsAndCreatesWithTheValuesThatTheControlPlaneGives(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		m.PublishImage("registry.test/private:1", agenttest.Program{}, &runtime.Auth{Username: "u", Password: "p"})
		c.secrets = []*agentv1.ContainerSecrets{{
			Name: "web", Environment: map[string]string{"TOKEN": "tok"}, LogOptions: map[string]string{"splunk-token": "log"},
			Registry: &agentv1.RegistryCredentials{Username: "u", Password: "p"},
		}}
		engine := &created{m, make(chan runtime.Spec, 10)}
		h := newHost(t, c, engine)
		c.run(arn("a"), definition(container("web", "registry.test/private:1", secret("TOKEN"), private)))
		c.becomes(arn("a"), "RUNNING")
		spec := <-engine.specs
		if !slices.Contains(spec.Env, "TOKEN=tok") || spec.LogOptions["splunk-token"] != "log" {
			t.Errorf("created with %q and %v", spec.Env, spec.LogOptions)
		}
		c.run(arn("b"), definition(container("web", "server:1")))
		c.becomes(arn("b"), "RUNNING")
		h.stop()
		h.start()
		c.run(arn("c"), definition(container("web", "server:1")))
		c.becomes(arn("c"), "RUNNING")
		if c.asked() != 1 {
			t.Errorf("asked %d times for one task with secrets that ran on", c.asked())
		}
	})
}

func TestAgent_AsksAgainWhileNobodyLeadsAndThenStarts(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		c.refusals = []codes.Code{codes.Unavailable, codes.Aborted}
		c.secrets = []*agentv1.ContainerSecrets{{Name: "web", Environment: map[string]string{"TOKEN": "tok"}}}
		newHost(t, c, m)
		c.run(arn("a"), definition(container("web", "server:1", secret("TOKEN"))))
		c.becomes(arn("a"), "RUNNING")
		if c.asked() != 3 {
			t.Errorf("asked %d times, want 3", c.asked())
		}
	})
}

func TestAgent_StopsATaskWhoseSecretsCannotBeHad(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		c.refusals = []codes.Code{codes.FailedPrecondition}
		newHost(t, c, m)
		c.run(arn("a"), definition(container("web", "server:1", secret("TOKEN"))))
		state := c.becomes(arn("a"), "STOPPED")
		if state.StopCode != "TaskFailedToStart" || state.Reason != "ResourceInitializationError: unable to pull secrets or registry auth: refused by the test" {
			t.Errorf("stopped with %s: %s", state.StopCode, state.Reason)
		}
		if len(all(t, m)) != 0 {
			t.Error("a container was made all the same")
		}
	})
}

// The files come from a real folder, so this runs on the real clock.
func TestAgent_FirstEnvironmentFileCountsAndAnOverrideReplacesThem(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.env": "X=a\nY=a\n", "b.env": "X=b\nZ=b\n", "c.env": "X=c\n"} {
		if err := os.MkdirAll(filepath.Join(dir, "bucket"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "bucket", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, err := envfile.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	file := func(name string) ecs.EnvironmentFile {
		return ecs.EnvironmentFile{Type: "s3", Value: "arn:aws:s3:::bucket/" + name}
	}
	m := agenttest.NewMemory(runtime.Info{})
	m.AddImage("server:1", agenttest.Program{})
	engine := &created{m, make(chan runtime.Spec, 10)}
	c := newControlPlane(t)
	newHost(t, c, engine, func(config *agent.Config) { config.EnvironmentFiles = []envfile.Source{files} })
	d := definition(container("web", "server:1", func(c *ecs.ContainerDefinition) {
		c.EnvironmentFiles = []ecs.EnvironmentFile{file("a.env"), file("b.env")}
	}))
	environment := func() string {
		env := slices.DeleteFunc((<-engine.specs).Env, func(e string) bool { return !strings.Contains("XYZ", e[:1]) })
		slices.Sort(env)
		return strings.Join(env, " ")
	}
	c.run(arn("a"), d)
	c.becomes(arn("a"), "RUNNING")
	if got := environment(); got != "X=a Y=a Z=b" {
		t.Errorf("of two files: %s", got)
	}
	c.run(arn("b"), d, ecs.ContainerOverride{Name: "web", EnvironmentFiles: []ecs.EnvironmentFile{file("c.env")}})
	c.becomes(arn("b"), "RUNNING")
	if got := environment(); got != "X=c" {
		t.Errorf("of the override's: %s", got)
	}
	c.run(arn("c"), d, ecs.ContainerOverride{Name: "web", EnvironmentFiles: []ecs.EnvironmentFile{file("none.env")}})
	if state := c.becomes(arn("c"), "STOPPED"); !strings.HasPrefix(state.Reason, "ResourceInitializationError: failed to download env files: arn:aws:s3:::bucket/none.env: no such object") {
		t.Errorf("stopped with %s", state.Reason)
	}
	if c.asked() != 0 {
		t.Error("the control plane was asked for secrets that there are none of")
	}
}

func (c *controlPlane) asked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resolutions
}

// The engine's refusal is the task's reason, which everybody can read.
func TestAgent_WhatTheEngineSaysOfASecretIsNotPassedOn(t *testing.T) {
	bubble(t, func(t *testing.T, c *controlPlane, m *agenttest.Memory) {
		c.secrets = []*agentv1.ContainerSecrets{{
			Name: "web", Environment: map[string]string{"TOKEN": "value"}, LogOptions: map[string]string{"splunk-token": "value-of-the-log"},
		}}
		newHost(t, c, agenttest.Intercept(m, agenttest.Hooks{
			Create: func(_ context.Context, _ runtime.Runtime, spec runtime.Spec) (string, error) {
				return "", errors.New("bad value " + spec.LogOptions["splunk-token"] + " of splunk-token")
			},
		}))
		c.run(arn("a"), definition(container("web", "server:1", secret("TOKEN"))))
		state := c.becomes(arn("a"), "STOPPED")
		if want := "CannotCreateContainerError: bad *** *** of splunk-token"; state.Reason != want {
			t.Errorf("reason %q, want %q", state.Reason, want)
		}
	})
}
