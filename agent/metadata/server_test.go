package metadata

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/runtime"
	agentv1 "github.com/longshore/longshore/proto/agent/v1"
	"github.com/longshore/longshore/proto/ecs"
)

const (
	taskARN = "arn:aws:ecs:us-east-1:000000000000:task/default/0123456789abcdef0123456789abcdef"
	roleARN = "arn:aws:iam::000000000000:role/reader"
)

var epoch = time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)

// plane answers as the test says.
type plane struct {
	update     *agentv1.ProtectionUpdate
	protection *agentv1.TaskProtectionResponse
	err        error
}

func (p *plane) TaskProtection(_ context.Context, _ string, update *agentv1.ProtectionUpdate) (*agentv1.TaskProtectionResponse, error) {
	p.update = update
	return p.protection, p.err
}

func (p *plane) TaskTags(context.Context, string) (*agentv1.TaskTagsResponse, error) {
	if p.err != nil {
		return nil, p.err
	}
	return &agentv1.TaskTagsResponse{Task: []*agentv1.Tag{{Key: "k", Value: "v"}}}, nil
}

// closed is a server at no address.
func closed(t *testing.T, edit ...func(*Config)) *Server {
	t.Helper()
	c := Config{
		DataDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler), ControlPlane: &plane{},
		Lookup: func(context.Context, string, int) (Task, error) { return someTask(t), nil },
		Stats:  func(context.Context, string) ([]byte, error) { return nil, errors.New("no statistics") },
	}
	for _, e := range edit {
		e(&c)
	}
	k, err := openKey(c.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Config: c, key: k, door: &door{base: "http://169.254.170.2"}, stats: sampler{fetch: c.Stats, last: map[string]sample{}}}
	s.names.init()
	return s
}

func ptr[T any](v T) *T { return &v }

// someTask has one container that runs on a bridge.
func someTask(t *testing.T) Task {
	t.Helper()
	d := &ecs.TaskDefinition{
		Family: "web", Revision: 7, TaskRoleArn: roleARN, Cpu: "256", Memory: "512",
		Volumes: []ecs.Volume{{Name: "data", Host: &ecs.HostVolumeProperties{SourcePath: "/srv"}}},
		ContainerDefinitions: []ecs.ContainerDefinition{{
			Name: "main", Image: "web:1", Cpu: 10, Memory: ptr(int32(128)), DockerLabels: map[string]string{"own": "label"},
			PortMappings: []ecs.PortMapping{{ContainerPort: ptr(int32(80))}},
			MountPoints:  []ecs.MountPoint{{SourceVolume: "data", ContainerPath: "/data"}},
			HealthCheck:  &ecs.HealthCheck{Command: []string{"CMD", "true"}},
		}},
	}
	spec, err := lifecycle.Compile(lifecycle.Input{
		ARN: taskARN, Cluster: "default", Instance: "i", Definition: d,
		Host: lifecycle.Host{GroupParent: func(name string) string { return "/" + name }},
	})
	if err != nil {
		t.Fatal(err)
	}
	running := runtime.Container{
		ID: "c0ffee", Name: spec.Units[0].Spec.Name, ImageID: "sha256:1", Labels: spec.Units[0].Spec.Labels, State: runtime.Running,
		CreatedAt: epoch, StartedAt: epoch.Add(time.Second), Health: "healthy", IPAddress: "172.17.0.2",
		Ports: []runtime.PortBinding{{BindIP: "0.0.0.0", ContainerPort: 80, HostPort: 32768, Protocol: "tcp"}},
	}
	state := lifecycle.NewState(spec, lifecycle.Running, []runtime.Container{running}, epoch)
	state.PullStartedAt, state.PullStoppedAt = epoch.Add(-2*time.Second), epoch.Add(-time.Second)
	return Task{Spec: spec, State: state, Facts: Facts{
		Cluster: "default", Group: "service:site", LaunchType: "EC2", AvailabilityZone: "local-1a", Definition: d,
		ContainerARNs: []string{"arn:aws:ecs:us-east-1:000000000000:container/default/0123/abc"},
	}}
}

// path takes the part of a URI after the host.
func path(uri string) string { return strings.TrimPrefix(uri, "http://169.254.170.2") }

