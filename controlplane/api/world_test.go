package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/longshore/longshore/controlplane/api"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
)

// world is a populated cluster for suites that go over all operations. Requests
// reach the handler without a network between.
type world struct {
	*fixture
	handler  http.Handler
	name     string
	hosts    []string
	tasks    []string // running, pending, stopped, of the service
	sets     []string // of the service x
	known    map[string][]any
	contents map[any]string // each record that was seen, as it was
}

func newWorld(t testing.TB) *world {
	f := newFixture(t)
	w := &world{fixture: f, contents: map[any]string{}}
	w.handler = api.New(api.Config{Owner: owner, Store: func() *store.Store { return f.store }, AgentEndpoint: func() string { return "h:1" }})
	return w
}

// populate makes a cluster with some of everything in it, which requests then
// are about. What earlier ones left stays where it is.
func (w *world) populate(name string) {
	w.t.Helper()
	f := w.fixture
	w.name = f.cluster(name)
	zone := types.Attribute{Name: aws.String("ecs.availability-zone"), Value: aws.String("a")}
	w.hosts = []string{f.host(name, 4096, 8192, zone), f.host(name, 2048, 4096, inPool("pool-"+name))}
	f.putAttributes(name, attribute("disk", "ssd", w.hosts[0]))
	f.provider("pool-" + name)
	f.associate(name, nil, "pool-"+name, "FARGATE")
	family := "web-" + name
	latest := ""
	for range 3 {
		latest = f.definition(family)
	}
	f.deregister(family + ":1")
	f.service(name, "s", family, 2, nil)
	f.service(name, "d", family+":2", 0, func(in *awsecs.CreateServiceInput) {
		in.SchedulingStrategy, in.DesiredCount = types.SchedulingStrategyDaemon, nil
	})
	f.externalService(name, "x", 2)
	w.sets = nil
	for range 2 {
		w.sets = append(w.sets, *f.taskSet(name, "x", family, 50, nil).TaskSetArn)
	}
	w.tasks = taskARNs(f.run(name, family, 4).Tasks)
	f.running(w.tasks[0])
	f.stopNow(w.tasks[2])
	f.changeTask(w.tasks[3], func(t *model.Task) { t.Service, t.Group = "s", "service:s" })
	w.known = known(w, latest)
}

// known are values that mean something in the world, by the names of members.
func known(w *world, definition string) map[string][]any {
	c, family := w.name, "web-"+w.name
	clusters := []any{c, c, owner.ClusterARN(model.ClusterName(c))}
	service := owner.ServiceARN(model.ServiceKey{Cluster: model.ClusterName(c), Name: "s"})
	provider := "pool-" + c
	definitions := []any{family, family + ":2", definition, family + ":1"}
	tasks, hosts, sets := []any{}, []any{}, []any{}
	for _, t := range w.tasks {
		tasks = append(tasks, t, t[len(t)-32:])
	}
	for _, h := range w.hosts {
		hosts = append(hosts, h, h[len(h)-32:])
	}
	for _, s := range w.sets {
		sets = append(sets, s, s[strings.LastIndex(s, "/ecs-svc/")+1:])
	}
	arns := []any{owner.ClusterARN(model.ClusterName(c)), service, definition, w.tasks[0], w.hosts[0], owner.ProviderARN(model.ProviderName(provider))}
	return map[string][]any{
		"cluster": clusters, "clusters": clusters, "clusterName": {c},
		"taskSet": sets, "taskSets": sets, "primaryTaskSet": sets,
		"service": {"s", "d", "x", service}, "services": {"s", service}, "serviceName": {"s", "new"},
		"task": tasks, "tasks": tasks, "taskDefinition": definitions, "taskDefinitions": definitions,
		"containerInstance": hosts, "containerInstances": hosts, "containerInstanceArn": {w.hosts[0]},
		"targetId": hosts, "targetType": {"container-instance"}, "resourceArn": arns,
		"family": {family, "new-" + c}, "familyPrefix": {family, "web"},
		"capacityProvider": {provider, "FARGATE"}, "capacityProviders": {provider, "FARGATE"},
		"containerName": {"main"}, "name": {"main", "disk", "memory", "CPU", "MEMORY", "PORTS", "containerInsights", "other-" + c},
		"autoScalingGroupArn": {"arn:aws:autoscaling:us-east-1:123456789012:autoScalingGroup:0:autoScalingGroupName/other-" + c},
		"value":               {"x", "4", "enabled", "1 vCPU"}, "image": {"busybox"}, "key": {"k", "team"}, "tagKeys": {"k"},
		"status": {"ACTIVE", "DRAINING", "RUNNING", "STOPPED"}, "attributeName": {"disk"}, "attributeValue": {"ssd"},
		"type": {"INTEGER", "STRINGSET", "spread", "binpack", "distinctInstance", "memberOf", "ECS"},
		"cpu":  {"256", 10}, "memory": {"512", 64}, "desiredCount": {0, 1, 3}, "count": {1, 2}, "maxResults": {1, 10},
		"integerValue": {1024}, "stringSetValue": {"22"}, "startedBy": {"me"}, "clientToken": {"t1", "t2"}, "nextToken": {nil},
		"containerPort": {80}, "hostPort": {0, 8080}, "expression": {"attribute:disk == ssd"}, "principalArn": {"arn:aws:iam::123456789012:user/ann"},
		"field": {"cpu", "memory", "instanceId", "attribute:ecs.availability-zone"}, "force": {true, false}, "group": {"g"},
	}
}

