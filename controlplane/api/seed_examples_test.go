package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"

	"github.com/longshore/longshore/controlplane/launch"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/placement"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// example is one of the examples of an operation in seed 000: the request, and
// what of the response the text shows.
type example struct {
	Operation string
	Number    int // from 1, of the operation
	Request   json.RawMessage
	Response  map[string]any
}

func (e *example) name() string { return fmt.Sprint(e.Operation, " ", e.Number) }

// exampleDifferences are the members of responses, by example and path, where
// Longshore answers something else on purpose, with the reason.
var exampleDifferences = map[string]string{
	"CreateService 1 service.deployments": "the example's service has a second deployment, of an earlier service of the name; here such a service is gone",
}

// exampleRefusals are what may be refused by name as long as it is not supported,
// each with the example.
var exampleRefusals = map[string]string{"CreateService 2": "Classic Load Balancers"}

// exampleSetups make what an example presupposes in the cluster default.
var exampleSetups = map[string]func(*fixture){
	"CreateCluster 1":               func(*fixture) {},
	"CreateService 1":               func(f *fixture) { f.cluster("default"); f.revisions("hello_world", 6) },
	"CreateService 2":               func(f *fixture) { f.cluster("default"); f.webRevisions("console-sample-app-static", "simple-app", 6) },
	"DeleteCluster 1":               func(f *fixture) { f.cluster("my_cluster") },
	"DeleteService 1":               func(f *fixture) { f.httpService(0) },
	"DeregisterContainerInstance 1": func(f *fixture) { f.cluster("default"); f.hostWithID("container_instance_UUID") },
	"DescribeClusters 1":            func(f *fixture) { f.cluster("default") },
	"DescribeContainerInstances 1": func(f *fixture) {
		f.cluster("default")
		f.hostWithID("f2756532-8f13-4d53-87c9-aed50dc94cd7")
		f.webRevisions("web", "web", 1)
		f.running(*f.run("default", "web", 1).Tasks[0].TaskArn)
	},
	"DescribeServices 1": func(f *fixture) {
		f.cluster("default")
		f.revisions("hello_world", 6)
		f.service("default", "ecs-simple-service", "hello_world", 1, nil)
		f.update(func(tx *store.Tx) {
			tx.PutEvent(&model.ServiceEvent{
				Service: model.ServiceKey{Cluster: "default", Name: "ecs-simple-service"}, Sequence: 1, ID: model.NewUUID(), CreatedAt: time.Now(),
				Message: "(service ecs-simple-service) was unable to place a task",
			})
		})
	},
	"DescribeTaskDefinition 1": func(f *fixture) {
		f.revisions("hello_world", 7)
		f.definition("hello_world",
			container("wordpress", func(c *types.ContainerDefinition) {
				c.Image, c.Cpu, c.Memory, c.Links = aws.String("wordpress"), 10, aws.Int32(500), []string{"mysql"}
				c.PortMappings = []types.PortMapping{{ContainerPort: aws.Int32(80), HostPort: aws.Int32(80)}}
			}),
			container("mysql", func(c *types.ContainerDefinition) {
				c.Image, c.Cpu, c.Memory = aws.String("mysql"), 10, aws.Int32(500)
				c.Environment = []types.KeyValuePair{{Name: aws.String("MYSQL_ROOT_PASSWORD"), Value: aws.String("password")}}
			}))
	},
	"DescribeTasks 1": func(f *fixture) {
		f.cluster("default")
		f.webRevisions("amazon-ecs-sample", "ecs-demo", 1)
		f.hostWithID("18f9eda5-27d7-4c19-b133-45adc516e8fb")
		f.taskWithID("c5cba4eb-5dad-405e-96db-71ef8eefe6a8", "18f9eda5-27d7-4c19-b133-45adc516e8fb", "amazon-ecs-sample", "ecs-svc/9223370608528463088")
	},
	"ListClusters 1": func(f *fixture) { f.cluster("test"); f.cluster("default") },
	"ListContainerInstances 1": func(f *fixture) {
		f.cluster("default")
		f.hostWithID("f6bbb147-5370-4ace-8c73-c7181ded911f")
		f.hostWithID("ffe3d344-77e2-476c-a4d0-bf560ad50acb")
	},
	"ListServices 1":               func(f *fixture) { f.httpService(0) },
	"ListTaskDefinitionFamilies 1": (*fixture).families,
	"ListTaskDefinitionFamilies 2": (*fixture).families,
	"ListTaskDefinitions 1":        (*fixture).listedDefinitions,
	"ListTaskDefinitions 2":        (*fixture).listedDefinitions,
	"ListTasks 1":                  (*fixture).listedTasks,
	"ListTasks 2":                  (*fixture).listedTasks,
	"RegisterTaskDefinition 1":     func(*fixture) {},
	"RunTask 1": func(f *fixture) {
		f.cluster("default")
		f.definition("sleep360", container("sleep", nil))
		f.hostWithID("ffe3d344-77e2-476c-a4d0-bf560ad50acb")
	},
	"UpdateService 1": func(f *fixture) { f.httpService(1); f.definition("amazon-ecs-sample") },
	"UpdateService 2": func(f *fixture) { f.httpService(1) },
}

