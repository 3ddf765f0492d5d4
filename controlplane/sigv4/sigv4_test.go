package sigv4_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"pgregory.net/rapid"

	"github.com/longshore/longshore/controlplane/sigv4"
	"github.com/longshore/longshore/proto/ecs"
)

const (
	keyID  = "AKIDEXAMPLE"
	secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func verifier(keys map[string]string) *sigv4.Verifier {
	return sigv4.New(sigv4.Config{Keys: keys, Region: "us-east-1", Service: "ecs"})
}

// signed makes a request that the SDK's own signer signed.
func signed(t testing.TB, body string, at time.Time, change func(*http.Request)) *http.Request {
	t.Helper()
	r := httptest.NewRequest("POST", "http://127.0.0.1:7470/", strings.NewReader(body))
	r.Header.Set("X-Amz-Target", "AmazonEC2ContainerServiceV20141113.ListClusters")
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	if change != nil {
		change(r)
	}
	sum := sha256.Sum256([]byte(body))
	err := v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret},
		r, hex.EncodeToString(sum[:]), "ecs", "us-east-1", at)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestVerify_AcceptsWhatTheSDKSigns(t *testing.T) {
	v := verifier(map[string]string{keyID: secret})
	for name, change := range map[string]func(*http.Request){
		"plain":          nil,
		"query":          func(r *http.Request) { r.URL.RawQuery = "b=2&a=x%20y&a=1" },
		"spaces":         func(r *http.Request) { r.Header.Set("X-Custom", "  a   b ") },
		"several values": func(r *http.Request) { r.Header["X-Many"] = []string{"one", "two"} },
	} {
		t.Run(name, func(t *testing.T) {
			caller, err := v.Verify(signed(t, `{"maxResults":1}`, noon, change), []byte(`{"maxResults":1}`), noon.Add(time.Minute))
			if err != nil || caller.AccessKeyID != keyID {
				t.Fatalf("got %+v, %v", caller, err)
			}
		})
	}
}

func TestVerify_RefusesWithKeys(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*http.Request)
		body   string
		now    time.Time
		keys   map[string]string
		want   string
	}{
		"no signature":    {change: func(r *http.Request) { r.Header.Del("Authorization") }, want: ecs.CodeMissingAuthenticationToken},
		"other algorithm": {change: func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, want: ecs.CodeIncompleteSignature},
		"no date":         {change: func(r *http.Request) { r.Header.Del("X-Amz-Date") }, want: ecs.CodeIncompleteSignature},
		"unknown key":     {keys: map[string]string{"OTHER": secret}, want: ecs.CodeUnrecognizedClient},
		"wrong secret":    {keys: map[string]string{keyID: "other"}, want: ecs.CodeInvalidSignature},
		"changed body":    {body: `{"maxResults":2}`, want: ecs.CodeInvalidSignature},
		"changed target": {change: func(r *http.Request) {
			r.Header.Set("X-Amz-Target", "AmazonEC2ContainerServiceV20141113.DeleteCluster")
		}, want: ecs.CodeInvalidSignature},
		"changed host":       {change: func(r *http.Request) { r.Host = "elsewhere:1" }, want: ecs.CodeInvalidSignature},
		"too old":            {now: noon.Add(16 * time.Minute), want: ecs.CodeInvalidSignature},
		"too new":            {now: noon.Add(-16 * time.Minute), want: ecs.CodeInvalidSignature},
		"date of other day":  {change: func(r *http.Request) { r.Header.Set("X-Amz-Date", "20260228T120000Z") }, want: ecs.CodeInvalidSignature},
		"target not covered": {change: func(r *http.Request) { uncover(r, ";x-amz-target") }, want: ecs.CodeInvalidSignature},
		"host not covered":   {change: func(r *http.Request) { uncover(r, "host;") }, want: ecs.CodeInvalidSignature},
		"other region":       {change: func(r *http.Request) { replace(r, "us-east-1", "eu-west-1") }, want: ecs.CodeInvalidSignature},
	} {
		t.Run(name, func(t *testing.T) {
			body := `{"maxResults":1}`
			r := signed(t, body, noon, nil)
			if c.change != nil {
				c.change(r)
			}
			if c.body != "" {
				body = c.body
			}
			now, keys := noon, map[string]string{keyID: secret}
			if !c.now.IsZero() {
				now = c.now
			}
			if c.keys != nil {
				keys = c.keys
			}
			wantCode(t, verify(verifier(keys), r, body, now), c.want)
		})
	}
}

func replace(r *http.Request, old, with string) {
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, with, 1))
}

func uncover(r *http.Request, name string) { replace(r, name, "") }

