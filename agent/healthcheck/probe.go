package healthcheck

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// healthMethod is gRPC's own health check, whose answer says more than its code.
const healthMethod = "/grpc.health.v1.Health/Check"

// probe checks one target, again and again. Each time is a new connection: a target
// that takes none any more is not healthy.
type probe struct {
	check   Check
	address string
	client  *http.Client
}

func newProbe(c Check) *probe {
	return &probe{
		check:   c,
		address: net.JoinHostPort(c.Address, strconv.Itoa(int(c.Port))),
		client: &http.Client{
			Transport: &http.Transport{
				DisableKeepAlives: true,
				// Certificates of targets are not verified (health checks, ELB guide).
				TLSClientConfig: unverified(),
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

func unverified() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

func (p *probe) close() { p.client.CloseIdleConnections() }

// once checks the target; nil if it passes.
func (p *probe) once(ctx context.Context) *Failure {
	ctx, cancel := context.WithTimeout(ctx, p.check.Timeout)
	defer cancel()
	switch p.check.Protocol {
	case "HTTP", "HTTPS":
		return p.http(ctx)
	case "GRPC":
		return p.grpc(ctx)
	}
	return p.tcp(ctx)
}

func (p *probe) tcp(ctx context.Context) *Failure {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", p.address)
	if err != nil {
		return failureOf(err)
	}
	// Its error would say nothing of the target, which has taken the connection.
	_ = conn.Close()
	return nil
}

func (p *probe) http(ctx context.Context) *Failure {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.ToLower(p.check.Protocol)+"://"+p.address+p.check.Path, nil)
	if err != nil {
		return failureOf(err)
	}
	request.Header.Set("User-Agent", "ELB-HealthChecker/2.0")
	answer, err := p.client.Do(request)
	if err != nil {
		return failureOf(err)
	}
	defer answer.Body.Close()
	if _, err := io.CopyN(io.Discard, answer.Body, 64<<10); err != nil && !errors.Is(err, io.EOF) {
		return failureOf(err)
	}
	return p.match(answer.StatusCode)
}

func (p *probe) grpc(ctx context.Context) *Failure {
	transport := insecure.NewCredentials()
	if p.check.TLS {
		transport = credentials.NewTLS(unverified())
	}
	conn, err := grpc.NewClient("passthrough:///"+p.address, grpc.WithTransportCredentials(transport), grpc.WithUserAgent("ELB-HealthChecker/2.0"))
	if err != nil {
		return failureOf(err)
	}
	defer conn.Close() // nothing depends on it
	var answer healthpb.HealthCheckResponse
	if p.check.Path == healthMethod {
		err = conn.Invoke(ctx, p.check.Path, &healthpb.HealthCheckRequest{}, &answer)
	} else {
		err = conn.Invoke(ctx, p.check.Path, &emptypb.Empty{}, &emptypb.Empty{})
	}
	code := status.Code(err)
	switch {
	case ctx.Err() != nil || code == codes.DeadlineExceeded:
		return failureOf(context.DeadlineExceeded)
	case code == codes.Unavailable:
		return failureOf(err)
	case err == nil && p.check.Path == healthMethod && answer.Status != healthpb.HealthCheckResponse_SERVING:
		return &Failure{"Target.FailedHealthChecks", "Health checks failed: the service is " + answer.Status.String()}
	}
	return p.match(int(code))
}

// match holds a code against those that are successes.
func (p *probe) match(code int) *Failure {
	for part := range strings.SplitSeq(p.check.Matcher, ",") {
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		from, err1 := strconv.Atoi(low)
		to, err2 := strconv.Atoi(high)
		if err1 == nil && err2 == nil && from <= code && code <= to {
			return nil
		}
	}
	return &Failure{"Target.ResponseCodeMismatch", fmt.Sprintf("Health checks failed with these codes: [%d]", code)}
}

func failureOf(err error) *Failure {
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return &Failure{"Target.Timeout", "Request timed out"}
	}
	return &Failure{"Target.FailedHealthChecks", "Health checks failed"}
}
