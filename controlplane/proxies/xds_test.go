package proxies_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	clusterservice "github.com/envoyproxy/go-control-plane/envoy/service/cluster/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	endpointservice "github.com/envoyproxy/go-control-plane/envoy/service/endpoint/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/xds"
	"google.golang.org/protobuf/proto"

	"github.com/longshore/longshore/controlplane/proxies/catalog"
)

func grpcGroup(name string, members ...catalog.Member) *catalog.Group {
	return &catalog.Group{Name: name, Protocol: "HTTP", ProtocolVersion: "GRPC", Members: members}
}

// grpcTarget is a gRPC server, the member that it is, and a way to end it.
func grpcTarget(t *testing.T) (m catalog.Member, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, health.NewServer())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			server.GracefulStop()
			<-ended
		}
	}
	t.Cleanup(func() {
		server.Stop()
		stop()
	})
	return at(l.Addr().String(), catalog.Healthy), stop
}

// dialXDS dials xds:///GROUP with gRPC's own xDS client.
func dialXDS(t *testing.T, endpoints, group string) healthpb.HealthClient {
	t.Helper()
	resolver, err := xds.NewXDSResolverWithConfigForTesting(fmt.Appendf(nil, `{
		"xds_servers": [{"server_uri": %q, "channel_creds": [{"type": "insecure"}], "server_features": ["xds_v3"]}],
		"node": {"id": %q}
	}`, "dns:///"+endpoints, t.Name()))
	if err != nil {
		t.Fatal(err)
	}
	connection, err := grpc.NewClient("xds:///"+group, grpc.WithResolvers(resolver), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return healthpb.NewHealthClient(connection)
}

// call makes a call and returns who answered.
func call(t *testing.T, client healthpb.HealthClient) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var who peer.Peer
	if _, err := client.Check(ctx, &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true), grpc.Peer(&who)); err != nil {
		t.Fatalf("a call was lost: %v", err)
	}
	return who.Addr.String()
}

// callUntil calls until the last answers came from exactly these members. No call
// may fail.
func callUntil(t *testing.T, client healthpb.HealthClient, members ...catalog.Member) {
	t.Helper()
	var want []string
	for _, m := range members {
		want = append(want, m.Endpoint().String())
	}
	slices.Sort(want)
	var got []string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		got = nil
		for range 50 {
			got = append(got, call(t, client))
		}
		slices.Sort(got)
		if got = slices.Compact(got); slices.Equal(got, want) {
			return
		}
	}
	t.Fatalf("answers come from %v, want %v", got, want)
}

func TestXDS_GRPCFollowsAGroupWithoutLosingACall(t *testing.T) {
	a, stopA := grpcTarget(t)
	b, _ := grpcTarget(t)
	c, _ := grpcTarget(t)
	c.Zone = "another"
	all := loaded(grpcGroup("api", a, b), http1("web", at("192.0.2.1:80", catalog.Healthy)))
	client := dialXDS(t, serve(t, all), "api")
	callUntil(t, client, a, b)
	set(all, grpcGroup("api", draining(a), b, c))
	callUntil(t, client, b, c)
	stopA()
	set(all, grpcGroup("api", b, c))
	set(all, grpcGroup("api", at(b.Endpoint().String(), catalog.Unhealthy), c))
	callUntil(t, client, c)
	set(all, grpcGroup("api", at(b.Endpoint().String(), catalog.Unhealthy), at(c.Endpoint().String(), catalog.Unhealthy)))
	callUntil(t, client, b, c) // all unhealthy: it fails open
}

func TestXDS_GRPCFindsAGroupThatIsMadeLater(t *testing.T) {
	a, _ := grpcTarget(t)
	all := loaded()
	client := dialXDS(t, serve(t, all), "api")
	answered := make(chan string, 1)
	go func() { answered <- call(t, client) }()
	set(all, grpcGroup("api", a))
	if got := <-answered; got != a.Endpoint().String() {
		t.Errorf("%s answered, want %s", got, a.Endpoint())
	}
}

func connect(t *testing.T, endpoints string) *grpc.ClientConn {
	t.Helper()
	connection, err := grpc.NewClient(endpoints, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return connection
}

// delta is a stream of changes, ADS or of one type.
type delta interface {
	Send(*discovery.DeltaDiscoveryRequest) error
	Recv() (*discovery.DeltaDiscoveryResponse, error)
}

// next receives an answer, acknowledges it and returns the names in it.
func next(t *testing.T, stream delta) (names, gone []string, answer *discovery.DeltaDiscoveryResponse) {
	t.Helper()
	answer, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&discovery.DeltaDiscoveryRequest{TypeUrl: answer.TypeUrl, ResponseNonce: answer.Nonce}); err != nil {
		t.Fatal(err)
	}
	for _, r := range answer.Resources {
		names = append(names, r.Name)
	}
	slices.Sort(names)
	return names, answer.RemovedResources, answer
}