func (f *fixture) revisions(family string, n int) {
	for range n {
		f.definition(family)
	}
}

// webRevisions are of a container with the fixed host port 80.
func (f *fixture) webRevisions(family, name string, n int) {
	for range n {
		f.definition(family, container(name, func(c *types.ContainerDefinition) {
			c.Memory = aws.Int32(100)
			c.PortMappings = []types.PortMapping{{ContainerPort: aws.Int32(80), HostPort: aws.Int32(80)}}
		}))
	}
}

func (f *fixture) httpService(desired int32) {
	f.cluster("default")
	f.definition("http")
	f.service("default", "my-http-service", "http", desired, nil)
}

// hostWithID makes the container instance of an example in the cluster default.
func (f *fixture) hostWithID(id model.InstanceID) {
	f.update(func(tx *store.Tx) {
		tx.PutInstance(&model.Instance{
			ID: id, Cluster: "default", EC2InstanceID: "i-807f3249", Status: model.StatusActive, RegisteredAt: time.Now(), Version: 1, AgentConnected: true,
			Resources: []ecs.Resource{
				{Name: "CPU", Type: "INTEGER", IntegerValue: 2048},
				{Name: "MEMORY", Type: "INTEGER", IntegerValue: 3768},
				{Name: "PORTS", Type: "STRINGSET", StringSetValue: []string{"2376", "22", "51678", "2375"}},
			},
		})
	})
}

// taskWithID makes the RUNNING task of an example, of the newest revision of a family.
func (f *fixture) taskWithID(id model.TaskID, on model.InstanceID, family model.Family, startedBy string) {
	f.update(func(tx *store.Tx) {
		d, _ := tx.LatestActive(family)
		order := launch.Order{Cluster: "default", Definition: d, LaunchType: ecs.LaunchTypeEC2, Group: "family:" + string(family), StartedBy: startedBy}
		task := order.Task(id, placement.Assignment{InstanceID: string(on)}, time.Now())
		report := model.TaskReport{Status: model.TaskRunning}
		for _, c := range d.Shape.ContainerDefinitions {
			report.Containers = append(report.Containers, model.ContainerReport{
				Name: c.Name, Status: model.TaskRunning, RuntimeID: "id",
				NetworkBindings: []ecs.NetworkBinding{{BindIP: "0.0.0.0", ContainerPort: aws.Int32(80), HostPort: aws.Int32(80), Protocol: ecs.TransportProtocolTcp}},
			})
		}
		next, _ := task.Reported(report, time.Now())
		tx.PutTask(next)
	})
}

func (f *fixture) families() {
	for _, family := range []string{"node-js-app", "web-timer", "hpcc", "hpcc-c4-8xlarge"} {
		f.definition(family)
	}
}

func (f *fixture) listedDefinitions() {
	f.revisions("sleep300", 2)
	f.revisions("sleep360", 1)
	f.revisions("wordpress", 6)
	for _, gone := range []string{"sleep300:1", "wordpress:1", "wordpress:2"} {
		f.deregister(gone)
	}
}

func (f *fixture) listedTasks() {
	f.cluster("default")
	f.definition("web")
	f.hostWithID("f6bbb147-5370-4ace-8c73-c7181ded911f")
	f.hostWithID("other")
	f.taskWithID("0cc43cdb-3bee-4407-9c26-c0e6ea5bee84", "f6bbb147-5370-4ace-8c73-c7181ded911f", "web", "")
	f.taskWithID("6b809ef6-c67e-4467-921f-ee261c15a0a1", "other", "web", "")
}

