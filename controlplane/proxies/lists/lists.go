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
	"slices"
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

type server struct{ Config }

// page is a rendered answer.
type page struct {
	body []byte
	tag  string
}

// look renders a list as it is now.
type look func() (page, error)

// New returns the handler of /traefik and /prometheus.
func New(cfg Config) http.Handler {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Zone = strings.Trim(cfg.Zone, ".")
	s := &server{cfg}
	traefik := s.whole(func(groups []*catalog.Group) any { return traefikOf(groups, cfg.Zone) })
	prometheus := s.whole(func(groups []*catalog.Group) any { return scrape(groups, nil) })
	mux := http.NewServeMux()
	mux.Handle("GET /traefik", s.list(func(*http.Request) look { return traefik }))
	mux.Handle("GET /prometheus", s.list(func(*http.Request) look { return prometheus }))
	mux.Handle("GET /prometheus/groups/{group}", s.list(func(r *http.Request) look {
		name := r.PathValue("group")
		return part(nil, func() []*catalog.Group {
			if g, ok := s.Catalog.Group(name); ok {
				return []*catalog.Group{g}
			}
			return nil // Prometheus would go on with the old targets if this were an error
		})
	}))
	mux.Handle("GET /prometheus/services/{cluster}/{service}", s.list(func(r *http.Request) look {
		cluster, service := r.PathValue("cluster"), r.PathValue("service")
		return part(
			func(m catalog.Member) bool { return m.Cluster == cluster && m.Service == service },
			func() []*catalog.Group { return s.Catalog.GroupsOf(cluster, service) },
		)
	}))
	return mux
}

// whole renders all groups, once for each revision of the catalog: the page is large,
// and the same for all who ask.
func (s *server) whole(of func([]*catalog.Group) any) look {
	var mu sync.Mutex
	var last page
	var at uint64
	return func() (page, error) {
		mu.Lock()
		defer mu.Unlock()
		if revision, _ := s.Catalog.Revision(); last.tag != "" && at == revision {
			return last, nil
		}
		groups, revision := s.Catalog.All()
		p, err := render(of(groups))
		if err == nil {
			last, at = p, revision
		}
		return p, err
	}
}

// part renders the members of some groups, anew only if these have changed. It is
// for one request.
func part(wanted func(catalog.Member) bool, find func() []*catalog.Group) look {
	var last page
	var of []*catalog.Group
	return func() (page, error) {
		groups := find()
		if last.tag != "" && slices.Equal(groups, of) {
			return last, nil
		}
		p, err := render(scrape(groups, wanted))
		if err == nil {
			last, of = p, groups
		}
		return p, err
	}
}

func render(value any) (page, error) {
	body, err := json.Marshal(value)
	if err != nil {
		return page{}, err
	}
	sum := sha256.Sum256(body)
	return page{body: append(body, '\n'), tag: `"` + hex.EncodeToString(sum[:12]) + `"`}, nil
}

// list answers with what a look renders, when it is no longer what the client has.
func (s *server) list(lookOf func(*http.Request) look) http.Handler {
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
		look := lookOf(r)
		deadline := time.NewTimer(wait)
		defer deadline.Stop()
		for {
			_, changed := s.Catalog.Revision()
			p, err := look()
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
