package agent

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/runtime"
)

type metrics struct {
	tasks *prometheus.GaugeVec
	calls *prometheus.CounterVec
	pull  prometheus.Histogram
	start prometheus.Histogram
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		tasks: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "longshore_agent_tasks", Help: "Tasks on this host by status; stopped ones until they are cleaned up.",
		}, []string{"status"}),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "longshore_agent_engine_calls_total", Help: "Calls of the container engine by operation and outcome.",
		}, []string{"op", "outcome"}),
		pull: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "longshore_agent_pull_seconds", Help: "Time to pull an image, without waiting for its turn.",
			Buckets: prometheus.ExponentialBuckets(0.1, 2, 14),
		}),
		start: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "longshore_agent_start_seconds", Help: "Time from hearing of a task to its being RUNNING.",
			Buckets: prometheus.ExponentialBuckets(0.05, 2, 14),
		}),
	}
	registry.MustRegister(m.tasks, m.calls, m.pull, m.start)
	for s := lifecycle.Pending; s <= lifecycle.Stopped; s++ {
		m.tasks.WithLabelValues(s.String()).Set(0)
	}
	return m
}

func (m *metrics) called(op string, err error) {
	outcome := "ok"
	switch {
	case errors.Is(err, runtime.ErrUnavailable):
		outcome = "unavailable"
	case errors.Is(err, runtime.ErrNotFound):
		outcome = "not_found"
	case err != nil:
		outcome = "failed"
	}
	m.calls.WithLabelValues(op, outcome).Inc()
}

func (m *metrics) pulled(began time.Time) { m.pull.Observe(time.Since(began).Seconds()) }