func ask(s *Server, method, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.handler().ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w
}

func decode(t *testing.T, w *httptest.ResponseRecorder, status int) map[string]any {
	t.Helper()
	var out map[string]any
	if w.Code != status {
		t.Fatalf("answer %d, want %d: %s", w.Code, status, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	return out
}

func TestContainer_HasECSsShape(t *testing.T) {
	s := closed(t)
	env := s.Equip(taskARN, []string{"main"}, "")[0]
	labels := `"Labels":{"com.amazonaws.ecs.cluster":"default","com.amazonaws.ecs.container-name":"main","com.amazonaws.ecs.task-arn":"` + taskARN + `",` +
		`"com.amazonaws.ecs.task-definition-family":"web","com.amazonaws.ecs.task-definition-version":"7","longshore.instance":"i","own":"label"}`
	third := `{"DockerId":"c0ffee","Name":"main","DockerName":"` + someTask(t).Spec.Units[0].Spec.Name + `","Image":"web:1","ImageID":"sha256:1",` +
		`"Ports":[{"ContainerPort":80,"Protocol":"tcp","HostPort":32768,"HostIp":"0.0.0.0"}],` + labels + `,"DesiredStatus":"RUNNING","KnownStatus":"RUNNING",` +
		`"Limits":{"CPU":10,"Memory":128},"CreatedAt":"2020-01-02T03:04:05Z","StartedAt":"2020-01-02T03:04:06Z","Type":"NORMAL","Health":{"status":"HEALTHY"},` +
		`"Volumes":[{"Source":"/srv","Destination":"/data"}],`
	networks := `"Networks":[{"NetworkMode":"bridge","IPv4Addresses":["172.17.0.2"]}]}`
	for uri, want := range map[string]string{
		env["ECS_CONTAINER_METADATA_URI"]:          third + networks,
		env["ECS_CONTAINER_METADATA_URI_V4"]:       third + `"ContainerARN":"arn:aws:ecs:us-east-1:000000000000:container/default/0123/abc",` + networks,
		env["ECS_CONTAINER_METADATA_URI_V4"] + "/": third + `"ContainerARN":"arn:aws:ecs:us-east-1:000000000000:container/default/0123/abc",` + networks,
	} {
		if w := ask(s, "GET", path(uri), ""); w.Code != 200 || w.Body.String() != want {
			t.Errorf("%s: %d\n%s\nwant\n%s", uri, w.Code, w.Body, want)
		}
	}
}

func TestTask_HasECSsShape(t *testing.T) {
	s := closed(t)
	env := s.Equip(taskARN, []string{"main"}, "")[0]
	task := decode(t, ask(s, "GET", path(env["ECS_CONTAINER_METADATA_URI_V4"])+"/task", ""), 200)
	containers := task["Containers"].([]any)
	delete(task, "Containers")
	got, _ := json.Marshal(task)
	want := `{"AvailabilityZone":"local-1a","Cluster":"default","DesiredStatus":"RUNNING","Family":"web","KnownStatus":"RUNNING","LaunchType":"EC2",` +
		`"Limits":{"CPU":0.25,"Memory":512},"PullStartedAt":"2020-01-02T03:04:03Z","PullStoppedAt":"2020-01-02T03:04:04Z","Revision":"7","ServiceName":"site","TaskARN":"` + taskARN + `"}`
	if string(got) != want || len(containers) != 1 {
		t.Errorf("task\n%s\nwant\n%s", got, want)
	}
	third := decode(t, ask(s, "GET", path(env["ECS_CONTAINER_METADATA_URI"])+"/task", ""), 200)
	for _, name := range []string{"LaunchType", "ServiceName"} {
		if _, ok := third[name]; ok {
			t.Errorf("version 3 has %s", name)
		}
	}
	tagged := decode(t, ask(s, "GET", path(env["ECS_CONTAINER_METADATA_URI"])+"/taskWithTags", ""), 200)
	if tags := tagged["TaskTags"].(map[string]any); tags["k"] != "v" {
		t.Errorf("tags %v", tags)
	}
}

func TestTask_WithTagsThatCanNotBeHadIsAnsweredAllTheSame(t *testing.T) {
	s := closed(t, func(c *Config) { c.ControlPlane = &plane{err: errors.New("nobody leads")} })
	env := s.Equip(taskARN, []string{"main"}, "")[0]
	task := decode(t, ask(s, "GET", path(env["ECS_CONTAINER_METADATA_URI_V4"])+"/taskWithTags", ""), 200)
	if task["TaskARN"] != taskARN || len(task["Errors"].([]any)) != 1 {
		t.Errorf("task %v", task)
	}
}

func TestTask_StatusesAreTheECSAgentsWords(t *testing.T) {
	task := someTask(t)
	view := func() taskView { return version{4}.taskView(task) }
	for _, step := range []struct {
		phase                            lifecycle.Phase
		status                           lifecycle.Status
		stop                             bool
		wantDesired, wantTask, wantKnown string
	}{
		{lifecycle.Absent, lifecycle.Pending, false, "RUNNING", "NONE", "NONE"},
		{lifecycle.Ready, lifecycle.Pending, false, "RUNNING", "NONE", "PULLED"},
		{lifecycle.Created, lifecycle.Pending, false, "RUNNING", "CREATED", "CREATED"},
		{lifecycle.Started, lifecycle.Running, false, "RUNNING", "RUNNING", "RUNNING"},
		{lifecycle.Started, lifecycle.Running, true, "STOPPED", "RUNNING", "RUNNING"},
		{lifecycle.Started, lifecycle.Stopping, false, "STOPPED", "RUNNING", "RUNNING"},
		{lifecycle.Ended, lifecycle.Stopped, false, "STOPPED", "STOPPED", "STOPPED"},
	} {
		task.State.Containers[0].Phase, task.State.Status, task.Spec.Stop = step.phase, step.status, step.stop
		if v := view(); v.DesiredStatus != step.wantDesired || v.KnownStatus != step.wantTask || v.Containers[0].KnownStatus != step.wantKnown {
			t.Errorf("%+v: desired %s, known %s, container %s", step, v.DesiredStatus, v.KnownStatus, v.Containers[0].KnownStatus)
		}
	}
}

func TestIDs_AreTheSameAfterARestartAndOthersForAnotherAgent(t *testing.T) {
	first := closed(t)
	again := closed(t, func(c *Config) { c.DataDir = first.DataDir })
	other := closed(t)
	uri := func(s *Server) string {
		return s.Equip(taskARN, []string{"main"}, "")[0]["ECS_CONTAINER_METADATA_URI_V4"]
	}
	if uri(first) != uri(again) {
		t.Error("a restart changes the ids")
	}
	if uri(first) == uri(other) {
		t.Error("two agents have the same ids")
	}
	both := first.Equip(taskARN, []string{"a", "b"}, "")
	if both[0]["ECS_AGENT_URI"] == both[1]["ECS_AGENT_URI"] {
		t.Error("two containers have the same id")
	}
}

func TestUnknownIDs_AreRefusedAsECSDoes(t *testing.T) {
	s := closed(t)
	env := s.Equip(taskARN, []string{"main"}, roleARN)[0]
	container := path(env["ECS_CONTAINER_METADATA_URI_V4"])
	credentials := env["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]
	for _, path := range []string{"/v4/x", "/v3/x/task", "/v2/credentials/x", "/api/x/task-protection/v1/state"} {
		if w := ask(s, "GET", path, ""); w.Code != 503 {
			t.Errorf("%s before the tasks are known: %d %s", path, w.Code, w.Body)
		}
	}
	s.Complete()
	for _, want := range []struct {
		path   string
		status int
	}{
		{"/v4/x", 404}, {"/v4/x/stats", 404}, {"/v3/x/task", 400}, {"/v2/credentials/x", 400}, {"/v2/credentials/", 400},
		{"/api/x/task-protection/v1/state", 404}, {"/v5/x", 404}, {"/", 404},
		{"/v4/" + credentials[len("/v2/credentials/"):], 404}, // an id of credentials is of no container
		{"/v2/credentials/" + container[len("/v4/"):], 400},
	} {
		if w := ask(s, "GET", want.path, ""); w.Code != want.status {
			t.Errorf("%s: %d %s, want %d", want.path, w.Code, w.Body, want.status)
		}
	}
	refused := decode(t, ask(s, "GET", "/v2/credentials/x", ""), 400)
	if refused["code"] != "InvalidIdInRequest" || refused["message"] != "CredentialsV2Request: Credentials not found" || refused["HTTPErrorCode"] != 400.0 {
		t.Errorf("refusal %v", refused)
	}
	s.Forget(taskARN)
	if w := ask(s, "GET", container, ""); w.Code != 404 {
		t.Errorf("a task that is gone is answered: %d", w.Code)
	}
}

func TestRoles_AreGivenAtTheAddressThatSDKsAskOnly(t *testing.T) {
	s := closed(t, func(c *Config) { c.Roles = &Roles{} })
	if !s.GivesRoles() {
		t.Error("no roles at " + s.Base())
	}
	s.door = &door{base: "http://172.17.0.1:4000"}
	if s.GivesRoles() {
		t.Error("roles at " + s.Base())
	}
	if closed(t).GivesRoles() {
		t.Error("roles although none are configured")
	}
}

func TestRate_IsEachTasksOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := closed(t)
		one := path(s.Equip(taskARN, []string{"main"}, "")[0]["ECS_CONTAINER_METADATA_URI_V4"])
		two := path(s.Equip(taskARN+"2", []string{"main"}, "")[0]["ECS_CONTAINER_METADATA_URI_V4"])
		count := func() (answered int) {
			for range 100 {
				if ask(s, "GET", one, "").Code == 200 {
					answered++
				}
			}
			return answered
		}
		if n := count(); n != burst {
			t.Errorf("%d requests at once are answered, want %d", n, burst)
		}
		if w := ask(s, "GET", one, ""); w.Code != 429 {
			t.Errorf("answer %d beyond the rate", w.Code)
		}
		if w := ask(s, "GET", two, ""); w.Code != 200 {
			t.Errorf("another task is answered %d", w.Code)
		}
		time.Sleep(time.Second)
		if n := count(); n != steadyRate {
			t.Errorf("%d requests are answered in a second, want %d", n, steadyRate)
		}
	})
}

