package agentgrpc

import "github.com/prometheus/client_golang/prometheus"

// metrics count the messages of all sessions, which are most of what a large fleet costs.
type metrics struct {
	desired, acks, beats, names prometheus.Counter // sent
	reports, heard              prometheus.Counter // received
}

func newMetrics(r prometheus.Registerer) metrics {
	sent := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "longshore_dispatch_sent_messages_total", Help: "Messages sent to agents, by kind.",
	}, []string{"kind"})
	received := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "longshore_dispatch_received_messages_total", Help: "Messages received from agents, by kind.",
	}, []string{"kind"})
	if r != nil {
		r.MustRegister(sent, received)
	}
	const beat = "heartbeat"
	return metrics{
		desired: sent.WithLabelValues("desired"), acks: sent.WithLabelValues("ack"),
		beats: sent.WithLabelValues(beat), names: sent.WithLabelValues("names"),
		reports: received.WithLabelValues("report"), heard: received.WithLabelValues(beat),
	}
}
