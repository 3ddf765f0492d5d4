package agenttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/longshore/longshore/agent/runtime"
)

// start makes a container of an image and starts it.
func start(t *testing.T, m *Memory, name, image string) string {
	t.Helper()
	id, err := m.Create(t.Context(), runtime.Spec{Name: name, Image: image, Labels: map[string]string{"name": name}})
	if err != nil {
		t.Fatalf("Create(%s) = %v", name, err)
	}
	if err := m.Start(t.Context(), id); err != nil {
		t.Fatalf("Start(%s) = %v", name, err)
	}
	return id
}

func inspect(t *testing.T, m *Memory, id string) runtime.Container {
	t.Helper()
	seen, err := m.Inspect(t.Context(), id)
	if err != nil {
		t.Fatalf("Inspect() = %v", err)
	}
	return seen
}

func newMemory(programs map[string]Program) *Memory {
	m := NewMemory(runtime.Info{})
	for ref, program := range programs {
		m.AddImage(ref, program)
	}
	return m
}

func TestMemory_DownEndsCallsAndWatchesAndKeepsContainers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(map[string]Program{"slow": {IgnoresStop: true}, "web": {}})
		slow, web := start(t, m, "slow", "slow"), start(t, m, "web", "web")
		results := make(chan error, 2)
		go func() { results <- m.Stop(t.Context(), slow, time.Minute) }()
		go func() {
			results <- m.Watch(t.Context(), nil, func() {}, func(string, map[string]string) {})
		}()
		synctest.Wait()

		m.SetDown(true)
		for range 2 {
			if err := <-results; !errors.Is(err, runtime.ErrUnavailable) {
				t.Errorf("call under way = %v, want ErrUnavailable", err)
			}
		}
		if _, err := m.List(t.Context(), nil); !errors.Is(err, runtime.ErrUnavailable) {
			t.Errorf("List() = %v, want ErrUnavailable", err)
		}
		time.Sleep(time.Hour) // of the bubble: the stop that nobody waits for goes on

		m.SetDown(false)
		if seen := inspect(t, m, web); seen.State != runtime.Running {
			t.Errorf("container after the outage = %+v, want it running", seen)
		}
		if seen := inspect(t, m, slow); seen.ExitCode != killed || seen.FinishedAt.Sub(seen.StartedAt) != time.Minute {
			t.Errorf("container that was being stopped = %+v, want it killed after a minute", seen)
		}
	})
}

func TestMemory_KillRunningEndsWhatRunsAlsoWhileDown(t *testing.T) {
	m := newMemory(map[string]Program{"web": {}, "job": {ExitsAtOnce: true}})
	web, job := start(t, m, "web", "web"), start(t, m, "job", "job")
	m.SetDown(true)
	m.KillRunning()
	m.SetDown(false)
	if seen := inspect(t, m, web); seen.State != runtime.Exited || seen.ExitCode != killed {
		t.Errorf("container that ran = %+v, want it killed", seen)
	}
	if seen := inspect(t, m, job); seen.ExitCode != 0 {
		t.Errorf("container that had ended = %+v, want it as it was", seen)
	}
}

func TestMemory_TellsWatchersWhatTheTestDoesToContainers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(map[string]Program{"web": {}})
		ids := []string{start(t, m, "a", "web"), start(t, m, "b", "web"), start(t, m, "c", "web")}
		var told []string
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- m.Watch(ctx, nil, func() {}, func(id string, _ map[string]string) { told = append(told, id) })
		}()
		synctest.Wait()

		if !m.Exit(ids[0], 3) || !m.KillForMemory(ids[1]) || !m.SetHealth(ids[2], "unhealthy") {
			t.Error("a running container is said not to run")
		}
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Watch() = %v", err)
		}
		if !slices.Equal(told, ids) {
			t.Errorf("told of %v, want %v", told, ids)
		}
		if seen := inspect(t, m, ids[0]); seen.ExitCode != 3 || seen.OOMKilled {
			t.Errorf("after Exit(3): %+v", seen)
		}
		if seen := inspect(t, m, ids[1]); seen.ExitCode != killed || !seen.OOMKilled {
			t.Errorf("after KillForMemory(): %+v", seen)
		}
		if seen := inspect(t, m, ids[2]); seen.Health != "unhealthy" {
			t.Errorf("after SetHealth(): %+v", seen)
		}
		if m.Exit(ids[0], 4) || m.KillForMemory(ids[0]) || m.SetHealth(ids[0], "healthy") || m.Exit("unknown", 1) {
			t.Error("a container that does not run is said to run")
		}
	})
}

