package api_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/longshore/longshore/controlplane/api"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/plan"
)

// plan sends a request to one of Longshore's own operations and reads the answer.
func (f *fixture) plan(operation, body string, answer any) (status int, raw map[string]any) {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.ctx, http.MethodPost, f.url, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", plan.TargetPrefix+operation)
	before := f.store.View()
	status, raw = send(f.t, r)
	if f.store.View() != before {
		f.t.Errorf("%s committed something", operation)
	}
	encoded, err := json.Marshal(raw)
	if err != nil {
		f.t.Fatal(err)
	}
	if err := json.Unmarshal(encoded, answer); err != nil {
		f.t.Fatal(err)
	}
	return status, raw
}

func TestPlanRunTask_SaysWhereTasksGoAndWhyNotElsewhere(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	good := f.host(c, 4096, 1000, has("rack", "7"))
	small := f.host(c, 4096, 100, has("rack", "7"))
	other := f.host(c, 4096, 4096)
	f.definition("web", container("main", func(c *types.ContainerDefinition) { c.Memory = aws.Int32(512) }))
	const body = `{"cluster":"c","taskDefinition":"web","count":3,"placementConstraints":[{"type":"memberOf","expression":"attribute:rack == 7"}]}`
	for range 2 { // what the first took it has given back
		var p plan.RunTask
		if status, raw := f.plan("PlanRunTask", body, &p); status != http.StatusOK {
			t.Fatalf("%d: %v", status, raw)
		}
		if p.Count != 3 || p.Placed != 1 || !strings.HasSuffix(p.TaskDefinitionArn, "/web:1") || len(p.Instances) != 3 {
			t.Errorf("got %+v", p)
		}
		want := map[string]plan.Instance{
			good:  {Tasks: 1, Reason: "RESOURCE:MEMORY", Detail: "needs 512 MiB of memory, 488 available"},
			small: {Reason: "RESOURCE:MEMORY", Detail: "needs 512 MiB of memory, 100 available"},
			other: {Reason: "MemberOf placement constraint unsatisfied.", Detail: "does not match attribute:rack == 7"},
		}
		for _, i := range p.Instances {
			w := want[i.ContainerInstanceArn]
			w.ContainerInstanceArn = i.ContainerInstanceArn
			if i != w {
				t.Errorf("got %+v, want %+v", i, w)
			}
		}
	}
	f.cluster("another") // a commit, with which nothing that was planned comes out
	if tasks := must(f.ListTasks(f.ctx, &awsecs.ListTasksInput{Cluster: &c}))(t).TaskArns; len(tasks) != 0 {
		t.Errorf("there are tasks: %v", tasks)
	}
	if out := f.run(c, "web", 1); len(out.Tasks) != 1 {
		t.Errorf("the room is not there: %+v", out.Failures)
	}
}

func TestPlanRunTask_RefusesWhatRunTaskRefuses(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.definition("web")
	for body, want := range map[string]string{
		`{"cluster":"c","taskDefinition":"web"}`:            "No Container Instances were found in your cluster.",
		`{"cluster":"c","taskDefinition":"web","count":11}`: "Count must be between 1 and 10, not 11.",
		`{"cluster":"none","taskDefinition":"web"}`:         "Cluster not found.",
		`{"cluster":"c","taskDefinition":"api"}`:            "TaskDefinition not found.",
		`{"cluster":"c"}`:                                   "Value at 'taskDefinition' failed to satisfy constraint",
	} {
		var p plan.RunTask
		status, raw := f.plan("PlanRunTask", body, &p)
		if status != http.StatusBadRequest || !strings.Contains(raw["message"].(string), want) {
			t.Errorf("%s: %d %v, want %q", body, status, raw, want)
		}
	}
	var p plan.RunTask
	if status, raw := f.plan("PlanNothing", `{}`, &p); status != http.StatusBadRequest || raw["__type"] != "UnknownOperationException" {
		t.Errorf("%d %v", status, raw)
	}
	f.host(c, 4096, 4096)
	started := must(f.RunTask(f.ctx, &awsecs.RunTaskInput{Cluster: &c, TaskDefinition: aws.String("web"), ClientToken: aws.String("t")}))(t)
	f.plan("PlanRunTask", `{"cluster":"c","taskDefinition":"web","clientToken":"t"}`, &p)
	if len(p.Repeated) != 1 || p.Repeated[0] != *started.Tasks[0].TaskArn || p.Placed != 0 {
		t.Errorf("got %+v", p)
	}
}

