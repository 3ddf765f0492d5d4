package dispatch

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	reports prometheus.Counter
}

func newMetrics(r prometheus.Registerer, d *Dispatcher) *metrics {
	m := &metrics{reports: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "longshore_dispatch_reports_total", Help: "Batches of task states that agents have sent.",
	})}
	if r != nil {
		r.MustRegister(m.reports, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "longshore_dispatch_sessions", Help: "Agents that are connected.",
		}, func() float64 {
			d.mu.Lock()
			defer d.mu.Unlock()
			return float64(len(d.sessions))
		}))
	}
	return m
}
