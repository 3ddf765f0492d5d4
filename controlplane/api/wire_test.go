package api_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"

	"github.com/longshore/longshore/controlplane/api"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// post sends a body to an operation by hand, for what no SDK would send.
func post(t testing.TB, url, operation, body string) (status int, answer map[string]any) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", api.TargetPrefix+operation)
	return send(t, r)
}

func send(t testing.TB, r *http.Request) (status int, answer map[string]any) {
	t.Helper()
	out, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("status %d with %q: %v", out.StatusCode, body, err)
	}
	if got := out.Header.Get("Content-Type"); got != "application/x-amz-json-1.1" {
		t.Errorf("content type %q", got)
	}
	if out.Header.Get("x-amzn-RequestId") == "" {
		t.Error("no request id")
	}
	return out.StatusCode, answer
}

func TestWire_Bodies(t *testing.T) {
	f := newFixture(t)
	for name, c := range map[string]struct{ body, want string }{
		"empty":                     {"", ""},
		"only space":                {" \n", ""},
		"an empty object":           {"{}", ""},
		"null is absent":            {`{"nextToken":null,"maxResults":null}`, ""},
		"an unknown member":         {`{"fancy":{"a":[1,2]}}`, ""},
		"not JSON":                  {"maxResults=1", ecs.CodeSerialization},
		"broken off":                {`{"maxResults":1`, ecs.CodeSerialization},
		"something behind":          {`{} {}`, ecs.CodeSerialization},
		"garbage behind":            {`{}x`, ecs.CodeSerialization},
		"a list":                    {`[]`, ecs.CodeSerialization},
		"null":                      {`null`, ecs.CodeSerialization},
		"a string for a number":     {`{"maxResults":"1"}`, ecs.CodeSerialization},
		"a fraction for an integer": {`{"maxResults":1.5}`, ecs.CodeSerialization},
		"too large a number":        {`{"maxResults":3000000000}`, ecs.CodeSerialization},
		"a number for a string":     {`{"nextToken":1}`, ecs.CodeSerialization},
		"very deep":                 {`{"x":` + strings.Repeat("[", 200000) + strings.Repeat("]", 200000) + `}`, ecs.CodeSerialization},
		"out of range":              {`{"maxResults":0}`, ecs.CodeInvalidParameter},
		"a made-up token":           {`{"nextToken":"abc"}`, ecs.CodeInvalidParameter},
	} {
		t.Run(name, func(t *testing.T) {
			status, answer := post(t, f.url, "ListClusters", c.body)
			switch {
			case c.want == "" && status != http.StatusOK:
				t.Errorf("got %d %v", status, answer)
			case c.want != "" && (status != http.StatusBadRequest || answer["__type"] != c.want || answer["message"] == ""):
				t.Errorf("got %d %v, want 400 %s", status, answer, c.want)
			}
		})
	}
}

func TestWire_OtherRequestsGetAnErrorInTheFormOfTheAPI(t *testing.T) {
	f := newFixture(t)
	for name, c := range map[string]struct {
		method, path, target string
		status               int
	}{
		"GET":               {"GET", "/", api.TargetPrefix + "ListClusters", http.StatusMethodNotAllowed},
		"another path":      {"POST", "/v2/x", api.TargetPrefix + "ListClusters", http.StatusNotFound},
		"no target":         {"POST", "/", "", http.StatusBadRequest},
		"another service":   {"POST", "/", "DynamoDB_20120810.ListTables", http.StatusBadRequest},
		"no such operation": {"POST", "/", api.TargetPrefix + "LaunchRocket", http.StatusBadRequest},
		"no operation":      {"POST", "/", api.TargetPrefix, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequest(c.method, f.url+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("X-Amz-Target", c.target)
			if status, answer := send(t, r); status != c.status || answer["__type"] != ecs.CodeUnknownOperation {
				t.Errorf("got %d %v, want %d", status, answer, c.status)
			}
		})
	}
}

func TestWire_OperationsThatAreNotThereYetAreRefusedByName(t *testing.T) {
	f := newFixture(t)
	answered := api.Answered()
	for name := range loadModel().Operations {
		status, answer := post(t, f.url, name, "{}")
		switch message, _ := answer["message"].(string); {
		case answered[name]:
			if answer["__type"] == ecs.CodeUnsupportedFeature || answer["__type"] == ecs.CodeUnknownOperation {
				t.Errorf("%s: got %v", name, answer)
			}
		case status != http.StatusBadRequest || answer["__type"] != ecs.CodeUnsupportedFeature || !strings.Contains(message, name):
			t.Errorf("%s: got %d %v", name, status, answer)
		}
	}
}

