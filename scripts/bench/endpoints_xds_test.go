package bench

import (
	"fmt"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/anypb"
)

// follower waits until a proxy has heard that a group has changed, and of no other.
type follower func(group string) error

func dialEndpoints(b *testing.B, address string) discovery.AggregatedDiscoveryServiceClient {
	b.Helper()
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { connection.Close() })
	return discovery.NewAggregatedDiscoveryServiceClient(connection)
}

var benchNode = &corev3.Node{Id: "bench"}

// followDelta is a proxy that hears of what changed.
func followDelta(b *testing.B, address string, groups []string) follower {
	b.Helper()
	stream, err := dialEndpoints(b, address).DeltaAggregatedResources(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	request := &discovery.DeltaDiscoveryRequest{Node: benchNode, TypeUrl: resource.EndpointType, ResourceNamesSubscribe: groups}
	if err := stream.Send(request); err != nil {
		b.Fatal(err)
	}
	receive := func() ([]*discovery.Resource, error) {
		answer, err := stream.Recv()
		if err != nil {
			return nil, err
		}
		return answer.Resources, stream.Send(&discovery.DeltaDiscoveryRequest{TypeUrl: answer.TypeUrl, ResponseNonce: answer.Nonce})
	}
	for heard := 0; heard < len(groups); {
		resources, err := receive()
		if err != nil {
			b.Fatal(err)
		}
		heard += len(resources)
	}
	return func(group string) error {
		resources, err := receive()
		if err != nil {
			return err
		}
		if len(resources) != 1 {
			return fmt.Errorf("%d resources, want one", len(resources))
		}
		return isGroup(resources[0].Resource, group)
	}
}

// followWorld is a proxy that speaks the older, state-of-the-world variant: it names
// all groups with every answer that it acknowledges.
func followWorld(b *testing.B, address string, groups []string) follower {
	b.Helper()
	stream, err := dialEndpoints(b, address).StreamAggregatedResources(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	request := &discovery.DiscoveryRequest{Node: benchNode, TypeUrl: resource.EndpointType, ResourceNames: groups}
	if err := stream.Send(request); err != nil {
		b.Fatal(err)
	}
	receive := func() ([]*anypb.Any, error) {
		answer, err := stream.Recv()
		if err != nil {
			return nil, err
		}
		return answer.Resources, stream.Send(&discovery.DiscoveryRequest{
			TypeUrl: answer.TypeUrl, ResourceNames: groups, VersionInfo: answer.VersionInfo, ResponseNonce: answer.Nonce,
		})
	}
	for heard := 0; heard < len(groups); {
		resources, err := receive()
		if err != nil {
			b.Fatal(err)
		}
		heard += len(resources)
	}
	return func(group string) error {
		resources, err := receive()
		if err != nil {
			return err
		}
		if len(resources) != 1 {
			return fmt.Errorf("%d resources, want one", len(resources))
		}
		return isGroup(resources[0], group)
	}
}

func isGroup(r *anypb.Any, want string) error {
	var a endpointv3.ClusterLoadAssignment
	if err := r.UnmarshalTo(&a); err != nil {
		return err
	}
	if a.ClusterName != want {
		return fmt.Errorf("%s has changed, want %s", a.ClusterName, want)
	}
	return nil
}
