package agent_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	agentv1 "github.com/longshore/longshore/proto/agent/v1"
	"github.com/longshore/longshore/proto/ecs"
)

// controlPlane is the smallest control plane that an agent can work for: it
// keeps the tasks that the test gives it, and what is reported of them.
type controlPlane struct {
	agentv1.UnimplementedAgentServiceServer
	t        *testing.T
	listener *bufconn.Listener
	patience time.Duration // for what has to happen

	mu            sync.Mutex
	changed       chan struct{} // closed and replaced when something has been reported
	registrations []*ecs.RegisterContainerInstanceRequest
	instances     map[string]bool
	inactive      map[string]bool
	definitions   map[string][]byte
	tasks         map[string]*placed
	removed       map[string]bool
	out           chan *agentv1.ControlMessage // of the present session
	deaf          bool                         // reports are not acknowledged
	away          bool                         // no session can be opened
	secrets       []*agentv1.ContainerSecrets  // what ResolveSecrets answers
	refusals      []codes.Code                 // before that
	resolutions   int
	protected     bool // what TaskProtection answers
}

// placed is a task and what has been reported of it.
type placed struct {
	task     *agentv1.Task
	state    *agentv1.TaskState // nil: nothing yet
	statuses []string           // as they were reported, without repetitions
}

func newControlPlane(t *testing.T) *controlPlane {
	t.Helper()
	c := &controlPlane{
		t: t, listener: bufconn.Listen(1 << 20), patience: 2 * time.Minute, changed: make(chan struct{}), instances: map[string]bool{}, inactive: map[string]bool{},
		definitions: map[string][]byte{}, tasks: map[string]*placed{}, removed: map[string]bool{},
	}
	server := grpc.NewServer()
	agentv1.RegisterAgentServiceServer(server, c)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		if err := server.Serve(c.listener); err != nil {
			t.Errorf("serve: %v", err)
		}
	}()
	t.Cleanup(func() { server.Stop(); <-stopped })
	return c
}

func (c *controlPlane) dial(ctx context.Context, _ string) (net.Conn, error) {
	return c.listener.DialContext(ctx)
}

func (c *controlPlane) DiscoverPollEndpoint(context.Context, *agentv1.DiscoverPollEndpointRequest) (*agentv1.DiscoverPollEndpointResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away {
		return nil, status.Error(codes.Unavailable, "no leader")
	}
	return &agentv1.DiscoverPollEndpointResponse{Endpoint: address}, nil
}

// address is not dialled: dial is.
const address = "127.0.0.1:7471"

func (c *controlPlane) RegisterContainerInstance(_ context.Context, r *agentv1.RegisterContainerInstanceRequest) (*agentv1.RegisterContainerInstanceResponse, error) {
	var request ecs.RegisterContainerInstanceRequest
	if err := json.Unmarshal(r.Input, &request); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.registrations = append(c.registrations, &request)
	arn := request.ContainerInstanceArn
	switch {
	case arn == "":
		arn = "arn:aws:ecs:us-east-1:000000000000:container-instance/" + request.Cluster + "/" + strings.ToLower(rand.Text())
	case c.inactive[arn]:
		return nil, status.Error(codes.FailedPrecondition, "ClientException: inactive container instance")
	case !c.instances[arn]:
		return nil, status.Error(codes.NotFound, "ClientException: unknown container instance")
	}
	c.instances[arn] = true
	output, err := json.Marshal(ecs.RegisterContainerInstanceResponse{ContainerInstance: &ecs.ContainerInstance{ContainerInstanceArn: arn}})
	return &agentv1.RegisterContainerInstanceResponse{Output: output}, err
}

func (c *controlPlane) Session(wire agentv1.AgentService_SessionServer) error {
	hello, err := wire.Recv()
	if err != nil {
		return err
	}
	out := make(chan *agentv1.ControlMessage, 1000)
	c.mu.Lock()
	if !c.instances[hello.GetHello().GetContainerInstance()] {
		c.mu.Unlock()
		return status.Error(codes.NotFound, "unknown container instance")
	}
	c.out = out
	out <- &agentv1.ControlMessage{Message: &agentv1.ControlMessage_Welcome{Welcome: &agentv1.Welcome{SessionToken: sessionToken}}}
	out <- c.full()
	c.mu.Unlock()
	var receiving sync.WaitGroup
	defer receiving.Wait()
	receiving.Go(func() { c.receive(wire, out) })
	heartbeat := time.NewTicker(time.Second)
	defer heartbeat.Stop()
	for {
		m := &agentv1.ControlMessage{Message: &agentv1.ControlMessage_Heartbeat{Heartbeat: &agentv1.Heartbeat{IntervalMs: 1000}}}
		select {
		case <-wire.Context().Done():
			return nil
		case <-heartbeat.C:
		case next, open := <-out:
			if !open {
				return status.Error(codes.Unavailable, "leadership lost")
			}
			m = next
		}
		if err := wire.Send(m); err != nil {
			return err
		}
	}
}

