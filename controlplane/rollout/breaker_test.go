package rollout

import (
	"testing"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

func TestPlan_BreakerKeepsToItsThresholdConfiguration(t *testing.T) {
	count, bounded, unbounded := ecs.ThresholdTypeCOUNT, ecs.ThresholdTypeBOUNDEDPERCENT, ecs.ThresholdTypeUNBOUNDEDPERCENT
	for _, c := range []struct {
		kind    ecs.ThresholdType
		value   int32
		desired int
		want    int
	}{
		{"", 0, 1, 3}, {"", 0, 9, 5}, {"", 0, 1000, 200},
		{count, 1, 10, 1}, {count, 7, 2, 7}, {count, 500, 2, 500},
		{bounded, 50, 9, 5}, {bounded, 10, 10, 3}, {bounded, 10, 41, 5}, {bounded, 100, 1000, 200},
		{unbounded, 10, 10, 1}, {unbounded, 10, 0, 1}, {unbounded, 30, 1000, 300}, {unbounded, 200, 4, 8},
	} {
		var configuration *ecs.ThresholdConfiguration
		if c.kind != "" {
			configuration = &ecs.ThresholdConfiguration{Type: c.kind, Value: c.value}
		}
		if got := threshold(configuration, c.desired); got != c.want {
			t.Errorf("%s of %d with %d tasks: %d failures, want %d", c.kind, c.value, c.desired, got, c.want)
		}
	}
}

// A healthy task makes former failures forgotten, unless resetOnHealthyTask is false.
func TestPlan_BreakerForgetsFailuresOnceATaskIsHealthyIfItIsTo(t *testing.T) {
	for reset, state := range map[bool]ecs.DeploymentRolloutState{
		true: ecs.DeploymentRolloutStateINPROGRESS, false: ecs.DeploymentRolloutStateFAILED,
	} {
		w := newWorld(t, 3, 2)
		w.settings.HealthyAfter, w.settings.FreeTries = 0, 100
		w.change(func(s *model.Service) {
			s.DeploymentConfiguration.DeploymentCircuitBreaker = &ecs.DeploymentCircuitBreaker{
				Enable: true, ResetOnHealthyTask: &reset,
				ThresholdConfiguration: &ecs.ThresholdConfiguration{Type: ecs.ThresholdTypeCOUNT, Value: 2},
			}
		})
		w.plan()
		live := w.live()
		w.end(live[0].ID, ecs.TaskStopCodeTaskFailedToStart)
		w.plan()
		w.run(live[1].ID)
		w.plan()
		w.end(live[2].ID, ecs.TaskStopCodeTaskFailedToStart)
		w.set(live[1].ID, func(x *model.Task) { x.LastStatus = model.TaskStopping })
		w.plan()
		if d := w.svc.Primary(); d.RolloutState != state {
			t.Errorf("resetOnHealthyTask %v: %s after a failure, a healthy task and a failure (failedTasks %d)", reset, d.RolloutState, d.FailedTasks)
		}
	}
}
