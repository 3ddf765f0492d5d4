// Package xds serves target groups to Envoy and to gRPC clients: a cluster for each
// group (CDS), its members (EDS), and a listener with a route of the group's name
// (LDS, RDS), so that a gRPC client can dial xds:///GROUP. All of it is there on
// ADS and on the separate services, as state of the world and as deltas. The
// protocol is go-control-plane's; this package only says what the resources are.
package xds

import (
	"context"
	"fmt"
	"log/slog"

	clusterservice "github.com/envoyproxy/go-control-plane/envoy/service/cluster/v3"
	discoveryservice "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	endpointservice "github.com/envoyproxy/go-control-plane/envoy/service/endpoint/v3"
	listenerservice "github.com/envoyproxy/go-control-plane/envoy/service/listener/v3"
	routeservice "github.com/envoyproxy/go-control-plane/envoy/service/route/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/log"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	serverv3 "github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/longshore/longshore/controlplane/proxies/catalog"
)

// Config is what a server needs.
type Config struct {
	Catalog *catalog.Catalog
	// Version begins the versions of resources; two processes, or two lives of one,
	// must not have the same.
	Version string
	Logger  *slog.Logger
}

// Server keeps the resources. Run has to run for them to follow the catalog.
type Server struct {
	catalog *catalog.Catalog
	log     *slog.Logger
	filled  chan struct{} // closed once the resources are those of the catalog

	clusters, endpoints, listeners, routes *cache.LinearCache
	shapes                                 map[string]shape // by group; only Run looks at it
}

// shape is what the resources of a group other than its members follow from.
type shape struct{ protocol, version string }

// New returns a server without resources.
func New(cfg Config) *Server {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	linear := func(kind string) *cache.LinearCache {
		return cache.NewLinearCache(kind, cache.WithVersionPrefix(cfg.Version+"-"), cache.WithLogger(quiet(cfg.Logger)))
	}
	return &Server{
		catalog: cfg.Catalog, log: cfg.Logger, filled: make(chan struct{}),
		clusters: linear(resource.ClusterType), endpoints: linear(resource.EndpointType),
		listeners: linear(resource.ListenerType), routes: linear(resource.RouteType),
		shapes: make(map[string]shape),
	}
}

// quiet passes on what is wrong; the rest of what go-control-plane says is about
// every single watch.
func quiet(to *slog.Logger) log.Logger {
	nothing := func(string, ...any) {}
	return log.LoggerFuncs{
		DebugFunc: nothing, InfoFunc: nothing,
		WarnFunc:  func(format string, args ...any) { to.Warn("xds", "message", fmt.Sprintf(format, args...)) },
		ErrorFunc: func(format string, args ...any) { to.Error("xds", "message", fmt.Sprintf(format, args...)) },
	}
}

// Register offers the services on a gRPC server. Its streams end with ctx.
func (s *Server) Register(ctx context.Context, to grpc.ServiceRegistrar) {
	byType := map[string]cache.Cache{
		resource.ClusterType: s.clusters, resource.EndpointType: s.endpoints,
		resource.ListenerType: s.listeners, resource.RouteType: s.routes,
	}
	mux := &cache.MuxCache{
		Classify:      func(r *cache.Request) string { return r.GetTypeUrl() },
		ClassifyDelta: func(r *cache.DeltaRequest) string { return r.GetTypeUrl() },
		Caches:        byType,
	}
	server := serverv3.NewServer(ctx, mux, nil)
	discoveryservice.RegisterAggregatedDiscoveryServiceServer(to, server)
	clusterservice.RegisterClusterDiscoveryServiceServer(to, server)
	endpointservice.RegisterEndpointDiscoveryServiceServer(to, server)
	listenerservice.RegisterListenerDiscoveryServiceServer(to, server)
	routeservice.RegisterRouteDiscoveryServiceServer(to, server)
}

// Hold is a gRPC interceptor that keeps streams waiting until there is something
// to say: to an Envoy that has clusters, an empty answer means that they are gone.
func (s *Server) Hold(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	select {
	case <-s.filled:
		return next(server, stream)
	case <-stream.Context().Done():
		return status.FromContextError(stream.Context().Err()).Err()
	}
}

// Refuse is a gRPC interceptor for the calls that go-control-plane offers and
// this server does not: each resource comes on a stream.
func Refuse(_ context.Context, _ any, info *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
	return nil, status.Errorf(codes.Unimplemented, "%s: resources are served on streams only", info.FullMethod)
}

// Run follows the catalog until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	select {
	case <-s.catalog.Loaded():
	case <-ctx.Done():
		return ctx.Err()
	}
	changes := s.catalog.Subscribe()
	defer changes.Close()
	for first := true; ; first = false {
		select {
		case <-changes.Wake():
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := s.apply(changes.Take()); err != nil {
			return fmt.Errorf("serving targets over xDS: %w", err)
		}
		if first {
			close(s.filled)
		}
	}
}

// update is the changes of one type of resource.
type update struct {
	set  map[string]types.Resource
	gone []string
}

func (u *update) put(name string, r types.Resource) {
	if u.set == nil {
		u.set = make(map[string]types.Resource)
	}
	u.set[name] = r
}

// apply makes a change in the order that leaves no reference dangling: what is
// pointed to comes first and goes last.
func (s *Server) apply(change catalog.Change) error {
	var clusters, endpoints, listeners, routes update
	for _, g := range change.Groups {
		endpoints.put(g.Name, assignment(g))
		if now := (shape{g.Protocol, g.ProtocolVersion}); s.shapes[g.Name] != now {
			s.shapes[g.Name] = now
			c, err := cluster(g)
			if err != nil {
				return fmt.Errorf("the cluster of group %s: %w", g.Name, err)
			}
			l, err := listener(g)
			if err != nil {
				return fmt.Errorf("the listener of group %s: %w", g.Name, err)
			}
			clusters.put(g.Name, c)
			listeners.put(g.Name, l)
			routes.put(g.Name, route(g))
		}
	}
	for _, name := range change.Gone {
		delete(s.shapes, name)
	}
	for _, step := range []struct {
		cache *cache.LinearCache
		update
	}{
		{s.endpoints, update{set: endpoints.set}}, {s.clusters, update{set: clusters.set}},
		{s.routes, update{set: routes.set}}, {s.listeners, update{set: listeners.set, gone: change.Gone}},
		{s.routes, update{gone: change.Gone}}, {s.clusters, update{gone: change.Gone}}, {s.endpoints, update{gone: change.Gone}},
	} {
		if len(step.set) == 0 && len(step.gone) == 0 {
			continue
		}
		if err := step.cache.UpdateResources(step.set, step.gone); err != nil {
			return err
		}
	}
	return nil
}
