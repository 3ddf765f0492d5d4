package model_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"unsafe"

	"github.com/longshore/longshore/controlplane/model"
)

func TestShare_ChangesNothingAndSharesWhatTasksHaveInCommon(t *testing.T) {
	const text = `{"ID":"a","Cluster":"c","Instance":"i","Definition":{"Family":"f","Revision":3},"Group":"family:f",
		"LastStatus":"RUNNING","Containers":[{"ID":"x","Name":"main","Image":"nginx","LastStatus":"RUNNING","RuntimeID":"r"}]}`
	read := func() *model.Task {
		var task model.Task
		if err := json.Unmarshal([]byte(text), &task); err != nil {
			t.Fatal(err)
		}
		return &task
	}
	one, other, want := read(), read(), read()
	one.Share()
	other.Share()
	if !reflect.DeepEqual(one, want) {
		t.Errorf("Share made %+v of %+v", one, want)
	}
	for _, pair := range [][2]string{
		{string(one.Cluster), string(other.Cluster)}, {one.Group, other.Group}, {string(one.LastStatus), string(other.LastStatus)},
		{one.Containers[0].Image, other.Containers[0].Image},
	} {
		if unsafe.StringData(pair[0]) != unsafe.StringData(pair[1]) {
			t.Errorf("%q is kept twice", pair[0])
		}
	}
}
