package main_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/longshore/longshore/proto/plan"
)

// plan runs longshore plan with a request on its standard input.
func (s *site) plan(request string, args ...string) string {
	s.t.Helper()
	path, err := binary()
	if err != nil {
		s.t.Fatal(err)
	}
	command := exec.CommandContext(s.t.Context(), path, append([]string{"plan", "--endpoint-url", "http://" + s.api}, args...)...)
	command.Stdin = strings.NewReader(request)
	out, err := command.CombinedOutput()
	if err != nil {
		s.t.Fatalf("longshore plan: %v: %s", err, out)
	}
	return string(out)
}

func TestPlan_ShowsWhatWouldBeDoneAndDoesNothing(t *testing.T) {
	s := newSite(t)
	s.dev()
	web := web(s.images.Serve)
	s.createService("web", s.register("web", web), 2)
	s.awaitStable("web")
	before := s.taskARNs("web")
	definition := s.register("web", web)

	request := `{"cluster":"` + s.cluster() + `","taskDefinition":"` + definition + `","count":2}`
	file := filepath.Join(t.TempDir(), "request.json")
	if err := os.WriteFile(file, []byte(request), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := s.plan("", "run-task", "--cli-input-json", file); !strings.Contains(out, "2 of 2 tasks would be placed") {
		t.Errorf("got %s", out)
	}
	nowhere := `{"cluster":"` + s.cluster() + `","taskDefinition":"` + definition + `","placementConstraints":[{"type":"memberOf","expression":"attribute:rack == 7"}]}`
	var run plan.RunTask
	if err := json.Unmarshal([]byte(s.plan(nowhere, "run-task", "--cli-input-json", "-", "--json")), &run); err != nil {
		t.Fatal(err)
	}
	if run.Placed != 0 || len(run.Instances) != 1 || run.Instances[0].Detail != "does not match attribute:rack == 7" {
		t.Errorf("got %+v", run)
	}

	update := `{"cluster":"` + s.cluster() + `","service":"web","taskDefinition":"` + definition + `"}`
	var p plan.UpdateService
	if err := json.Unmarshal([]byte(s.plan(update, "update-service", "--cli-input-json", "-", "--json")), &p); err != nil {
		t.Fatal(err)
	}
	if !p.NewDeployment || !p.Settled || p.AtLeast != 2 || p.AtMost != 4 || len(p.Steps) < 2 || len(p.Steps[0].Start) != 2 {
		t.Errorf("got %+v", p)
	}
	text := s.plan(update, "update-service", "--cli-input-json", "-")
	for _, want := range []string{"Service web would have 2 tasks of web:2, with a new deployment.", "At least 2 stay healthy, at most 4", "start  a task of web:2", "stop   ", "Then nothing is left to do."} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %s", want, text)
		}
	}
	t.Log(text)
	if after := s.taskARNs("web"); strings.Join(after, " ") != strings.Join(before, " ") {
		t.Errorf("the tasks were %v and are %v", before, after)
	}
}

func TestPlan_SaysWhyItFailed(t *testing.T) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"plan run-task": "--cli-input-json is needed",
		"plan run-task --cli-input-json /does/not/exist":                                  "no such file",
		"plan run-task --cli-input-json - --endpoint-url http://127.0.0.1:1":              "calling PlanRunTask",
		"plan update-service --cli-input-json - --endpoint-url http://127.0.0.1:1 --json": "calling PlanUpdateService",
	} {
		out, err := exec.CommandContext(t.Context(), path, strings.Fields(args)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("longshore %s: %v, %s, want %q", args, err, out, want)
		}
	}
}
