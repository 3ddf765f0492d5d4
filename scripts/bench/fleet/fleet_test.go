package fleet_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	agentv1 "github.com/longshore/longshore/proto/agent/v1"
	"github.com/longshore/longshore/proto/ecs"
	"github.com/longshore/longshore/scripts/bench/fleet"
)

const (
	patience  = time.Minute
	startTime = 10 * time.Millisecond
)

// controlPlane gives the test each session that an instance opens.
type controlPlane struct {
	agentv1.UnimplementedAgentServiceServer
	address  string
	sessions chan *wire
}

// wire is the control plane's end of one session.
type wire struct {
	stream   agentv1.AgentService_SessionServer
	close    chan struct{}
	statuses map[string][]string // reported so far, by task
}

func startControlPlane(t *testing.T) *controlPlane {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &controlPlane{address: l.Addr().String(), sessions: make(chan *wire)}
	server := grpc.NewServer()
	agentv1.RegisterAgentServiceServer(server, c)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return c
}

func (c *controlPlane) DiscoverPollEndpoint(context.Context, *agentv1.DiscoverPollEndpointRequest) (*agentv1.DiscoverPollEndpointResponse, error) {
	return &agentv1.DiscoverPollEndpointResponse{Endpoint: c.address}, nil
}

func (c *controlPlane) RegisterContainerInstance(_ context.Context, r *agentv1.RegisterContainerInstanceRequest) (*agentv1.RegisterContainerInstanceResponse, error) {
	var in ecs.RegisterContainerInstanceRequest
	if err := json.Unmarshal(r.Input, &in); err != nil {
		return nil, err
	}
	if err := in.Validate(); err != nil {
		return nil, err
	}
	out, err := json.Marshal(ecs.RegisterContainerInstanceResponse{ContainerInstance: &ecs.ContainerInstance{
		ContainerInstanceArn: "instance of " + in.InstanceIdentityDocument,
	}})
	return &agentv1.RegisterContainerInstanceResponse{Output: out}, err
}

func (c *controlPlane) Session(stream agentv1.AgentService_SessionServer) error {
	w := &wire{stream: stream, close: make(chan struct{}), statuses: map[string][]string{}}
	select {
	case c.sessions <- w:
	case <-stream.Context().Done():
		return stream.Context().Err()
	}
	select {
	case <-w.close:
		return nil
	case <-stream.Context().Done():
		return stream.Context().Err()
	}
}

// accept returns the next session, after its Hello.
func (c *controlPlane) accept(t *testing.T) *wire {
	t.Helper()
	select {
	case w := <-c.sessions:
		first, err := w.stream.Recv()
		if err != nil || first.GetHello().GetContainerInstance() == "" {
			t.Fatalf("first message = %v, %v, want a Hello", first, err)
		}
		return w
	case <-time.After(patience):
		t.Fatal("no session was opened")
		return nil
	}
}

func (w *wire) desire(t *testing.T, d *agentv1.Desired) {
	t.Helper()
	if err := w.stream.Send(&agentv1.ControlMessage{Message: &agentv1.ControlMessage_Desired{Desired: d}}); err != nil {
		t.Fatal(err)
	}
}

// await takes and acknowledges reports until a task has a status.
func (w *wire) await(t *testing.T, arn, status string) {
	t.Helper()
	for !slices.Contains(w.statuses[arn], status) {
		m, err := w.stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		report := m.GetReport()
		if report == nil {
			continue
		}
		for _, s := range report.Tasks {
			w.statuses[s.Arn] = append(w.statuses[s.Arn], s.Status)
		}
		ack := &agentv1.ControlMessage{Message: &agentv1.ControlMessage_Ack{Ack: &agentv1.Ack{Sequence: report.Sequence}}}
		if err := w.stream.Send(ack); err != nil {
			t.Fatal(err)
		}
	}
}

// start runs a fleet until the test ends.
func start(t *testing.T, cfg fleet.Config) *fleet.Fleet {
	t.Helper()
	cfg.Cluster, cfg.CPU, cfg.MemoryMiB = "c", 1024, 1024
	f := fleet.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run() = %v, want that it was cancelled", err)
		}
	})
	return f
}

