package agentgrpc

import (
	"context"
	"crypto/x509"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/longshore/longshore/controlplane/dispatch"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

// agentName is the name in the certificate that the caller showed; empty if the
// connection is not encrypted, or the certificate names nobody.
func agentName(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}
	tls, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(tls.State.VerifiedChains) == 0 {
		return ""
	}
	return nameIn(tls.State.VerifiedChains[0][0])
}

// nameIn prefers what was made for this (the URI of a SPIFFE identity) over the
// common name, and that over the first DNS name, whose order nobody promises.
func nameIn(certificate *x509.Certificate) string {
	switch {
	case len(certificate.URIs) > 0:
		return certificate.URIs[0].String()
	case certificate.Subject.CommonName != "":
		return certificate.Subject.CommonName
	case len(certificate.DNSNames) > 0:
		return certificate.DNSNames[0]
	}
	return ""
}

// admitted checks a registration that brings an instance up to date. An ARN that
// names no instance of this account is the operation's to refuse.
func (s *Server) admitted(ctx context.Context, d *dispatch.Dispatcher, in *ecs.RegisterContainerInstanceRequest) error {
	if in.ContainerInstanceArn == "" {
		return nil
	}
	cluster, id, err := s.cfg.Owner.InCluster("container-instance", in.ContainerInstanceArn)
	if err != nil {
		return nil
	}
	if cluster == "" {
		// The operation takes it; here it would leave open which instance is meant.
		return status.Errorf(codes.InvalidArgument, "%q is not the ARN of a container instance in a cluster", in.ContainerInstanceArn)
	}
	if err := d.Admits(dispatch.InstanceKey{Cluster: cluster, ID: model.InstanceID(id)}, agentName(ctx)); err != nil {
		return wireError(err)
	}
	return nil
}
