package api_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/longshore/longshore/controlplane/api"
)

// The ledger must not fall behind the code: each operation that is answered has a
// row, each other one is named among those that are refused, and each field of a
// task definition is named.
func TestCompatibilityPage_NamesEveryOperationAndField(t *testing.T) {
	b, err := os.ReadFile("../../docs/compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	page, word := string(b), regexp.MustCompile(`[A-Za-z0-9]+`)
	refused := map[string]bool{}
	for _, line := range strings.Split(page, "\n") {
		if strings.HasPrefix(line, "| All others of the model |") {
			for _, name := range word.FindAllString(line, -1) {
				refused[name] = true
			}
		}
	}
	m, answered := loadModel(), api.Answered()
	for name := range m.Operations {
		if hasRow := strings.Contains(page, "\n| "+name+" | "); hasRow != answered[name] {
			t.Errorf("%s: has a row: %t, is answered: %t", name, hasRow, answered[name])
		}
		if refused[name] == answered[name] {
			t.Errorf("%s: is among those that are refused: %t, is answered: %t", name, refused[name], answered[name])
		}
	}
	named := map[string]bool{}
	for _, w := range word.FindAllString(page, -1) {
		named[w] = true
	}
	for _, shape := range []string{"RegisterTaskDefinitionRequest", "ContainerDefinition", "LinuxParameters", "PortMapping", "Volume"} {
		for member := range m.Shapes[shape].Members {
			if !named[member] {
				t.Errorf("no row for %s of %s", member, shape)
			}
		}
	}
	rows := rowsOf(page, "Task definitions")
	for _, shape := range []string{"RegisterTaskDefinitionRequest", "ContainerDefinition", "TaskOverride", "ContainerOverride"} {
		for member := range m.Shapes[shape].Members {
			if !rows[member] {
				t.Errorf("the tables of task definitions have no row for %s of %s", member, shape)
			}
		}
	}
	for what := range neverRaised {
		code := what[strings.LastIndex(what, " ")+1:]
		if code != "ServerException" && !named[code] {
			t.Errorf("%s does not occur, and the page does not say so", what)
		}
	}
}

// rowsOf are the words in the first cells of a section's tables.
func rowsOf(page, section string) map[string]bool {
	_, text, _ := strings.Cut(page, "\n## "+section+"\n")
	text, _, _ = strings.Cut(text, "\n## ")
	rows := map[string]bool{}
	for line := range strings.Lines(text) {
		cell, _, found := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		if !found || !strings.HasPrefix(line, "| ") {
			continue
		}
		for _, word := range regexp.MustCompile(`[A-Za-z0-9]+`).FindAllString(cell, -1) {
			rows[word] = true
		}
	}
	return rows
}