func verify(v *sigv4.Verifier, r *http.Request, body string, now time.Time) error {
	_, err := v.Verify(r, []byte(body), now)
	return err
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var e *ecs.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("got %v, want %s", err, code)
	}
}

func TestVerify_WithoutKeysLetsEverybodyIn(t *testing.T) {
	v := verifier(nil)
	if err := verify(v, httptest.NewRequest("POST", "/", nil), "", noon); err != nil {
		t.Errorf("unsigned: %v", err)
	}
	if err := verify(v, signed(t, "{}", noon.AddDate(-1, 0, 0), nil), "{}", noon); err != nil {
		t.Errorf("signed long ago with an unknown key: %v", err)
	}
}

func TestVerify_MalformedAuthorizationIsIncomplete(t *testing.T) {
	const good = "AWS4-HMAC-SHA256 Credential=K/20260301/us-east-1/ecs/aws4_request, SignedHeaders=host;x-amz-date, Signature=00"
	for _, keys := range []map[string]string{nil, {keyID: secret}} {
		for name, header := range map[string]string{
			"another scheme":   "Basic dXNlcjpwYXNz",
			"nothing behind":   "AWS4-HMAC-SHA256",
			"short credential": strings.Replace(good, "/ecs/aws4_request", "", 1),
			"no date":          strings.Replace(good, "20260301", "today", 1),
			"no signature":     strings.Replace(good, ", Signature=00", "", 1),
			"no headers":       strings.Replace(good, "host;x-amz-date", "", 1),
			"unsorted headers": strings.Replace(good, "host;x-amz-date", "x-amz-date;host", 1),
			"unknown part":     good + ", Other=1",
		} {
			t.Run(name, func(t *testing.T) {
				r := httptest.NewRequest("POST", "/", nil)
				r.Header.Set("Authorization", header)
				wantCode(t, verify(verifier(keys), r, "", noon), ecs.CodeIncompleteSignature)
			})
		}
	}
}

// The signature covers every byte: whatever single thing is changed, it fails.
func TestVerify_AnyChangeOfTheSignatureFails(t *testing.T) {
	v := verifier(map[string]string{keyID: secret})
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.SliceOfN(rapid.Byte(), 1, 64).Draw(t, "body")
		sum := sha256.Sum256(body)
		r := httptest.NewRequest("POST", "http://h/", bytes.NewReader(body))
		r.Header.Set("X-Amz-Target", "T.Op")
		if err := v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}, r, hex.EncodeToString(sum[:]), "ecs", "us-east-1", noon); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(r, body, noon); err != nil {
			t.Fatalf("unchanged: %v", err)
		}
		at := rapid.IntRange(0, len(body)-1).Draw(t, "at")
		body[at] ^= rapid.ByteRange(1, 255).Draw(t, "flip")
		if _, err := v.Verify(r, body, noon); err == nil {
			t.Fatal("a changed body was accepted")
		}
	})
}

func TestVerify_AcceptsTheRealClient(t *testing.T) {
	for name, c := range map[string]struct{ secret, want string }{
		"right": {secret, ""}, "wrong": {"guess", ecs.CodeInvalidSignature},
	} {
		t.Run(name, func(t *testing.T) {
			v := verifier(map[string]string{keyID: secret})
			var got error
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				_, got = v.Verify(r, body, time.Now())
				w.Header().Set("Content-Type", "application/x-amz-json-1.1")
				io.WriteString(w, "{}")
			}))
			defer server.Close()
			client := awsecs.New(awsecs.Options{
				BaseEndpoint: aws.String(server.URL), Region: "us-east-1",
				Credentials: credentials.NewStaticCredentialsProvider(keyID, c.secret, ""),
			})
			if _, err := client.ListClusters(context.Background(), &awsecs.ListClustersInput{}); err != nil {
				t.Fatal(err)
			}
			if c.want == "" && got != nil {
				t.Fatal(got)
			}
			if c.want != "" {
				wantCode(t, got, c.want)
			}
		})
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260301/us-east-1/ecs/aws4_request, SignedHeaders=host;x-amz-date, Signature=00", "20260301T120000Z")
	f.Add("AWS4-HMAC-SHA256 ,,,=", "")
	v := verifier(map[string]string{keyID: secret})
	f.Fuzz(func(t *testing.T, authorization, date string) {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("Authorization", authorization)
		r.Header.Set("X-Amz-Date", date)
		var e *ecs.Error
		if _, err := v.Verify(r, nil, noon); !errors.As(err, &e) {
			t.Fatalf("a made-up signature gave %v", err)
		}
	})
}
