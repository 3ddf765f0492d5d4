package api_test

import (
	"os"
	"regexp"
	"testing"
)

// The ledger must not fall behind the code: each operation that is answered and
// each field of a task definition is named in it.
func TestCompatibilityPage_NamesEveryOperationAndField(t *testing.T) {
	page, err := os.ReadFile("../../docs/compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, word := range regexp.MustCompile(`[A-Za-z0-9]+`).FindAllString(string(page), -1) {
		named[word] = true
	}
	m := loadModel()
	for name, o := range m.Operations {
		if o.In2015 && !named[name] {
			t.Errorf("no row for the operation %s", name)
		}
	}
	for _, shape := range []string{"RegisterTaskDefinitionRequest", "ContainerDefinition", "LinuxParameters", "PortMapping", "Volume"} {
		for member := range m.Shapes[shape].Members {
			if !named[member] {
				t.Errorf("no row for %s of %s", member, shape)
			}
		}
	}
}
