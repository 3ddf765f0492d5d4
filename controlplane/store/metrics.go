package store

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	seconds prometheus.Histogram
	records prometheus.Histogram
}

// newMetrics registers on a registry of this term, if there is one.
func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "longshore_store_commit_seconds", Help: "Time of one etcd transaction.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
		}),
		records: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "longshore_store_commit_records", Help: "Records written in one etcd transaction, deleted ones included.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 14),
		}),
	}
	if r != nil {
		r.MustRegister(m.seconds, m.records)
	}
	return m
}

func (m *metrics) committed(d time.Duration, records int) {
	m.seconds.Observe(d.Seconds())
	m.records.Observe(float64(records))
}