func task(arn, desired, known string) *agentv1.Task {
	return &agentv1.Task{Arn: arn, Cluster: "c", Definition: "d", DesiredStatus: desired, KnownStatus: known}
}

func definitions() []*agentv1.Definition {
	return []*agentv1.Definition{{Arn: "d", Json: []byte(`{"family":"d","containerDefinitions":[{"name":"main","image":"i"}]}`)}}
}

func TestFleet_IsReadyOnceEveryInstanceKnowsWhatIsDesired(t *testing.T) {
	c := startControlPlane(t)
	f := start(t, fleet.Config{ControlPlane: []string{c.address}, Instances: 2})
	for range 2 {
		select {
		case <-f.Ready():
			t.Fatal("ready too early")
		default:
		}
		c.accept(t).desire(t, &agentv1.Desired{Full: true})
	}
	select {
	case <-f.Ready():
	case <-time.After(patience):
		t.Fatal("not ready")
	}
}

func TestFleet_TaskThatStartsAtOnceIsOneReportThenStopsAndIsForgotten(t *testing.T) {
	c := startControlPlane(t)
	f := start(t, fleet.Config{ControlPlane: []string{c.address}, Instances: 1, StartTime: startTime})
	w := c.accept(t)
	w.desire(t, &agentv1.Desired{Full: true, Definitions: definitions(), Tasks: []*agentv1.Task{task("a", "RUNNING", "PENDING")}})
	w.await(t, "a", "RUNNING")
	w.desire(t, &agentv1.Desired{Tasks: []*agentv1.Task{task("a", "STOPPED", "RUNNING")}})
	w.await(t, "a", "STOPPED")
	if seen := strings.Join(w.statuses["a"], " "); seen != "RUNNING STOPPED" {
		t.Errorf("reported %s", seen)
	}
	w.desire(t, &agentv1.Desired{Removed: []string{"a"}, Tasks: []*agentv1.Task{task("b", "RUNNING", "PENDING")}})
	w.await(t, "b", "RUNNING")
	if got := f.Tasks(); got != 1 {
		t.Errorf("the fleet has %d tasks, want only the one that is left", got)
	}
}

func TestFleet_TaskStoppedBeforeItsStartNeverRuns(t *testing.T) {
	c := startControlPlane(t)
	start(t, fleet.Config{ControlPlane: []string{c.address}, Instances: 1, StartTime: time.Hour})
	w := c.accept(t)
	w.desire(t, &agentv1.Desired{Full: true, Definitions: definitions(), Tasks: []*agentv1.Task{task("a", "RUNNING", "PENDING")}})
	w.await(t, "a", "PENDING")
	w.desire(t, &agentv1.Desired{Tasks: []*agentv1.Task{task("a", "STOPPED", "PENDING")}})
	w.await(t, "a", "STOPPED")
	if seen := w.statuses["a"]; slices.Contains(seen, "RUNNING") {
		t.Errorf("reported %v", seen)
	}
}

func TestFleet_ComesBackWithWhatItHad(t *testing.T) {
	c := startControlPlane(t)
	start(t, fleet.Config{ControlPlane: []string{c.address}, Instances: 1, StartTime: startTime})
	w := c.accept(t)
	full := &agentv1.Desired{Full: true, Definitions: definitions(), Tasks: []*agentv1.Task{task("a", "RUNNING", "PENDING")}}
	w.desire(t, full)
	w.await(t, "a", "RUNNING")
	close(w.close)

	w = c.accept(t)
	w.desire(t, full)
	w.desire(t, &agentv1.Desired{Tasks: []*agentv1.Task{task("b", "RUNNING", "PENDING")}})
	w.await(t, "b", "RUNNING") // and by then a, too, if it had been started anew
	if seen := w.statuses["a"]; !slices.Equal(seen, []string{"RUNNING"}) {
		t.Errorf("reported %v after a break, want that it still runs", seen)
	}
}