func TestProtection_AnswersOneOfThreeShapes(t *testing.T) {
	p := &plane{}
	s := closed(t, func(c *Config) { c.ControlPlane = p })
	uri := path(s.Equip(taskARN, []string{"main"}, "")[0]["ECS_AGENT_URI"]) + "/task-protection/v1/state"
	answer := func(r ecs.GetTaskProtectionResponse) *agentv1.TaskProtectionResponse {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return &agentv1.TaskProtectionResponse{Output: b}
	}
	protected := answer(ecs.GetTaskProtectionResponse{ProtectedTasks: []ecs.ProtectedTask{{TaskArn: "a", ProtectionEnabled: true, ExpirationDate: ecs.At(epoch)}}})
	for name, want := range map[string]struct {
		method, body string
		plane        plane
		status       int
		answer       string
	}{
		"read":      {"GET", "", plane{protection: protected}, 200, `{"protection":{"ExpirationDate":"2020-01-02T03:04:05Z","ProtectionEnabled":true,"TaskArn":"a"}}`},
		"off":       {"GET", "", plane{protection: answer(ecs.GetTaskProtectionResponse{ProtectedTasks: []ecs.ProtectedTask{{TaskArn: "a"}}})}, 200, `{"protection":{"ExpirationDate":null,"ProtectionEnabled":false,"TaskArn":"a"}}`},
		"put":       {"PUT", `{"ProtectionEnabled":true,"ExpiresInMinutes":7}`, plane{protection: protected}, 200, `{"protection":{"ExpirationDate":"2020-01-02T03:04:05Z","ProtectionEnabled":true,"TaskArn":"a"}}`},
		"failure":   {"PUT", `{"ProtectionEnabled":true}`, plane{protection: answer(ecs.GetTaskProtectionResponse{Failures: []ecs.Failure{{Arn: "a", Reason: "TASK_NOT_VALID"}}})}, 200, `{"failure":{"Arn":"a","Detail":null,"Reason":"TASK_NOT_VALID"}}`},
		"refused":   {"PUT", `{"ProtectionEnabled":true,"ExpiresInMinutes":0}`, plane{protection: &agentv1.TaskProtectionResponse{ErrorCode: "InvalidParameterException", ErrorMessage: "why"}}, 400, `{"error":{"Arn":"` + taskARN + `","Code":"InvalidParameterException","Message":"why"}}`},
		"no field":  {"PUT", `{}`, plane{}, 400, `{"error":{"Arn":"` + taskARN + `","Code":"InvalidParameterException","Message":"Invalid request: does not contain 'ProtectionEnabled' field"}}`},
		"no body":   {"PUT", ``, plane{}, 400, `{"error":{"Arn":"` + taskARN + `","Code":"InvalidParameterException","Message":"Invalid request: does not contain 'ProtectionEnabled' field"}}`},
		"malformed": {"PUT", `{"ProtectionEnabled":"yes"}`, plane{}, 400, `{"error":{"Code":"InvalidParameterException","Message":"UpdateTaskProtection: failed to decode request"}}`},
		"unknown":   {"PUT", `{"ProtectionEnabled":true,"Other":1}`, plane{}, 400, `{"error":{"Code":"InvalidParameterException","Message":"UpdateTaskProtection: failed to decode request"}}`},
		"away":      {"GET", "", plane{err: errors.New("away")}, 500, `{"error":{"Arn":"` + taskARN + `","Code":"ServerException","Message":"The control plane could not be asked. Try again."}}`},
	} {
		*p = want.plane
		if w := ask(s, want.method, uri, want.body); w.Code != want.status || w.Body.String() != want.answer {
			t.Errorf("%s: %d %s\nwant %d %s", name, w.Code, w.Body, want.status, want.answer)
		}
		if name == "put" && (!p.update.GetEnabled() || p.update.GetExpiresInMinutes() != 7) {
			t.Errorf("the control plane was told %v", p.update)
		}
	}
}

