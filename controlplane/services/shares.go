package services

import (
	"slices"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/rollout"
)

// shares are how many tasks of a deployment or task set, which are to go on, each capacity
// provider has.
type shares map[model.DeploymentID]map[string]int

// sharesOf counts them as they are when a plan has been applied, and before it starts
// anything: nil if it does not, or if the service takes capacity from no provider. They are counted on the snapshot and not in the
// transaction, which holds up every other writer. A task that ends in between is
// in the next count.
func sharesOf(in rollout.Input, out rollout.Output) shares {
	if !out.StartsAny() || !usesProviders(out.Service) {
		return nil
	}
	changed := make(map[model.TaskID]*model.Task, len(out.Tasks))
	for t := range out.AllTasks() {
		changed[t.ID] = t
	}
	have := shares{}
	for t := range in.Roster.Tasks() {
		if next, ok := changed[t.ID]; ok {
			t = next
		}
		if t.LastStatus != model.TaskStopped && t.DesiredStatus != model.TaskStopped && !t.Lost {
			have.add(t)
		}
	}
	return have
}

func usesProviders(s *model.Service) bool {
	return slices.ContainsFunc(s.Deployments, func(d model.Deployment) bool { return len(d.CapacityProviderStrategy) > 0 }) ||
		slices.ContainsFunc(s.TaskSets, func(t model.TaskSet) bool { return len(t.CapacityProviderStrategy) > 0 })
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