func TestXDS_DeltaSendsOnlyWhatChanged(t *testing.T) {
	web, api := http1("web", at("10.0.0.1:80", catalog.Healthy)), grpcGroup("api")
	for name, open := range map[string]func(*grpc.ClientConn, string) (delta, error){
		"ADS": func(c *grpc.ClientConn, _ string) (delta, error) {
			return discovery.NewAggregatedDiscoveryServiceClient(c).DeltaAggregatedResources(t.Context())
		},
		"separate": func(c *grpc.ClientConn, kind string) (delta, error) {
			if kind == resource.ClusterType {
				return clusterservice.NewClusterDiscoveryServiceClient(c).DeltaClusters(t.Context())
			}
			return endpointservice.NewEndpointDiscoveryServiceClient(c).DeltaEndpoints(t.Context())
		},
	} {
		t.Run(name, func(t *testing.T) {
			all := loaded(web, api)
			connection := connect(t, serve(t, all))
			ask := func(kind string, names ...string) delta {
				stream, err := open(connection, kind)
				if err == nil {
					err = stream.Send(&discovery.DeltaDiscoveryRequest{
						Node: &corev3.Node{Id: "envoy"}, TypeUrl: kind, ResourceNamesSubscribe: names,
					})
				}
				if err != nil {
					t.Fatal(err)
				}
				return stream
			}
			clusters, endpoints := ask(resource.ClusterType), ask(resource.EndpointType, "web", "api")
			for _, stream := range []delta{clusters, endpoints} {
				if names, _, _ := next(t, stream); !slices.Equal(names, []string{"api", "web"}) {
					t.Fatalf("first %v, want both groups", names)
				}
			}
			set(all, http1("web", at("10.0.0.1:80", catalog.Draining), at("10.0.0.2:80", catalog.Healthy)))
			names, _, answer := next(t, endpoints)
			if !slices.Equal(names, []string{"web"}) {
				t.Fatalf("after a change of web %v, want web alone", names)
			}
			var assignment endpointv3.ClusterLoadAssignment
			if err := answer.Resources[0].Resource.UnmarshalTo(&assignment); err != nil {
				t.Fatal(err)
			}
			if got := healths(&assignment); !slices.Equal(got, []string{"10.0.0.1:80 DRAINING", "10.0.0.2:80 HEALTHY"}) {
				t.Errorf("members %v", got)
			}
			// The clusters have not changed with the members: the next they hear is this.
			all.Apply(catalog.Change{Groups: []*catalog.Group{http1("new")}, Gone: []string{"api"}})
			var added, removed []string
			for len(added) == 0 || len(removed) == 0 {
				names, gone, _ := next(t, clusters)
				added, removed = append(added, names...), append(removed, gone...)
			}
			if !slices.Equal(added, []string{"new"}) || !slices.Equal(removed, []string{"api"}) {
				t.Errorf("clusters added %v and removed %v, want new and api", added, removed)
			}
		})
	}
}

func healths(a *endpointv3.ClusterLoadAssignment) []string {
	var out []string
	for _, zone := range a.Endpoints {
		for _, e := range zone.LbEndpoints {
			s := e.GetEndpoint().Address.GetSocketAddress()
			out = append(out, fmt.Sprintf("%s:%d %s", s.Address, s.GetPortValue(), e.HealthStatus))
		}
	}
	return out
}

func TestXDS_ResourcesPassEnvoysOwnChecks(t *testing.T) {
	all := loaded(http1("web", at("10.0.0.1:80", catalog.Healthy)), grpcGroup("api"),
		&catalog.Group{Name: "tls", Protocol: "HTTPS"}, &catalog.Group{Name: "tcp", Protocol: "TCP"})
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(connect(t, serve(t, all))).StreamAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{resource.ClusterType, resource.EndpointType, resource.ListenerType, resource.RouteType} {
		request := &discovery.DiscoveryRequest{Node: &corev3.Node{Id: "envoy"}, TypeUrl: kind}
		if kind == resource.EndpointType || kind == resource.RouteType {
			request.ResourceNames = []string{"web", "api", "tls", "tcp"}
		}
		if err := stream.Send(request); err != nil {
			t.Fatal(err)
		}
		answer, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if len(answer.Resources) != 4 {
			t.Errorf("%s: %d resources, want one for each group", kind, len(answer.Resources))
		}
		for _, r := range answer.Resources {
			message, err := r.UnmarshalNew()
			if err != nil {
				t.Fatal(err)
			}
			if err := message.(interface{ ValidateAll() error }).ValidateAll(); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
			checkCluster(t, message)
		}
	}
}

// checkCluster looks at what tells the clusters of the groups above apart.
func checkCluster(t *testing.T, message proto.Message) {
	c, ok := message.(*clusterv3.Cluster)
	if !ok {
		return
	}
	if http2 := len(c.TypedExtensionProtocolOptions) > 0; http2 != (c.Name == "api") {
		t.Errorf("%s: HTTP/2 %t", c.Name, http2)
	}
	if tls := c.TransportSocket != nil; tls != (c.Name == "tls") {
		t.Errorf("%s: TLS %t", c.Name, tls)
	}
}

func TestXDS_SaysNothingBeforeTheTargetsAreKnown(t *testing.T) {
	all := catalog.New()
	stream, err := clusterservice.NewClusterDiscoveryServiceClient(connect(t, serve(t, all))).StreamClusters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&discovery.DiscoveryRequest{Node: &corev3.Node{Id: "envoy"}, TypeUrl: resource.ClusterType}); err != nil {
		t.Fatal(err)
	}
	all.Apply(catalog.Change{Groups: []*catalog.Group{http1("early")}}) // not all there is
	all.Apply(catalog.Change{Full: true, Groups: []*catalog.Group{http1("web"), http1("api")}})
	answer, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if len(answer.Resources) != 2 {
		t.Errorf("the first answer has %d clusters, want the two that there are", len(answer.Resources))
	}
}
