package api_test

import (
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/longshore/longshore/controlplane/api"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
)

// words are texts that mean something somewhere, and some that are at a limit.
var words = []string{
	"", "default", "c", "s", "web", "web:1", "web:0", "main", "x", "a b", "nö\x00\u2028", strings.Repeat("n", 256),
	"ACTIVE", "RUNNING", "STOPPED", "INTEGER", "STRINGSET", "CPU", "MEMORY", "PORTS", "22", "instanceId", "memory", "attribute:", "attribute:zone",
	"service:s", "ecs-svc/1", "arn:aws:ecs:us-east-1:123456789012:task-set/c/x/ecs-svc/1", "arn:",
	"arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/a/0", "arn:aws:servicediscovery:us-east-1:123456789012:service/a", "arn:aws:ecs:us-east-1:123456789012:cluster/", "arn:aws:ecs:us-east-1:123456789012:task/c/x/y",
	"arn:aws:ecs:us-east-1:123456789012:service/s", "arn:aws:ecs:us-east-1:999999999999:cluster/c", "CMD", "/data",
}

var numbers = []int64{0, 1, 2, 4, 10, 11, 64, 80, 100, 101, 200, 65535, 65536, -1, math.MaxInt32, math.MinInt32}

// document draws a document of a shape: every type is right, everything else may
// be odd.
func (m *apiModel) document(t *rapid.T, name string, depth int) any {
	s := m.Shapes[name]
	switch s.Type {
	case "structure":
		members := make([]string, 0, len(s.Members))
		for member := range s.Members {
			members = append(members, member)
		}
		slices.Sort(members)
		out := map[string]any{}
		for _, member := range members {
			// What is required is there most of the time, or nothing else is ever reached.
			likely := 3
			if slices.Contains(s.Required, member) {
				likely = 9
			}
			if depth < 6 && rapid.IntRange(0, 9).Draw(t, member+"?") < likely {
				out[member] = m.document(t, s.Members[member].name, depth+1)
			}
		}
		return out
	case "list":
		out := []any{}
		for range rapid.SampledFrom([]int{0, 1, 1, 1, 2, 11}).Draw(t, name+" length") {
			out = append(out, m.document(t, s.Member.name, depth+1))
		}
		return out
	case "map":
		return map[string]any{rapid.SampledFrom(words).Draw(t, name+" key"): m.document(t, s.Value.name, depth+1)}
	case "boolean":
		return rapid.Bool().Draw(t, name)
	case "string":
		if len(s.Enum) > 0 && rapid.IntRange(0, 9).Draw(t, name+" known?") > 0 {
			return rapid.SampledFrom(s.Enum).Draw(t, name)
		}
		return rapid.SampledFrom(words).Draw(t, name)
	}
	return rapid.SampledFrom(numbers).Draw(t, name)
}

// No request, however odd, gives a 500 or a panic, and each success is of the
// shape that the model says.
func TestAnyRequest_GetsAnAnswerOfTheAPI(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.host(c, 4096, 4096)
	f.service(c, "s", f.definition("web"), 0, nil)
	f.externalService(c, "x", 1)
	f.update(func(tx *store.Tx) {
		have, _ := tx.Service(model.ServiceKey{Cluster: "c", Name: "x"})
		next := *have
		next.TaskSets = []model.TaskSet{{ID: "ecs-svc/1", Status: model.DeploymentActive, Definition: model.DefinitionRef{Family: "web", Revision: 1}}}
		tx.PutService(&next)
	})
	handler := api.New(api.Config{Owner: owner, Store: func() *store.Store { return f.store }, AgentEndpoint: func() string { return "h:1" }})
	m := loadModel()
	var names []string
	for name, o := range m.Operations {
		if o.In2015 || strings.Contains(name, "TaskSet") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	succeeded := map[string]bool{}
	rapid.Check(t, func(t *rapid.T) {
		for range 20 {
			name := rapid.SampledFrom(names).Draw(t, "operation")
			body, err := json.Marshal(m.document(t, m.Operations[name].Input, 0))
			if err != nil {
				t.Fatal(err)
			}
			status, answer := record(t, handler, name, body)
			switch {
			case status == http.StatusOK:
				succeeded[name] = true
				if err := checkRecorded(name, answer); err != nil {
					t.Fatalf("%s with %s: %v", name, body, err)
				}
			case status >= http.StatusInternalServerError, answer["__type"] == "", answer["message"] == "":
				t.Fatalf("%s with %s: got %d %v", name, body, status, answer)
			}
		}
	})
	t.Logf("%d of %d operations succeeded at least once", len(succeeded), len(names))
}
