package metadata

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"
)

// Limits of one request.
const (
	maxBody      = 64 << 10
	answerWithin = 20 * time.Second
)

// handler leads a request to what it asks for, in this agent or another one.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	for version, m := range map[string]version{"v3": {3}, "v4": {4}} {
		mux.HandleFunc("GET /"+version+"/{id}", s.named(m.refuse, s.container(m)))
		mux.HandleFunc("GET /"+version+"/{id}/{$}", s.named(m.refuse, s.container(m)))
		mux.HandleFunc("GET /"+version+"/{id}/task", s.named(m.refuse, s.task(m, false)))
		mux.HandleFunc("GET /"+version+"/{id}/taskWithTags", s.named(m.refuse, s.task(m, true)))
		mux.HandleFunc("GET /"+version+"/{id}/stats", s.named(m.refuse, s.containerStats(m)))
		mux.HandleFunc("GET /"+version+"/{id}/task/stats", s.named(m.refuse, s.taskStats(m)))
	}
	mux.HandleFunc("GET /v2/credentials/{id}", s.lead(refuseCredentials, s.credentials, true))
	mux.HandleFunc("GET /v2/credentials/{$}", func(w http.ResponseWriter, _ *http.Request) {
		credentialsError(w, http.StatusBadRequest, "NoIdInRequest", "No ID in the request")
	})
	mux.HandleFunc("GET /api/{id}/task-protection/v1/state", s.named(refuseProtection, s.getProtection))
	mux.HandleFunc("PUT /api/{id}/task-protection/v1/state", s.named(refuseProtection, s.putProtection))
	return s.handOver(mux)
}

// refusal answers a request that names no task of this agent.
type refusal func(w http.ResponseWriter, r *http.Request, status int, why string)

// named finds what the id of a request stands for, and keeps each task to its rate.
func (s *Server) named(refuse refusal, answer func(http.ResponseWriter, *http.Request, *name)) http.HandlerFunc {
	return s.lead(refuse, answer, false)
}

// lead does so for ids of containers, or for those of credentials.
func (s *Server) lead(refuse refusal, answer func(http.ResponseWriter, *http.Request, *name), credentials bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		n, complete := s.names.find(r.PathValue("id"))
		limit := s.names.strangers
		if n != nil {
			limit = n.limit
		}
		switch {
		case !limit.Allow():
			http.Error(w, "You have reached maximum request limit.", http.StatusTooManyRequests)
		case n == nil && !complete:
			refuse(w, r, http.StatusServiceUnavailable, "the agent does not know its tasks yet")
		case n == nil || (n.unit == noUnit) != credentials:
			refuse(w, r, http.StatusNotFound, "unknown endpoint ID: "+r.PathValue("id"))
		default:
			ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
			defer cancel()
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			answer(w, r.WithContext(ctx), n)
		}
	}
}

// handOver hands requests for the tasks of other agents of this host to them.
func (s *Server) handOver(own http.Handler) http.Handler {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			tag, _, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return new(net.Dialer).DialContext(ctx, "unix", socketPath(s.RunDir, tag))
		},
		DisableKeepAlives: true, // it costs nothing to connect, and agents come and go
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tag := tagOf(idIn(r.URL.Path))
		if tag == "" || tag == s.key.tag || s.door.peers == nil || fromPeer(r) {
			own.ServeHTTP(w, r)
			return
		}
		proxy := httputil.ReverseProxy{
			Transport: transport,
			Rewrite: func(p *httputil.ProxyRequest) {
				p.Out.URL.Scheme, p.Out.URL.Host = "http", tag
			},
			ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
				s.Logger.Debug("no agent answers for a task metadata id", "agent", tag, "error", err)
				own.ServeHTTP(w, r) // which says that there is none
			},
		}
		proxy.ServeHTTP(w, r)
	})
}

// fromPeer tells whether a request was handed over by another agent.
func fromPeer(r *http.Request) bool {
	c, ok := r.Context().Value(connKey{}).(net.Conn)
	return ok && c.LocalAddr().Network() == "unix"
}

// idIn returns the segment of a path where its id is.
func idIn(path string) string {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	at := 1
	if strings.HasPrefix(path, "/v2/credentials/") {
		at = 2
	}
	if len(parts) <= at {
		return ""
	}
	return parts[at]
}

// version is one of the two shapes of task metadata.
type version struct{ number int }

// refuse answers as ECS: with a text, as JSON.
func (v version) refuse(w http.ResponseWriter, _ *http.Request, status int, why string) {
	if v.number == 3 && status == http.StatusNotFound {
		status = http.StatusBadRequest
	}
	prefix := "V3"
	if v.number == 4 {
		prefix = "V4"
	}
	writeJSON(w, status, prefix+" metadata handler: unable to find the task or container of the request: "+why)
}

// failed answers a request that could not be served.
func (v version) failed(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, ErrGone) {
		v.refuse(w, r, http.StatusNotFound, err.Error())
		return
	}
	v.refuse(w, r, http.StatusInternalServerError, err.Error())
}

// writeJSON leaves errors of the connection alone: who asked is gone then.
func writeJSON(w http.ResponseWriter, status int, answer any) {
	b, err := json.Marshal(answer)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(b)
}