// records are the pointers of all that the newest tables hold: those in which
// the next transaction begins, not only what is durable.
func (w *world) records(t tester) []any {
	var out []any
	err := w.store.Update(w.ctx, func(tx *store.Tx) error {
		out = slices.Collect(tx.All())
		return nil
	})
	if err != nil {
		t.Fatalf("reading the state: %v", err)
	}
	return out
}

// try sends a request that may be as odd as it likes. The answer is one of the
// API, never a 500; a success is of the shape that the model says; and a refusal
// has left everything as it was.
func (w *world) try(t tester, operation string, body []byte) (status int, answer map[string]any) {
	t.Helper()
	before := w.records(t)
	status, answer = record(t, w.handler, operation, body)
	if status == http.StatusOK {
		if err := checkRecorded(operation, answer); err != nil {
			t.Fatalf("%s with %.2000q: %v", operation, body, err)
		}
		return status, answer
	}
	if err := loadModel().checkError(operation, status, answer); err != nil {
		t.Fatalf("%s with %.2000q: got %d %.2000v: %v", operation, body, status, answer, err)
	}
	if !slices.Equal(before, w.records(t)) {
		t.Fatalf("%s with %.2000q: refused with %v, and yet something has changed", operation, body, answer)
	}
	return status, answer
}

// unchanged checks that no record was written to after it was put, since the
// last time.
func (w *world) unchanged(t tester) {
	t.Helper()
	now := map[any]string{}
	for _, r := range w.records(t) {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatalf("a record cannot be encoded: %v", err)
		}
		now[r] = string(b)
		if was, seen := w.contents[r]; seen && was != now[r] {
			t.Fatalf("a stored record was written to:\n%s\n%s", was, now[r])
		}
	}
	w.contents = now
}

// answeredOperations are the operations of the table by name.
func answeredOperations() []string {
	var out []string
	for name := range api.Answered() {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func TestWorld_NoticesAChange(t *testing.T) {
	w := newWorld(t)
	w.populate("c")
	before := w.records(t)
	w.unchanged(t)
	if !slices.Equal(before, w.records(t)) {
		t.Error("reading changed something")
	}
	w.cluster("another")
	if slices.Equal(before, w.records(t)) {
		t.Error("a new cluster makes no difference")
	}
	if fmt.Sprint(len(before)) == "0" {
		t.Error("the world is empty")
	}
}
