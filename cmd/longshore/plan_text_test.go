package main

import (
	"strings"
	"testing"

	"github.com/longshore/longshore/proto/plan"
)

func TestWriteUpdateService_EndsWithWhatFollows(t *testing.T) {
	step := []plan.Step{{Events: []string{"e"}}}
	for name, c := range map[string]struct {
		p    plan.UpdateService
		want string
	}{
		"nothing to do": {plan.UpdateService{Settled: true}, "Nothing would be started or stopped."},
		"done":          {plan.UpdateService{Settled: true, Steps: step}, "Then nothing is left to do."},
		"no room":       {plan.UpdateService{Steps: []plan.Step{{PassedOver: []plan.Instance{{}}}}}, "Then it waits for room."},
		"no way on":     {plan.UpdateService{Steps: step, Stuck: "(service s) was unable to."}, "Then it can not go on: (service s) was unable to."},
		"more":          {plan.UpdateService{Steps: step}, "Then the next steps follow."},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			if err := writeUpdateService(&b, &c.p); err != nil {
				t.Fatal(err)
			}
			if got := b.String(); !strings.HasSuffix(got, "\n\n"+c.want+"\n") {
				t.Errorf("got %q, want it to end with %q", got, c.want)
			}
		})
	}
}
