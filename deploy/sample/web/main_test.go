package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
	return answer.Code, answer.Body.String()
}

func TestHandler_NamesItsHostAndCountsRequests(t *testing.T) {
	h := handler("c0ffee", nil)
	for _, want := range []string{"container c0ffee, request 1.", "container c0ffee, request 2."} {
		if code, body := get(t, h, "/"); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("GET / = %d %q; want 200 with %q", code, body, want)
		}
	}
}

func TestHandler_HealthIsOkAndNotCounted(t *testing.T) {
	h := handler("c0ffee", nil)
	if code, body := get(t, h, "/healthz"); code != http.StatusOK || body != "ok\n" {
		t.Errorf("GET /healthz = %d %q; want 200 ok", code, body)
	}
	if _, body := get(t, h, "/"); !strings.Contains(body, "request 1.") {
		t.Errorf("GET / after /healthz = %q; want request 1", body)
	}
}

func TestHandler_HasNothingElse(t *testing.T) {
	if code, _ := get(t, handler("c0ffee", nil), "/favicon.ico"); code != http.StatusNotFound {
		t.Errorf("GET /favicon.ico = %d; want 404", code)
	}
}

func TestHandler_ShowsTheTasksEnvironmentButNoCredentials(t *testing.T) {
	_, body := get(t, handler("c0ffee", []string{
		"ECS_CONTAINER_METADATA_URI_V4=http://169.254.170.2/v4/x", "AWS_REGION=us-east-1", "SAMPLE_GREETING=hi",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/v2/credentials/secret", "AWS_SECRET_ACCESS_KEY=secret", "HOME=/root",
	}), "/")
	if want := "AWS_REGION=us-east-1\nECS_CONTAINER_METADATA_URI_V4=http://169.254.170.2/v4/x\nSAMPLE_GREETING=hi\n"; !strings.HasSuffix(body, want) {
		t.Errorf("GET / = %q; want it to end with %q", body, want)
	}
	if strings.Contains(body, "secret") || strings.Contains(body, "HOME") {
		t.Errorf("GET / = %q; it gives away more than the task's metadata", body)
	}
}

func TestServe_FinishesARequestThatIsUnderWayWhenToldToStop(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	entered, release := make(chan struct{}), make(chan struct{})
	slow := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		io.WriteString(w, "finished")
	})
	served := make(chan error, 1)
	go func() { served <- serve(ctx, listener, slow, slog.New(slog.DiscardHandler)) }()

	answered := make(chan string, 1)
	go func() {
		resp, err := http.Get("http://" + listener.Addr().String())
		if err != nil {
			answered <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			answered <- err.Error()
			return
		}
		answered <- string(body)
	}()

	<-entered
	stop()
	select {
	case err := <-served:
		t.Fatalf("serve returned %v with a request under way", err)
	default:
	}
	close(release)
	if got := <-answered; got != "finished" {
		t.Errorf("the request under way got %q; want its whole answer", got)
	}
	if err := <-served; err != nil {
		t.Errorf("serve = %v; want nil after a clean stop", err)
	}
}
