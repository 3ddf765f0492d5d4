package engineapi

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// engine serves handler on a Unix socket, as dockerd does, and returns a client of it.
func engine(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "docker.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler}}
	server.Start()
	t.Cleanup(server.Close)
	client, err := New("unix://" + socket)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestNew_RefusesAddressesItCannotSpeakTo(t *testing.T) {
	for _, host := range []string{"/var/run/docker.sock", "ssh://user@host", "unix://", "npipe:////./pipe/docker_engine"} {
		if _, err := New(host); err == nil || !strings.Contains(err.Error(), host) {
			t.Errorf("New(%q) = %v; want an error that names the address", host, err)
		}
	}
}

func TestNew_TakesTheUsualSocketWhenNothingIsSaid(t *testing.T) {
	client, err := New("")
	if err != nil || client.Host() != DefaultHost {
		t.Errorf("New(\"\") = %v, %v; want %s", client, err, DefaultHost)
	}
}

func TestImport_SendsTheTarAndReturnsTheImageID(t *testing.T) {
	var got struct {
		path, body string
		query      map[string][]string
	}
	client := engine(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got.path, got.body, got.query = r.URL.Path, string(body), r.URL.Query()
		io.WriteString(w, "{\"status\":\"Importing\"}\r\n{\"status\":\"sha256:abc\"}\r\n")
	})
	id, err := client.Import(context.Background(), "web", "latest", []string{`ENTRYPOINT ["/web"]`, `CMD ["x"]`}, strings.NewReader("a tar"))
	if err != nil || id != "sha256:abc" {
		t.Fatalf("Import = %q, %v; want sha256:abc", id, err)
	}
	if got.path != "/images/create" || got.body != "a tar" {
		t.Errorf("the engine got %q with body %q", got.path, got.body)
	}
	if q := got.query; q["fromSrc"][0] != "-" || q["repo"][0] != "web" || q["tag"][0] != "latest" || len(q["changes"]) != 2 {
		t.Errorf("the engine got the query %v", q)
	}
}

func TestImport_ReportsAFailureToldInTheStream(t *testing.T) {
	for name, test := range map[string]struct{ stream, want string }{
		"error line":  {`{"status":"Importing"}{"errorDetail":{"message":"bad tar"},"error":"bad tar"}`, "bad tar"},
		"cut off":     {`{"status":"Impor`, "read the engine's progress"},
		"no image id": {`{"status":"Importing"}`, "without the id"},
	} {
		t.Run(name, func(t *testing.T) {
			client := engine(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, test.stream) })
			_, err := client.Import(context.Background(), "web", "latest", nil, strings.NewReader(""))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Import = %v; want an error with %q", err, test.want)
			}
		})
	}
}

func TestImageLabels_TellsAMissingImageFromARefusal(t *testing.T) {
	client := engine(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.Contains(r.URL.Path, "there"):
			io.WriteString(w, `{"Config":{"Labels":{"a":"b"}}}`)
		case strings.Contains(r.URL.Path, "missing"):
			http.Error(w, `{"message":"No such image: missing"}`, http.StatusNotFound)
		default:
			http.Error(w, `{"message":"disk full"}`, http.StatusInternalServerError)
		}
	})
	ctx := context.Background()
	if labels, err := client.ImageLabels(ctx, "there:latest"); err != nil || labels["a"] != "b" {
		t.Errorf("there: %v, %v", labels, err)
	}
	if _, err := client.ImageLabels(ctx, "missing:latest"); !errors.Is(err, ErrNotFound) {
		t.Errorf("missing: %v; want ErrNotFound", err)
	}
	if _, err := client.ImageLabels(ctx, "broken:latest"); err == nil || errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("broken: %v; want the engine's own words", err)
	}
}

func TestWaitUntilUp_WaitsForAnEngineThatComesLater(t *testing.T) {
	answers := 0
	client := engine(t, func(w http.ResponseWriter, _ *http.Request) {
		if answers++; answers < 3 {
			http.Error(w, "starting", http.StatusServiceUnavailable)
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := client.WaitUntilUp(ctx); err != nil || answers != 3 {
		t.Errorf("WaitUntilUp = %v after %d answers; want success at the third", err, answers)
	}
}

func TestWaitUntilUp_SaysWhyWhenTimeIsUp(t *testing.T) {
	client, err := New("unix://" + filepath.Join(t.TempDir(), "nobody.sock"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 250*time.Millisecond)
	defer cancel()
	if err := client.WaitUntilUp(ctx); err == nil || !strings.Contains(err.Error(), "nobody.sock") {
		t.Errorf("WaitUntilUp = %v; want an error that names the socket", err)
	}
}
