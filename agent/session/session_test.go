package session_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/longshore/longshore/agent/session"
	agentv1 "github.com/longshore/longshore/proto/agent/v1"
	"github.com/longshore/longshore/proto/ecs"
)

// agent is a session under test and what it has told its owner.
type agent struct {
	t *testing.T
	*session.Session
	desired   chan session.Desired
	delivered chan string
	logged    *logged

	mu       sync.Mutex
	instance string
}

func newAgent(t *testing.T, edit func(*session.Config), addresses ...string) *agent {
	t.Helper()
	a := &agent{t: t, desired: make(chan session.Desired, 100), delivered: make(chan string, 1000), logged: &logged{more: make(chan struct{}, 1)}}
	config := session.Config{
		Addresses: addresses,
		Cluster:   "default",
		Dial:      []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())},
		Registration: func(context.Context) (*ecs.RegisterContainerInstanceRequest, error) {
			return &ecs.RegisterContainerInstanceRequest{VersionInfo: &ecs.VersionInfo{AgentVersion: "1"}}, nil
		},
		Registered: func(arn string) error {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.instance = arn
			return nil
		},
		Desired:   func(d session.Desired) { a.desired <- d },
		Delivered: func(arn string) { a.delivered <- arn },
		Logger:    slog.New(slog.NewTextHandler(a.logged, nil)),
		Registry:  prometheus.NewRegistry(),
		Timing:    session.Timing{FirstRetry: time.Millisecond, LastRetry: 5 * time.Millisecond},
	}
	if edit != nil {
		edit(&config)
	}
	a.Session = session.New(config)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
	return a
}

// logged keeps what was logged.
type logged struct {
	more chan struct{} // one slot: something was added

	mu   sync.Mutex
	text []byte
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, b...)
	select {
	case l.more <- struct{}{}:
	default:
	}
	return len(b), nil
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

func wait[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("no %T", *new(T))
		panic("unreachable")
	}
}

func full(tasks ...string) *agentv1.Desired {
	d := &agentv1.Desired{Full: true, Definitions: []*agentv1.Definition{{Arn: "def", Json: []byte(`{"family":"f","revision":1}`)}}}
	for _, arn := range tasks {
		d.Tasks = append(d.Tasks, &agentv1.Task{Arn: arn, Definition: "def", DesiredStatus: "RUNNING", KnownStatus: "PENDING"})
	}
	return d
}

func state(arn, status string) *agentv1.TaskState {
	return &agentv1.TaskState{Arn: arn, Status: status}
}

// open registers, accepts the session and desires tasks.
func (a *agent) open(c *controlPlane, tasks ...string) *served {
	a.t.Helper()
	s := c.accept()
	s.desire(full(tasks...))
	wait(a.t, a.desired)
	return s
}

func TestSession_RegistersAndHandsOnWhatIsDesired(t *testing.T) {
	c := newControlPlane(t)
	a := newAgent(t, nil, c.address)
	s := c.accept()
	if s.hello.ContainerInstance != "arn:new" {
		t.Errorf("hello from %q", s.hello.ContainerInstance)
	}
	d := full("a")
	d.Tasks[0].Overrides = []byte(`{"containerOverrides":[{"name":"web","command":["x"]}]}`)
	d.Tasks[0].KnownStatus = "RUNNING"
	d.Tasks = append(d.Tasks,
		&agentv1.Task{Arn: "b", Definition: "unsent"},
		&agentv1.Task{Arn: "c", Definition: "def", DesiredStatus: "STOPPED", Overrides: []byte("{")})
	s.desire(d)
	got := wait(t, a.desired)
	if !got.Full || len(got.Tasks) != 3 {
		t.Fatalf("desired %+v", got)
	}
	if one := got.Tasks[0]; one.Definition.Family != "f" || one.KnownStatus != "RUNNING" || one.Stop || one.Invalid != nil ||
		one.Overrides.ContainerOverrides[0].Command[0] != "x" {
		t.Errorf("first task %+v", one)
	}
	if two := got.Tasks[1]; two.Invalid == nil {
		t.Error("a task without a definition is taken")
	}
	if three := got.Tasks[2]; three.Invalid == nil || !three.Stop {
		t.Errorf("third task %+v", three)
	}
	// The definition was sent once and still stands.
	s.desire(&agentv1.Desired{Tasks: []*agentv1.Task{{Arn: "d", Definition: "def"}}, Removed: []string{"a"}})
	if got := wait(t, a.desired); got.Full || got.Tasks[0].Definition == nil || got.Removed[0] != "a" {
		t.Errorf("change %+v", got)
	}
}

