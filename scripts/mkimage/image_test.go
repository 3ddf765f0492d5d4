package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/longshore/longshore/scripts/internal/engineapi"
)

func TestParse_NeedsANameAnEntrypointAndAProgram(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"", "-tag"},
		{"-tag web -entrypoint /web web", "want NAME:TAG"},
		{"-tag host:5000/web -entrypoint /web web", "want NAME:TAG"},
		{"-tag :latest -entrypoint /web web", "want NAME:TAG"},
		{"-tag web: -entrypoint /web web", "want NAME:TAG"},
		{"-tag web:1 web", "-entrypoint"},
		{"-tag web:1 -entrypoint /web", "at least one program"},
	} {
		if _, _, err := parse(strings.Fields(test.args)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("parse(%q) = %v; want an error with %q", test.args, err, test.want)
		}
	}
}

func TestParse_SplitsTheTagFromANameWithARegistrysPort(t *testing.T) {
	got, inputs, err := parse([]string{"-tag", "127.0.0.1:5000/web:v1", "-entrypoint", "/web", "-cmd", "-a", "-cmd", "b c", "-env", "X=1", "p", "q"})
	want := spec{repo: "127.0.0.1:5000/web", tag: "v1", entrypoint: []string{"/web"}, cmd: []string{"-a", "b c"}, env: []string{"X=1"}}
	if err != nil || !reflect.DeepEqual(got, want) || !reflect.DeepEqual(inputs, []string{"p", "q"}) {
		t.Errorf("parse = %+v, %q, %v; want %+v", got, inputs, err, want)
	}
}

// fakeEngine keeps one image as Docker would: its labels and the tar it came from.
type fakeEngine struct {
	imports int
	changes []string
	layer   []byte
}

func (e *fakeEngine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		e.imports++
		e.changes = r.URL.Query()["changes"]
		var err error
		if e.layer, err = io.ReadAll(r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		io.WriteString(w, `{"status":"sha256:abc"}`)
		return
	}
	if e.imports == 0 {
		http.Error(w, `{"message":"No such image"}`, http.StatusNotFound)
		return
	}
	labels := map[string]string{}
	for _, line := range e.changes {
		if label, ok := strings.CutPrefix(line, "LABEL "); ok {
			name, value, _ := strings.Cut(label, "=")
			labels[name] = value
		}
	}
	if err := json.NewEncoder(w).Encode(map[string]any{"Config": map[string]any{"Labels": labels}}); err != nil {
		panic(err)
	}
}

func serveEngine(t *testing.T, handler http.Handler) *engineapi.Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "docker.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler}}
	server.Start()
	t.Cleanup(server.Close)
	client, err := engineapi.New("unix://" + socket)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestMakeImage_ImportsAgainOnlyWhenFilesOrSettingsChange(t *testing.T) {
	engine := &fakeEngine{}
	client := serveEngine(t, engine)
	ctx := context.Background()
	s := spec{repo: "web", tag: "latest", entrypoint: []string{"/web"}}
	files := []file{{"web", []byte("program")}}
	for _, step := range []struct {
		what    string
		change  func()
		imports int
	}{
		{"no image yet", func() {}, 1},
		{"nothing changed", func() {}, 1},
		{"other program", func() { files[0].content = []byte("newer") }, 2},
		{"other command", func() { s.cmd = []string{"x"} }, 3},
		{"nothing changed again", func() {}, 3},
	} {
		step.change()
		if err := makeImage(ctx, client, s, files); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		if engine.imports != step.imports {
			t.Errorf("%s: %d imports; want %d", step.what, engine.imports, step.imports)
		}
	}
	if want := `ENTRYPOINT ["/web"]`; engine.changes[0] != want {
		t.Errorf("first change is %q; want %q", engine.changes[0], want)
	}
}

func TestArchive_HoldsExecutablesOfRootWithNoTraceOfTheirMaking(t *testing.T) {
	packed, err := archive([]file{{"web", []byte("one")}, {"other", []byte("two")}})
	if err != nil {
		t.Fatal(err)
	}
	r := tar.NewReader(bytes.NewReader(packed))
	for _, want := range []file{{"web", []byte("one")}, {"other", []byte("two")}} {
		header, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if header.Name != want.name || !bytes.Equal(content, want.content) || header.Mode != 0o755 || header.Uid != 0 || header.ModTime.Unix() != 0 {
			t.Errorf("got %+v with %q; want %s with %q", header, content, want.name, want.content)
		}
	}
}

func TestCollect_RefusesTwoProgramsOfOneName(t *testing.T) {
	dir := t.TempDir()
	paths := []string{filepath.Join(dir, "a", "web"), filepath.Join(dir, "b", "web")}
	for _, path := range paths {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	client := serveEngine(t, &fakeEngine{})
	if _, err := collect(context.Background(), client, paths); err == nil || !strings.Contains(err.Error(), "both be /web") {
		t.Errorf("collect = %v; want an error about /web", err)
	}
}
