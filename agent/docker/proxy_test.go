package docker

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/longshore/longshore/agent/agenttest"
	"github.com/longshore/longshore/agent/runtime"
)

// proxy stands between a Runtime and the Docker daemon. It notes the requests,
// and can lose answers.
type proxy struct {
	mu       sync.Mutex
	requests []string      // method and path, without the version
	lose     string        // of requests that have this in them, the answer is lost
	starts   chan struct{} // if not nil: has an element for each start that has come, which then waits to give another
}

var versionPrefix = regexp.MustCompile(`^/v[0-9.]+`)

// newProxied returns a Runtime that talks to the daemon at host through a proxy.
func newProxied(t *testing.T, host string) (*Runtime, *proxy) {
	t.Helper()
	network, address, _ := strings.Cut(host, "://")
	p := &proxy{}
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", "docker"
		},
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, address)
			},
		},
		FlushInterval: -1,
		ModifyResponse: func(response *http.Response) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.lose != "" && strings.Contains(response.Request.URL.Path, p.lose) {
				return errors.New("lost")
			}
			return nil
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	socket := filepath.Join(t.TempDir(), "p.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.requests = append(p.requests, r.Method+" "+versionPrefix.ReplaceAllString(r.URL.Path, ""))
		starts := p.starts
		p.mu.Unlock()
		if starts != nil && strings.HasSuffix(r.URL.Path, "/start") {
			starts <- struct{}{} // it has come
			starts <- struct{}{} // it may go on
		}
		forward.ServeHTTP(w, r)
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("close the proxy: %v", err)
		}
		<-served
	})
	return newRuntime(t, "unix://"+socket), p
}

func (p *proxy) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	requests := p.requests
	p.requests = nil
	return requests
}

func (p *proxy) loseAnswersOf(part string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose = part
}

func TestStart_OfAContainerJustCreatedIsOneRequest(t *testing.T) {
	host := agenttest.DockerHost(t)
	images := agenttest.ImportImages(t, host)
	rt, p := newProxied(t, host)
	if _, err := rt.Info(t.Context()); err != nil { // and the version is agreed on
		t.Fatalf("Info() = %v", err)
	}
	p.take()
	id, err := rt.Create(t.Context(), testSpec(images.Exit0))
	if err != nil {
		t.Fatalf("Create() = %v", err)
	}
	defer removeContainer(t, rt, id)
	if err := rt.Start(t.Context(), id); err != nil {
		t.Fatalf("Start() = %v", err)
	}
	want := []string{"POST /containers/create", "POST /containers/" + id + "/start"}
	if got := p.take(); !slices.Equal(got, want) {
		t.Errorf("requests of Create and Start = %v, want %v", got, want)
	}
	// From now on it could be a second start, and is looked at before.
	if err := rt.Start(t.Context(), id); err != nil {
		t.Fatalf("Start() = %v", err)
	}
	if got := p.take(); len(got) == 0 || got[0] != "GET /containers/"+id+"/json" {
		t.Errorf("requests of the second Start = %v, want a look first", got)
	}
}

func TestCreate_AfterALostAnswerGivesWhatWasMade(t *testing.T) {
	host := agenttest.DockerHost(t)
	images := agenttest.ImportImages(t, host)
	rt, p := newProxied(t, host)
	spec := testSpec(images.Serve)
	spec.Hash = "h"

	p.loseAnswersOf("/containers/create")
	if _, err := rt.Create(t.Context(), spec); !errors.Is(err, runtime.ErrUnavailable) {
		t.Fatalf("Create() = %v, want ErrUnavailable", err)
	}
	p.loseAnswersOf("")
	made, err := rt.Inspect(t.Context(), spec.Name)
	if err != nil {
		t.Fatalf("Inspect() = %v, want the container of the lost answer", err)
	}
	defer removeContainer(t, rt, made.ID)
	if id, err := rt.Create(t.Context(), spec); err != nil || id != made.ID {
		t.Errorf("Create() again = %s, %v; want %s", id, err, made.ID)
	}
}

func TestStart_AfterALostAnswerDoesNotStartAgain(t *testing.T) {
	host := agenttest.DockerHost(t)
	images := agenttest.ImportImages(t, host)
	rt, p := newProxied(t, host)
	id, err := rt.Create(t.Context(), testSpec(images.Exit0))
	if err != nil {
		t.Fatalf("Create() = %v", err)
	}
	defer removeContainer(t, rt, id)

	p.loseAnswersOf("/start")
	if err := rt.Start(t.Context(), id); !errors.Is(err, runtime.ErrUnavailable) {
		t.Fatalf("Start() = %v, want ErrUnavailable", err)
	}
	p.loseAnswersOf("")
	ended, failed := rt.client().ContainerWait(t.Context(), id, "not-running")
	select {
	case <-ended:
	case err := <-failed:
		t.Fatalf("wait for the end: %v", err)
	}
	p.take()
	before, err := rt.Inspect(t.Context(), id)
	if err != nil {
		t.Fatalf("Inspect() = %v", err)
	}
	if err := rt.Start(t.Context(), id); err != nil {
		t.Errorf("Start() again = %v", err)
	}
	if after, err := rt.Inspect(t.Context(), id); err != nil || !after.StartedAt.Equal(before.StartedAt) {
		t.Errorf("container = %+v, %v; want it as it was, %+v", after, err, before)
	}
	if slices.Contains(p.take(), "POST /containers/"+id+"/start") {
		t.Error("Docker was asked to start it again")
	}
}

// The second of two starts must not look at the container before the first is
// over: it would find it never started, and start it when it may have ended.
func TestStart_WaitsForAnotherStartOfTheSameContainer(t *testing.T) {
	host := agenttest.DockerHost(t)
	images := agenttest.ImportImages(t, host)
	rt, p := newProxied(t, host)
	id, err := rt.Create(t.Context(), testSpec(images.Exit0))
	if err != nil {
		t.Fatalf("Create() = %v", err)
	}
	defer removeContainer(t, rt, id)
	p.mu.Lock()
	p.starts = make(chan struct{})
	p.mu.Unlock()
	first := make(chan error, 1)
	go func() { first <- rt.Start(t.Context(), id) }()
	<-p.starts
	p.take()

	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := rt.Start(ctx, id); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("second Start() = %v, want it to wait", err)
	}
	if requests := p.take(); len(requests) > 0 {
		t.Errorf("second Start() asked %v of Docker, want nothing", requests)
	}
	<-p.starts
	if err := <-first; err != nil {
		t.Errorf("first Start() = %v", err)
	}
}