// TestPeers_HandRequestsToTheAgentWhoseTheyAre: an agent gets requests for the
// tasks of another one of its host.
func TestPeers_HandRequestsToTheAgentWhoseTheyAre(t *testing.T) {
	dir := t.TempDir()
	open := func(name string) (*Server, string, context.CancelFunc, chan error) {
		task := someTask(t)
		task.Cluster = name
		s := closed(t, func(c *Config) {
			c.RunDir = dir
			c.Lookup = func(context.Context, string, int) (Task, error) { return task, nil }
		})
		var err error
		if s.door.tcp, err = net.Listen("tcp", "127.0.0.1:0"); err == nil {
			s.door.peers, err = listenToPeers(filepath.Join(dir, s.key.tag+".sock"))
		}
		if err != nil {
			t.Fatal(err)
		}
		s.http = newHTTP(s)
		s.Complete()
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		return s, path(s.Equip(taskARN, []string{"main"}, "")[0]["ECS_CONTAINER_METADATA_URI_V4"]), cancel, ended
	}
	one, ofOne, stopOne, oneEnded := open("one")
	two, ofTwo, stopTwo, twoEnded := open("two")
	cluster := func(at *Server, path string) (int, string) {
		t.Helper()
		response, err := http.Get("http://" + at.door.tcp.Addr().String() + path + "/task")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var task struct{ Cluster string }
		if response.StatusCode == 200 {
			if err := json.NewDecoder(response.Body).Decode(&task); err != nil {
				t.Fatal(err)
			}
		}
		return response.StatusCode, task.Cluster
	}
	for _, c := range []struct {
		at   *Server
		path string
		want string
	}{{one, ofOne, "one"}, {one, ofTwo, "two"}, {two, ofOne, "one"}, {two, ofTwo, "two"}} {
		if status, got := cluster(c.at, c.path); status != 200 || got != c.want {
			t.Errorf("%d %q, want %q", status, got, c.want)
		}
	}
	stopTwo()
	<-twoEnded
	if status, _ := cluster(one, ofTwo); status != 404 {
		t.Errorf("a task of an agent that has ended: %d", status)
	}
	stopOne()
	if err := <-oneEnded; !errors.Is(err, context.Canceled) {
		t.Errorf("Run: %v", err)
	}
}