// The service loop is not here: what it would do is given.
func TestPlanUpdateService_ShowsTheStepsOfTheUpdatedServiceAndUpdatesNothing(t *testing.T) {
	f := newFixture(t)
	now := time.Now()
	f.preview = func(tx *store.Tx, k model.ServiceKey, at time.Time) (api.ServicePreview, error) {
		s, _ := tx.Service(k)
		task := &model.Task{ID: "t", Cluster: k.Cluster, Instance: "i", Definition: s.Primary().Definition, LastStatus: model.TaskRunning, StoppedReason: "why"}
		return api.ServicePreview{Desired: int(s.DesiredCount), AtLeast: 1, AtMost: 8, Stuck: "no way on", Steps: []api.ServiceStep{
			{At: at.Add(time.Second), Started: []*model.Task{task}, Stopped: []*model.Task{task}},
		}}, nil
	}
	c := f.cluster("c")
	f.definition("web")
	must(f.CreateService(f.ctx, &awsecs.CreateServiceInput{Cluster: &c, ServiceName: aws.String("s"), TaskDefinition: aws.String("web"), DesiredCount: aws.Int32(2)}))(t)
	f.definition("web")
	var p plan.UpdateService
	if status, raw := f.plan("PlanUpdateService", `{"cluster":"c","service":"s","taskDefinition":"web:2","desiredCount":4}`, &p); status != http.StatusOK {
		t.Fatalf("%d: %v", status, raw)
	}
	if p.DesiredCount != 4 || !p.NewDeployment || !strings.HasSuffix(p.TaskDefinitionArn, "web:2") || p.AtMost != 8 || p.Stuck != "no way on" || len(p.Steps) != 1 {
		t.Errorf("got %+v", p)
	}
	if s := p.Steps[0]; s.AfterSeconds != 1 || s.Start[0].TaskArn != "" || !strings.HasSuffix(s.Stop[0].TaskArn, "task/c/t") || s.Stop[0].Reason != "why" {
		t.Errorf("got %+v", s)
	}
	s := must(f.DescribeServices(f.ctx, &awsecs.DescribeServicesInput{Cluster: &c, Services: []string{"s"}}))(t).Services[0]
	if s.DesiredCount != 2 || len(s.Deployments) != 1 || s.CreatedAt.Before(now.Add(-time.Minute)) {
		t.Errorf("the service was changed: %+v", s)
	}
	status, raw := f.plan("PlanUpdateService", `{"cluster":"c","service":"none"}`, &p)
	if status != http.StatusBadRequest || raw["__type"] != "ServiceNotFoundException" {
		t.Errorf("%d %v", status, raw)
	}
}

func TestPlanRunTask_ListsTheHostsOfEachProvidersOwnPool(t *testing.T) {
	f := newFixture(t)
	c, hostA, hostB := f.pools()
	for body, want := range map[string][]string{
		`[{"capacityProvider":"a","weight":1},{"capacityProvider":"b","weight":1}]`: {hostA + " a", hostB + " b"},
		`[{"capacityProvider":"b","weight":1},{"capacityProvider":"a"}]`:            {hostB + " b"},
	} {
		var p plan.RunTask
		if status, raw := f.plan("PlanRunTask", `{"cluster":"`+c+`","taskDefinition":"web","count":2,"capacityProviderStrategy":`+body+`}`, &p); status != http.StatusOK {
			t.Fatalf("%d: %v", status, raw)
		}
		var got []string
		for _, i := range p.Instances {
			got = append(got, i.ContainerInstanceArn+" "+i.CapacityProvider)
			if i.Tasks == 0 || i.Reason != "" {
				t.Errorf("%s: got %+v", body, i)
			}
		}
		if p.Placed != 2 || !slices.Equal(got, want) {
			t.Errorf("%s: placed %d, got %v, want %v", body, p.Placed, got, want)
		}
	}
}