func TestWire_ABodyThatIsTooLargeIsRefused(t *testing.T) {
	f := newFixture(t)
	r, err := http.NewRequest(http.MethodPost, f.url, bytes.NewReader(make([]byte, 10<<20)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", api.TargetPrefix+"ListClusters")
	if status, answer := send(t, r); status != http.StatusRequestEntityTooLarge || answer["__type"] != ecs.CodeRequestEntityTooLarge {
		t.Errorf("got %d %v", status, answer)
	}
}

func TestWire_HowLargeABodyMayBeIsASetting(t *testing.T) {
	f := newFixture(t)
	server := httptest.NewServer(api.New(api.Config{Owner: owner, Store: func() *store.Store { return f.store }, MaxBody: 20}))
	defer server.Close()
	if status, answer := post(t, server.URL, "ListClusters", `{"maxResults":   10}`); status != http.StatusOK {
		t.Errorf("20 bytes: got %d %v", status, answer)
	}
	status, answer := post(t, server.URL, "ListClusters", `{"maxResults":    10}`)
	if message, _ := answer["message"].(string); status != http.StatusRequestEntityTooLarge || !strings.Contains(message, "20 bytes") {
		t.Errorf("21 bytes: got %d %v", status, answer)
	}
}

func TestWire_ABodyThatDoesNotComeIsGivenUp(t *testing.T) {
	server := httptest.NewServer(api.New(api.Config{Owner: owner, Store: func() *store.Store { return nil }, BodyWait: 50 * time.Millisecond}))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: "+api.TargetPrefix+"ListClusters\r\nContent-Length: 100\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.Contains(string(answer), ecs.CodeSerialization) {
		t.Errorf("got %q, %v", answer, err)
	}
}

func TestWire_WithoutAStoreTheServiceIsUnavailable(t *testing.T) {
	server := httptest.NewServer(api.New(api.Config{Owner: owner, Store: func() *store.Store { return nil }}))
	defer server.Close()
	if status, answer := post(t, server.URL, "ListClusters", "{}"); status != http.StatusServiceUnavailable || answer["__type"] != ecs.CodeServiceUnavailable {
		t.Errorf("got %d %v", status, answer)
	}
}

func TestWire_APanicBecomesAServerException(t *testing.T) {
	server := httptest.NewServer(api.New(api.Config{Owner: owner, Store: func() *store.Store { panic("a bug") }}))
	defer server.Close()
	if status, answer := post(t, server.URL, "ListClusters", "{}"); status != http.StatusInternalServerError || answer["__type"] != ecs.CodeServer {
		t.Errorf("got %d %v", status, answer)
	}
}

func TestWire_KeysDecideWhoIsLetIn(t *testing.T) {
	f := newFixture(t)
	server := httptest.NewServer(api.New(api.Config{Owner: owner, Store: func() *store.Store { return f.store }, Keys: map[string]string{"AKIDEXAMPLE": "secret"}}))
	defer server.Close()
	for name, c := range map[string]struct{ key, secret, want string }{
		"right":         {"AKIDEXAMPLE", "secret", ""},
		"wrong secret":  {"AKIDEXAMPLE", "guess", ecs.CodeInvalidSignature},
		"unknown key":   {"OTHER", "secret", ecs.CodeUnrecognizedClient},
		"unsigned call": {"", "", ecs.CodeMissingAuthenticationToken},
	} {
		t.Run(name, func(t *testing.T) {
			if c.key == "" {
				if status, answer := post(t, server.URL, "ListClusters", "{}"); status != http.StatusBadRequest || answer["__type"] != c.want {
					t.Errorf("got %d %v", status, answer)
				}
				return
			}
			client := awsecs.New(awsecs.Options{
				BaseEndpoint: aws.String(server.URL), Region: owner.Region,
				Credentials: credentials.NewStaticCredentialsProvider(c.key, c.secret, ""),
			})
			_, err := client.ListClusters(t.Context(), &awsecs.ListClustersInput{})
			if c.want != "" {
				wantError(t, err, c.want, "")
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWire_TellsAnEmptyMemberFromOneThatIsNotThere(t *testing.T) {
	f := newFixture(t)
	f.cluster("default")
	for name, c := range map[string]struct{ operation, body, code, message string }{
		"empty":                  {"UpdateService", `{"service":""}`, "InvalidParameterException", "Service cannot be empty."},
		"not there":              {"UpdateService", `{}`, "InvalidParameterException", "1 validation error detected: Value at 'service' failed to satisfy constraint: Member must not be null"},
		"null":                   {"UpdateService", `{"service":null}`, "InvalidParameterException", "1 validation error detected: Value at 'service' failed to satisfy constraint: Member must not be null"},
		"of an enum":             {"UpdateContainerInstancesState", `{"containerInstances":["i"],"status":""}`, "InvalidParameterException", "Status cannot be empty."},
		"further down":           {"PutAttributes", `{"attributes":[{"name":"a"},{"name":""}]}`, "InvalidParameterException", "Attributes.2.member.name cannot be empty."},
		"two":                    {"StopTask", `{"task":"","cluster":""}`, "InvalidParameterException", "Task cannot be empty."},
		"with another violation": {"PutAttributes", `{"attributes":[{"name":""},{"name":"a","targetType":"x"}]}`, "InvalidParameterException", "1 validation error detected: Value 'x' at 'attributes.2.member.targetType' failed to satisfy constraint: Member must satisfy enum value set: [container-instance]"},
		"a list":                 {"DescribeServices", `{"services":[]}`, "InvalidParameterException", "Services cannot be empty."},
		"of a definition":        {"RegisterTaskDefinition", `{"family":"","containerDefinitions":[]}`, "ClientException", "Family cannot be empty."},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(f.ctx, http.MethodPost, f.url, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("X-Amz-Target", "AmazonEC2ContainerServiceV20141113."+c.operation)
			status, answer := send(t, r)
			if status != http.StatusBadRequest || answer["__type"] != c.code || answer["message"] != c.message {
				t.Errorf("%d %v, want %s %q", status, answer, c.code, c.message)
			}
		})
	}
}
