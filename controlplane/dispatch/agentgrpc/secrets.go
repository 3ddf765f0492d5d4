package agentgrpc

import (
	"context"
	"errors"
	"net"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/longshore/longshore/controlplane/dispatch"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/resolve"
	agentv1 "github.com/longshore/longshore/proto/agent/v1"
)

// ResolveSecrets gives the agent of an open session the values that one of its
// tasks needs. Its codes: Unavailable and Aborted mean to ask again, with a new
// session if need be; FailedPrecondition is the reason why the task cannot run.
func (s *Server) ResolveSecrets(ctx context.Context, r *agentv1.ResolveSecretsRequest) (*agentv1.ResolveSecretsResponse, error) {
	d := s.cfg.Dispatcher()
	if d == nil {
		return nil, errNotLeader
	}
	if err := confidential(ctx); err != nil {
		return nil, err
	}
	cluster, id, err := s.cfg.Owner.InCluster("container-instance", r.GetContainerInstance())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	taskCluster, task, err := s.cfg.Owner.InCluster("task", r.GetTask())
	if err != nil || taskCluster != cluster {
		return nil, status.Error(codes.InvalidArgument, "the task is not one of the instance's cluster")
	}
	definition, view, err := d.Claim(dispatch.InstanceKey{Cluster: cluster, ID: model.InstanceID(id)}, r.GetSessionToken(), model.TaskID(task))
	switch {
	case errors.Is(err, dispatch.ErrNoSession):
		return nil, status.Error(codes.Aborted, err.Error())
	case err != nil:
		return nil, status.Error(codes.PermissionDenied, err.Error())
	}
	values, err := s.cfg.Secrets.Resolve(ctx, view, &definition.Shape)
	switch {
	case ctx.Err() != nil:
		return nil, status.FromContextError(ctx.Err()).Err()
	case err != nil:
		s.cfg.Logger.Warn("secrets of a task can not be had", "cluster", cluster, "instance", id, "task", task, "error", err)
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	}
	return secretsOnWire(values), nil
}

// confidential refuses to send secrets in the clear over a network.
func confidential(ctx context.Context) error {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return status.Error(codes.Internal, "the caller's address is not known")
	}
	if _, encrypted := p.AuthInfo.(credentials.TLSInfo); encrypted {
		return nil
	}
	if tcp, ok := p.Addr.(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
		return nil
	}
	return status.Error(codes.FailedPrecondition, "the connection between agent and control plane is not encrypted; give both certificates (--agent-tls-*, --tls-*)")
}

func secretsOnWire(values []resolve.Values) *agentv1.ResolveSecretsResponse {
	out := &agentv1.ResolveSecretsResponse{}
	for _, v := range values {
		row := &agentv1.ContainerSecrets{Name: v.Container, Environment: v.Environment, LogOptions: v.LogOptions}
		if v.Registry != nil {
			row.Registry = &agentv1.RegistryCredentials{Username: v.Registry.Username, Password: v.Registry.Password}
		}
		out.Containers = append(out.Containers, row)
	}
	return out
}
