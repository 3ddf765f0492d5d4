// Package xds serves target groups to Envoy and to gRPC clients: a cluster for each
// group (CDS), its members (EDS), and a listener with a route of the group's name
// (LDS, RDS), so that a gRPC client can dial xds:///GROUP. All of it is there on
// ADS and on the separate services, as state of the world and as deltas. The
// services and the state of the world are go-control-plane's; this package says what
// the resources are, and serves deltas itself, at a cost in the size of a change.
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
	rest "github.com/envoyproxy/go-control-plane/pkg/server/rest/v3"
	sotw "github.com/envoyproxy/go-control-plane/pkg/server/sotw/v3"
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

	world  [kinds]*cache.LinearCache // for streams of the state of the world
	board  *board                    // for streams of deltas
	shapes map[string]shape          // by group; only Run looks at it
}

// shape is what the resources of a group other than its members follow from.
type shape struct{ protocol, version string }

// New returns a server without resources.
func New(cfg Config) *Server {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		catalog: cfg.Catalog, log: cfg.Logger, filled: make(chan struct{}),
		board: newBoard(), shapes: make(map[string]shape),
	}
	for k := range s.world {
		s.world[k] = cache.NewLinearCache(typeURLs[k], cache.WithVersionPrefix(cfg.Version+"-"), cache.WithLogger(quiet(cfg.Logger)))
	}
	return s
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
	mux := &cache.MuxCache{
		Classify:      func(r *cache.Request) string { return r.GetTypeUrl() },
		ClassifyDelta: func(r *cache.DeltaRequest) string { return r.GetTypeUrl() },
		Caches:        make(map[string]cache.Cache, kinds),
	}
	for k, c := range s.world {
		mux.Caches[typeURLs[k]] = c
	}
	server := serverv3.NewServerAdvanced(rest.NewServer(mux, nil), sotw.NewServer(ctx, mux, nil), &deltaServer{board: s.board, log: s.log})
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

// apply makes a change for both kinds of streams.
func (s *Server) apply(c catalog.Change) error {
	var changes [kinds]change
	var messages [kinds]map[string]types.Resource
	for _, g := range c.Groups {
		made, err := s.resources(g)
		if err != nil {
			return fmt.Errorf("group %s: %w", g.Name, err)
		}
		for k, m := range made {
			if m == nil {
				continue
			}
			encoded, err := encode(g.Name, m)
			if err != nil {
				return err
			}
			changes[k].set = append(changes[k].set, encoded)
			if messages[k] == nil {
				messages[k] = make(map[string]types.Resource)
			}
			messages[k][g.Name] = m
		}
	}
	for _, name := range c.Gone {
		delete(s.shapes, name)
	}
	for k := range changes {
		changes[k].gone = c.Gone
	}
	s.board.apply(&changes)
	return s.applyWorld(&messages, c.Gone)
}

// resources makes those of a group; what does not follow from its members only if it
// has changed.
func (s *Server) resources(g *catalog.Group) (out [kinds]types.Resource, err error) {
	out[endpoints] = assignment(g)
	now := shape{g.Protocol, g.ProtocolVersion}
	if s.shapes[g.Name] == now {
		return out, nil
	}
	s.shapes[g.Name] = now
	if out[clusters], err = cluster(g); err != nil {
		return out, fmt.Errorf("its cluster: %w", err)
	}
	if out[listeners], err = listener(g); err != nil {
		return out, fmt.Errorf("its listener: %w", err)
	}
	out[routes] = route(g)
	return out, nil
}

// applyWorld makes a change in the order that leaves no reference dangling: what is
// pointed to comes first and goes last. Its cost grows with what the streams follow,
// as each of their acknowledgements names all of that again.
func (s *Server) applyWorld(set *[kinds]map[string]types.Resource, gone []string) error {
	for _, step := range []struct {
		kind
		set  map[string]types.Resource
		gone []string
	}{
		{endpoints, set[endpoints], nil}, {clusters, set[clusters], nil}, {routes, set[routes], nil},
		{listeners, set[listeners], gone}, {routes, nil, gone}, {clusters, nil, gone}, {endpoints, nil, gone},
	} {
		if len(step.set) == 0 && len(step.gone) == 0 {
			continue
		}
		if err := s.world[step.kind].UpdateResources(step.set, step.gone); err != nil {
			return err
		}
	}
	return nil
}
