package session_test

import (
	"context"
	"encoding/json"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	agentv1 "github.com/longshore/longshore/proto/agent/v1"
	"github.com/longshore/longshore/proto/ecs"
)

// patience bounds what happens in moments on a working machine.
const patience = 20 * time.Second

// controlPlane is a control plane that does as the test says, on a real gRPC server.
type controlPlane struct {
	agentv1.UnimplementedAgentServiceServer
	t       *testing.T
	address string
	server  *grpc.Server

	mu            sync.Mutex
	leader        string
	refuse        error // of every call
	known         map[string]bool
	registrations []*ecs.RegisterContainerInstanceRequest

	sessions chan *served
}

// served is one session, in the hands of the test.
type served struct {
	t      *testing.T
	hello  *agentv1.Hello
	wire   agentv1.AgentService_SessionServer
	end    chan error
	closed chan struct{} // the agent has gone
	in     chan *agentv1.AgentMessage
}

func newControlPlane(t *testing.T) *controlPlane {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &controlPlane{t: t, address: listener.Addr().String(), known: map[string]bool{}, sessions: make(chan *served)}
	c.leader = c.address
	c.server = grpc.NewServer()
	agentv1.RegisterAgentServiceServer(c.server, c)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		if err := c.server.Serve(listener); err != nil {
			t.Errorf("serve: %v", err)
		}
	}()
	t.Cleanup(func() { c.server.Stop(); <-stopped })
	return c
}

func (c *controlPlane) refusal() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refuse
}

func (c *controlPlane) DiscoverPollEndpoint(context.Context, *agentv1.DiscoverPollEndpointRequest) (*agentv1.DiscoverPollEndpointResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refuse != nil {
		return nil, c.refuse
	}
	return &agentv1.DiscoverPollEndpointResponse{Endpoint: c.leader}, nil
}

func (c *controlPlane) RegisterContainerInstance(_ context.Context, r *agentv1.RegisterContainerInstanceRequest) (*agentv1.RegisterContainerInstanceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var request ecs.RegisterContainerInstanceRequest
	if err := json.Unmarshal(r.Input, &request); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	c.registrations = append(c.registrations, &request)
	arn := request.ContainerInstanceArn
	switch {
	case arn == "":
		arn = "arn:new"
	case !c.known[arn]:
		return nil, status.Error(codes.NotFound, "The referenced container instance was not found.")
	}
	c.known[arn] = true
	output, err := json.Marshal(ecs.RegisterContainerInstanceResponse{ContainerInstance: &ecs.ContainerInstance{ContainerInstanceArn: arn}})
	return &agentv1.RegisterContainerInstanceResponse{Output: output}, err
}

func (c *controlPlane) Session(wire agentv1.AgentService_SessionServer) error {
	if err := c.refusal(); err != nil {
		return err
	}
	first, err := wire.Recv()
	if err != nil {
		return err
	}
	c.mu.Lock()
	known := c.known[first.GetHello().GetContainerInstance()]
	c.mu.Unlock()
	if !known {
		return status.Error(codes.NotFound, "unknown container instance")
	}
	s := &served{t: c.t, hello: first.GetHello(), wire: wire, end: make(chan error, 1), closed: make(chan struct{}), in: make(chan *agentv1.AgentMessage)}
	defer close(s.closed)
	go s.receive()
	select {
	case c.sessions <- s:
	case <-wire.Context().Done():
		return nil
	}
	select {
	case err := <-s.end:
		return err
	case <-wire.Context().Done():
		return nil
	}
}

// receive ends with the stream, at the latest when the server stops.
func (s *served) receive() {
	for {
		m, err := s.wire.Recv()
		if err != nil {
			return
		}
		select {
		case s.in <- m:
		case <-s.wire.Context().Done():
			return
		}
	}
}

func (c *controlPlane) accept() *served {
	c.t.Helper()
	select {
	case s := <-c.sessions:
		return s
	case <-time.After(patience):
		c.t.Fatal("no session")
		return nil
	}
}

func (s *served) desire(d *agentv1.Desired) {
	s.t.Helper()
	s.send(&agentv1.ControlMessage{Message: &agentv1.ControlMessage_Desired{Desired: d}})
}

func (s *served) ack(sequence uint64) {
	s.t.Helper()
	s.send(&agentv1.ControlMessage{Message: &agentv1.ControlMessage_Ack{Ack: &agentv1.Ack{Sequence: sequence}}})
}

func (s *served) send(m *agentv1.ControlMessage) {
	s.t.Helper()
	if err := s.wire.Send(m); err != nil {
		s.t.Fatalf("send to the agent: %v", err)
	}
}

// next returns the next message of the kind that pick finds.
func next[T any](s *served, pick func(*agentv1.AgentMessage) *T) *T {
	s.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case m := <-s.in:
			if found := pick(m); found != nil {
				return found
			}
		case <-deadline:
			s.t.Fatalf("no %T", *new(T))
		}
	}
}

func (s *served) report() *agentv1.Report {
	s.t.Helper()
	return next(s, (*agentv1.AgentMessage).GetReport)
}

func (s *served) gone() {
	s.t.Helper()
	select {
	case <-s.closed:
	case <-time.After(patience):
		s.t.Fatal("the agent keeps the session")
	}
}
