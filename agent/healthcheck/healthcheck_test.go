package healthcheck

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

func TestVerdict_NeedsResultsInARow(t *testing.T) {
	c := Check{HealthyAfter: 3, UnhealthyAfter: 2}
	bad := &Failure{Reason: "Target.Timeout"}
	for name, test := range map[string]struct {
		from    Health
		results string // + a success, - a failure
		want    Health
	}{
		"the first success counts":               {Unknown, "+", Healthy},
		"one failure of a new one says nothing":  {Unknown, "-", Unknown},
		"two failures of a new one do":           {Unknown, "--", Unhealthy},
		"failures with a success between":        {Healthy, "-+-", Healthy},
		"two failures in a row":                  {Healthy, "+--", Unhealthy},
		"two successes are too few":              {Unhealthy, "++-++", Unhealthy},
		"three successes in a row":               {Unhealthy, "+++", Healthy},
		"a new one that fails once is then well": {Unknown, "-+", Healthy},
	} {
		t.Run(name, func(t *testing.T) {
			v := Verdict{Health: test.from}
			for _, r := range test.results {
				if r == '+' {
					v.Add(c, nil)
				} else {
					v.Add(c, bad)
				}
			}
			if v.Health != test.want || v.Health == Unhealthy && v.Failure != *bad && test.from != Unhealthy {
				t.Errorf("%+v, want %s", v, test.want)
			}
		})
	}
}

func checkAt(t *testing.T, protocol, address string) Check {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n, _ := strconv.Atoi(port)
	return Check{Address: host, Port: uint16(n), Protocol: protocol, Path: "/", Matcher: "200", Interval: time.Second, Timeout: 5 * time.Second}
}

func once(t *testing.T, c Check) *Failure {
	t.Helper()
	p := newProbe(c)
	defer p.close()
	return p.once(t.Context())
}

func TestProbe_OverHTTPHoldsTheCodeAgainstTheMatcher(t *testing.T) {
	serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.URL.Query().Get("code"))
		if code == 302 {
			w.Header().Set("Location", "/?code=200")
		}
		w.WriteHeader(code)
	})
	plain, secure := httptest.NewServer(serve), httptest.NewTLSServer(serve)
	defer plain.Close()
	defer secure.Close()
	for _, server := range []*httptest.Server{plain, secure} {
		at, err := url.Parse(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		protocol := map[string]string{"http": "HTTP", "https": "HTTPS"}[at.Scheme]
		for _, test := range []struct {
			code, matcher, want string
		}{{"200", "200", ""}, {"503", "200", "Health checks failed with these codes: [503]"}, {"204", "200,202-204", ""},
			{"302", "200", "Health checks failed with these codes: [302]"}, {"302", "200-399", ""}} {
			c := checkAt(t, protocol, at.Host)
			c.Path, c.Matcher = "/?code="+test.code, test.matcher
			got := ""
			if f := once(t, c); f != nil {
				got = f.Description
			}
			if got != test.want {
				t.Errorf("%s: %s against %s: %q, want %q", protocol, test.code, test.matcher, got, test.want)
			}
		}
	}
}

func TestProbe_TellsWhyATargetDoesNotAnswer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if f := once(t, checkAt(t, "TCP", listener.Addr().String())); f != nil {
		t.Errorf("a port that takes connections: %+v", f)
	}
	silent := checkAt(t, "HTTP", listener.Addr().String())
	silent.Timeout = time.Millisecond // nobody will answer, whenever that is
	if f := once(t, silent); f == nil || f.Reason != "Target.Timeout" {
		t.Errorf("one that never answers: %+v", f)
	}
	listener.Close()
	for _, protocol := range []string{"TCP", "HTTP", "GRPC"} {
		if f := once(t, checkAt(t, protocol, listener.Addr().String())); f == nil || f.Reason != "Target.FailedHealthChecks" {
			t.Errorf("a closed port over %s: %+v", protocol, f)
		}
	}
}

func TestProbe_OverGRPC(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, service := grpc.NewServer(), health.NewServer()
	healthpb.RegisterHealthServer(server, service)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	defer func() { server.Stop(); <-ended }()
	c := checkAt(t, "GRPC", listener.Addr().String())
	c.Path, c.Matcher = "/AWS.ALB/healthcheck", "12"
	if f := once(t, c); f != nil {
		t.Errorf("an unimplemented method, as is the default: %+v", f)
	}
	c.Path, c.Matcher = healthMethod, "0"
	if f := once(t, c); f != nil {
		t.Errorf("a service that serves: %+v", f)
	}
	service.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	if f := once(t, c); f == nil {
		t.Error("a service that says that it does not serve is healthy")
	}
}

func TestRun_TellsOfChangesOnly(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	c := checkAt(t, "TCP", listener.Addr().String())
	c.HealthyAfter, c.UnhealthyAfter, c.Interval = 2, 2, time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	changes := make(chan Verdict, 100)
	done := make(chan struct{})
	go func() { defer close(done); Run(ctx, c, Unknown, func(v Verdict) { changes <- v }) }()
	if v := <-changes; v.Health != Healthy {
		t.Errorf("a port that takes connections: %+v", v)
	}
	listener.Close()
	if v := <-changes; v.Health != Unhealthy {
		t.Errorf("after the port was closed: %+v", v)
	}
	cancel()
	<-done
	if len(changes) > 0 {
		t.Errorf("%d more changes", len(changes))
	}
}
