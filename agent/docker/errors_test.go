package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/longshore/longshore/agent/runtime"
)

// newAnswering returns a Runtime for an engine that is what handler makes of it.
func newAnswering(t *testing.T, handler http.HandlerFunc) *Runtime {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return newRuntime(t, "tcp://"+server.Listener.Addr().String())
}

// answer writes what an engine of the given API version answers.
func answer(w http.ResponseWriter, version string, status int, body string) {
	w.Header().Set("Api-Version", version)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // a caller that is gone has what it wanted
}

func TestTranslate_KeepsTheEnginesWordsAndTellsWhatToDoNext(t *testing.T) {
	for name, test := range map[string]struct {
		status   int
		message  string
		wantText string
		wantKind error
	}{
		"not found":        {404, "No such container: x", "No such container: x", runtime.ErrNotFound},
		"internal":         {500, "driver failed", "driver failed", nil},
		"bad parameter":    {400, "invalid volume", "invalid volume", nil},
		"other conflict":   {409, "container is paused", "container is paused", nil},
		"no permission":    {403, "not allowed", "not allowed", nil},
		"going down":       {503, "shutting down", "", runtime.ErrUnavailable},
		"containerd away":  {500, "connection error: code = Unavailable desc = transport is closing", "", runtime.ErrUnavailable},
		"containerd gone":  {500, "dial unix:///run/containerd/containerd.sock: connect: refused: containerd.sock: connect: no", "", runtime.ErrUnavailable},
		"client too old":   {400, "client version 1.41 is too old. Minimum supported API version is 1.44", "", runtime.ErrUnavailable},
		"refused registry": {500, "dial tcp 127.0.0.1:1: connect: connection refused", "dial tcp 127.0.0.1:1: connect: connection refused", nil},
	} {
		t.Run(name, func(t *testing.T) {
			rt := newAnswering(t, func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/_ping") {
					answer(w, "1.41", http.StatusOK, "")
					return
				}
				answer(w, "1.41", test.status, fmt.Sprintf(`{"message":%q}`, test.message))
			})
			_, err := rt.Inspect(t.Context(), "x")
			for _, kind := range []error{runtime.ErrNotFound, runtime.ErrConflict, runtime.ErrUnavailable} {
				if errors.Is(err, kind) != (kind == test.wantKind) {
					t.Errorf("Inspect() = %v, want kind %v", err, test.wantKind)
				}
			}
			if test.wantText != "" && err.Error() != test.wantText {
				t.Errorf("Inspect() = %q, want %q", err, test.wantText)
			}
			if !strings.Contains(err.Error(), test.message) {
				t.Errorf("Inspect() = %q, without the engine's words %q", err, test.message)
			}
		})
	}
}

func TestTranslate_CutAnswerIsUnavailable(t *testing.T) {
	for name, cut := range map[string]http.HandlerFunc{
		"before the head": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"in the body": func(w http.ResponseWriter, _ *http.Request) {
			answer(w, "1.41", http.StatusOK, `{"Id":"x","State":{`)
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			rt := newAnswering(t, func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/_ping") {
					answer(w, "1.41", http.StatusOK, "")
					return
				}
				cut(w, r)
			})
			if _, err := rt.Inspect(t.Context(), "x"); !errors.Is(err, runtime.ErrUnavailable) {
				t.Errorf("Inspect() = %v, want ErrUnavailable", err)
			}
		})
	}
}

func TestTranslate_EndOfContextWithACauseStaysOne(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	rt := newAnswering(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel(errors.New("enough"))
		<-r.Context().Done()
	})
	_, err := rt.Inspect(ctx, "x")
	if !errors.Is(err, context.Canceled) || errors.Is(err, runtime.ErrUnavailable) {
		t.Errorf("Inspect() = %v, want the error of its context", err)
	}
}

func TestNew_EngineDownIsUnavailable(t *testing.T) {
	rt, err := New(Config{Host: "unix://" + t.TempDir() + "/none.sock"})
	if err != nil {
		t.Fatalf("New() = %v", err)
	}
	if _, err := rt.Info(t.Context()); !errors.Is(err, runtime.ErrUnavailable) {
		t.Errorf("Info() = %v, want ErrUnavailable", err)
	}
	if err := rt.Close(); err != nil {
		t.Errorf("Close() = %v", err)
	}
}

func TestNew_RefusesAddressThatIsNone(t *testing.T) {
	if _, err := New(Config{Host: "nowhere"}); err == nil {
		t.Error("New() = nil, want an error")
	}
}

// An engine is upgraded under a running agent to one that does not speak the
// agreed version any more.
func TestRuntime_AgreesOnAVersionAnewWhenTheEngineChanges(t *testing.T) {
	upgraded := false
	rt := newAnswering(t, func(w http.ResponseWriter, r *http.Request) {
		version := "1.41"
		if upgraded {
			version = "1.47"
		}
		switch {
		case strings.HasSuffix(r.URL.Path, "/_ping"):
			answer(w, version, http.StatusOK, "")
		case r.URL.Path != "/v"+version+"/info":
			answer(w, version, http.StatusBadRequest, `{"message":"client version 1.41 is too old. Minimum supported API version is 1.44, please upgrade your client to a newer version"}`)
		default:
			answer(w, version, http.StatusOK, `{"Name":"host"}`)
		}
	})
	if info, err := rt.Info(t.Context()); err != nil || info.APIVersion != "1.41" {
		t.Fatalf("Info() = %+v, %v", info, err)
	}
	upgraded = true
	if _, err := rt.Info(t.Context()); !errors.Is(err, runtime.ErrUnavailable) {
		t.Fatalf("Info() after the upgrade = %v, want ErrUnavailable", err)
	}
	if info, err := rt.Info(t.Context()); err != nil || info.APIVersion != "1.47" {
		t.Errorf("Info() then = %+v, %v; want API 1.47", info, err)
	}
}

func TestPullResult_FindsTheErrorInTheProgress(t *testing.T) {
	for name, test := range map[string]struct{ progress, want string }{
		"done":        {`{"status":"Pulling"}{"status":"Done"}`, ""},
		"empty":       {``, ""},
		"with detail": {`{"status":"Pulling"}{"errorDetail":{"code":1,"message":"no space left"},"error":"no"}`, "no space left"},
		"text only":   {`{"error":"unexpected end"}` + "\n" + `{"status":"more"}`, "unexpected end"},
		"cut":         {`{"status":"Pul`, "read the progress of the pull: unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := pullResult(strings.NewReader(test.progress), nil); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("pullResult() = %q, want %q", got, test.want)
			}
		})
	}
}
