package api

import (
	"testing"

	"reflect"

	"github.com/longshore/longshore/proto/ecs"
)

func TestOperations_HaveTheTypesOfTheModel(t *testing.T) {
	inModel := map[string]ecs.Operation{}
	for _, o := range ecs.Operations() {
		inModel[o.Name] = o
	}
	seen := map[string]bool{}
	for _, o := range operations() {
		m, ok := inModel[o.name]
		switch {
		case !ok:
			t.Errorf("%s is not in the model", o.name)
			continue
		case seen[o.name]:
			t.Errorf("%s is there twice", o.name)
		}
		seen[o.name] = true
		if want := reflect.TypeOf(m.Input()).Elem(); o.in != want {
			t.Errorf("%s takes %s, want %s", o.name, o.in, want)
		}
		if want := reflect.TypeOf(m.Output()).Elem(); o.out != want {
			t.Errorf("%s answers %s, want %s", o.name, o.out, want)
		}
		if !raises(m, o.refusal) {
			t.Errorf("%s cannot raise %s", o.name, o.refusal)
		}
	}
	for name, o := range inModel {
		if o.In2015 && !seen[name] {
			t.Errorf("%s is missing", name)
		}
	}
}

func raises(o ecs.Operation, code string) bool {
	for _, e := range o.Errors {
		if e == code {
			return true
		}
	}
	return false
}

// A member that is neither honoured nor refused would be accepted and ignored.
func TestUnhonoured_FindsWhatIsSet(t *testing.T) {
	zero, no := int32(0), false
	for name, c := range map[string]struct {
		in   ecs.ContainerDefinition
		want []string
	}{
		"nothing":             {},
		"empty lists":         {in: ecs.ContainerDefinition{Secrets: []ecs.Secret{}, CredentialSpecs: []string{}}},
		"pointers to nothing": {in: ecs.ContainerDefinition{StartTimeout: &zero, DisableNetworking: &no, RestartPolicy: &ecs.ContainerRestartPolicy{Enabled: &no}}},
		"two":                 {in: ecs.ContainerDefinition{Secrets: []ecs.Secret{{}}, LogConfiguration: &ecs.LogConfiguration{LogDriver: "x"}}, want: []string{"secrets", "logConfiguration"}},
		"honoured":            {in: ecs.ContainerDefinition{Name: "x", Cpu: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := unhonoured(&c.in, "name", "cpu"); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
