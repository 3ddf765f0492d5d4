package api_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// plain are requests of an operation that are as full as the model says and as
// valid as the world lets them be: one with what is required and what makes a
// request mean something, and one for each other member with that member, too.
// The key is the member.
func (w *world) plain(operation string) map[string]map[string]any {
	m := loadModel()
	s := m.Shapes[m.Operations[operation].Input]
	base := w.plainStructure(m.Operations[operation].Input, 0)
	out := map[string]map[string]any{"": base}
	for member, ref := range s.Members {
		if _, there := base[member]; there {
			continue
		}
		out[member] = with(base, member, w.plainValue(ref.name, member, 1))
	}
	return out
}

// with is a copy of a document with another member.
func with(document map[string]any, member string, v any) map[string]any {
	out := map[string]any{member: v}
	for k, e := range document {
		if k != member {
			out[k] = e
		}
	}
	return out
}

// documents are plain structures that the names of members do not tell.
func (w *world) documents() map[string]map[string]any {
	family := "web-" + w.name
	resources := []any{
		map[string]any{"name": "CPU", "type": "INTEGER", "integerValue": 1024},
		map[string]any{"name": "MEMORY", "type": "INTEGER", "integerValue": 1024},
	}
	return map[string]map[string]any{
		"ContainerDefinition":                 {"name": "main", "image": "busybox", "memory": 64},
		"Tag":                                 {"key": "k", "value": "v"},
		"ClusterSetting":                      {"name": "containerInsights", "value": "enabled"},
		"AttachmentStateChange":               {"attachmentArn": "arn:aws:ecs:us-east-1:123456789012:attachment/x", "status": "ATTACHED"},
		"RegisterContainerInstanceRequest":    {"cluster": w.name, "totalResources": resources},
		"RegisterTaskDefinitionRequest":       {"family": family, "containerDefinitions": []any{map[string]any{"name": "main", "image": "busybox", "memory": 64}}},
		"CreateServiceRequest":                {"cluster": w.name, "serviceName": "new", "taskDefinition": family, "desiredCount": 1},
		"DeregisterTaskDefinitionRequest":     {"taskDefinition": family + ":2"},
		"DeregisterContainerInstanceRequest":  {"cluster": w.name, "containerInstance": w.hosts[1], "force": true},
		"DeleteServiceRequest":                {"cluster": w.name, "service": "s", "force": true},
		"CreateCapacityProviderRequest":       {"name": "new-" + w.name, "autoScalingGroupProvider": map[string]any{"autoScalingGroupArn": w.known["autoScalingGroupArn"][0]}},
		"UpdateCapacityProviderRequest":       {"name": "pool-" + w.name, "autoScalingGroupProvider": map[string]any{"managedDraining": "ENABLED"}},
		"DeleteCapacityProviderRequest":       {"capacityProvider": "pool-" + w.name},
		"PutAccountSettingRequest":            {"name": "containerInsights", "value": "enabled"},
		"PutAccountSettingDefaultRequest":     {"name": "containerInsights", "value": "enabled"},
		"SubmitContainerStateChangeRequest":   {"cluster": w.name, "task": w.tasks[1], "containerName": "main", "status": "RUNNING"},
		"PutClusterCapacityProvidersRequest":  {"cluster": w.name, "capacityProviders": []any{"pool-" + w.name}, "defaultCapacityProviderStrategy": []any{}},
		"SubmitTaskStateChangeRequest":        {"cluster": w.name, "task": w.tasks[1], "status": "RUNNING"},
		"UpdateTaskProtectionRequest":         {"cluster": w.name, "tasks": []any{w.tasks[3]}, "protectionEnabled": true},
		"CreateTaskSetRequest":                {"cluster": w.name, "service": "x", "taskDefinition": family},
		"DescribeTaskSetsRequest":             {"cluster": w.name, "service": "x"},
		"UpdateTaskSetRequest":                {"cluster": w.name, "service": "x", "taskSet": w.sets[0], "scale": map[string]any{"value": 50.0, "unit": "PERCENT"}},
		"DeleteTaskSetRequest":                {"cluster": w.name, "service": "x", "taskSet": w.sets[1], "force": true},
		"UpdateServicePrimaryTaskSetRequest":  {"cluster": w.name, "service": "x", "primaryTaskSet": w.sets[0]},
		"Scale":                               {"value": 50.0, "unit": "PERCENT"},
		"SubmitAttachmentStateChangesRequest": {"cluster": w.name, "attachments": []any{}},
	}
}

func (w *world) plainStructure(name string, depth int) map[string]any {
	if document, ok := w.documents()[name]; ok {
		return document
	}
	s := loadModel().Shapes[name]
	out := map[string]any{}
	for member, ref := range s.Members {
		if slices.Contains(s.Required, member) || slices.Contains(always, member) {
			if v := w.plainValue(ref.name, member, depth+1); v != nil {
				out[member] = v
			}
		}
	}
	return out
}

