package api_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/longshore/longshore/controlplane/api"
	"github.com/longshore/longshore/proto/ecs"
)

// wrongValues yields, for each member of a shape at any depth, a document in which
// that member, and nothing else, is of the wrong type.
func (m *apiModel) wrongValues(name string, depth int, yield func(at string, v any)) {
	s := m.Shapes[name]
	switch s.Type {
	case "structure":
		if depth > 6 || s.Document {
			return
		}
		yield("", "text")
		yield("", []any{})
		for member, ref := range s.Members {
			m.wrongValues(ref.name, depth+1, func(at string, v any) { yield("."+member+at, map[string]any{member: v}) })
		}
	case "list":
		yield("", "text")
		yield("", map[string]any{})
		m.wrongValues(s.Member.name, depth+1, func(at string, v any) { yield("[]"+at, []any{v}) })
	case "map":
		yield("", "text")
		m.wrongValues(s.Value.name, depth+1, func(at string, v any) { yield(".key"+at, map[string]any{"key": v}) })
	case "string":
		yield("", 1)
		yield("", true)
		yield("", []any{})
	case "boolean":
		yield("", "true")
		yield("", 1)
	case "integer", "long":
		yield("", "1")
		yield("", 1.5)
		yield("", 1e300)
	case "double", "float", "timestamp":
		yield("", "1")
		yield("", map[string]any{})
	}
}

func TestWrongTypes_AtEachMemberOfEachOperation(t *testing.T) {
	w := newWorld(t)
	m := loadModel()
	tried := 0
	for _, name := range answeredOperations() {
		m.wrongValues(m.Operations[name].Input, 0, func(at string, v any) {
			tried++
			body, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			status, answer := w.try(t, name, body)
			if status != http.StatusBadRequest || answer["__type"] != ecs.CodeSerialization {
				t.Errorf("%s%s = %s: got %d %v", name, at, body, status, answer)
			}
		})
	}
	if tried < 1000 {
		t.Errorf("only %d wrong values: is the model read?", tried)
	}
	t.Logf("%d wrong values", tried)
}

// record calls a handler without a network between.
func record(t tester, h http.Handler, operation string, body []byte) (status int, answer map[string]any) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	r.Header.Set("X-Amz-Target", api.TargetPrefix+operation)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatalf("%s with %q answered %q: %v", operation, body, w.Body.Bytes(), err)
	}
	return w.Code, answer
}

// tester is what testing and rapid have in common.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}
