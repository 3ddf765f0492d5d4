package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/sigv4"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
	"github.com/longshore/longshore/proto/plan"
)

const (
	// TargetPrefix stands before the operation's name in X-Amz-Target.
	TargetPrefix = "AmazonEC2ContainerServiceV20141113."

	contentType     = "application/x-amz-json-1.1"
	defaultMaxBody  = 8 << 20
	defaultBodyWait = 30 * time.Second
)

// Config is what the API needs of the control plane around it.
type Config struct {
	Owner model.Owner
	// Store returns the store of the present term of leadership; nil while this
	// control plane does not lead, and every request is then answered 503.
	Store func() *store.Store
	// AgentEndpoint returns the address at which agents find the leader, for
	// DiscoverPollEndpoint; empty if none is known.
	AgentEndpoint func() string
	// Preview tells what the service loop would do about a service, in a transaction
	// that will be taken back; without it PlanUpdateService is refused.
	Preview func(*store.Tx, model.ServiceKey, time.Time) (ServicePreview, error)
	// Keys maps access key ids to secrets; see package sigv4 for what none means.
	Keys map[string]string
	// Clock tells the time of records and signatures. Default: time.Now.
	Clock func() time.Time
	// MaxBody bounds a request's body in bytes. Default 8 MiB.
	MaxBody int64
	// BodyWait bounds how long a caller may take to send the body. Default 30 s.
	BodyWait time.Duration
	// Rate is how many requests a second one caller may send in the long run, and
	// Burst how many at once; beyond, they get ThrottlingException. Without a Rate
	// there is no limit; Burst is then not used, and otherwise at least 1.
	Rate     float64
	Burst    int
	Logger   *slog.Logger          // default: discard
	Registry prometheus.Registerer // may be nil
}

// Server is the API as an http.Handler.
type Server struct {
	cfg        Config
	verifier   *sigv4.Verifier
	operations map[string]operation
	known      map[string]bool // operations of the model, in the table or not
	metrics    *metrics
	throttle   *throttle
}

// New makes the API's server.
func New(cfg Config) *Server {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = defaultMaxBody
	}
	if cfg.BodyWait == 0 {
		cfg.BodyWait = defaultBodyWait
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		cfg:        cfg,
		verifier:   sigv4.New(sigv4.Config{Keys: cfg.Keys, Region: cfg.Owner.Region, Service: "ecs"}),
		operations: map[string]operation{},
		known:      map[string]bool{},
		metrics:    newMetrics(cfg.Registry),
		throttle:   newThrottle(cfg.Rate, cfg.Burst, len(cfg.Keys) > 0),
	}
	for _, o := range operations() {
		s.operations[o.name] = o
	}
	for _, o := range plans() {
		s.operations[o.name] = o
		s.known[o.name] = true
	}
	for _, o := range ecs.Operations() {
		s.known[o.Name] = true
	}
	return s
}

// Handler answers operations on the state of one term of leadership.
type Handler struct {
	*Config
	store *store.Store
}

func (s *Server) handler() (*Handler, error) {
	st := s.cfg.Store()
	if st == nil {
		return nil, ecs.Errorf(ecs.CodeServiceUnavailable, "This control plane does not lead at the moment. Try again.")
	}
	return &Handler{Config: &s.cfg, store: st}, nil
}

// RegisterContainerInstance is the operation of that name, for agents, which
// register over their own connection. The input has passed its Validate.
func (s *Server) RegisterContainerInstance(ctx context.Context, in *ecs.RegisterContainerInstanceRequest) (*ecs.RegisterContainerInstanceResponse, error) {
	h, err := s.handler()
	if err != nil {
		return nil, err
	}
	return h.registerContainerInstance(ctx, in)
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	operation := "" // as a metric's label: only names that exist
	code := "panic"
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			s.cfg.Logger.Error("handler panicked", "operation", operation, "panic", p, "stack", string(debug.Stack()))
			s.Refuse(w, http.StatusInternalServerError, ecs.Errorf(ecs.CodeServer, "Service Unavailable. Please try again later."))
		}
		s.metrics.answered(operation, code, time.Since(started))
	}()
	name, status, err := target(r)
	if s.known[name] {
		operation = name
	}
	var out []byte
	if err == nil {
		out, err = s.answer(w, r, name)
	}
	if err != nil {
		refusal, mapped := refusal(err)
		if status == 0 {
			status = mapped
		}
		if status == http.StatusInternalServerError {
			s.cfg.Logger.Error("operation failed", "operation", operation, "error", err)
		}
		code = refusal.Code
		s.Refuse(w, status, refusal)
		return
	}
	code = "OK"
	s.write(w, http.StatusOK, out)
}

// target reads which operation is wanted; status is that of the refusal if it
// is not the usual one.
func target(r *http.Request) (name string, status int, err error) {
	if r.URL.Path != "/" && r.URL.Path != "" {
		return "", http.StatusNotFound, ecs.Errorf(ecs.CodeUnknownOperation, "The API is at POST /, not at this path.")
	}
	if r.Method != http.MethodPost {
		return "", http.StatusMethodNotAllowed, ecs.Errorf(ecs.CodeUnknownOperation, "The API is at POST /, not at another method.")
	}
	header := r.Header.Get("X-Amz-Target")
	if strings.HasPrefix(header, plan.TargetPrefix) {
		return header, 0, nil // its operations are known by their whole names
	}
	name, ok := strings.CutPrefix(header, TargetPrefix)
	if !ok || name == "" {
		return "", 0, ecs.Errorf(ecs.CodeUnknownOperation, "The X-Amz-Target header must be %s followed by an operation's name.", TargetPrefix)
	}
	return name, 0, nil
}

// answer runs an operation and returns the body of its answer.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, name string) ([]byte, error) {
	body, err := s.readBody(w, r)
	if err != nil {
		return nil, err
	}
	now := s.cfg.Clock()
	caller, err := s.verifier.Verify(r, body, now)
	if err != nil {
		return nil, err
	}
	if !s.throttle.allow(caller, now) {
		return nil, ecs.Errorf(ecs.CodeThrottling, "Rate exceeded")
	}
	o, ok := s.operations[name]
	switch {
	case !ok && s.known[name]:
		return nil, ecs.Errorf(ecs.CodeUnsupportedFeature, "Longshore does not support the operation %s yet.", name)
	case !ok:
		return nil, ecs.Errorf(ecs.CodeUnknownOperation, "There is no operation of this name.")
	}
	h, err := s.handler()
	if err != nil {
		return nil, err
	}
	out, err := o.call(r.Context(), h, body)
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}

// Refuse answers an error in the form of the API.
func (s *Server) Refuse(w http.ResponseWriter, status int, e *ecs.Error) {
	answer := struct {
		Type        string   `json:"__type"`
		Message     string   `json:"message"`
		ResourceIDs []string `json:"resourceIds,omitempty"`
	}{e.Code, e.Message, e.ResourceIDs}
	body, err := json.Marshal(answer)
	if err != nil {
		panic(err) // strings cannot fail to be written
	}
	w.Header().Set("x-amzn-ErrorType", e.Code)
	if status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", http.MethodPost)
	}
	s.write(w, status, body)
}

func (s *Server) write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Header().Set("x-amzn-RequestId", model.NewUUID())
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil && !errors.Is(err, context.Canceled) {
		s.cfg.Logger.Debug("answer not delivered", "error", err)
	}
}
