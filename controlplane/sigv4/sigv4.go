package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/longshore/longshore/proto/ecs"
)

// MaxSkew is how far a signature's time may be from the server's.
const MaxSkew = 15 * time.Minute

// Config says which callers there are.
type Config struct {
	// Keys maps access key ids to secrets. Without any, callers are not checked.
	Keys map[string]string
	// Region and Service must be those of a signature's scope.
	Region, Service string
}

// Caller is who signed a request.
type Caller struct {
	AccessKeyID string // empty if the request was not signed
}

// Verifier checks requests. It is safe for concurrent use.
type Verifier struct{ cfg Config }

// New makes a verifier.
func New(cfg Config) *Verifier { return &Verifier{cfg} }

// Verify returns who sent the request with the body, or an *ecs.Error that says
// what is wrong with its signature.
func (v *Verifier) Verify(r *http.Request, body []byte, now time.Time) (Caller, error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		if len(v.cfg.Keys) == 0 {
			return Caller{}, nil
		}
		return Caller{}, ecs.Errorf(ecs.CodeMissingAuthenticationToken, "Request is missing Authentication Token")
	}
	a, err := parseAuthorization(header)
	if err != nil {
		return Caller{}, err
	}
	caller := Caller{AccessKeyID: a.accessKey}
	if len(v.cfg.Keys) == 0 {
		return caller, nil
	}
	secret, known := v.cfg.Keys[a.accessKey]
	if !known {
		return Caller{}, ecs.Errorf(ecs.CodeUnrecognizedClient, "The security token included in the request is invalid.")
	}
	if err := v.checkScope(a, r, now); err != nil {
		return Caller{}, err
	}
	want := sign(secret, a, r, body)
	if !hmac.Equal([]byte(want), []byte(a.signature)) {
		return Caller{}, invalid("The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.")
	}
	return caller, nil
}

func invalid(format string, args ...any) error {
	return ecs.Errorf(ecs.CodeInvalidSignature, format, args...)
}

// checkScope checks everything about a signature but the signature itself.
func (v *Verifier) checkScope(a *authorization, r *http.Request, now time.Time) error {
	if a.region != v.cfg.Region || a.service != v.cfg.Service {
		return invalid("Credential should be scoped to region '%s' and service '%s', not '%s' and '%s'.",
			v.cfg.Region, v.cfg.Service, clip(a.region), clip(a.service))
	}
	at, err := time.Parse(timeFormat, r.Header.Get("X-Amz-Date"))
	if err != nil {
		return incomplete("Authorization header requires existence of an 'X-Amz-Date' header of the form YYYYMMDD'T'HHMMSS'Z'.")
	}
	if at.Format(dateFormat) != a.date {
		return invalid("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s'.", a.date, at.Format(dateFormat))
	}
	if at.Before(now.Add(-MaxSkew)) {
		return invalid("Signature expired: %s is now earlier than %s (%s - 15 min.)", at.Format(timeFormat), now.UTC().Add(-MaxSkew).Format(timeFormat), now.UTC().Format(timeFormat))
	}
	if at.After(now.Add(MaxSkew)) {
		return invalid("Signature not yet current: %s is still later than %s (%s + 15 min.)", at.Format(timeFormat), now.UTC().Add(MaxSkew).Format(timeFormat), now.UTC().Format(timeFormat))
	}
	// What decides about the request must be covered, or it could be replayed as another one.
	for _, name := range []string{"host", "x-amz-date", "x-amz-target"} {
		if _, covered := slices.BinarySearch(a.signed, name); !covered && (name != "x-amz-target" || r.Header.Get(name) != "") {
			return invalid("'%s' must be a signed header.", name)
		}
	}
	return nil
}

// sign computes the signature that the request should carry.
func sign(secret string, a *authorization, r *http.Request, body []byte) string {
	digest := sha256.Sum256([]byte(canonicalRequest(a, r, body)))
	text := strings.Join([]string{algorithm, r.Header.Get("X-Amz-Date"), a.scope(), hex.EncodeToString(digest[:])}, "\n")
	key := []byte("AWS4" + secret)
	for _, part := range []string{a.date, a.region, a.service, terminator} {
		key = mac(key, part)
	}
	return hex.EncodeToString(mac(key, text))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// canonicalRequest is the form of the request that both ends sign. The hash is
// that of the body which came, whatever the sender says of it.
func canonicalRequest(a *authorization, r *http.Request, body []byte) string {
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	var headers strings.Builder
	for _, name := range a.signed {
		headers.WriteString(name + ":" + headerValue(r, name) + "\n")
	}
	payload := sha256.Sum256(body)
	return strings.Join([]string{
		r.Method, path, canonicalQuery(r), headers.String(), strings.Join(a.signed, ";"), hex.EncodeToString(payload[:]),
	}, "\n")
}

// headerValue is a header as it is signed: values joined, runs of spaces made
// one. net/http keeps two headers outside of its map.
func headerValue(r *http.Request, name string) string {
	switch name {
	case "host":
		return r.Host
	case "content-length":
		return strconv.FormatInt(r.ContentLength, 10)
	}
	values := r.Header.Values(name)
	folded := make([]string, len(values))
	for i, v := range values {
		folded[i] = strings.Join(strings.Fields(v), " ")
	}
	return strings.Join(folded, ",")
}

// canonicalQuery sorts and escapes the query as the signature asks for.
func canonicalQuery(r *http.Request) string {
	// Encode sorts by key; AWS wants a space as %20.
	return strings.ReplaceAll(r.URL.Query().Encode(), "+", "%20")
}
