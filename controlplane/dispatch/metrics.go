package dispatch

import "github.com/prometheus/client_golang/prometheus"

func (d *Dispatcher) register(r prometheus.Registerer) {
	if r == nil {
		return
	}
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "longshore_dispatch_sessions", Help: "Agents that are connected.",
	}, func() float64 {
		d.mu.Lock()
		defer d.mu.Unlock()
		return float64(len(d.sessions))
	}))
}
