package api_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/longshore/longshore/controlplane/api"
	"github.com/longshore/longshore/controlplane/store"
)

// FuzzDispatch sends any body to any operation. Whatever it is, the answer is one
// of the API: never a panic, never a 500, and, if it is a success, of the shape
// that the model says.
func FuzzDispatch(f *testing.F) {
	fix := newFixture(f)
	fix.host(fix.cluster("default"), 4096, 4096)
	fix.definition("web")
	handler := api.New(api.Config{Owner: owner, Store: func() *store.Store { return fix.store }, AgentEndpoint: func() string { return "h:1" }})
	m := loadModel()
	var names []string
	for name := range m.Operations {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		f.Add(uint8(i), []byte(`{}`))
		if !m.Operations[name].In2015 {
			continue
		}
		for _, body := range []string{
			`{"cluster":"default","service":"s","task":"t","taskDefinition":"web","containerInstance":"i","reason":"r"}`,
			`{"serviceName":"s","taskDefinition":"web:1","desiredCount":2,"deploymentConfiguration":{"maximumPercent":150},"placementStrategy":[{"type":"binpack","field":"cpu"}]}`,
			`{"taskDefinition":"web","count":2,"overrides":{"containerOverrides":[{"name":"main","cpu":1}]},"clientToken":"a"}`,
			`{"family":"f","containerDefinitions":[{"name":"a","image":"b","memory":4,"portMappings":[{"containerPort":80}],"dependsOn":[{"containerName":"a","condition":"START"}]}]}`,
			`{"totalResources":[{"name":"CPU","type":"INTEGER","integerValue":1},{"name":"MEMORY","type":"INTEGER","integerValue":1}],"attributes":[{"name":"a"}]}`,
			`{"clusters":["x"],"services":["x"],"tasks":["x"],"containerInstances":["x"],"include":["TAGS"]}`,
			`{"maxResults":1,"nextToken":"x","status":"ACTIVE","sort":"DESC","familyPrefix":"w"}`,
		} {
			f.Add(uint8(i), []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, operation uint8, body []byte) {
		name := names[int(operation)%len(names)]
		status, answer := record(t, handler, name, body)
		switch {
		case status == http.StatusOK:
			if err := checkRecorded(name, answer); err != nil {
				t.Errorf("%s with %q: %v", name, body, err)
			}
		case status >= http.StatusInternalServerError, answer["__type"] == "", answer["message"] == "":
			t.Errorf("%s with %q: got %d %v", name, body, status, answer)
		}
	})
}