func TestMemory_StopWaitsAsLongAsTheProgramTakesButNotLongerThanGrace(t *testing.T) {
	for name, test := range map[string]struct {
		program  Program
		grace    time.Duration
		wantTook time.Duration
		wantCode int
	}{
		"at once":         {Program{StopExitCode: 5}, time.Minute, 0, 5},
		"within grace":    {Program{StopTakes: 10 * time.Second, StopExitCode: 5}, time.Minute, 10 * time.Second, 5},
		"longer":          {Program{StopTakes: time.Hour}, time.Minute, time.Minute, killed},
		"never":           {Program{IgnoresStop: true}, time.Minute, time.Minute, killed},
		"without a grace": {Program{StopTakes: time.Second}, 0, 0, killed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory(map[string]Program{"web": test.program})
				id := start(t, m, "web", "web")
				began := time.Now()
				if err := m.Stop(t.Context(), id, test.grace); err != nil {
					t.Fatalf("Stop() = %v", err)
				}
				if took := time.Since(began); took != test.wantTook {
					t.Errorf("Stop() took %v, want %v", took, test.wantTook)
				}
				if seen := inspect(t, m, id); seen.ExitCode != test.wantCode {
					t.Errorf("exit code = %d, want %d", seen.ExitCode, test.wantCode)
				}
			})
		})
	}
}

func TestMemory_PullGivesPublishedImagesToWhoMayHaveThem(t *testing.T) {
	m := NewMemory(runtime.Info{})
	m.PublishImage("open:1", Program{}, nil)
	m.PublishImage("closed:1", Program{}, &runtime.Auth{Username: "ali", Password: "sesame"})
	for name, test := range map[string]struct {
		ref  string
		auth *runtime.Auth
		ok   bool
	}{
		"open":              {"open:1", nil, true},
		"other tag":         {"open:2", nil, false},
		"closed":            {"closed:1", &runtime.Auth{Username: "ali", Password: "sesame"}, true},
		"without a key":     {"closed:1", nil, false},
		"with another key":  {"closed:1", &runtime.Auth{Username: "ali"}, false},
		"never heard of it": {"other:1", nil, false},
	} {
		err := m.Pull(t.Context(), test.ref, test.auth, nil)
		if (err == nil) != test.ok {
			t.Errorf("%s: Pull() = %v, want success: %v", name, err, test.ok)
		}
	}
	if found, err := m.Image(t.Context(), "docker.io/library/open:1"); err != nil || found.Digest == "" {
		t.Errorf("Image() by its full name = %+v, %v; want a digest", found, err)
	}
}

func TestMemory_CountsCalls(t *testing.T) {
	m := newMemory(map[string]Program{"web": {}})
	start(t, m, "a", "web")
	start(t, m, "b", "web")
	m.SetDown(true)
	if _, err := m.Info(t.Context()); err == nil {
		t.Error("Info() = nil, want an error")
	}
	calls := m.Calls()
	if calls["Create"] != 2 || calls["Start"] != 2 || calls["Info"] != 1 || calls["Stop"] != 0 {
		t.Errorf("Calls() = %v", calls)
	}
}

func TestMemory_IsNotChangedThroughWhatItGaveOrGot(t *testing.T) {
	m := newMemory(map[string]Program{"web": {}})
	spec := runtime.Spec{Name: "a", Image: "web", Labels: map[string]string{"k": "v"},
		Ports: []runtime.PortMapping{{ContainerPort: 80, Protocol: "tcp"}}}
	id, err := m.Create(t.Context(), spec)
	if err != nil {
		t.Fatalf("Create() = %v", err)
	}
	spec.Labels["k"], spec.Ports[0].ContainerPort = "changed", 1
	if err := m.Start(t.Context(), id); err != nil {
		t.Fatalf("Start() = %v", err)
	}
	given := inspect(t, m, id)
	given.Labels["k"], given.Ports[0].HostPort = "changed", 1
	if seen := inspect(t, m, id); seen.Labels["k"] != "v" || seen.Ports[0].ContainerPort != 80 || seen.Ports[0].HostPort == 1 {
		t.Errorf("container = %+v, changed from outside", seen)
	}
}

func TestIntercept_HookDecidesWhatHappens(t *testing.T) {
	m := newMemory(map[string]Program{"web": {}})
	lost := errors.New("answer lost")
	rt := Intercept(m, Hooks{
		Create: func(ctx context.Context, next runtime.Runtime, spec runtime.Spec) (string, error) {
			if _, err := next.Create(ctx, spec); err != nil {
				return "", err
			}
			return "", lost
		},
	})
	if _, err := rt.Create(t.Context(), runtime.Spec{Name: "a", Image: "web"}); !errors.Is(err, lost) {
		t.Errorf("Create() = %v, want %v", err, lost)
	}
	if list, err := rt.List(t.Context(), nil); err != nil || len(list) != 1 {
		t.Errorf("List() = %v, %v; want the container whose answer was lost", list, err)
	}
}

