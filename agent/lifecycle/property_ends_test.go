package lifecycle_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/runtime"
	"github.com/longshore/longshore/proto/ecs"
)

// checkEnds compares what is reported of a STOPPED task with what became of its
// containers.
func (w *world) checkEnds() {
	report := lifecycle.Report(w.task, w.state)
	if report.Reason != "" && report.StopCode == "" || report.Status != "STOPPED" {
		w.t.Fatalf("a task that has ended is reported as %v", report)
	}
	for i, c := range report.Containers {
		if c.Status != "STOPPED" {
			w.t.Fatalf("container %s of a STOPPED task is %s", c.Name, c.Status)
		}
		real := w.find(i)
		if real == nil || real.State != runtime.Exited || real.ID != c.RuntimeId {
			continue // gone, never started, or another one
		}
		if c.ExitCode == nil || int(*c.ExitCode) != real.ExitCode {
			w.t.Fatalf("container %s ended with %d and is reported as %v", c.Name, real.ExitCode, c)
		}
		if real.OOMKilled && w.state.Containers[i].Fault == "" && c.Reason != "OutOfMemoryError: Container killed due to memory usage" {
			w.t.Fatalf("container %s was killed for memory, and is reported as %v", c.Name, c)
		}
	}
}

// Whatever waits for itself in the end is refused by name; all else is taken.
func TestCompile_RefusesExactlyTheCircles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(t, "containers")
		d := &ecs.TaskDefinition{Family: "f", Revision: 1}
		reaches := make([][]bool, n)
		for i := range n {
			reaches[i] = make([]bool, n)
			c := ecs.ContainerDefinition{Name: fmt.Sprint("c", i), Image: "image"}
			for j := range n {
				if rapid.IntRange(0, 3).Draw(t, "edge") > 0 {
					continue
				}
				reaches[i][j] = true
				if i != j && rapid.Bool().Draw(t, "link") {
					c.Links = append(c.Links, fmt.Sprint("c", j))
					continue
				}
				c.DependsOn = append(c.DependsOn, ecs.ContainerDependency{ContainerName: fmt.Sprint("c", j), Condition: ecs.ContainerConditionSTART})
			}
			d.ContainerDefinitions = append(d.ContainerDefinitions, c)
		}
		circle := false
		for k := range n { // Warshall
			for i := range n {
				for j := range n {
					reaches[i][j] = reaches[i][j] || reaches[i][k] && reaches[k][j]
				}
			}
		}
		for i := range n {
			circle = circle || reaches[i][i]
		}
		_, err := lifecycle.Compile(lifecycle.Input{ARN: "arn", Definition: d})
		if refused := err != nil && strings.Contains(err.Error(), "in a circle"); refused != circle || err != nil && !circle {
			t.Fatalf("Compile = %v, and there is a circle: %v", err, circle)
		}
	})
}
