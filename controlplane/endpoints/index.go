package endpoints

import (
	"context"
	"sync"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
)

// Index tells subscribers which target groups have changed. A change costs it no
// more than the targets that it concerns.
type Index struct {
	store *store.Store

	mu   sync.Mutex
	subs map[*Subscription]struct{}
}

// NewIndex makes an index and registers it as an observer of the store, which must
// not run yet.
func NewIndex(s *store.Store) *Index {
	x := &Index{store: s, subs: map[*Subscription]struct{}{}}
	s.Observe(x.observe)
	return x
}

// View returns the durable state, to read groups and members from.
func (x *Index) View() *store.Tables { return x.store.View() }

// Members returns the targets of a group; see [Members].
func (x *Index) Members(group model.TargetGroupARN) []Member { return Members(x.View(), group) }

// Subscription collects the groups that changed since it was last asked.
type Subscription struct {
	index *Index
	wake  chan struct{}
	dirty map[model.TargetGroupARN]struct{} // under the index's lock
}

// Subscribe returns a subscription for which every group that there is has changed.
// It has to be closed.
func (x *Index) Subscribe() *Subscription {
	s := &Subscription{index: x, wake: make(chan struct{}, 1), dirty: map[model.TargetGroupARN]struct{}{}}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.subs[s] = struct{}{}
	for g := range x.store.View().TargetGroups("") {
		s.dirty[g.ARN] = struct{}{}
	}
	s.wake <- struct{}{}
	return s
}

// Next waits until a group has changed, and returns those that have, in no order. The
// view shows what changed by then; one that is not there any more was deleted. The
// first answer may be empty.
func (s *Subscription) Next(ctx context.Context) ([]model.TargetGroupARN, error) {
	select {
	case <-s.wake:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	out := make([]model.TargetGroupARN, 0, len(s.dirty))
	for arn := range s.dirty {
		out = append(out, arn)
	}
	clear(s.dirty)
	return out, nil
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	delete(s.index.subs, s)
}

// observe notes which groups changed. It runs in the store's commit loop.
func (x *Index) observe(view *store.Tables, changes []store.Change) {
	dirty := map[model.TargetGroupARN]struct{}{}
	for _, c := range changes {
		switch next := c.New.(type) {
		case *model.TargetGroup:
			for _, g := range []*model.TargetGroup{c.Old.(*model.TargetGroup), next} {
				if g != nil {
					dirty[g.ARN] = struct{}{}
				}
			}
		case *model.Task:
			noteTask(dirty, c.Old.(*model.Task), next)
		case *model.Instance:
			noteInstance(dirty, view, c.Old.(*model.Instance), next)
		}
	}
	if len(dirty) == 0 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for s := range x.subs {
		for arn := range dirty {
			s.dirty[arn] = struct{}{}
		}
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// noteTask adds the groups in which a change of a task shows: most changes show in none.
func noteTask(dirty map[model.TargetGroupARN]struct{}, old, next *model.Task) {
	was, is := old != nil && old.InTraffic(), next != nil && next.InTraffic()
	switch {
	case !was && !is:
		return
	case was && !is:
		next = old
	case was && is && old.LastStatus == next.LastStatus && old.DesiredStatus == next.DesiredStatus &&
		old.Lost == next.Lost && sameTargets(old.Targets, next.Targets) && samePlace(old, next):
		return
	}
	for _, t := range next.Targets {
		dirty[t.Group] = struct{}{}
	}
}

func sameTargets(a, b []model.Target) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// samePlace tells whether two versions of a task are reached in the same place.
func samePlace(a, b *model.Task) bool {
	if ownAddress(a) != ownAddress(b) {
		return false
	}
	for _, t := range a.Targets {
		if a.HostPort(t.Container, t.ContainerPort) != b.HostPort(t.Container, t.ContainerPort) || a.ContainerEnded(t.Container) != b.ContainerEnded(t.Container) {
			return false
		}
	}
	return true
}

// noteInstance adds the groups of an instance's tasks if its address or zone changed.
func noteInstance(dirty map[model.TargetGroupARN]struct{}, view *store.Tables, old, next *model.Instance) {
	if old != nil && next != nil && store.InstanceLive(old) == store.InstanceLive(next) &&
		attribute(old, model.AddressAttribute) == attribute(next, model.AddressAttribute) &&
		attribute(old, "ecs.availability-zone") == attribute(next, "ecs.availability-zone") {
		return
	}
	i := next
	if i == nil {
		i = old
	}
	for t := range view.LiveTasksOnInstance(i.Cluster, i.ID) {
		for _, target := range t.Targets {
			dirty[target.Group] = struct{}{}
		}
	}
	for g := range view.TargetGroupsOfHosts() {
		for _, m := range g.Manual {
			if m.ID == string(i.ID) || m.ID == i.EC2InstanceID {
				dirty[g.ARN] = struct{}{}
			}
		}
	}
}
