package controlplane

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"net/http/pprof"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/longshore/longshore/controlplane/dispatch/agentgrpc"
	"github.com/longshore/longshore/controlplane/resolve"
	agentv1 "github.com/longshore/longshore/proto/agent/v1"
	"github.com/longshore/longshore/proto/ecs"
)

const (
	electionPatience = 4 * time.Second  // how long a request waits for a leader
	shutdownPatience = 5 * time.Second  // how long requests under way may take at the end
	readPatience     = 30 * time.Second // how long a caller may take to send a request
	agentKeepalive   = time.Minute      // after which a connection of an agent that says nothing at all is asked, and then closed
	agentWindow      = 1 << 20          // bytes that an agent may have under way
	agentBuffer      = 4 << 10          // bytes; most messages have some hundreds, and a burst fills as many buffers as there are agents
)

// serveHTTP serves until ctx ends; requests under way are finished.
func serveHTTP(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readPatience,
		ReadTimeout:       readPatience,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return err
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

func (c *ControlPlane) serveAPI(ctx context.Context) error {
	return serveHTTP(ctx, c.cfg.API, http.HandlerFunc(c.route))
}

// route answers a request here if this control plane leads, and otherwise hands
// it to the one that does. Around an election it waits a little.
func (c *ControlPlane) route(w http.ResponseWriter, r *http.Request) {
	c.answering.Add(1)
	defer c.answering.Add(-1)
	patience, cancel := context.WithTimeout(r.Context(), electionPatience)
	defer cancel()
	for {
		change := c.changed()
		if c.term.Load() != nil {
			c.api.ServeHTTP(w, r)
			return
		}
		if a := c.leaderAddresses(); a.Node != "" && a.Node != c.node && r.Header.Get(forwardedHeader) == "" {
			c.forward(w, r, a.API)
			return
		}
		select {
		case <-change:
		case <-patience.Done():
			c.api.Refuse(w, http.StatusServiceUnavailable, ecs.Errorf(ecs.CodeServiceUnavailable, "No control plane leads at the moment. Try again."))
			return
		}
	}
}

// forwardedHeader keeps a request from being handed round in circles while
// control planes do not agree on who leads.
const forwardedHeader = "X-Longshore-Forwarded"

func (c *ControlPlane) forward(w http.ResponseWriter, r *http.Request, address string) {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(&url.URL{Scheme: "http", Host: address})
			p.Out.Host = p.In.Host // the caller's signature covers it
			p.Out.Header.Set(forwardedHeader, c.node)
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			c.cfg.Logger.Warn("handing a request to the leader", "leader", address, "error", err)
			c.api.Refuse(w, http.StatusServiceUnavailable, ecs.Errorf(ecs.CodeServiceUnavailable, "The leading control plane could not be reached. Try again."))
		},
	}
	proxy.ServeHTTP(w, r)
}

func (c *ControlPlane) serveAgents(ctx context.Context) error {
	transport := insecure.NewCredentials()
	if c.cfg.AgentTLS != nil {
		transport = credentials.NewTLS(c.cfg.AgentTLS)
	}
	server := grpc.NewServer(
		grpc.Creds(transport),
		// Heartbeats tell who is alive; this gives the connections of the dead back.
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: agentKeepalive, Timeout: agentKeepalive}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
		grpc.MaxRecvMsgSize(16<<20),
		// Windows that follow the line cost a ping and its answer for nearly every small
		// message, at both ends: half of all that an agent's connection takes.
		grpc.StaticStreamWindowSize(agentWindow),
		grpc.StaticConnWindowSize(agentWindow),
		grpc.WriteBufferSize(agentBuffer),
		grpc.ReadBufferSize(agentBuffer),
	)
	agentv1.RegisterAgentServiceServer(server, agentgrpc.New(agentgrpc.Config{
		Owner:      c.cfg.Owner,
		Dispatcher: c.currentDispatcher,
		Names:      c.currentNames,
		Leader:     func() string { return c.leaderAddresses().Agent },
		Register:   c.api.RegisterContainerInstance,
		Secrets: resolve.New(resolve.Config{
			Owner: c.cfg.Owner, Keys: c.cfg.SecretsKeys, Remote: resolve.NewRemote(c.cfg.RemoteSecrets),
		}),
		Tasks:    c.api,
		Logger:   c.cfg.Logger,
		Registry: c.registry,
	}))
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(c.cfg.Agents) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		server.Stop() // agents keep what they have to say until they are connected again
		<-ended
		return ctx.Err()
	}
}

func (c *ControlPlane) serveOps(ctx context.Context) error {
	c.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", c.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(prometheus.GathererFunc(c.gather), promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return serveHTTP(ctx, c.cfg.Ops, mux)
}

// readyz says whether requests are answered: here, or by a leader that is known.
func (c *ControlPlane) readyz(w http.ResponseWriter, _ *http.Request) {
	switch {
	case c.term.Load() != nil:
		w.Write([]byte("ready: leading\n"))
	case c.leaderAddresses().Node != "" && c.leaderAddresses().Node != c.node:
		w.Write([]byte("ready: following " + c.leaderAddresses().API + "\n"))
	default:
		http.Error(w, "not ready: no control plane leads", http.StatusServiceUnavailable)
	}
}

// gather collects the metrics of the process, of the embedded etcd, and of the present
// term.
func (c *ControlPlane) gather() ([]*dto.MetricFamily, error) {
	all := prometheus.Gatherers{c.registry}
	if len(c.cfg.EtcdEndpoints) == 0 {
		all = append(all, prometheus.GathererFunc(gatherEtcd))
	}
	if t := c.term.Load(); t != nil {
		all = append(all, t.registry)
	}
	return all.Gather()
}

// gatherEtcd collects what the embedded etcd says of itself, which it does nowhere but in
// Prometheus's default registry; the rest there is not etcd's.
func gatherEtcd() ([]*dto.MetricFamily, error) {
	all, err := prometheus.DefaultGatherer.Gather()
	return slices.DeleteFunc(all, func(f *dto.MetricFamily) bool { return !strings.HasPrefix(f.GetName(), "etcd_") }), err
}
