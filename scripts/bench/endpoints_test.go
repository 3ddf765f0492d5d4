package bench

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/longshore/longshore/controlplane/proxies"
	"github.com/longshore/longshore/controlplane/proxies/catalog"
)

// targetFleet is groups with ten members each.
func targetFleet(groups int) []*catalog.Group {
	out := make([]*catalog.Group, groups)
	for i := range out {
		out[i] = targetGroup(i, 0)
	}
	return out
}

// targetGroup is a group some of whose members depend on a round.
func targetGroup(i, round int) *catalog.Group {
	g := &catalog.Group{Name: fmt.Sprintf("group-%d", i), Protocol: "HTTP", ProtocolVersion: "HTTP1"}
	for m := range 10 {
		state := catalog.Healthy
		if m == round%10 {
			state = catalog.Draining
		}
		g.Members = append(g.Members, catalog.Member{
			Address: netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), byte(m + 1)}), Port: 8080, State: state,
		})
	}
	return g
}

// BenchmarkEndpoints measures how long a change of one member takes to a proxy that
// subscribes to every group over delta ADS, from the catalog through gRPC to the
// decoded answer; the number of groups shows what the size of the table costs.
func BenchmarkEndpoints(b *testing.B) {
	for _, groups := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("groups=%d", groups), func(b *testing.B) { benchmarkEndpoints(b, groups) })
	}
}

func benchmarkEndpoints(b *testing.B, groups int) {
	all := catalog.New()
	all.Apply(catalog.Change{Full: true, Groups: targetFleet(groups)})
	listeners, err := proxies.Listen("127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- proxies.Run(ctx, proxies.Config{Catalog: all, Listeners: listeners, Zone: "longshore.internal", Version: "bench"})
	}()
	defer func() {
		cancel()
		<-ended
	}()
	stream := subscribeAll(b, listeners.Stream.Addr().String(), groups)
	var slowest time.Duration
	round := 0
	for b.Loop() {
		round++
		start := time.Now()
		changed := targetGroup(round%groups, round)
		all.Apply(catalog.Change{Groups: []*catalog.Group{changed}})
		answer := receive(b, stream)
		if len(answer.Resources) != 1 || answer.Resources[0].Name != changed.Name {
			b.Fatalf("%d resources, want %s alone", len(answer.Resources), changed.Name)
		}
		slowest = max(slowest, time.Since(start))
	}
	b.ReportMetric(float64(slowest.Microseconds())/1000, "slowest-ms")
}

type deltaStream = grpc.BidiStreamingClient[discovery.DeltaDiscoveryRequest, discovery.DeltaDiscoveryResponse]

// subscribeAll opens a stream that has heard of all groups.
func subscribeAll(b *testing.B, address string, groups int) deltaStream {
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { connection.Close() })
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(connection).DeltaAggregatedResources(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	request := &discovery.DeltaDiscoveryRequest{Node: &corev3.Node{Id: "bench"}, TypeUrl: resource.EndpointType}
	for i := range groups {
		request.ResourceNamesSubscribe = append(request.ResourceNamesSubscribe, fmt.Sprintf("group-%d", i))
	}
	if err := stream.Send(request); err != nil {
		b.Fatal(err)
	}
	if answer := receive(b, stream); len(answer.Resources) != groups {
		b.Fatalf("%d groups at first, want %d", len(answer.Resources), groups)
	}
	return stream
}

// receive takes an answer and acknowledges it.
func receive(b *testing.B, stream deltaStream) *discovery.DeltaDiscoveryResponse {
	answer, err := stream.Recv()
	if err != nil {
		b.Fatal(err)
	}
	if err := stream.Send(&discovery.DeltaDiscoveryRequest{TypeUrl: answer.TypeUrl, ResponseNonce: answer.Nonce}); err != nil {
		b.Fatal(err)
	}
	return answer
}
