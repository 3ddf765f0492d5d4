package api_test

import (
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"

	"github.com/longshore/longshore/controlplane/api"
	"github.com/longshore/longshore/controlplane/store"
)

// throttled serves the fixture's store at most 2 requests at once and one a
// second; the clock moves only as the test moves it.
func (f *fixture) throttled(keys map[string]string) (callers []*awsecs.Client, pass func(time.Duration)) {
	f.t.Helper()
	var passed atomic.Int64
	began := time.Now()
	server := httptest.NewServer(api.New(api.Config{
		Owner: owner, Store: func() *store.Store { return f.store }, AgentEndpoint: func() string { return "" },
		Keys: keys, Rate: 1, Burst: 2,
		Clock: func() time.Time { return began.Add(time.Duration(passed.Load())) },
	}))
	f.t.Cleanup(server.Close)
	for _, key := range []string{"ANN", "BOB"} {
		callers = append(callers, awsecs.New(awsecs.Options{
			BaseEndpoint: &server.URL, Region: owner.Region, RetryMaxAttempts: 1,
			Credentials: credentials.NewStaticCredentialsProvider(key, "secret", ""),
		}))
	}
	return callers, func(d time.Duration) { passed.Add(int64(d)) }
}

func TestServer_ThrottlesEachCallerByItself(t *testing.T) {
	f := newFixture(t)
	callers, pass := f.throttled(map[string]string{"ANN": "secret", "BOB": "secret"})
	call := func(n int) error {
		_, err := callers[n].ListClusters(f.ctx, &awsecs.ListClustersInput{MaxResults: aws.Int32(1)})
		return err
	}
	for range 2 {
		if err := call(0); err != nil {
			t.Fatal(err)
		}
	}
	wantError(t, call(0), "ThrottlingException", "Rate exceeded")
	if err := call(1); err != nil {
		t.Errorf("another caller: %v", err)
	}
	pass(time.Second)
	if err := call(0); err != nil {
		t.Errorf("a second later: %v", err)
	}
	wantError(t, call(0), "ThrottlingException", "Rate exceeded")
}

func TestServer_ThrottlesCallersTogetherIfItCannotTellThemApart(t *testing.T) {
	f := newFixture(t)
	callers, _ := f.throttled(nil)
	for n := range 2 {
		must(callers[n].ListClusters(f.ctx, &awsecs.ListClustersInput{}))(t)
	}
	_, err := callers[1].ListClusters(f.ctx, &awsecs.ListClustersInput{})
	wantError(t, err, "ThrottlingException", "Rate exceeded")
}
