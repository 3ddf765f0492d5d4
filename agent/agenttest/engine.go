package agenttest

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	// envRequireDocker set to 1 makes a test fail that would be skipped
	// because there is no Docker: where tests must be complete.
	envRequireDocker = "LONGSHORE_REQUIRE_DOCKER"

	defaultDockerHost = "unix:///var/run/docker.sock"

	// programPackage is what runs in the containers of the tests.
	programPackage = "github.com/longshore/longshore/agent/docker/testdata/program"

	// patience bounds what a working engine does in moments.
	patience = 2 * time.Minute
)

// DockerHost returns the address of a Docker daemon that answers: DOCKER_HOST,
// or the usual socket. Without one the test is skipped, with the reason, or
// fails if LONGSHORE_REQUIRE_DOCKER is 1.
func DockerHost(t testing.TB) string {
	t.Helper()
	host := os.Getenv("DOCKER_HOST")
	if host == "" {
		host = defaultDockerHost
	}
	if err := askEngine(t.Context(), host, http.MethodGet, "/_ping", nil); err != nil {
		if os.Getenv(envRequireDocker) == "1" {
			t.Fatalf("no Docker daemon answers at %s: %v", host, err)
		}
		t.Skipf("no Docker daemon answers at %s: %v (set %s=1 to make this a failure)", host, err, envRequireDocker)
	}
	return host
}

// ImportImages builds the test program and gives the engine at host an image
// of it for each behaviour. They are removed when the test ends.
func ImportImages(t testing.TB, host string) Images {
	t.Helper()
	root := programArchive(t)
	tag := strings.ToLower(rand.Text())
	load := func(name string, changes ...string) string {
		t.Helper()
		ref := "longshore-test/" + name + ":" + tag
		importImage(t, host, ref, root, changes)
		return ref
	}
	return Images{
		Serve:      load("serve", `ENTRYPOINT ["/program"]`, `CMD ["serve"]`),
		IgnoreStop: load("ignore-term", `ENTRYPOINT ["/program"]`, `CMD ["ignore-term"]`),
		Exit0:      load("exit-0", `ENTRYPOINT ["/program"]`, `CMD ["exit", "0"]`),
		Exit3:      load("exit-3", `ENTRYPOINT ["/program"]`, `CMD ["exit", "3"]`),
		NoCommand:  load("no-command", `ENTRYPOINT ["/no-such-program"]`),
		// Nothing listens on port 1, and the name says that it is not to be
		// looked for anywhere else.
		Missing: "127.0.0.1:1/longshore-test/missing:1",
		Spare: func(t testing.TB) string {
			ref := "longshore-test/spare:" + strings.ToLower(rand.Text())
			importImage(t, host, ref, root, []string{`ENTRYPOINT ["/program"]`})
			return ref
		},
	}
}

// programArchive returns the root of an image: the test program, alone.
func programArchive(t testing.TB) []byte {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "program")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, programPackage)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the test program: %v\n%s", err, output)
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		t.Fatalf("read the test program: %v", err)
	}
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	err = writer.WriteHeader(&tar.Header{Name: "program", Mode: 0o755, Size: int64(len(content))})
	if err == nil {
		_, err = writer.Write(content)
	}
	if err := errors.Join(err, writer.Close()); err != nil {
		t.Fatalf("archive the test program: %v", err)
	}
	return archive.Bytes()
}

// RemoveNetwork removes a network that a test has made on the engine at host.
func RemoveNetwork(t testing.TB, host, name string) {
	t.Helper()
	if err := askEngine(context.Background(), host, http.MethodDelete, "/networks/"+name, nil); err != nil {
		t.Errorf("remove network %s: %v", name, err)
	}
}

// RemoveImage removes an image that a test has made on the engine at host.
func RemoveImage(t testing.TB, host, ref string) {
	t.Helper()
	if err := askEngine(context.Background(), host, http.MethodDelete, "/images/"+ref+"?force=1", nil); err != nil {
		t.Errorf("remove image %s: %v", ref, err)
	}
}

// emptyLayer is the archive of a file system with nothing in it.
func emptyLayer(t testing.TB) []byte {
	t.Helper()
	var archive bytes.Buffer
	if err := tar.NewWriter(&archive).Close(); err != nil {
		t.Fatalf("archive nothing: %v", err)
	}
	return archive.Bytes()
}

// ImportImage gives the engine at host, which is the test's own, an image of the
// test program with the given arguments. It goes with the engine.
func ImportImage(t testing.TB, host, ref string, args ...string) {
	t.Helper()
	command, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	putImage(t, host, ref, programArchive(t), []string{`ENTRYPOINT ["/program"]`, "CMD " + string(command)})
}

func putImage(t testing.TB, host, ref string, root []byte, changes []string) {
	t.Helper()
	query := url.Values{"fromSrc": {"-"}, "repo": {ref}, "changes": changes}
	if err := askEngine(t.Context(), host, http.MethodPost, "/images/create?"+query.Encode(), root); err != nil {
		t.Fatalf("import image %s: %v", ref, err)
	}
}

func importImage(t testing.TB, host, ref string, root []byte, changes []string) {
	t.Helper()
	putImage(t, host, ref, root, changes)
	t.Cleanup(func() {
		// t.Context has ended by now.
		err := askEngine(context.Background(), host, http.MethodDelete, "/images/"+ref+"?force=1", nil)
		if err != nil && !strings.Contains(err.Error(), "No such image") { // a test may have removed it
			t.Errorf("remove image %s: %v", ref, err)
		}
	})
}

// askEngine makes one request of the Docker API. This package does not use
// the Docker client: only agent/docker does.
func askEngine(ctx context.Context, host, method, path string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	network, address, ok := strings.Cut(host, "://")
	if !ok {
		return fmt.Errorf("%q is not an address of a Docker daemon", host)
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, method, "http://docker"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/x-tar")
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return err
	}
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s: %s", response.Status, strings.TrimSpace(string(text)))
	}
	return progressError(text)
}

// progressError finds the error that an engine reports after it has answered 200.
func progressError(text []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	for {
		var message struct {
			Error string `json:"error"`
		}
		if err := decoder.Decode(&message); err != nil {
			return nil // not progress, or its end
		}
		if message.Error != "" {
			return errors.New(message.Error)
		}
	}
}
