package bench

import (
	"context"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// callCounter stands between a client and a Docker daemon and counts the
// requests by kind.
type callCounter struct {
	forward http.Handler

	mu    sync.Mutex
	calls map[string]int
}

// startCallCounter serves a counter before the daemon, and returns it and the
// address at which it stands for the daemon.
func startCallCounter(tb testing.TB, daemon string) (counter *callCounter, host string) {
	tb.Helper()
	network, address, ok := strings.Cut(daemon, "://")
	if !ok {
		tb.Fatalf("%q is not an address of a Docker daemon", daemon)
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
		MaxIdleConnsPerHost: 64,
	}
	c := &callCounter{calls: map[string]int{}, forward: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", "docker"
		},
		Transport:     transport,
		FlushInterval: -1,                         // events are not to wait for one another
		ErrorLog:      log.New(io.Discard, "", 0), // a client that is ended leaves its event stream
	}}
	socket := filepath.Join(tb.TempDir(), "docker.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		tb.Fatal(err)
	}
	server := &http.Server{Handler: c}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	tb.Cleanup(func() {
		if err := server.Close(); err != nil {
			tb.Errorf("closing the counter of Docker's calls: %v", err)
		}
		<-ended // always the same: the server was closed
		transport.CloseIdleConnections()
	})
	return c, "unix://" + socket
}

func (c *callCounter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind := callKind(r.Method, r.URL.Path)
	c.mu.Lock()
	c.calls[kind]++
	c.mu.Unlock()
	c.forward.ServeHTTP(w, r)
}

// callKind names a request without the version of the API and the ids in its
// path: "POST containers/start".
func callKind(method, path string) string {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if len(parts) > 1 && strings.HasPrefix(parts[0], "v1.") {
		parts = parts[1:]
	}
	kind := method + " " + parts[0]
	if len(parts) > 1 {
		kind += "/" + parts[len(parts)-1]
	}
	return kind
}

// reset begins anew, and counts returns the requests since then.
func (c *callCounter) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.calls)
}

func (c *callCounter) counts() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.calls)
}

func TestCallCounter_CountsByKindAndPassesOn(t *testing.T) {
	daemon := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Host+r.URL.RequestURI())
	}))
	defer daemon.Close()
	counter, host := startCallCounter(t, "tcp://"+strings.TrimPrefix(daemon.URL, "http://"))
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", strings.TrimPrefix(host, "unix://"))
		},
	}}
	defer client.CloseIdleConnections()

	for _, path := range []string{"/v1.41/containers/abc/start?x=1", "/v1.41/containers/def/start", "/v1.41/containers/create?name=n"} {
		answer, err := client.Post("http://any"+path, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || string(text) != "any"+path {
			t.Errorf("POST %s = %q, %v, want what the daemon says", path, text, err)
		}
	}
	want := map[string]int{"POST containers/start": 2, "POST containers/create": 1}
	if got := counter.counts(); !maps.Equal(got, want) {
		t.Errorf("counts = %v, want %v", got, want)
	}
	counter.reset()
	if got := counter.counts(); len(got) != 0 {
		t.Errorf("counts = %v after reset", got)
	}
}
