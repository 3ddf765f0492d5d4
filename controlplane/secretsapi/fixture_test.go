package secretsapi_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/longshore/longshore/controlplane/api"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/secrets"
	"github.com/longshore/longshore/controlplane/secretsapi"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/controlplane/store/embedded"
	"github.com/longshore/longshore/controlplane/store/storetest"
)

var owner = model.Owner{Account: "123456789012", Region: "us-east-1"}

// fixture is the API over HTTP with callers that are checked, called by the AWS SDK.
type fixture struct {
	t     *testing.T
	etcd  *embedded.Server
	store *store.Store
	url   string
	logs  *lockedBuffer

	secrets    *secretsmanager.Client
	parameters *ssm.Client
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func keyring(t *testing.T, text string) *secrets.Keyring {
	t.Helper()
	ring, err := secrets.ParseKeys([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func newFixture(t *testing.T, edit ...func(*secretsapi.Config, *api.Config)) *fixture {
	t.Helper()
	t.Parallel()
	f := &fixture{t: t, etcd: storetest.Etcd(t), logs: &lockedBuffer{}}
	f.store = storetest.On(t, f.etcd, nil)
	cfg := secretsapi.Config{Owner: owner, Keys: keyring(t, string(secrets.NewKeyFile("k1")))}
	server := api.Config{
		Owner: owner, Store: func() *store.Store { return f.store }, Keys: map[string]string{"AKIDEXAMPLE": "secret"},
		Logger: slog.New(slog.NewTextHandler(f.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, e := range edit {
		e(&cfg, &server)
	}
	server.Services = secretsapi.New(cfg)
	h := httptest.NewServer(api.New(server))
	t.Cleanup(h.Close)
	f.url = h.URL
	identity := credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", "")
	f.secrets = secretsmanager.New(secretsmanager.Options{BaseEndpoint: &f.url, Region: owner.Region, Credentials: identity, RetryMaxAttempts: 1})
	f.parameters = ssm.New(ssm.Options{BaseEndpoint: &f.url, Region: owner.Region, Credentials: identity, RetryMaxAttempts: 1})
	return f
}

// must returns what an operation answered.
func must[T any](out T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) || e.ErrorCode() != code {
		t.Errorf("got %v, want %s", err, code)
	}
}

// nowhere checks that etcd and the logs do not have a value.
func (f *fixture) nowhere(value string) {
	f.t.Helper()
	all, err := f.etcd.Client().Get(f.t.Context(), "\x00", clientv3.WithFromKey())
	if err != nil || len(all.Kvs) == 0 {
		f.t.Fatalf("reading all of etcd: %v", err)
	}
	for _, kv := range all.Kvs {
		for _, form := range forms(value) {
			if strings.Contains(string(kv.Value), form) || strings.Contains(string(kv.Key), form) {
				f.t.Errorf("etcd has %q in the clear under %s", value, kv.Key)
			}
		}
	}
	if strings.Contains(f.logs.String(), value) {
		f.t.Errorf("the logs have %q", value)
	}
}

// forms are a value as it is and as JSON writes bytes, wherever in them it begins.
func forms(value string) []string {
	out := []string{value}
	for before := range 3 {
		encoded := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("\x00", before) + value))
		out = append(out, encoded[(before*8+5)/6:len(encoded)-2]) // without what its neighbours have part in
	}
	return out
}

func text(s string) *string { return aws.String(s) }

func day(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }
