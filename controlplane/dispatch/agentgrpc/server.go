// Package agentgrpc puts dispatch on the wire: the gRPC service that agents
// speak. It translates messages and decides nothing.
package agentgrpc

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/longshore/longshore/controlplane/dispatch"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/names"
	"github.com/longshore/longshore/controlplane/resolve"
	agentv1 "github.com/longshore/longshore/proto/agent/v1"
	"github.com/longshore/longshore/proto/ecs"
)

// Config is what the service needs of the control plane around it.
type Config struct {
	Owner model.Owner
	// Dispatcher returns the dispatcher of the present term; nil if this control
	// plane does not lead.
	Dispatcher func() *dispatch.Dispatcher
	// Leader returns the agent address of the control plane that leads; empty if
	// none is known.
	Leader func() string
	// Names returns the feed of the present term; nil if this control plane does not
	// lead. Nil: agents are told of no names.
	Names func() *names.Feed
	// Register is the API's operation of that name.
	Register func(context.Context, *ecs.RegisterContainerInstanceRequest) (*ecs.RegisterContainerInstanceResponse, error)
	// Secrets finds the values that task definitions name.
	Secrets *resolve.Resolver
	// Tasks are the operations that agents call on behalf of their tasks.
	Tasks    TaskOperations
	Logger   *slog.Logger
	Registry prometheus.Registerer // may be nil
}

// Server implements agentv1.AgentServiceServer.
type Server struct {
	agentv1.UnimplementedAgentServiceServer
	cfg     Config
	metrics metrics
}

// New makes the service.
func New(cfg Config) *Server { return &Server{cfg: cfg, metrics: newMetrics(cfg.Registry)} }

var errNotLeader = status.Error(codes.Unavailable, "this control plane does not lead; ask DiscoverPollEndpoint which one does")

// DiscoverPollEndpoint names the leader.
func (s *Server) DiscoverPollEndpoint(context.Context, *agentv1.DiscoverPollEndpointRequest) (*agentv1.DiscoverPollEndpointResponse, error) {
	endpoint := s.cfg.Leader()
	if endpoint == "" {
		return nil, status.Error(codes.Unavailable, "no control plane leads at the moment")
	}
	return &agentv1.DiscoverPollEndpointResponse{Endpoint: endpoint}, nil
}

// RegisterContainerInstance runs the API's operation. Its refusals are
// InvalidArgument, with ECS's error as the message.
func (s *Server) RegisterContainerInstance(ctx context.Context, r *agentv1.RegisterContainerInstanceRequest) (*agentv1.RegisterContainerInstanceResponse, error) {
	d := s.cfg.Dispatcher()
	if d == nil {
		return nil, errNotLeader
	}
	var in ecs.RegisterContainerInstanceRequest
	if err := json.Unmarshal(r.GetInput(), &in); err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "reading the request: %v", err)
	}
	if err := in.Validate(); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if err := s.admitted(ctx, d, &in); err != nil {
		return nil, err
	}
	out, err := s.cfg.Register(ctx, &in)
	if err != nil {
		return nil, wireError(err)
	}
	b, err := json.Marshal(out)
	if err != nil {
		return nil, status.Errorf(codes.Internal, "writing the answer: %v", err)
	}
	return &agentv1.RegisterContainerInstanceResponse{Output: b}, nil
}

// wireError gives each error the code by which the agent decides what to do:
// NotFound makes it register anew, FailedPrecondition makes it leave everything
// as it is, because its instance was deregistered, and so does PermissionDenied, because
// the instance is not its own; Unavailable makes it look for the leader.
func wireError(err error) error {
	var refused *ecs.Error
	switch {
	case errors.Is(err, dispatch.ErrUnknownInstance):
		return status.Error(codes.NotFound, err.Error())
	case errors.Is(err, dispatch.ErrNotItsAgent):
		return status.Error(codes.PermissionDenied, err.Error())
	case errors.Is(err, model.ErrInstanceInactive):
		return status.Error(codes.FailedPrecondition, err.Error())
	case errors.As(err, &refused) && refused.Code == ecs.CodeClient:
		// Of RegisterContainerInstance: the ARN is of no registered instance.
		return status.Error(codes.NotFound, refused.Message)
	case errors.As(err, &refused) && refused.Code != ecs.CodeServiceUnavailable:
		return status.Error(codes.InvalidArgument, refused.Error())
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return status.FromContextError(err).Err()
	}
	return status.Error(codes.Unavailable, err.Error())
}

// Session runs one agent's stream: this goroutine sends what is desired, another one
// takes reports. There are as many of them as hosts, so that each one more counts.
func (s *Server) Session(stream agentv1.AgentService_SessionServer) error {
	d := s.cfg.Dispatcher()
	if d == nil {
		return errNotLeader
	}
	key, lateAcks, err := s.hello(stream)
	if err != nil {
		return err
	}
	session, err := d.Connect(stream.Context(), key, agentName(stream.Context()))
	if err != nil {
		return wireError(err)
	}
	defer session.Close()
	s.cfg.Logger.Info("agent connected", "cluster", key.Cluster, "instance", key.ID)
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	c := &conversation{
		server: s, stream: stream, cluster: key.Cluster, session: session,
		names: s.follower(), lateAcks: lateAcks, received: make(chan error, 1),
	}
	// receive ends with the stream, which ends when this function returns.
	go func() { c.received <- c.receive(ctx) }()
	err = c.send(ctx)
	s.cfg.Logger.Info("agent disconnected", "cluster", key.Cluster, "instance", key.ID, "error", err)
	return wireError(err)
}

func (s *Server) hello(stream agentv1.AgentService_SessionServer) (key dispatch.InstanceKey, lateAcks bool, err error) {
	first, err := stream.Recv()
	if err != nil {
		return key, false, err
	}
	hello := first.GetHello()
	cluster, id, err := s.cfg.Owner.InCluster("container-instance", hello.GetContainerInstance())
	if err != nil || cluster == "" {
		return key, false, status.Errorf(codes.InvalidArgument, "the first message must be a Hello with the ARN of a container instance; got %q", hello.GetContainerInstance())
	}
	return dispatch.InstanceKey{Cluster: cluster, ID: model.InstanceID(id)}, hello.GetLateAcks(), nil
}
