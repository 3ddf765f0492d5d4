package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/longshore/longshore/controlplane/model"
)

// Most operations look at everything before they record anything. These do not: they are refused with
// some of their records put already, which the transaction has to take back.
func TestRefusedHalfway_ChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.populate("c")
	w.definition("gone")
	w.service("c", "gone", "gone", 0, nil)
	w.dropService("c", "gone")
	w.provider("empty")
	w.associate("c", nil, "pool-c", "empty", "FARGATE")
	attributes := make([]map[string]any, 10) // the host has one already, and an instance has ten
	for i := range attributes {
		attributes[i] = map[string]any{"name": fmt.Sprint("a", i), "targetId": w.hosts[0]}
	}
	for name, c := range map[string]struct {
		operation string
		request   map[string]any
		code      string
	}{
		"a service in the place of an inactive one, of an unknown definition": {"CreateService",
			map[string]any{"cluster": "c", "serviceName": "gone", "taskDefinition": "nothing", "desiredCount": 1}, "ClientException"},
		"the tenth attribute is one too many": {"PutAttributes",
			map[string]any{"cluster": "c", "attributes": attributes}, "AttributeLimitExceededException"},
		"the second capacity provider has no hosts": {"RunTask",
			map[string]any{"cluster": "c", "taskDefinition": "web-c", "count": 4, "capacityProviderStrategy": []any{
				map[string]any{"capacityProvider": "pool-c", "weight": 1, "base": 1}, map[string]any{"capacityProvider": "empty", "weight": 1}}},
			"InvalidParameterException"},
		"an unknown instance of a default cluster that is not there": {"RegisterContainerInstance",
			map[string]any{"containerInstanceArn": strings.Repeat("0", 32), "totalResources": []any{
				map[string]any{"name": "CPU", "type": "INTEGER", "integerValue": 1024}, map[string]any{"name": "MEMORY", "type": "INTEGER", "integerValue": 1024}}},
			"ClientException"},
	} {
		t.Run(name, func(t *testing.T) {
			body, err := json.Marshal(c.request)
			if err != nil {
				t.Fatal(err)
			}
			if status, answer := w.try(t, c.operation, body); status != http.StatusBadRequest || answer["__type"] != c.code {
				t.Errorf("got %d %v, want %s", status, answer, c.code)
			}
		})
	}
	if s := w.describeService("c", "gone"); *s.Status != string(model.StatusInactive) {
		t.Errorf("the inactive service became %+v", s)
	}
	if tasks := w.run("c", "web-c", 1).Tasks; len(tasks) != 1 {
		t.Error("no task can be run any more")
	}
}