func (c *controlPlane) full() *agentv1.ControlMessage {
	d := &agentv1.Desired{Full: true}
	for arn, text := range c.definitions {
		d.Definitions = append(d.Definitions, &agentv1.Definition{Arn: arn, Json: text})
	}
	for _, p := range c.tasks {
		d.Tasks = append(d.Tasks, proto.CloneOf(p.task))
	}
	return &agentv1.ControlMessage{Message: &agentv1.ControlMessage_Desired{Desired: d}}
}

// receive takes reports until the stream ends.
func (c *controlPlane) receive(wire agentv1.AgentService_SessionServer, out chan *agentv1.ControlMessage) {
	for {
		m, err := wire.Recv()
		if err != nil {
			return
		}
		if r := m.GetReport(); r != nil {
			c.take(r, out)
		}
	}
}

func (c *controlPlane) take(r *agentv1.Report, out chan *agentv1.ControlMessage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.deaf || c.out != out {
		return
	}
	for _, state := range r.Tasks {
		p := c.tasks[state.Arn]
		if p == nil && c.removed[state.Arn] {
			continue // it was on its way when the task was removed
		}
		if p == nil {
			c.t.Errorf("report of the unknown task %s: %v", state.Arn, state)
			continue
		}
		p.state = state
		p.task.KnownStatus = state.Status
		if len(p.statuses) == 0 || p.statuses[len(p.statuses)-1] != state.Status {
			p.statuses = append(p.statuses, state.Status)
		}
	}
	out <- &agentv1.ControlMessage{Message: &agentv1.ControlMessage_Ack{Ack: &agentv1.Ack{Sequence: r.Sequence}}}
	close(c.changed)
	c.changed = make(chan struct{})
}

// push sends a change to the agent, if one is connected; a later one gets it all.
func (c *controlPlane) push(d *agentv1.Desired) {
	if c.out != nil {
		c.out <- &agentv1.ControlMessage{Message: &agentv1.ControlMessage_Desired{Desired: d}}
	}
}

func (c *controlPlane) run(arn string, definition ecs.TaskDefinition, overrides ...ecs.ContainerOverride) {
	c.t.Helper()
	text, err := json.Marshal(definition)
	if err != nil {
		c.t.Fatal(err)
	}
	p := &placed{task: &agentv1.Task{Arn: arn, Cluster: "default", Definition: "definition of " + arn, DesiredStatus: "RUNNING", KnownStatus: "PENDING", Subnets: []string{"subnet-default"}}}
	if len(overrides) > 0 {
		if p.task.Overrides, err = json.Marshal(ecs.TaskOverride{ContainerOverrides: overrides}); err != nil {
			c.t.Fatal(err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.definitions[p.task.Definition] = text
	c.tasks[arn] = p
	c.push(&agentv1.Desired{
		Definitions: []*agentv1.Definition{{Arn: p.task.Definition, Json: text}},
		Tasks:       []*agentv1.Task{proto.CloneOf(p.task)},
	})
}

func (c *controlPlane) stop(arn string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.tasks[arn]
	p.task.DesiredStatus = "STOPPED"
	c.push(&agentv1.Desired{Tasks: []*agentv1.Task{proto.CloneOf(p.task)}})
}

// remove says that the control plane has done with a task.
func (c *controlPlane) remove(arn string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.tasks, arn)
	c.removed[arn] = true
	c.push(&agentv1.Desired{Removed: []string{arn}})
}

// leave makes the control plane unreachable, or reachable again.
func (c *controlPlane) leave(away bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = away
}

// breakSession ends the session, as the loss of leadership does.
func (c *controlPlane) breakSession() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.out)
	c.out = nil
}

// until waits for a report of the task of which enough holds.
func (c *controlPlane) until(arn, what string, enough func(*agentv1.TaskState) bool) *agentv1.TaskState {
	c.t.Helper()
	deadline := time.After(c.patience)
	for {
		c.mu.Lock()
		state, changed := c.tasks[arn].state, c.changed
		c.mu.Unlock()
		if state != nil && enough(state) {
			return state
		}
		select {
		case <-changed:
		case <-deadline:
			c.t.Fatalf("%s: want %s, last reported: %v", arn, what, state)
		}
	}
}

func (c *controlPlane) becomes(arn, status string) *agentv1.TaskState {
	c.t.Helper()
	return c.until(arn, status, func(s *agentv1.TaskState) bool { return s.Status == status })
}

// wentForward checks that no report took a status back.
func (c *controlPlane) wentForward(arn string) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	order := []string{"PROVISIONING", "PENDING", "RUNNING", "STOPPING", "DEPROVISIONING", "STOPPED"}
	last := 0
	for _, s := range c.tasks[arn].statuses {
		if i := slices.Index(order, s); i < last {
			c.t.Errorf("%s was reported as %v", arn, c.tasks[arn].statuses)
		} else {
			last = i
		}
	}
}