func TestSession_AnEarlierRegistrationIsUpdatedAndAnUnknownOneReplaced(t *testing.T) {
	for name, known := range map[string]bool{"known": true, "unknown": false} {
		t.Run(name, func(t *testing.T) {
			c := newControlPlane(t)
			c.known["arn:old"] = known
			a := newAgent(t, func(config *session.Config) { config.Instance = "arn:old" }, c.address)
			s := c.accept()
			want, calls := "arn:old", 1
			if !known {
				want, calls = "arn:new", 2
			}
			if len(c.registrations) != calls || c.registrations[0].ContainerInstanceArn != "arn:old" {
				t.Errorf("registrations %+v", c.registrations)
			}
			if s.hello.ContainerInstance != want || a.instance != want {
				t.Errorf("hello from %q, kept %q, want %q", s.hello.ContainerInstance, a.instance, want)
			}
		})
	}
}

func TestSession_TheInstanceIsForgottenWhileItRuns(t *testing.T) {
	c := newControlPlane(t)
	c.known["arn:old"] = true
	a := newAgent(t, func(config *session.Config) { config.Instance = "arn:old" }, c.address)
	s := a.open(c)
	if s.hello.ContainerInstance != "arn:old" {
		t.Fatalf("hello from %q", s.hello.ContainerInstance)
	}
	c.mu.Lock()
	delete(c.known, "arn:old")
	c.mu.Unlock()
	s.end <- nil
	if s = c.accept(); s.hello.ContainerInstance != "arn:new" {
		t.Errorf("hello from %q", s.hello.ContainerInstance)
	}
}

func TestSession_ReportsGatherWhileOneIsUnderWay(t *testing.T) {
	c := newControlPlane(t)
	a := newAgent(t, func(config *session.Config) { config.Timing.Gather = time.Hour }, c.address)
	var arns []string
	for i := range 250 {
		arns = append(arns, fmt.Sprint("task", i))
	}
	s := a.open(c, arns...)
	a.Report(state("task0", "PENDING"))
	first := s.report()
	if first.Sequence != 1 || len(first.Tasks) != 1 {
		t.Fatalf("first report %v", first)
	}
	for _, status := range []string{"PENDING", "RUNNING"} { // only the newest counts
		for _, arn := range arns {
			a.Report(state(arn, status))
		}
	}
	a.Report(state("somebody else's", "RUNNING"))
	s.ack(1)
	seen := map[string]bool{}
	for sequence, size := range []int{100, 100, 50} {
		r := s.report()
		if r.Sequence != uint64(sequence+2) || len(r.Tasks) != size {
			t.Fatalf("report %d has %d tasks, want number %d with %d", r.Sequence, len(r.Tasks), sequence+2, size)
		}
		for _, task := range r.Tasks {
			if task.Status != "RUNNING" || seen[task.Arn] {
				t.Errorf("%s reported as %s, seen %v", task.Arn, task.Status, seen[task.Arn])
			}
			seen[task.Arn] = true
		}
		s.ack(r.Sequence)
	}
	if len(seen) != 250 || seen["somebody else's"] {
		t.Errorf("%d tasks reported", len(seen))
	}
}

