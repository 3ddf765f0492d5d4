// Package proxies serves the members of target groups to the proxies that people
// run already, on one address of every control plane: Envoy and gRPC (xds),
// HAProxy (srv), Traefik and Prometheus (lists), and other control planes
// (catalog). It owns the listening and nothing of what is said.
package proxies

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/longshore/longshore/controlplane/proxies/catalog"
	"github.com/longshore/longshore/controlplane/proxies/lists"
	"github.com/longshore/longshore/controlplane/proxies/srv"
	"github.com/longshore/longshore/controlplane/proxies/xds"
)

// FollowPath is where a control plane streams its catalog to others.
const FollowPath = "/catalog"

const (
	headerPatience   = 10 * time.Second // how long a caller may take to send the head of a request
	idlePatience     = 2 * time.Minute  // how long a connection may wait for its next request
	shutdownPatience = 5 * time.Second  // how long requests under way may take at the end
	keepaliveMin     = 10 * time.Second // how often xDS clients may ask whether the server is alive
	keepaliveEvery   = 30 * time.Second // how often the server asks them
)

// Config is what a server needs.
type Config struct {
	Catalog   *catalog.Catalog
	Listeners Listeners
	Zone      string // of SRV records and of Traefik's hosts, for example longshore.internal
	Version   string // differs between processes and between lives of one
	Logger    *slog.Logger
}

// Listeners are the sockets of one address.
type Listeners struct {
	Stream net.Listener   // xDS, HTTP, and DNS over TCP
	Packet net.PacketConn // DNS over UDP
}

// Close closes both.
func (l Listeners) Close() error {
	var errs []error
	if l.Stream != nil {
		errs = append(errs, l.Stream.Close())
	}
	if l.Packet != nil {
		errs = append(errs, l.Packet.Close())
	}
	return errors.Join(errs...)
}

// Listen opens the sockets of an address. Port 0 takes any that is free for both.
func Listen(address string) (Listeners, error) {
	const attempts = 10 // a port that is free for TCP may be taken for UDP
	var l Listeners
	var err error
	for range attempts {
		if l.Stream, err = net.Listen("tcp", address); err != nil {
			return Listeners{}, err
		}
		if l.Packet, err = net.ListenPacket("udp", l.Stream.Addr().String()); err == nil {
			return l, nil
		}
		if closeErr := l.Stream.Close(); closeErr != nil {
			return Listeners{}, errors.Join(err, closeErr)
		}
		if _, port, splitErr := net.SplitHostPort(address); splitErr != nil || port != "0" {
			break
		}
	}
	return Listeners{}, err
}

// Run serves until ctx ends or a part fails. It closes the listeners.
func Run(ctx context.Context, cfg Config) error {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	group, ctx := errgroup.WithContext(ctx)
	split := newSplitter(cfg.Listeners.Stream)
	resources := xds.New(xds.Config{Catalog: cfg.Catalog, Version: cfg.Version, Logger: cfg.Logger})
	names := srv.New(cfg.Catalog, cfg.Zone)
	group.Go(func() error { return split.run(ctx) })
	group.Go(func() error { return resources.Run(ctx) })
	group.Go(func() error { return serveGRPC(ctx, split.grpc, resources) })
	group.Go(func() error { return serveHTTP(ctx, split.http, handler(cfg), cfg.Logger) })
	group.Go(func() error { return serveDNS(ctx, &dns.Server{Listener: split.dns, Handler: names}) })
	group.Go(func() error { return serveDNS(ctx, &dns.Server{PacketConn: cfg.Listeners.Packet, Handler: names}) })
	return group.Wait()
}

func handler(cfg Config) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+FollowPath, cfg.Catalog.Handler())
	mux.Handle("/", lists.New(lists.Config{Catalog: cfg.Catalog, Zone: cfg.Zone, Logger: cfg.Logger}))
	return mux
}

func serveGRPC(ctx context.Context, l net.Listener, resources *xds.Server) error {
	server := grpc.NewServer(
		grpc.StreamInterceptor(resources.Hold),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: keepaliveEvery}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepaliveMin, PermitWithoutStream: true}),
	)
	resources.Register(server)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving xDS: %w", err)
	case <-ctx.Done():
		server.Stop() // proxies keep what they know until they are connected again
		<-ended
		return ctx.Err()
	}
}

func serveHTTP(ctx context.Context, l net.Listener, h http.Handler, logger *slog.Logger) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerPatience,
		IdleTimeout:       idlePatience,
		MaxHeaderBytes:    64 << 10,
		// Requests that wait for a change end with the server.
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    quietLog(logger),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving lists of targets: %w", err)
	case <-ctx.Done():
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownPatience)
	defer cancel()
	err := server.Shutdown(closing)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	<-ended
	return errors.Join(ctx.Err(), err)
}

func quietLog(logger *slog.Logger) *log.Logger {
	return slog.NewLogLogger(logger.Handler(), slog.LevelDebug)
}

func serveDNS(ctx context.Context, server *dns.Server) error {
	started := make(chan struct{})
	server.NotifyStartedFunc = func() { close(started) }
	server.IdleTimeout = func() time.Duration { return idlePatience }
	server.MaxTCPQueries = -1 // proxies ask every second on one connection
	ended := make(chan error, 1)
	go func() { ended <- server.ActivateAndServe() }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving DNS: %w", err)
	case <-started:
	}
	select {
	case err := <-ended:
		return fmt.Errorf("serving DNS: %w", err)
	case <-ctx.Done():
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownPatience)
	defer cancel()
	err := server.ShutdownContext(closing)
	<-ended
	return errors.Join(ctx.Err(), err)
}
