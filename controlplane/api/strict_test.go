package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/longshore/longshore/controlplane/api"
	"github.com/longshore/longshore/proto/ecs"
)

// apiModel is the part of proto/ecs/model.json that the tests need. They read the
// model itself, not what is generated from it.
type apiModel struct {
	Operations map[string]struct {
		Input, Output  string
		Errors         []string
		InSeed, In2015 bool
	}
	Paginators map[string]struct {
		ResultKey string `json:"result_key"`
	}
	Shapes map[string]shape
}

type shape struct {
	Type     string
	Members  map[string]shapeRef
	Member   shapeRef
	Value    shapeRef
	Enum     []string
	Required []string
	Document bool // any JSON at all
}

// shapeRef is a shape's name, or a structure with it.
type shapeRef struct{ name string }

func (r *shapeRef) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		return json.Unmarshal(b, &r.name)
	}
	var long struct{ Shape string }
	err := json.Unmarshal(b, &long)
	r.name = long.Shape
	return err
}

var loadModel = sync.OnceValue(func() *apiModel {
	m, newer := readModel("model.json"), readModel("newer.json")
	for name, added := range newer.Shapes {
		have, ok := m.Shapes[name]
		if !ok {
			m.Shapes[name] = added
			continue
		}
		for member, ref := range added.Members {
			have.Members[member] = ref
		}
	}
	return m
})

func readModel(file string) *apiModel {
	b, err := os.ReadFile("../../proto/ecs/" + file)
	if err != nil {
		panic(err)
	}
	m := new(apiModel)
	if err := json.Unmarshal(b, m); err != nil {
		panic(err)
	}
	return m
}

// check tells what is wrong with a JSON value of a shape: a member that it does
// not have, one of the wrong type, a required one that is missing, an unknown
// value of an enum, null.
func (m *apiModel) check(name, at string, v any) error {
	s := m.Shapes[name]
	switch s.Type {
	case "structure":
		return m.checkStructure(s, at, v)
	case "list":
		list, ok := v.([]any)
		if !ok {
			return fmt.Errorf("%s: %T is no list", at, v)
		}
		for i, e := range list {
			if err := m.check(s.Member.name, fmt.Sprintf("%s[%d]", at, i), e); err != nil {
				return err
			}
		}
		return nil
	case "map":
		values, ok := v.(map[string]any)
		if !ok {
			return fmt.Errorf("%s: %T is no map", at, v)
		}
		for k, e := range values {
			if err := m.check(s.Value.name, at+"."+k, e); err != nil {
				return err
			}
		}
		return nil
	case "string":
		text, ok := v.(string)
		if !ok || len(s.Enum) > 0 && !slices.Contains(s.Enum, text) {
			return fmt.Errorf("%s: %v is no %s", at, v, name)
		}
		return nil
	case "boolean":
		if _, ok := v.(bool); !ok {
			return fmt.Errorf("%s: %T is no boolean", at, v)
		}
		return nil
	case "integer", "long", "double", "float", "timestamp":
		n, ok := v.(json.Number)
		if !ok || (s.Type == "integer" || s.Type == "long") && strings.ContainsAny(n.String(), ".eE") {
			return fmt.Errorf("%s: %v is no %s", at, v, s.Type)
		}
		return nil
	}
	return fmt.Errorf("%s: shape %s is of type %q", at, name, s.Type)
}

func (m *apiModel) checkStructure(s shape, at string, v any) error {
	members, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("%s: %T is no structure", at, v)
	}
	for k, e := range members {
		member, ok := s.Members[k]
		if !ok {
			return fmt.Errorf("%s: no member %s", at, k)
		}
		if err := m.check(member.name, at+"."+k, e); err != nil {
			return err
		}
	}
	for _, k := range s.Required {
		if _, ok := members[k]; !ok {
			return fmt.Errorf("%s: required member %s is missing", at, k)
		}
	}
	return nil
}

// strictTransport holds every answer against the model.
type strictTransport struct{ t testing.TB }

func (s strictTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err != nil {
		return nil, err
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	if answer.Header.Get("x-amzn-RequestId") == "" {
		s.t.Error("answer without x-amzn-RequestId")
	}
	operation := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), api.TargetPrefix)
	if err := checkAnswer(operation, answer.StatusCode, body); err != nil {
		s.t.Errorf("answer of %s: %v\n%s", operation, err, body)
	}
	outcomes.note(operation, answer.Header.Get("x-amzn-ErrorType"))
	return answer, nil
}

func checkAnswer(operation string, status int, body []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return err
	}
	if status == http.StatusOK {
		m := loadModel()
		return m.check(m.Operations[operation].Output, operation, v)
	}
	return loadModel().checkError(operation, status, v)
}

// commonErrors are those that any operation may raise, besides those that the
// model names for it (common errors, ECS API reference; the awsJson protocol).
var commonErrors = []string{
	ecs.CodeSerialization, ecs.CodeThrottling, ecs.CodeServiceUnavailable, ecs.CodeRequestEntityTooLarge, ecs.CodeAccessDenied,
	ecs.CodeMissingAuthenticationToken, ecs.CodeIncompleteSignature, ecs.CodeInvalidSignature, ecs.CodeUnrecognizedClient,
}

// checkError tells what is wrong with the answer of a refusal: each has a type
// that the operation may raise, and a message.
func (m *apiModel) checkError(operation string, status int, v any) error {
	e, _ := v.(map[string]any)
	code, _ := e["__type"].(string)
	message, _ := e["message"].(string)
	switch {
	case code == "" || message == "":
		return fmt.Errorf("status %d without __type and message", status)
	case len(message) > 4096:
		return fmt.Errorf("a message of %d bytes", len(message))
	case status >= http.StatusInternalServerError && status != http.StatusServiceUnavailable:
		return fmt.Errorf("status %d", status)
	}
	for member := range e {
		if member != "__type" && member != "message" && (member != "resourceIds" || code != ecs.CodeConflict) {
			return fmt.Errorf("%s has a member %s", code, member)
		}
	}
	o, known := m.Operations[operation]
	may := slices.Contains(o.Errors, code) || slices.Contains(commonErrors, code)
	if known && api.Answered()[operation] && !may {
		return fmt.Errorf("it cannot raise %s", code)
	}
	return nil
}

// checkRecorded is checkAnswer for a success that was decoded before.
func checkRecorded(operation string, answer map[string]any) error {
	body, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	return checkAnswer(operation, http.StatusOK, body)
}
