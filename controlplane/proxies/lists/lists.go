// Package lists serves target groups as JSON to programs that fetch a list now
// and then: Traefik's HTTP provider and Prometheus' http_sd. An answer has an
// ETag; a client that sends it back with ?wait=SECONDS gets the next answer as
// soon as there is one.
package lists

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/longshore/longshore/controlplane/proxies/catalog"
)

// maxWait is the longest that ?wait= may ask for, in seconds.
const maxWait = 300

// Config is what the handler needs.
type Config struct {
	Catalog *catalog.Catalog
	Zone    string // the hosts of Traefik's routers are GROUP.Zone
	Logger  *slog.Logger
}

type server struct {
	Config
	mu      sync.Mutex
	traefik page // the newest page for Traefik, which is large and the same for all
}

// page is a rendered answer.
type page struct {
	body     []byte
	tag      string
	revision uint64 // of the catalog
}

// New returns the handler of /traefik and /prometheus.
func New(cfg Config) http.Handler {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Zone = strings.Trim(cfg.Zone, ".")
	s := &server{Config: cfg}
	mux := http.NewServeMux()
	mux.Handle("GET /traefik", s.list(func(*http.Request) (page, error) { return s.traefikPage() }))
	mux.Handle("GET /prometheus", s.list(func(*http.Request) (page, error) {
		return s.scrape(func(*catalog.Group, catalog.Member) bool { return true })
	}))
	mux.Handle("GET /prometheus/groups/{group}", s.list(func(r *http.Request) (page, error) {
		g, ok := s.Catalog.Group(r.PathValue("group"))
		if !ok {
			// Prometheus would go on with the old targets if this were an error.
			return render([]scrapeTarget{}, 0)
		}
		return render(scrapeTargets(g, nil), 0)
	}))
	mux.Handle("GET /prometheus/services/{cluster}/{service}", s.list(func(r *http.Request) (page, error) {
		cluster, service := r.PathValue("cluster"), r.PathValue("service")
		return s.scrape(func(_ *catalog.Group, m catalog.Member) bool { return m.Cluster == cluster && m.Service == service })
	}))
	return mux
}

func render(value any, revision uint64) (page, error) {
	body, err := json.Marshal(value)
	if err != nil {
		return page{}, err
	}
	sum := sha256.Sum256(body)
	return page{body: append(body, '\n'), tag: `"` + hex.EncodeToString(sum[:12]) + `"`, revision: revision}, nil
}

// list answers with what look renders, when it is no longer what the client has.
func (s *server) list(look func(*http.Request) (page, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.Catalog.IsLoaded() {
			http.Error(w, "the targets are not known yet", http.StatusServiceUnavailable)
			return
		}
		wait, err := waitOf(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		deadline := time.NewTimer(wait)
		defer deadline.Stop()
		for {
			_, changed := s.Catalog.Revision()
			p, err := look(r)
			if err != nil {
				s.Logger.Error("rendering a list of targets", "path", r.URL.Path, "error", err)
				http.Error(w, "the list could not be rendered", http.StatusInternalServerError)
				return
			}
			if !has(r, p.tag) {
				w.Header().Set("ETag", p.tag)
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("Cache-Control", "no-cache")
				// Who asked is gone if this fails, and asks again if it is not.
				_, _ = w.Write(p.body)
				return
			}
			select {
			case <-changed:
			case <-deadline.C:
				w.Header().Set("ETag", p.tag)
				w.WriteHeader(http.StatusNotModified)
				return
			case <-r.Context().Done():
				return
			}
		}
	})
}

type waitError string

func (e waitError) Error() string { return string(e) }

// waitOf reads ?wait=, which is in seconds.
func waitOf(r *http.Request) (time.Duration, error) {
	text := r.URL.Query().Get("wait")
	if text == "" {
		return 0, nil
	}
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds < 0 || seconds > maxWait {
		return 0, waitError("wait: " + strconv.Quote(text) + " is no number of seconds from 0 to " + strconv.Itoa(maxWait))
	}
	return time.Duration(seconds) * time.Second, nil
}

// has tells whether the client has the answer of a tag.
func has(r *http.Request, tag string) bool {
	for candidate := range strings.SplitSeq(r.Header.Get("If-None-Match"), ",") {
		if strings.TrimPrefix(strings.TrimSpace(candidate), "W/") == tag {
			return true
		}
	}
	return false
}
