package agent_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/longshore/longshore/agent"
	"github.com/longshore/longshore/agent/agenttest"
)

// brokenRegistry fails in the way that the name of the repository says. Docker
// takes it without TLS, because it is on a loopback address.
func brokenRegistry(t *testing.T) (address string) {
	t.Helper()
	ended := make(chan struct{})
	config := []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:` + strings.Repeat("1", 64) + `"]}}`)
	const layerSize = 1 << 20
	layer := "sha256:" + strings.Repeat("2", 64)
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
		"config": map[string]any{"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(config), "digest": digest(config)},
		"layers": []any{map[string]any{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": layerSize, "digest": layer}},
	})
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(w http.ResponseWriter, status int, code, message string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`, code, message)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
		switch path := r.URL.Path; {
		case path == "/v2/":
		case strings.HasPrefix(path, "/v2/denied/"):
			refuse(w, http.StatusForbidden, "DENIED", "requested access to the resource is denied")
		case strings.HasPrefix(path, "/v2/unknown/"):
			refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown")
		case strings.HasPrefix(path, "/v2/silent/"):
			<-ended
		case strings.Contains(path, "/manifests/"):
			w.Header().Set("Content-Type", "application/vnd.docker.distribution.manifest.v2+json")
			w.Header().Set("Docker-Content-Digest", digest(manifest))
			w.Write(manifest)
		case strings.HasSuffix(path, digest(config)):
			w.Write(config)
		default: // the layer: half of it comes
			w.Header().Set("Content-Length", fmt.Sprint(layerSize))
			w.Write(make([]byte, layerSize/2))
			w.(http.Flusher).Flush()
			<-ended
		}
	}))
	t.Cleanup(func() { close(ended); server.CloseClientConnections(); server.Close() })
	return server.Listener.Addr().String()
}

func digest(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }

func TestDocker_RegistriesThatFailGiveTheReason(t *testing.T) {
	address := agenttest.DockerHost(t)
	h := newDockerHost(t, address, agenttest.Images{}, func(c *agent.Config) { c.PullInactivity = 2 * time.Second })
	registry := brokenRegistry(t)
	want := map[string]string{
		"denied":  "denied",
		"unknown": "manifest unknown",
		"silent":  "inactivity time exceeded timeout while pulling image " + registry + "/silent:1: nothing came for 2s",
		"stuck":   "inactivity time exceeded timeout while pulling image " + registry + "/stuck:1: nothing came for 2s",
	}
	for name := range want {
		h.c.run(h.arn(name), definition(container("main", registry+"/"+name+":1")))
	}
	for name, text := range want {
		s := h.c.becomes(h.arn(name), "STOPPED")
		if s.StopCode != "TaskFailedToStart" || !strings.HasPrefix(s.Reason, "CannotPullContainerError: ") || !strings.Contains(s.Reason, text) {
			t.Errorf("%s: reported %v, want the reason %q", name, s, text)
		}
		if s.PullStartedAt == 0 || s.PullStoppedAt < s.PullStartedAt {
			t.Errorf("%s: pulled from %d to %d", name, s.PullStartedAt, s.PullStoppedAt)
		}
	}
}
