// Package agentgrpc puts dispatch on the wire: the gRPC service that agents
// speak. It translates messages and decides nothing.
package agentgrpc

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

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
	Tasks  TaskOperations
	Logger *slog.Logger
}

// Server implements agentv1.AgentServiceServer.
type Server struct {
	agentv1.UnimplementedAgentServiceServer
	cfg Config
}

// New makes the service.
func New(cfg Config) *Server { return &Server{cfg: cfg} }

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

// Session runs one agent's stream: one goroutine sends what is desired, this
// one takes reports.
func (s *Server) Session(stream agentv1.AgentService_SessionServer) error {
	d := s.cfg.Dispatcher()
	if d == nil {
		return errNotLeader
	}
	key, err := s.hello(stream)
	if err != nil {
		return err
	}
	session, err := d.Connect(stream.Context(), key, agentName(stream.Context()))
	if err != nil {
		return wireError(err)
	}
	defer session.Close()
	log := s.cfg.Logger.With("cluster", key.Cluster, "instance", key.ID)
	log.Info("agent connected")
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	acks := make(chan uint64, 1)
	sent := make(chan error, 1)
	go func() { sent <- s.send(ctx, stream, key.Cluster, session, acks, d.HeartbeatInterval()) }()
	received := make(chan error, 1)
	go func() { received <- s.receive(ctx, stream, session, acks) }()
	select {
	case err = <-sent:
	case err = <-received:
		cancel()
		<-sent
	}
	// receive ends with the stream, which ends when this function returns.
	log.Info("agent disconnected", "error", err)
	return wireError(err)
}

func (s *Server) hello(stream agentv1.AgentService_SessionServer) (dispatch.InstanceKey, error) {
	first, err := stream.Recv()
	if err != nil {
		return dispatch.InstanceKey{}, err
	}
	arn := first.GetHello().GetContainerInstance()
	cluster, id, err := s.cfg.Owner.InCluster("container-instance", arn)
	if err != nil || cluster == "" {
		return dispatch.InstanceKey{}, status.Errorf(codes.InvalidArgument, "the first message must be a Hello with the ARN of a container instance; got %q", arn)
	}
	return dispatch.InstanceKey{Cluster: cluster, ID: model.InstanceID(id)}, nil
}

// send is the only sender on the stream: what is desired, acknowledgements, and
// heartbeats.
func (s *Server) send(ctx context.Context, stream agentv1.AgentService_SessionServer, cluster model.ClusterName, session *dispatch.Session, acks <-chan uint64, interval time.Duration) error {
	desired := make(chan dispatch.Desired)
	ended := make(chan error, 1)
	go func() {
		for {
			d, err := session.Next(ctx)
			if err != nil {
				ended <- err
				return
			}
			select {
			case desired <- d:
			case <-ctx.Done():
				ended <- ctx.Err()
				return
			}
		}
	}()
	beat := func() *agentv1.ControlMessage {
		return &agentv1.ControlMessage{Message: &agentv1.ControlMessage_Heartbeat{Heartbeat: &agentv1.Heartbeat{IntervalMs: uint32(interval.Milliseconds())}}}
	}
	welcome := &agentv1.ControlMessage{Message: &agentv1.ControlMessage_Welcome{Welcome: &agentv1.Welcome{SessionToken: session.Token()}}}
	for _, m := range []*agentv1.ControlMessage{welcome, beat()} {
		if err := stream.Send(m); err != nil {
			return err
		}
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	follower := s.follower()
	for {
		renamed, err := sendNames(stream, follower)
		if err != nil {
			return err
		}
		select {
		case <-renamed:
		case err := <-ended:
			return err
		case d := <-desired:
			// Who is about to be stopped is not found any more.
			if _, err = sendNames(stream, follower); err == nil {
				err = s.sendDesired(stream, cluster, d)
			}
		case sequence := <-acks:
			err = stream.Send(&agentv1.ControlMessage{Message: &agentv1.ControlMessage_Ack{Ack: &agentv1.Ack{Sequence: sequence}}})
		case <-ticker.C:
			err = stream.Send(beat())
		}
		if err != nil {
			return err
		}
	}
}

// receive takes reports one after the other; each is acknowledged once durable.
func (s *Server) receive(ctx context.Context, stream agentv1.AgentService_SessionServer, session *dispatch.Session, acks chan uint64) error {
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		session.Heard()
		report := m.GetReport()
		if report == nil {
			continue
		}
		if err := session.Report(ctx, s.reports(report)); err != nil {
			return err
		}
		session.Heard() // storing may have taken a while, with heartbeats waiting behind
		select {
		case <-acks: // a newer sequence number covers it
		default:
		}
		select {
		case acks <- report.GetSequence():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