func TestIntercept_WithoutHooksConforms(t *testing.T) {
	RunConformance(t, func(t *testing.T) Fixture {
		fixture := newFixture(t)
		fixture.Runtime = Intercept(fixture.Runtime, Hooks{})
		return fixture
	})
}

// Whatever is done to an engine, no two running containers have one host port,
// and no container goes back to an earlier state.
func TestMemory_KeepsPortsApartAndStatesMovingForward(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMemory(map[string]Program{"web": {}, "job": {ExitsAtOnce: true}})
		ctx := context.Background()
		states := make(map[string]runtime.State)
		for i := range rapid.IntRange(1, 40).Draw(t, "steps") {
			known := make([]string, 0, len(states))
			for id := range states {
				known = append(known, id)
			}
			slices.Sort(known)
			switch op := rapid.IntRange(0, 4).Draw(t, "operation"); {
			case op == 0 || len(known) == 0:
				id, err := m.Create(ctx, runtime.Spec{
					Name:  fmt.Sprint("c", i),
					Image: rapid.SampledFrom([]string{"web", "job"}).Draw(t, "image"),
					Ports: []runtime.PortMapping{
						{ContainerPort: 80, Protocol: "tcp", HostPort: rapid.SampledFrom([]uint16{0, 0, 8080, 32768, 32769}).Draw(t, "port")},
						{ContainerPort: 53, Protocol: "udp"},
					},
				})
				if err != nil {
					t.Fatalf("Create() = %v", err)
				}
				states[id] = runtime.Created
			case op == 1 || op == 2:
				// A port that is taken fails the start, as it should.
				_ = m.Start(ctx, rapid.SampledFrom(known).Draw(t, "id"))
			case op == 3:
				if err := m.Stop(ctx, rapid.SampledFrom(known).Draw(t, "id"), time.Second); err != nil {
					t.Fatalf("Stop() = %v", err)
				}
			default:
				id := rapid.SampledFrom(known).Draw(t, "id")
				if err := m.Remove(ctx, id); err != nil {
					t.Fatalf("Remove() = %v", err)
				}
				delete(states, id)
			}
			checkHost(t, m, states)
		}
	})
}

func checkHost(t *rapid.T, m *Memory, states map[string]runtime.State) {
	list, err := m.List(context.Background(), nil)
	if err != nil || len(list) != len(states) {
		t.Fatalf("List() = %d containers, %v; want %d", len(list), err, len(states))
	}
	taken := make(map[hostPort]string)
	for _, c := range list {
		if c.State < states[c.ID] {
			t.Fatalf("container %s went from %v back to %v", c.ID, states[c.ID], c.State)
		}
		states[c.ID] = c.State
		if c.State != runtime.Running && len(c.Ports) > 0 {
			t.Fatalf("container %s does not run and has ports: %+v", c.ID, c)
		}
		for _, port := range c.Ports {
			key := hostPort{port.Protocol, port.HostPort}
			if other, ok := taken[key]; ok {
				t.Fatalf("containers %s and %s both have %+v", c.ID, other, key)
			}
			taken[key] = c.ID
		}
	}
	if len(m.ports) != len(taken) {
		t.Fatalf("%d ports are held, %d are shown", len(m.ports), len(taken))
	}
}

func BenchmarkMemory_CreateStartStopRemove(b *testing.B) {
	m := newMemory(map[string]Program{"web": {}})
	ctx := b.Context()
	ids := make([]string, 0, b.N)
	for i := range b.N {
		id, err := m.Create(ctx, runtime.Spec{
			Name: fmt.Sprint("c", i), Image: "web", Labels: map[string]string{"task": fmt.Sprint(i / 2), "instance": "one"},
		})
		if err == nil {
			err = m.Start(ctx, id)
		}
		if err != nil {
			b.Fatal(err)
		}
		ids = append(ids, id)
	}
	for i, id := range ids {
		if list, err := m.List(ctx, map[string]string{"task": fmt.Sprint(i / 2), "instance": "one"}); err != nil || len(list) == 0 {
			b.Fatalf("List() = %v, %v", list, err)
		}
		if err := errors.Join(m.Stop(ctx, id, time.Second), m.Remove(ctx, id)); err != nil {
			b.Fatal(err)
		}
	}
}