func loadExamples(t *testing.T) []example {
	b, err := os.ReadFile("testdata/seed_examples.json")
	if err != nil {
		t.Fatal(err)
	}
	var out []example
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSeedExamples(t *testing.T) {
	examples := loadExamples(t)
	if len(examples) != len(exampleSetups) {
		t.Errorf("%d examples, %d set-ups", len(examples), len(exampleSetups))
	}
	for _, e := range examples {
		t.Run(e.name(), func(t *testing.T) {
			setup, ok := exampleSetups[e.name()]
			if !ok {
				t.Fatal("no set-up")
			}
			f := newFixture(t)
			setup(f)
			answer, err := f.callSDK(e.Operation, e.Request)
			if what := exampleRefusals[e.name()]; what != "" && refusesByName(err, what) {
				t.Logf("%s: refused by name: %v", what, err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			compareExample(t, e.name()+" ", "", e.Response, answer)
		})
	}
}

func refusesByName(err error, what string) bool {
	var e smithy.APIError
	return errors.As(err, &e) && strings.Contains(e.ErrorMessage(), what)
}

// recording keeps the body of the last answer.
type recording struct {
	http.RoundTripper
	last []byte
}

func (r *recording) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := r.RoundTripper.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if r.last, err = io.ReadAll(answer.Body); err != nil {
		return nil, err
	}
	answer.Body = io.NopCloser(bytes.NewReader(r.last))
	return answer, nil
}

// callSDK calls an operation by name through the SDK, with the input that the JSON
// says, and returns what came over the wire.
func (f *fixture) callSDK(operation string, request []byte) (map[string]any, error) {
	f.t.Helper()
	wire := &recording{RoundTripper: strictTransport{f.t}}
	client := awsecs.New(awsecs.Options{
		BaseEndpoint: aws.String(f.url), Region: owner.Region, RetryMaxAttempts: 1, HTTPClient: &http.Client{Transport: wire},
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
	})
	method := reflect.ValueOf(client).MethodByName(operation)
	in := reflect.New(method.Type().In(1).Elem())
	// The SDK's members have the names of the wire, but for the first letter.
	if err := json.Unmarshal(request, in.Interface()); err != nil {
		f.t.Fatal(err)
	}
	out := method.Call([]reflect.Value{reflect.ValueOf(f.ctx), in})
	if err, failed := out[1].Interface().(error); failed {
		return nil, err
	}
	var answer map[string]any
	if err := json.Unmarshal(wire.last, &answer); err != nil {
		f.t.Fatal(err)
	}
	return answer, nil
}

var (
	idInExample = regexp.MustCompile(`^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}|ecs-svc/[0-9]+)$`)
	arnKind     = regexp.MustCompile(`^arn:aws:([a-z]+):[^:]*:[0-9]{12}:([a-z-]+)/(.*/)?([^/]+)$`)
)

// compareExample checks that what an example shows is there, with the same type,
// and with the same value if that is not an id, a time or an ARN.
func compareExample(t *testing.T, prefix, at string, want, got any) {
	t.Helper()
	if _, differs := exampleDifferences[prefix+at]; differs {
		return
	}
	switch want := want.(type) {
	case map[string]any:
		members, ok := got.(map[string]any)
		if !ok {
			t.Errorf("%s: got %v", at, got)
			return
		}
		for name, v := range want {
			have, there := members[name]
			if !there {
				t.Errorf("%s.%s is missing", at, name)
				continue
			}
			compareExample(t, prefix, strings.TrimPrefix(at+"."+name, "."), v, have)
		}
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			t.Errorf("%s: got %v, want %v", at, got, want)
			return
		}
		want, list = ordered(want), ordered(list)
		for i := range want {
			compareExample(t, prefix, at+"[]", want[i], list[i])
		}
	case string:
		if text, ok := got.(string); !ok || meaning(want) != meaning(text) {
			t.Errorf("%s: got %v, want %v", at, got, want)
		}
	case float64:
		n, ok := got.(float64)
		if !ok || !strings.HasSuffix(at, "At") && n != want {
			t.Errorf("%s: got %v, want %v", at, got, want)
		}
	default:
		if got != want {
			t.Errorf("%s: got %v, want %v", at, got, want)
		}
	}
}

// ordered sorts a list of strings: the examples' lists are in no order.
func ordered(list []any) []any {
	out := slices.Clone(list)
	slices.SortFunc(out, func(a, b any) int {
		x, xs := a.(string)
		y, ys := b.(string)
		if !xs || !ys {
			return 0
		}
		return strings.Compare(meaning(x), meaning(y))
	})
	return out
}

// meaning is of an id only that it is one, and of an ARN what it is about: the
// examples are of another account, and of the time of short ARNs. The revision that an
// example's definition has got is by chance.
func meaning(s string) string {
	if idInExample.MatchString(s) {
		return "an id"
	}
	arn := arnKind.FindStringSubmatch(s)
	if arn == nil {
		return s
	}
	last := meaning(arn[4])
	if arn[2] == "task-definition" && strings.HasPrefix(last, "sleep360:") {
		last = "sleep360"
	}
	return arn[1] + " " + arn[2] + " " + last
}

// The two lists above must not outlive what they are about.
func TestSeedExamples_DifferencesNameExamples(t *testing.T) {
	names := map[string]bool{}
	for _, e := range loadExamples(t) {
		names[e.name()] = true
	}
	for name := range exampleRefusals {
		if !names[name] {
			t.Errorf("%s is no example", name)
		}
	}
	for at := range exampleDifferences {
		words := strings.SplitN(at, " ", 3)
		if !names[words[0]+" "+words[1]] {
			t.Errorf("%s is of no example", at)
		}
	}
}
