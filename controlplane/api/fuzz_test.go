package api_test

import (
	"encoding/json"
	"slices"
	"testing"
)

// FuzzDispatch sends any body to any operation. Whatever it is, the answer is one
// of the API: never a panic, never a 500, and, if it is a success, of the shape
// that the model says. If it is a refusal, nothing has changed.
func FuzzDispatch(f *testing.F) {
	w := newWorld(f)
	w.populate("default")
	m := loadModel()
	var names []string
	for name := range m.Operations {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		f.Add(uint8(i), []byte(`{}`))
		if !slices.Contains(answeredOperations(), name) {
			continue
		}
		for _, body := range []string{
			`{"cluster":"default","service":"s","task":"t","taskDefinition":"web-default","containerInstance":"i","reason":"r"}`,
			`{"serviceName":"s","taskDefinition":"web-default:2","desiredCount":2,"deploymentConfiguration":{"maximumPercent":150},"placementStrategy":[{"type":"binpack","field":"cpu"}]}`,
			`{"taskDefinition":"web-default","count":2,"overrides":{"containerOverrides":[{"name":"main","cpu":1}]},"clientToken":"a"}`,
			`{"family":"f","containerDefinitions":[{"name":"a","image":"b","memory":4,"portMappings":[{"containerPort":80}],"dependsOn":[{"containerName":"a","condition":"START"}]}]}`,
			`{"totalResources":[{"name":"CPU","type":"INTEGER","integerValue":1},{"name":"MEMORY","type":"INTEGER","integerValue":1}],"attributes":[{"name":"a"}]}`,
			`{"clusters":["x"],"services":["x"],"tasks":["x"],"containerInstances":["x"],"include":["TAGS"]}`,
			`{"maxResults":1,"nextToken":"x","status":"ACTIVE","sort":"DESC","familyPrefix":"w"}`,
			`{"name":"disk","value":"x","attributes":[{"name":"a","targetId":"x","targetType":"container-instance"}],"tags":[{"key":"k"}]}`,
		} {
			f.Add(uint8(i), []byte(body))
		}
		for _, body := range w.plain(name) {
			b, err := json.Marshal(body)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(uint8(i), b)
		}
	}
	f.Fuzz(func(t *testing.T, operation uint8, body []byte) {
		w.try(t, names[int(operation)%len(names)], body)
	})
}
