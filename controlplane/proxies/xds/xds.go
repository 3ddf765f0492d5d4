// Package xds serves target groups to Envoy and to gRPC clients: a cluster for each
// group (CDS), its members (EDS), and a listener with a route of the group's name
// (LDS, RDS), so that a gRPC client can dial xds:///GROUP. All of it is there on
// ADS and on the separate services, as state of the world and as deltas. The
// services are go-control-plane's; this package says what the resources are, and
// serves the streams itself, at a cost in the size of a change.
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

	version string
	board   *board
	shapes  map[string]shape // by group; only Run looks at it
}

// shape is what the resources of a group other than its members follow from.
type shape struct{ protocol, version string }

// New returns a server without resources.
func New(cfg Config) *Server {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{
		catalog: cfg.Catalog, version: cfg.Version, log: cfg.Logger, filled: make(chan struct{}),
		board: newBoard(), shapes: make(map[string]shape),
	}
}

// Register offers the services on a gRPC server.
func (s *Server) Register(to grpc.ServiceRegistrar) {
	server := serverv3.NewServerAdvanced(streamsOnly{},
		&worldServer{board: s.board, version: s.version, log: s.log}, &deltaServer{board: s.board, log: s.log})
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

// streamsOnly is go-control-plane's rest.Server: the calls that it offers and this
// server does not.
type streamsOnly struct{}

func (streamsOnly) Fetch(context.Context, *discoveryservice.DiscoveryRequest) (*discoveryservice.DiscoveryResponse, error) {
	return nil, status.Error(codes.Unimplemented, "resources are served on streams only")
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

// apply makes a change for all streams.
func (s *Server) apply(c catalog.Change) error {
	var changes [kinds]change
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
		}
	}
	for _, name := range c.Gone {
		delete(s.shapes, name)
	}
	for k := range changes {
		changes[k].gone = c.Gone
	}
	s.board.apply(&changes)
	return nil
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
