package store

import (
	"cmp"
	"iter"

	"github.com/longshore/longshore/controlplane/model"
)

const (
	groupsByName = iota
	groupsByDue
	groupsOfHosts
)

var targetGroupIndexes = []index[model.TargetGroup]{
	groupsByName: {less: func(a, b *model.TargetGroup) bool { return a.Name < b.Name }},
	groupsByDue: {
		less: func(a, b *model.TargetGroup) bool {
			return cmp.Or(a.ManualDue.Compare(b.ManualDue), cmp.Compare(a.Name, b.Name)) < 0
		},
		holds: func(g *model.TargetGroup) bool { return !g.ManualDue.IsZero() },
	},
	groupsOfHosts: {
		less:  func(a, b *model.TargetGroup) bool { return a.Name < b.Name },
		holds: func(g *model.TargetGroup) bool { return g.TargetType == model.TargetTypeInstance && len(g.Manual) > 0 },
	},
}

// membership says that a task is in a target group.
type membership struct {
	group   model.TargetGroupARN
	cluster model.ClusterName
	task    model.TaskID
}

var membershipIndexes = []index[membership]{{less: func(a, b *membership) bool {
	return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.cluster, b.cluster), cmp.Compare(a.task, b.task)) < 0
}}}

// groupUse says that a service names a target group.
type groupUse struct {
	group   model.TargetGroupARN
	service model.ServiceKey
}

var groupUseIndexes = []index[groupUse]{{less: func(a, b *groupUse) bool {
	return cmp.Or(cmp.Compare(a.group, b.group),
		cmp.Compare(a.service.Cluster, b.service.Cluster), cmp.Compare(a.service.Name, b.service.Name)) < 0
}}}

func (t *Tables) deriveMemberships(old, next *model.Task) {
	was, is := old != nil && old.InTraffic(), next != nil && next.InTraffic()
	if was == is {
		return // a task's groups never change
	}
	if was {
		for _, m := range old.Targets {
			t.memberships.replace(&membership{m.Group, old.Cluster, old.ID}, nil)
		}
		return
	}
	for _, m := range next.Targets {
		t.memberships.replace(nil, &membership{m.Group, next.Cluster, next.ID})
	}
}

func (t *Tables) deriveGroupUses(old, next *model.Service) {
	if old != nil && ServiceLive(old) {
		for arn := range old.TargetGroups() {
			t.groupUses.replace(&groupUse{arn, old.Key()}, nil)
		}
	}
	if next != nil && ServiceLive(next) {
		for arn := range next.TargetGroups() {
			t.groupUses.replace(nil, &groupUse{arn, next.Key()})
		}
	}
}

// TargetGroup returns the target group of that name.
func (t *Tables) TargetGroup(name string) (*model.TargetGroup, bool) {
	return t.targetGroups.get(&model.TargetGroup{Name: name})
}

// TargetGroupByARN returns a target group, unless it was deleted.
func (t *Tables) TargetGroupByARN(arn model.TargetGroupARN) (*model.TargetGroup, bool) {
	g, ok := t.TargetGroup(arn.Name())
	if !ok || g.ARN != arn {
		return nil, false
	}
	return g, true
}

// TargetGroups walks the target groups by name, starting at from.
func (t *Tables) TargetGroups(from string) iter.Seq[*model.TargetGroup] {
	return t.targetGroups.scan(groupsByName, &model.TargetGroup{Name: from}, func(*model.TargetGroup) bool { return true })
}

// TargetGroupsByDue walks the target groups of which manual targets are being
// drained, the first to be through first.
func (t *Tables) TargetGroupsByDue() iter.Seq[*model.TargetGroup] {
	return t.targetGroups.scan(groupsByDue, &model.TargetGroup{}, func(*model.TargetGroup) bool { return true })
}

// TargetGroupsOfHosts walks the target groups in which callers registered container
// instances, by name.
func (t *Tables) TargetGroupsOfHosts() iter.Seq[*model.TargetGroup] {
	return t.targetGroups.scan(groupsOfHosts, &model.TargetGroup{}, func(*model.TargetGroup) bool { return true })
}

// TasksInGroup walks the tasks that are in a target group, by cluster and id.
func (t *Tables) TasksInGroup(arn model.TargetGroupARN) iter.Seq[*model.Task] {
	return func(yield func(*model.Task) bool) {
		for m := range t.memberships.scan(0, &membership{group: arn}, func(m *membership) bool { return m.group == arn }) {
			if task, ok := t.Task(m.cluster, m.task); ok && !yield(task) {
				return
			}
		}
	}
}

// ServicesWithGroup walks the live services that name a target group, now or after a
// deployment is rolled back.
func (t *Tables) ServicesWithGroup(arn model.TargetGroupARN) iter.Seq[model.ServiceKey] {
	return func(yield func(model.ServiceKey) bool) {
		for u := range t.groupUses.scan(0, &groupUse{group: arn}, func(u *groupUse) bool { return u.group == arn }) {
			if !yield(u.service) {
				return
			}
		}
	}
}

// PutTargetGroup makes or replaces a target group.
func (tx *Tx) PutTargetGroup(g *model.TargetGroup) {
	old, _ := tx.TargetGroup(g.Name)
	put(tx, &groupKind, old, g)
}

// DeleteTargetGroup forgets a target group.
func (tx *Tx) DeleteTargetGroup(g *model.TargetGroup) {
	old, _ := tx.TargetGroup(g.Name)
	put(tx, &groupKind, old, nil)
}
