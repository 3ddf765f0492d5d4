package api_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/longshore/longshore/proto/ecs"
)

// refusal sends a request through the SDK that is to be refused with the code.
func (w *world) refusal(t *testing.T, operation string, request map[string]any, code string) {
	t.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	before := w.records(t)
	_, err = w.callSDK(operation, body)
	wantError(t, err, code, "")
	if t.Failed() {
		t.Logf("%s with %s", operation, body)
	}
	if !slices.Equal(before, w.records(t)) {
		t.Errorf("%s with %s: something has changed", operation, body)
	}
}

// Every operation that may say so says that a cluster is not there, and that it
// cannot be.
func TestErrors_OfTheCluster(t *testing.T) {
	w := newWorld(t)
	m := loadModel()
	for round, operation := range answeredOperations() {
		o := m.Operations[operation]
		if _, ok := m.Shapes[o.Input].Members["cluster"]; !ok {
			continue
		}
		w.populate(fmt.Sprint("c", round))
		plain := w.plain(operation)[""]
		if slices.Contains(o.Errors, ecs.CodeClusterNotFound) && !cannotRaise(operation, ecs.CodeClusterNotFound) {
			w.refusal(t, operation, with(plain, "cluster", "nobody"), ecs.CodeClusterNotFound)
		}
		if !cannotRaise(operation, ecs.CodeClusterNotFound) || !slices.Contains(o.Errors, ecs.CodeClusterNotFound) {
			w.refusal(t, operation, with(plain, "cluster", "no name"), ecs.CodeInvalidParameter)
		}
	}
}

// The errors that no other test raises.
func TestErrors_OfSingleOperations(t *testing.T) {
	w := newWorld(t)
	w.populate("c")
	unknown := func(kind string) map[string]any {
		return map[string]any{"resourceArn": "arn:aws:ecs:us-east-1:123456789012:" + kind, "tagKeys": []any{"k"}, "tags": []any{}}
	}
	for operation, c := range map[string]struct {
		request map[string]any
		code    string
	}{
		"ListClusters":               {map[string]any{"nextToken": "x"}, ecs.CodeInvalidParameter},
		"ListTaskDefinitions":        {map[string]any{"maxResults": 101}, ecs.CodeInvalidParameter},
		"ListTaskDefinitionFamilies": {map[string]any{"maxResults": 101}, ecs.CodeInvalidParameter},
		"SubmitContainerStateChange": {map[string]any{"cluster": "c", "task": w.tasks[0], "containerName": "nobody"}, ecs.CodeInvalidParameter},
		"ListTagsForResource":        {unknown("service/nobody/s"), ecs.CodeClusterNotFound},
		"UntagResource":              {unknown("task/nobody/s"), ecs.CodeClusterNotFound},
		"TagResource":                {unknown("container-instance/nobody/s"), ecs.CodeClusterNotFound},
		"StartTask":                  {map[string]any{"cluster": "c", "containerInstances": w.hosts[:1], "taskDefinition": "nobody"}, ecs.CodeClient},
		"UpdateCapacityProvider": {map[string]any{
			"name": "pool-c", "cluster": "c", "autoScalingGroupProvider": map[string]any{"managedDraining": "ENABLED"},
		}, ecs.CodeUnsupportedFeature},
	} {
		w.refusal(t, operation, c.request, c.code)
	}
	w.refusal(t, "StartTask", map[string]any{
		"cluster": "c", "containerInstances": w.hosts[:1], "taskDefinition": "web-c", "enableExecuteCommand": true,
	}, ecs.CodeUnsupportedFeature)
}

// Every value of include that an operation takes is answered or refused by name,
// and what it brings is only there with it.
func TestInclude_EachValueOfEachOperation(t *testing.T) {
	w := newWorld(t)
	w.populate("c")
	m := loadModel()
	refused := map[string]bool{"DescribeContainerInstances CONTAINER_INSTANCE_HEALTH": true}
	tried := 0
	for _, operation := range answeredOperations() {
		include, ok := m.Shapes[m.Operations[operation].Input].Members["include"]
		if !ok {
			continue
		}
		plain := w.plain(operation)[""]
		for _, value := range m.Shapes[m.Shapes[include.name].Member.name].Enum {
			tried++
			request := with(plain, "include", []any{value})
			if refused[operation+" "+value] {
				w.refusal(t, operation, request, ecs.CodeInvalidParameter)
				continue
			}
			body, err := json.Marshal(request)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.callSDK(operation, body); err != nil {
				t.Errorf("%s with %s: %v", operation, value, err)
			}
		}
		w.refusal(t, operation, with(plain, "include", []any{"EVERYTHING"}), m.refusalCode(operation))
	}
	if tried < 10 {
		t.Errorf("only %d values", tried)
	}
}

// refusalCode is how an operation refuses what its shape does not allow.
func (m *apiModel) refusalCode(operation string) string {
	if operation == "DescribeTaskDefinition" {
		return ecs.CodeClient
	}
	return ecs.CodeInvalidParameter
}
