package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/longshore/longshore/proto/ecs"
)

// api is a client of the ECS API that costs next to nothing, so that what is
// measured is the server: the clients of a load share the processors with it,
// and an SDK uses more of them for a call than the server does. It does not
// sign; the control planes here do not check callers.
type api struct {
	url  string
	http *http.Client
}

// maxClients is how many calls may be under way at a time, each on a connection
// that is kept.
const maxClients = 64

func newAPI(b testing.TB, address string) *api {
	transport := &http.Transport{MaxIdleConnsPerHost: maxClients, MaxConnsPerHost: maxClients}
	b.Cleanup(transport.CloseIdleConnections)
	return &api{url: "http://" + address + "/", http: &http.Client{Transport: transport}}
}

// post makes one call and returns the answer as it came.
func (a *api) post(ctx context.Context, operation string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-amz-json-1.1")
	request.Header.Set("X-Amz-Target", "AmazonEC2ContainerServiceV20141113."+operation)
	answer, err := a.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", operation, err)
	}
	defer answer.Body.Close()
	out, err := readAnswer(answer)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: reading the answer: %w", operation, err)
	case answer.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s: %s: %s", operation, answer.Status, out)
	}
	return out, nil
}

// readAnswer takes no more memory than the answer has, which the control plane says first.
func readAnswer(answer *http.Response) ([]byte, error) {
	if answer.ContentLength < 0 {
		return io.ReadAll(answer.Body)
	}
	out := make([]byte, answer.ContentLength)
	_, err := io.ReadFull(answer.Body, out)
	return out, err
}

// call makes one call that must succeed.
func call[Out, In any](b testing.TB, a *api, operation string, in In) Out {
	b.Helper()
	answer, err := a.post(b.Context(), operation, encode(b, in))
	if err != nil {
		b.Fatal(err)
	}
	var out Out
	if err := json.Unmarshal(answer, &out); err != nil {
		b.Fatalf("%s: %v", operation, err)
	}
	return out
}

func encode(b testing.TB, in any) []byte {
	b.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		b.Fatal(err)
	}
	return body
}

func (a *api) createCluster(b testing.TB, name string) {
	b.Helper()
	call[ecs.CreateClusterResponse](b, a, "CreateCluster", ecs.CreateClusterRequest{ClusterName: name})
}

func (a *api) register(b testing.TB, family string, c ecs.ContainerDefinition) *ecs.TaskDefinition {
	b.Helper()
	out := call[ecs.RegisterTaskDefinitionResponse](b, a, "RegisterTaskDefinition", ecs.RegisterTaskDefinitionRequest{
		Family: family, ContainerDefinitions: []ecs.ContainerDefinition{c},
	})
	return out.TaskDefinition
}
