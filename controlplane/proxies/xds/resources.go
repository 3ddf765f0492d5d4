package xds

import (
	"cmp"
	"slices"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/longshore/longshore/controlplane/proxies/catalog"
)

// connectTimeout is ELBv2's for a target's connection.
const connectTimeout = 10 * time.Second

// viaADS tells a client to ask for a resource on the stream that it already has.
func viaADS() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion:    corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
	}
}

// cluster is what does not change with the members.
func cluster(g *catalog.Group) (*clusterv3.Cluster, error) {
	c := &clusterv3.Cluster{
		Name:                 g.Name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig:     &clusterv3.Cluster_EdsClusterConfig{EdsConfig: viaADS()},
		ConnectTimeout:       durationpb.New(connectTimeout),
		LbPolicy:             clusterv3.Cluster_ROUND_ROBIN,
		// What is served says who gets traffic, failing open included (see
		// catalog.Group.Serving): Envoy's own panic mode would also use members that
		// are draining or not checked yet.
		CommonLbConfig: &clusterv3.Cluster_CommonLbConfig{HealthyPanicThreshold: &typev3.Percent{Value: 0}},
	}
	if g.ProtocolVersion == "HTTP2" || g.ProtocolVersion == "GRPC" {
		options, err := anypb.New(&httpv3.HttpProtocolOptions{
			UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{
				ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
					ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
						Http2ProtocolOptions: &corev3.Http2ProtocolOptions{},
					},
				},
			},
		})
		if err != nil {
			return nil, err
		}
		c.TypedExtensionProtocolOptions = map[string]*anypb.Any{
			"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options,
		}
	}
	if g.Protocol == "HTTPS" {
		// As ELBv2: encrypted, and the target's certificate is not checked.
		context, err := anypb.New(&tlsv3.UpstreamTlsContext{})
		if err != nil {
			return nil, err
		}
		c.TransportSocket = &corev3.TransportSocket{
			Name:       "envoy.transport_sockets.tls",
			ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: context},
		}
	}
	return c, nil
}

// assignment is the members of a group by zone.
func assignment(g *catalog.Group) *endpointv3.ClusterLoadAssignment {
	out := &endpointv3.ClusterLoadAssignment{ClusterName: g.Name}
	serving := make(map[catalog.Member]bool, len(g.Members))
	for _, m := range g.Serving() {
		serving[m] = true
	}
	zones := make(map[string]*endpointv3.LocalityLbEndpoints)
	for _, m := range g.Members {
		zone := zones[m.Zone]
		if zone == nil {
			zone = &endpointv3.LocalityLbEndpoints{
				Locality: &corev3.Locality{Zone: m.Zone},
				// gRPC wants a weight; that of all members together spreads requests
				// evenly over members, not over zones.
				LoadBalancingWeight: wrapperspb.UInt32(0),
			}
			zones[m.Zone] = zone
			out.Endpoints = append(out.Endpoints, zone)
		}
		weight := uint32(m.RelativeWeight())
		zone.LoadBalancingWeight.Value += weight
		zone.LbEndpoints = append(zone.LbEndpoints, &endpointv3.LbEndpoint{
			HostIdentifier:      &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: address(m)}},
			HealthStatus:        health(m, serving[m]),
			LoadBalancingWeight: wrapperspb.UInt32(weight),
		})
	}
	slices.SortFunc(out.Endpoints, func(a, b *endpointv3.LocalityLbEndpoints) int {
		return cmp.Compare(a.Locality.Zone, b.Locality.Zone)
	})
	return out
}

// health is what a member's state is to a proxy. Draining is told apart from
// unhealthy: clients that are bound to a member may finish with it.
func health(m catalog.Member, serving bool) corev3.HealthStatus {
	switch {
	case serving:
		return corev3.HealthStatus_HEALTHY
	case m.State == catalog.Draining:
		return corev3.HealthStatus_DRAINING
	}
	return corev3.HealthStatus_UNHEALTHY
}

func address(m catalog.Member) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address:       m.Address.String(),
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(m.Port)},
	}}}
}

// listener makes xds:///GROUP a name that gRPC can dial.
func listener(g *catalog.Group) (*listenerv3.Listener, error) {
	router, err := anypb.New(&routerv3.Router{})
	if err != nil {
		return nil, err
	}
	manager, err := anypb.New(&hcmv3.HttpConnectionManager{
		StatPrefix:     g.Name,
		RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{ConfigSource: viaADS(), RouteConfigName: g.Name}},
		HttpFilters: []*hcmv3.HttpFilter{{
			Name: "envoy.filters.http.router", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: router},
		}},
	})
	if err != nil {
		return nil, err
	}
	return &listenerv3.Listener{Name: g.Name, ApiListener: &listenerv3.ApiListener{ApiListener: manager}}, nil
}

// route sends everything to the group.
func route(g *catalog.Group) *routev3.RouteConfiguration {
	return &routev3.RouteConfiguration{
		Name: g.Name,
		VirtualHosts: []*routev3.VirtualHost{{
			Name: g.Name, Domains: []string{"*"},
			Routes: []*routev3.Route{{
				Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: ""}},
				Action: &routev3.Route_Route{Route: &routev3.RouteAction{
					ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: g.Name},
				}},
			}},
		}},
	}
}
