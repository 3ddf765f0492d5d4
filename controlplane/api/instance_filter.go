package api

import (
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/placement"
	"github.com/longshore/longshore/controlplane/query"
	"github.com/longshore/longshore/controlplane/store"
)

// instanceFilter reads the filter of ListContainerInstances; an empty one matches all.
func instanceFilter(t *store.Tables, filter string) (func(*model.Instance) bool, error) {
	if filter == "" {
		return func(*model.Instance) bool { return true }, nil
	}
	e, err := query.Parse(filter)
	if err != nil {
		return nil, invalid("Invalid filter %q: %s.", clip(filter), err)
	}
	return func(i *model.Instance) bool {
		view, ok := t.Fleet(i.Cluster).Instance(string(i.ID))
		return ok && e.Match(shownInstance{view.Facts(), t, i})
	}, nil
}

// shownInstance is an instance as an expression sees it, with the number of running tasks
// that DescribeContainerInstances shows: placement counts the starting ones, too.
type shownInstance struct {
	placement.Facts
	tables   *store.Tables
	instance *model.Instance
}

func (s shownInstance) RunningTasks() int {
	var n tally
	for task := range s.tables.LiveTasksOnInstance(s.instance.Cluster, s.instance.ID) {
		n.add(task)
	}
	return int(n.running)
}