func TestSession_StoppedIsReportedAgainUntilAcknowledged(t *testing.T) {
	c := newControlPlane(t)
	a := newAgent(t, nil, c.address)
	s := a.open(c, "a", "b")
	a.Report(state("a", "STOPPED"))
	if r := s.report(); r.Tasks[0].Arn != "a" {
		t.Fatalf("report %v", r)
	}
	for _, end := range []error{nil, status.Error(codes.Unavailable, "leader lost"), status.Error(codes.Internal, "panic")} {
		s.end <- end // before it acknowledges
		s = a.open(c, "a", "b")
		if r := s.report(); r.Sequence != 1 || len(r.Tasks) != 1 || r.Tasks[0].Status != "STOPPED" {
			t.Fatalf("report %v", r)
		}
	}
	select {
	case arn := <-a.delivered:
		t.Fatalf("%s delivered without an acknowledgement", arn)
	default:
	}
	s.ack(1)
	if arn := wait(t, a.delivered); arn != "a" {
		t.Errorf("delivered %s", arn)
	}
}

func TestSession_AnAcknowledgementOfAnOlderTruthIsNotOneOfStopped(t *testing.T) {
	c := newControlPlane(t)
	a := newAgent(t, nil, c.address)
	s := a.open(c, "a")
	a.Report(state("a", "RUNNING"))
	s.report()
	a.Report(state("a", "STOPPED"))
	s.ack(1)
	if r := s.report(); r.Sequence != 2 || r.Tasks[0].Status != "STOPPED" {
		t.Fatalf("report %v", r)
	}
	if len(a.delivered) > 0 {
		t.Fatal("delivered by the acknowledgement of RUNNING")
	}
	s.ack(2)
	wait(t, a.delivered)
}

