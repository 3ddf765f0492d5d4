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
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/longshore/longshore/controlplane/awsjson"
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
	// Services are answered on the same address besides ECS.
	Services []awsjson.Service
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
	services   []service
	operations map[string]operation
	metrics    *metrics
	throttle   *throttle
	buffers    sync.Pool // of *buffers
}

// service is one row of the table of services.
type service struct {
	awsjson.Service
	verifier *sigv4.Verifier
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
		operations: map[string]operation{},
		metrics:    newMetrics(cfg.Registry),
		throttle:   newThrottle(cfg.Rate, cfg.Burst, len(cfg.Keys) > 0),
		buffers:    sync.Pool{New: func() any { return new(buffers) }},
	}
	for _, o := range operations() {
		s.operations[o.name] = o
	}
	for _, row := range append([]awsjson.Service{s.ecs(), s.plans()}, cfg.Services...) {
		verifier := sigv4.New(sigv4.Config{Keys: cfg.Keys, Region: cfg.Owner.Region, Service: row.SigningName})
		s.services = append(s.services, service{row, verifier})
	}
	return s
}

// ecs is the row of ECS itself.
func (s *Server) ecs() awsjson.Service {
	known := map[string]bool{}
	for _, o := range ecs.Operations() {
		known[o.Name] = true
	}
	return awsjson.Service{TargetPrefix: TargetPrefix, SigningName: "ecs", Known: known, Call: s.call}
}

// plans is the row of Longshore's own operations.
func (s *Server) plans() awsjson.Service {
	known := map[string]bool{}
	for _, o := range plans() {
		s.operations[o.name] = o
		known[o.name] = true
	}
	return awsjson.Service{TargetPrefix: plan.TargetPrefix, SigningName: "ecs", Known: known, Call: s.call}
}

// call runs an operation of ECS, or one of the plans.
func (s *Server) call(ctx context.Context, st *store.Store, name string, body []byte) (any, error) {
	o, ok := s.operations[name]
	if !ok {
		return nil, ecs.Errorf(ecs.CodeUnsupportedFeature, "Longshore does not support the operation %s yet.", name)
	}
	return o.call(ctx, &Handler{Config: &s.cfg, store: st}, body)
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
	use := s.buffers.Get().(*buffers)
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			s.cfg.Logger.Error("handler panicked", "operation", operation, "panic", p, "stack", string(debug.Stack()))
			s.Refuse(w, http.StatusInternalServerError, ecs.Errorf(ecs.CodeServer, "Service Unavailable. Please try again later."))
		}
		s.metrics.answered(operation, code, time.Since(started))
		s.putBack(use)
	}()
	to, name, status, err := s.target(r)
	if err == nil {
		var request *request
		if request, err = s.read(w, r, use, to, name); err == nil {
			operation = request.label()
			err = s.answer(w, request)
		}
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
		s.refuse(w, to, status, refusal)
		return
	}
	code = "OK"
}

// target reads which operation of which service is wanted; status is that of
// the refusal if it is not the usual one.
func (s *Server) target(r *http.Request) (to *service, name string, status int, err error) {
	if r.URL.Path != "/" && r.URL.Path != "" {
		return nil, "", http.StatusNotFound, ecs.Errorf(ecs.CodeUnknownOperation, "The API is at POST /, not at this path.")
	}
	if r.Method != http.MethodPost {
		return nil, "", http.StatusMethodNotAllowed, ecs.Errorf(ecs.CodeUnknownOperation, "The API is at POST /, not at another method.")
	}
	header := r.Header.Get("X-Amz-Target")
	for i := range s.services {
		to := &s.services[i]
		if name, ok := strings.CutPrefix(header, to.TargetPrefix); ok && name != "" && to.Form == nil {
			return to, name, 0, nil
		}
		if to.Form != nil && header == "" && isForm(r) {
			return to, "", 0, nil // the body says which
		}
	}
	return nil, "", 0, ecs.Errorf(ecs.CodeUnknownOperation, "The X-Amz-Target header must be %s followed by an operation's name.", TargetPrefix)
}

// request is a request whose body was read.
type request struct {
	*http.Request
	to   *service
	name string // of the operation
	body []byte // gone once the request is answered
	use  *buffers
}

// read reads the body of a request, and from it the operation's name if it stands there.
func (s *Server) read(w http.ResponseWriter, r *http.Request, use *buffers, to *service, name string) (*request, error) {
	body, err := s.readBody(w, r, &use.body)
	if err != nil {
		return nil, err
	}
	if to.Form != nil {
		name = actionOf(body)
	}
	return &request{r, to, name, body, use}, nil
}

// label names the operation in metrics; empty if there is none of that name.
func (r *request) label() string {
	if !r.to.Known[r.name] {
		return ""
	}
	return r.to.Label + r.name
}

// answer runs an operation and writes its answer.
func (s *Server) answer(w http.ResponseWriter, r *request) error {
	now := s.cfg.Clock()
	caller, err := r.to.verifier.Verify(r.Request, r.body, now)
	if err != nil {
		return err
	}
	if !s.throttle.allow(caller, now) {
		return ecs.Errorf(ecs.CodeThrottling, "Rate exceeded")
	}
	switch {
	case r.to.Known[r.name]:
	case r.to.Label == "":
		return ecs.Errorf(ecs.CodeUnknownOperation, "There is no operation of this name.")
	default: // of which only a part is known by name
		return ecs.Errorf(ecs.CodeUnknownOperation, "Longshore does not support the operation %s of %s.", clip(r.name), r.to.SigningName)
	}
	h, err := s.handler()
	if err != nil {
		return err
	}
	out, err := r.to.Call(r.Context(), h.store, r.name, r.body)
	if err != nil {
		return err
	}
	if r.to.Form != nil {
		return s.answerForm(w, r.to, r.name, out)
	}
	answer, err := encode(r.use.answer[:0], out)
	if err != nil {
		return err
	}
	r.use.answer = answer
	s.write(w, http.StatusOK, answer)
	return nil
}

// encode appends an answer, or a part of a request, as JSON.
func encode(b []byte, out any) ([]byte, error) {
	if known, ok := out.(ecs.Structure); ok {
		return ecs.AppendJSON(b, known)
	}
	answer, err := json.Marshal(out)
	return append(b, answer...), err
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
	s.send(w, status, contentType, model.NewUUID(), body)
}

func (s *Server) send(w http.ResponseWriter, status int, kind, id string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Header().Set("x-amzn-RequestId", id)
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil && !errors.Is(err, context.Canceled) {
		s.cfg.Logger.Debug("answer not delivered", "error", err)
	}
}
