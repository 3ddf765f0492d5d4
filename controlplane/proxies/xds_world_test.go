package proxies_test

import (
	"slices"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	clusterservice "github.com/envoyproxy/go-control-plane/envoy/service/cluster/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	endpointservice "github.com/envoyproxy/go-control-plane/envoy/service/endpoint/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/longshore/longshore/controlplane/proxies/catalog"
)

// world is a stream of the state of the world, ADS or of one type.
type world interface {
	Send(*discovery.DiscoveryRequest) error
	Recv() (*discovery.DiscoveryResponse, error)
}

// nextOfWorld receives an answer, acknowledges it with the names that are followed and
// returns those in it.
func nextOfWorld(t *testing.T, stream world, follows ...string) []string {
	t.Helper()
	answer, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&discovery.DiscoveryRequest{
		TypeUrl: answer.TypeUrl, ResourceNames: follows, VersionInfo: answer.VersionInfo, ResponseNonce: answer.Nonce,
	}); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range answer.Resources {
		message, err := r.UnmarshalNew()
		if err != nil {
			t.Fatal(err)
		}
		switch m := message.(type) {
		case interface{ GetClusterName() string }:
			names = append(names, m.GetClusterName())
		case interface{ GetName() string }:
			names = append(names, m.GetName())
		}
	}
	return names
}

func TestXDS_StateOfTheWorldIsWholeForClustersAndWhatChangedForEndpoints(t *testing.T) {
	for name, open := range map[string]func(*grpc.ClientConn, string) (world, error){
		"ADS": func(c *grpc.ClientConn, _ string) (world, error) {
			return discovery.NewAggregatedDiscoveryServiceClient(c).StreamAggregatedResources(t.Context())
		},
		"separate": func(c *grpc.ClientConn, kind string) (world, error) {
			if kind == resource.ClusterType {
				return clusterservice.NewClusterDiscoveryServiceClient(c).StreamClusters(t.Context())
			}
			return endpointservice.NewEndpointDiscoveryServiceClient(c).StreamEndpoints(t.Context())
		},
	} {
		t.Run(name, func(t *testing.T) {
			all := loaded(http1("web"), http1("api"))
			connection := connect(t, serve(t, all))
			want := func(stream world, names []string, follows ...string) {
				t.Helper()
				if got := nextOfWorld(t, stream, follows...); !slices.Equal(got, names) {
					t.Fatalf("%v, want %v", got, names)
				}
			}
			ask := func(kind string, names ...string) world {
				stream, err := open(connection, kind)
				if err == nil {
					err = stream.Send(&discovery.DiscoveryRequest{Node: &corev3.Node{Id: "envoy"}, TypeUrl: kind, ResourceNames: names})
				}
				if err != nil {
					t.Fatal(err)
				}
				return stream
			}
			endpoints, clusters := ask(resource.EndpointType, "api", "web"), ask(resource.ClusterType)
			want(endpoints, []string{"api", "web"}, "web", "api", "new")
			want(clusters, []string{"api", "web"})
			set(all, http1("web", at("10.0.0.1:80", catalog.Healthy)))
			want(endpoints, []string{"web"}, "api", "web", "new")
			set(all, http1("new"))
			want(endpoints, []string{"new"}, "api", "web", "new")
			want(clusters, []string{"api", "new", "web"})
			all.Apply(catalog.Change{Gone: []string{"api"}})
			want(clusters, []string{"new", "web"})
			// A proxy that comes back is told everything.
			want(ask(resource.EndpointType, "web", "new"), []string{"new", "web"}, "web", "new")
		})
	}
}

func TestXDS_RefusesCallsThatAreNotStreams(t *testing.T) {
	client := endpointservice.NewEndpointDiscoveryServiceClient(connect(t, serve(t, loaded(http1("web")))))
	if _, err := client.FetchEndpoints(t.Context(), &discovery.DiscoveryRequest{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("%v, want that it is not implemented", err)
	}
}