func TestSession_AcknowledgementsComeWithMessagesOfAnyKind(t *testing.T) {
	for name, carry := range map[string]func(s *served, sequence uint64){
		"alone":          func(s *served, sequence uint64) { s.ack(sequence) },
		"with a removal": func(s *served, sequence uint64) { s.desire(&agentv1.Desired{Removed: []string{"a"}, Ack: sequence}) },
		"with a heartbeat": func(s *served, sequence uint64) {
			s.send(&agentv1.ControlMessage{Message: &agentv1.ControlMessage_Heartbeat{Heartbeat: &agentv1.Heartbeat{Ack: sequence}}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newControlPlane(t)
			a := newAgent(t, nil, c.address)
			s := a.open(c, "a")
			if !s.hello.LateAcks {
				t.Error("the agent does not say that acknowledgements may be late")
			}
			a.Report(state("a", "STOPPED"))
			sequence := s.report().Sequence
			s.desire(&agentv1.Desired{}) // acknowledges nothing
			s.send(&agentv1.ControlMessage{Message: &agentv1.ControlMessage_Heartbeat{Heartbeat: &agentv1.Heartbeat{}}})
			wait(t, a.desired)
			if len(a.delivered) > 0 {
				t.Fatal("delivered without an acknowledgement")
			}
			carry(s, sequence)
			if arn := wait(t, a.delivered); arn != "a" {
				t.Errorf("delivered %s", arn)
			}
		})
	}
}

func TestSession_ReportsGoOnWhileAcknowledgementsAreLate(t *testing.T) {
	c := newControlPlane(t)
	a := newAgent(t, func(config *session.Config) { config.Timing.Gather = time.Millisecond }, c.address)
	s := a.open(c, "a", "b")
	a.Report(state("a", "STOPPED"))
	s.report()
	a.Report(state("b", "STOPPED"))
	r := s.report()
	if r.Sequence != 2 || len(r.Tasks) != 1 || r.Tasks[0].Arn != "b" {
		t.Fatalf("second report %v, want b alone", r)
	}
	s.ack(2)
	if one, two := wait(t, a.delivered), wait(t, a.delivered); one != "a" || two != "b" {
		t.Errorf("delivered %s and %s", one, two)
	}
}

func TestSession_ALostAcknowledgementMeansSendingAgain(t *testing.T) {
	c := newControlPlane(t)
	a := newAgent(t, func(config *session.Config) { config.Timing.Ack = 10 * time.Millisecond }, c.address)
	s := a.open(c, "a")
	a.Report(state("a", "RUNNING"))
	first, second := s.report(), s.report()
	if second.Sequence <= first.Sequence || second.Tasks[0].Arn != "a" {
		t.Errorf("reports %v and %v", first, second)
	}
}

func TestSession_AfterAReconnectEverythingIsToldAgain(t *testing.T) {
	c := newControlPlane(t)
	a := newAgent(t, nil, c.address)
	s := a.open(c, "a", "b", "c")
	a.Report(state("a", "RUNNING"))
	s.ack(s.report().Sequence)
	a.Report(state("b", "RUNNING"))
	s.ack(s.report().Sequence)
	s.end <- nil
	s = a.open(c, "b") // a and c are no longer wanted
	if r := s.report(); len(r.Tasks) != 1 || r.Tasks[0].Arn != "b" {
		t.Errorf("report %v", r)
	}
}

func TestSession_FollowsTheLeader(t *testing.T) {
	one, two := newControlPlane(t), newControlPlane(t)
	a := newAgent(t, nil, "127.0.0.1:1", one.address)
	s := a.open(one, "a")
	a.Report(state("a", "RUNNING"))
	s.report() // never acknowledged
	one.mu.Lock()
	one.leader = two.address
	one.mu.Unlock()
	two.known["arn:new"] = true
	s.end <- status.Error(codes.Unavailable, "not the leader")
	s = a.open(two, "a")
	if s.hello.ContainerInstance != "arn:new" {
		t.Errorf("hello from %q", s.hello.ContainerInstance)
	}
	if r := s.report(); r.Tasks[0].Status != "RUNNING" {
		t.Errorf("report %v", r)
	}
	// Now the configured one dies: the last leader is asked for the next.
	one.server.Stop()
	s.end <- nil
	a.open(two, "a")
}

func TestSession_HeartbeatsGoBothWaysAndSilenceEndsTheStream(t *testing.T) {
	c := newControlPlane(t)
	a := newAgent(t, func(config *session.Config) {
		config.Timing.Heartbeat = time.Hour
		config.Timing.Silence = 200 * time.Millisecond
	}, c.address)
	s := a.open(c)
	s.send(&agentv1.ControlMessage{Message: &agentv1.ControlMessage_Heartbeat{Heartbeat: &agentv1.Heartbeat{IntervalMs: 5}}})
	for range 3 {
		next(s, (*agentv1.AgentMessage).GetHeartbeat)
	}
	s.gone() // nothing more was heard from the control plane
	a.open(c)
}

func TestSession_AStreamLastsAsLongAsTheControlPlaneIsHeard(t *testing.T) {
	c := newControlPlane(t)
	a := newAgent(t, func(config *session.Config) {
		config.Timing.Heartbeat = 50 * time.Millisecond
		config.Timing.Silence = time.Second
	}, c.address)
	s := a.open(c)
	began := time.Now()
	for time.Since(began) < 2*time.Second { // the pace is the agent's: one answer to each heartbeat
		next(s, (*agentv1.AgentMessage).GetHeartbeat)
		s.send(&agentv1.ControlMessage{Message: &agentv1.ControlMessage_Heartbeat{Heartbeat: &agentv1.Heartbeat{}}})
	}
	select {
	case <-s.closed:
		t.Error("the agent gave up a stream that was alive")
	default:
	}
}

func TestSession_ARefusalIsSaidClearlyAndNotRepeatedQuickly(t *testing.T) {
	c := newControlPlane(t)
	c.refuse = status.Error(codes.PermissionDenied, "certificate is not one of an agent")
	a := newAgent(t, func(config *session.Config) { config.Timing.Refused = 20 * time.Millisecond }, c.address)
	for !contains(a.logged.String(), "level=ERROR", "the control plane refuses this agent", "certificate is not one of an agent") {
		wait(t, a.logged.more)
	}
	c.mu.Lock()
	c.refuse = nil
	c.mu.Unlock()
	a.open(c)
}

func TestSession_AStreamThatBeginsWithAChangeIsRefused(t *testing.T) {
	c := newControlPlane(t)
	a := newAgent(t, nil, c.address)
	s := c.accept()
	s.desire(&agentv1.Desired{})
	s.gone()
	a.open(c)
}

func contains(text string, parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}