func (w *world) plainValue(name, member string, depth int) any {
	m := loadModel()
	s := m.Shapes[name]
	switch {
	case depth > 6:
		return nil
	case s.Type == "structure":
		return w.plainStructure(name, depth)
	case s.Type == "list":
		return []any{w.plainValue(s.Member.name, member, depth+1)}
	case s.Type == "map":
		return map[string]any{"k": w.plainValue(s.Value.name, "", depth+1)}
	case len(s.Enum) > 0:
		return s.Enum[0]
	}
	for _, v := range w.known[member] {
		if m.check(name, member, asNumber(v)) == nil {
			return v
		}
	}
	switch s.Type {
	case "boolean":
		return true
	case "string":
		return "x"
	}
	return 1
}

// oddValues are values of a shape at its limits and past them.
func (m *apiModel) oddValues(name string) []any {
	s := m.Shapes[name]
	switch s.Type {
	case "structure":
		return []any{nil, map[string]any{}, map[string]any{"noSuchMember": 1}}
	case "list":
		many := make([]any, 1001)
		return []any{nil, []any{}, []any{nil}, many}
	case "map":
		return []any{nil, map[string]any{}, map[string]any{"": nil}, map[string]any{"\x00": "x"}}
	case "string":
		return []any{nil, "", " ", strings.Repeat("x", 100_000), "\x00", "\u202ea\U0001f4a9\u0301", "arn:aws:ecs:::/", "../..", "-1"}
	case "boolean":
		return []any{nil, true, false}
	case "integer":
		return []any{nil, 0, -1, math.MaxInt32, math.MinInt32, 65536}
	case "long":
		return []any{nil, 0, -1, math.MaxInt64, math.MinInt64}
	}
	return []any{nil, 0, -1, 1e308, -1e308, 1e-308, 253402300800}
}

// odd yields, for each member of a shape at any depth, documents in which that
// member is odd and the rest is plain.
func (w *world) odd(name, member string, depth int, yield func(at string, v any)) {
	m := loadModel()
	s := m.Shapes[name]
	if depth > 5 {
		return
	}
	for _, v := range m.oddValues(name) {
		yield("", v)
	}
	switch s.Type {
	case "structure":
		plain := w.plainStructure(name, depth)
		members := []string{}
		for member := range s.Members {
			members = append(members, member)
		}
		slices.Sort(members) // what succeeds changes the world: always in the same order
		for _, member := range members {
			w.odd(s.Members[member].name, member, depth+1, func(at string, v any) {
				yield("."+member+at, with(plain, member, v))
			})
		}
	case "list":
		w.odd(s.Member.name, member, depth+1, func(at string, v any) { yield("[]"+at, []any{v}) })
		twice := w.plainValue(s.Member.name, member, depth+1)
		yield("[][]", []any{twice, twice})
	}
}

// Each member of each operation with values at the limits and past them, in a
// request that is valid otherwise, of a cluster in which there is something.
func TestLimits_AtEachMemberOfEachOperation(t *testing.T) {
	w := newWorld(t)
	m := loadModel()
	tried, succeeded := 0, 0
	for round, name := range answeredOperations() {
		w.populate(fmt.Sprint("c", round))
		w.odd(m.Operations[name].Input, "", 0, func(at string, v any) {
			body, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			tried++
			if status, _ := w.try(t, name, body); status == http.StatusOK {
				succeeded++
			}
		})
		w.unchanged(t)
	}
	t.Logf("%d requests, of which %d succeeded", tried, succeeded)
	if tried < 2000 || succeeded < 200 {
		t.Error("too few: is the model read, is the world populated?")
	}
}

// The plain requests of the suites are worth something only if they pass.
func TestPlainRequests_AreMostlyAccepted(t *testing.T) {
	w := newWorld(t)
	var refused []string
	for round, name := range answeredOperations() {
		w.populate(fmt.Sprint("c", round))
		body, err := json.Marshal(w.plain(name)[""])
		if err != nil {
			t.Fatal(err)
		}
		if status, answer := w.try(t, name, body); status != http.StatusOK {
			refused = append(refused, fmt.Sprintf("%s %s: %v", name, body, answer["message"]))
		}
	}
	t.Logf("refused:\n%s", strings.Join(refused, "\n"))
	if len(refused) > len(answeredOperations())/4 {
		t.Errorf("%d of %d were refused", len(refused), len(answeredOperations()))
	}
}

// Depth costs a caller nothing and must not cost the server its stack.
func TestDeepNesting_IsRefusedOrIgnored(t *testing.T) {
	w := newWorld(t)
	w.populate("c")
	const depth = 100_000
	for _, name := range answeredOperations() {
		for _, body := range []string{
			`{"x":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + `}`,
			strings.Repeat(`{"x":`, depth) + `1` + strings.Repeat("}", depth),
			`{"x":` + strings.Repeat("[", depth),
		} {
			if status, answer := w.try(t, name, []byte(body)); status != http.StatusBadRequest || answer["__type"] != "SerializationException" {
				t.Errorf("%s: got %d %v", name, status, answer)
			}
		}
	}
}
