// Package healthcheck checks targets: whether a port answers as a target group asks.
// It knows neither tasks nor the control plane; package agent says what to check and
// hands on what is found.
package healthcheck

import (
	"context"
	"math/rand/v2"
	"time"
)

// Check is what to check and how often.
type Check struct {
	Address  string // an IP address or a host name
	Port     uint16
	Protocol string // HTTP, HTTPS, TCP or GRPC
	TLS      bool   // of GRPC
	Path     string // of HTTP and HTTPS; of GRPC the method
	Matcher  string // codes that are successes: 200,300-399

	Interval, Timeout time.Duration
	// HealthyAfter and UnhealthyAfter are how many results in a row change what is
	// known. A target of which nothing is known is healthy after one success.
	HealthyAfter, UnhealthyAfter int
}

// Health is what is known of a target.
type Health string

// The healths.
const (
	Unknown   Health = ""
	Healthy   Health = "healthy"
	Unhealthy Health = "unhealthy"
)

// Failure says why a target failed a check, in the words of Elastic Load Balancing.
type Failure struct {
	Reason      string // Target.Timeout, Target.FailedHealthChecks or Target.ResponseCodeMismatch
	Description string
}

// Verdict turns single results into the health of a target.
type Verdict struct {
	Health  Health
	Failure Failure // of an unhealthy one
	row     int     // results in a row that speak against Health
}

// Add takes a result, nil for a success, and tells whether that changed the verdict.
func (v *Verdict) Add(c Check, failed *Failure) bool {
	against, after, next := failed != nil, c.UnhealthyAfter, Unhealthy
	switch v.Health {
	case Unhealthy:
		against, after, next = failed == nil, c.HealthyAfter, Healthy
	case Unknown:
		if failed == nil {
			after, next = 1, Healthy
			against = true
		}
	}
	if !against {
		v.row = 0
		if failed != nil && v.Failure != *failed {
			v.Failure = *failed
			return true
		}
		return false
	}
	v.row++
	if v.row < after {
		return false
	}
	v.Health, v.row, v.Failure = next, 0, Failure{}
	if failed != nil {
		v.Failure = *failed
	}
	return true
}

// Run checks a target until ctx ends and calls changed whenever what is known of it
// has changed. known is what was known before.
func Run(ctx context.Context, c Check, known Health, changed func(Verdict)) {
	v := Verdict{Health: known}
	probe := newProbe(c)
	defer probe.close()
	// Many targets begin at one moment; their checks need not stay in step.
	timer := time.NewTimer(0)
	defer timer.Stop()
	for first := true; ; first = false {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		failed := probe.once(ctx)
		if ctx.Err() != nil {
			return // what failed was the end
		}
		if v.Add(c, failed) {
			changed(v)
		}
		wait := c.Interval
		if first && v.Health == Healthy {
			wait -= time.Duration(rand.Int64N(int64(c.Interval)/4 + 1))
		}
		timer.Reset(wait)
	}
}
