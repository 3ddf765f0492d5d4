package services

import (
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/rollout"
)

// shares are how many tasks of a deployment or task set, which are to go on, each capacity
// provider has.
type shares map[model.DeploymentID]map[string]int

// sharesOf counts them as they are when a plan has been applied, and before it starts
// anything: nil if it does not. They are counted on the snapshot and not in the
// transaction, which holds up every other writer. A task that ends in between is
// in the next count.
func sharesOf(in rollout.Input, out rollout.Output) shares {
	if !out.StartsAny() {
		return nil
	}
	changed := make(map[model.TaskID]*model.Task, len(out.Tasks))
	for _, t := range out.Tasks {
		changed[t.ID] = t
	}
	have := shares{}
	for _, t := range in.Tasks {
		if next, ok := changed[t.ID]; ok {
			t = next
		}
		if t.LastStatus != model.TaskStopped && t.DesiredStatus != model.TaskStopped && !t.Lost {
			have.add(t)
		}
	}
	return have
}

func (s shares) add(t *model.Task) {
	if t.CapacityProvider == "" {
		return
	}
	if s[t.Deployment] == nil {
		s[t.Deployment] = map[string]int{}
	}
	s[t.Deployment][string(t.CapacityProvider)]++
}
