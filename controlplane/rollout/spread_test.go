package rollout

import "github.com/longshore/longshore/controlplane/model"

// countSpread counts the spread of tasks that stand in no roster.
func countSpread(members []*member) *spread {
	hosts := map[model.InstanceID]*host{}
	for _, m := range members {
		if hosts[m.task.Instance] == nil {
			hosts[m.task.Instance] = &host{id: m.task.Instance}
		}
		m.host = hosts[m.task.Instance]
	}
	s := newSpread(members)
	s.count()
	return s
}
