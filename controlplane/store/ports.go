package store

import "github.com/longshore/longshore/controlplane/model"

// PutReported puts a task as its agent reported it; old is what was known before. A
// port of a host leads to one task. When the engine gives one to a container that is
// started, the container that had it is gone, even if its end was not heard of yet, and
// even if no agent lives to tell it: its task loses the port at once, and with it its
// place in target groups, so that nothing that is meant for it reaches another task.
// The cost is in the number of tasks on the host, when a task comes to have ports; each of
// them may change, too.
func (tx *Tx) PutReported(old, next *model.Task) {
	if next.Instance == "" || !next.HasNewPorts(old) {
		tx.PutTask(next)
		return
	}
	starts := next.StartsContainer(old)
	var losers []*model.Task
	for other := range tx.LiveTasksOnInstance(next.Cluster, next.Instance) {
		if other.ID == next.ID {
			continue
		}
		if !starts { // it was said late, or of a container that runs again
			next, _ = next.WithoutPortsOf(other)
		} else if without, lost := other.WithoutPortsOf(next); lost {
			losers = append(losers, without)
		}
	}
	for _, t := range losers {
		tx.PutTask(t)
	}
	tx.PutTask(next)
}
