package rollout

import "github.com/longshore/longshore/controlplane/model"

// Miss says why a task of a service found no place.
type Miss struct {
	Obstacle    string             // why no task could be made at all; empty if it is a matter of place
	NoInstances bool               // the cluster has none at all, or the capacity provider
	Provider    model.ProviderName // that the task was to take capacity from; empty for none
	Instance    model.InstanceID   // the closest, if there is one
	Reason      string             // why not even that one: RESOURCE:CPU, AGENT, …
}

// Placed takes note of what became of a plan's Start: the tasks that were made,
// and, if there are fewer than asked for, why the next one found no place. It
// returns the service to store, the very pointer given if nothing about it
// changed, and the events to append, oldest first. The same miss is told once,
// until something else has happened.
func Placed(s *model.Service, started []model.TaskID, miss *Miss) (*model.Service, []string) {
	var events []string
	if len(started) > 0 {
		events = append(events, hasStarted(s, started))
	}
	last := ""
	if miss != nil {
		last = unplaced(s.Name, *miss)
	}
	if last == s.LastPlacement {
		return s, events
	}
	if miss != nil {
		events = append(events, last)
	}
	next := *s
	next.LastPlacement = last
	return &next, events
}
