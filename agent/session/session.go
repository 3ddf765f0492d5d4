// Package session is the agent's end of the wire: it finds the control plane
// that leads, registers the host there, keeps one stream open, hands on what
// the host should run, and delivers reports at least once. It decides nothing
// about tasks and knows no container engine; package agent does.
package session

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	agentv1 "github.com/longshore/longshore/proto/agent/v1"
	"github.com/longshore/longshore/proto/discovery"
	"github.com/longshore/longshore/proto/ecs"
)

// Config is what a Session depends on. Its functions are called by Run, one at
// a time, and must not block for long: nothing else is read meanwhile.
type Config struct {
	Addresses []string // host:port of control planes, any of them
	Cluster   string
	Dial      []grpc.DialOption // transport credentials at least

	// Instance is the ARN of an earlier registration, or empty.
	Instance string
	// RegisterAnew: if the earlier registration turns out to be deregistered, the host
	// registers as a new instance. Otherwise, and for a registration of this process in
	// any case, the host stays away, as on ECS.
	RegisterAnew bool
	// Registration describes the host. The session adds the cluster and the ARN.
	Registration func(context.Context) (*ecs.RegisterContainerInstanceRequest, error)
	// Registered is told the ARN before anything is desired of it. An error
	// means that it could not be kept; the session then tries again later.
	Registered func(instance string) error

	Desired   func(Desired)
	Names     func(discovery.Update) // may be nil
	Delivered func(taskARN string)   // the control plane has the task's STOPPED durably

	Logger   *slog.Logger
	Registry prometheus.Registerer
	Timing   Timing // zero values: the defaults
}

// Timing holds the session's periods.
type Timing struct {
	Heartbeat  time.Duration // until the control plane says how often; 1 s
	Silence    time.Duration // after which a stream is given up, three heartbeats at least; 5 s
	FirstRetry time.Duration // after a broken connection, doubled each time; 100 ms
	LastRetry  time.Duration // up to this; 5 s
	Refused    time.Duration // before trying again where the agent was refused; 30 s
	Call       time.Duration // a call other than the stream; 10 s
	Gather     time.Duration // before a report is sent though the last one is not acknowledged; 250 ms
	Ack        time.Duration // before a report is sent again on the same stream; 15 s
}

func (t *Timing) complete() {
	for _, p := range []struct {
		period *time.Duration
		value  time.Duration
	}{
		{&t.Heartbeat, time.Second}, {&t.Silence, 5 * time.Second},
		{&t.FirstRetry, 100 * time.Millisecond}, {&t.LastRetry, 5 * time.Second}, {&t.Refused, 30 * time.Second},
		{&t.Call, 10 * time.Second}, {&t.Gather, 250 * time.Millisecond}, {&t.Ack, 15 * time.Second},
	} {
		if *p.period == 0 {
			*p.period = p.value
		}
	}
}

// Session is the connection of one agent to whichever control plane leads.
type Session struct {
	Config
	outbox  *outbox
	metrics metrics

	mu   sync.Mutex
	open *line // nil while there is no session

	// Of Run alone:
	instance   string
	registered bool   // in this process; a session needs no more than the ARN after that
	joined     bool   // it was, at some time
	leader     string // the last one found, asked too when the configured addresses are silent
}

// New returns a Session; Run opens it.
func New(c Config) *Session {
	c.Timing.complete()
	return &Session{Config: c, outbox: newOutbox(c.Timing.Gather, c.Timing.Ack), metrics: newMetrics(c.Registry), instance: c.Instance}
}

// Report hands over the newest truth about a task, which replaces what was
// handed over before. It never blocks. Tasks that the control plane does not
// name (any more) are not reported.
func (s *Session) Report(state *agentv1.TaskState) { s.outbox.put(state) }

// Run keeps a session open until ctx ends, and returns its error.
func (s *Session) Run(ctx context.Context) error {
	for attempt := 0; ; attempt++ {
		opened, err := s.connect(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if opened {
			attempt = 0
		}
		delay := s.delay(attempt, err)
		s.metrics.failures.WithLabelValues(status.Code(err).String()).Inc()
		s.log(err, delay)
		if err := sleep(ctx, delay); err != nil {
			return err
		}
	}
}

func (s *Session) log(err error, delay time.Duration) {
	if deregistered(err) {
		way := "remove instance.json from the agent's data directory and start the agent again"
		if s.RegisterAnew {
			way = "start the agent again"
		}
		s.Logger.Error("this container instance was deregistered: its containers are left alone", "to_register_anew", way, "cluster", s.Cluster, "instance", s.instance, "retry_in", delay)
		return
	}
	if refused(err) {
		s.Logger.Error("the control plane refuses this agent: check its certificate and its permissions",
			"cluster", s.Cluster, "instance", s.instance, "error", err, "retry_in", delay)
		return
	}
	s.Logger.Warn("no session with the control plane", "cluster", s.Cluster, "instance", s.instance, "error", err, "retry_in", delay)
}

// delay is random between a half and the whole of a period that doubles, so
// that the agents of a fleet do not come back all at once.
func (s *Session) delay(attempt int, err error) time.Duration {
	period := s.Timing.LastRetry
	if refused(err) {
		period = s.Timing.Refused
	} else if attempt < 16 {
		period = min(s.Timing.FirstRetry<<attempt, period)
	}
	return period/2 + rand.N(period/2+1)
}

func refused(err error) bool {
	code := status.Code(err)
	return code == codes.Unauthenticated || code == codes.PermissionDenied || deregistered(err)
}

// deregistered tells whether the control plane wants no more of this container
// instance. As on ECS, what runs on it goes on then, counted by nobody, and the
// host does not come back by itself.
func deregistered(err error) bool { return status.Code(err) == codes.FailedPrecondition }

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

type metrics struct {
	sessions prometheus.Counter
	failures *prometheus.CounterVec
	reports  prometheus.Counter
}

func newMetrics(registry prometheus.Registerer) metrics {
	m := metrics{
		sessions: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "longshore_agent_sessions_total", Help: "Sessions opened with a control plane; all but the first are reconnects.",
		}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "longshore_agent_session_failures_total", Help: "Sessions that broke or could not be opened, by gRPC code.",
		}, []string{"code"}),
		reports: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "longshore_agent_reported_tasks_total", Help: "Task states sent to the control plane, repetitions included.",
		}),
	}
	registry.MustRegister(m.sessions, m.failures, m.reports)
	return m
}
