package store

import (
	"hash/maphash"
	"iter"
	"sync"

	"github.com/tidwall/btree"

	"github.com/longshore/longshore/controlplane/model"
)

// taskTable holds the tasks. Nearly every change of the state is one of a task, and there
// are a hundred thousand of them, so what a change costs is what it touches of memory:
//
//   - The tasks themselves are in two trees, of those that are to run and of those that
//     are to stop: everything that is listed is listed by desired status.
//   - The groups (an instance's tasks, a service's, …) hold ids, not records, and are
//     resolved in the tree of the tasks. So a report, which changes none of a task's
//     groups, changes one tree; and no group keeps an old record alive.
//   - Items carry a number that decides nearly every comparison, so that a search does not
//     look into the records that it passes.
//   - Nobody asks for the groups of an index in any order. Their hash orders them: it is
//     the first half of the number, and the other half is of the id, see idNumber.
//
// Like a table it is copied on write.
type taskTable struct {
	toRun, toStop tree[taskItem]
	stopped       tree[taskItem] // by when they stopped
	groups        [taskGroups]tree[taskMember]

	hash   func(string) uint64
	pivots *sync.Pool
}

// taskGroup is an index of tasks by something that many have in common.
type taskGroup int

const (
	tasksByInstance taskGroup = iota
	tasksByService
	tasksByFamily
	tasksByStarter
	// Of the tasks to stop these are few, and those that matter:
	tasksEndingByInstance // not STOPPED yet
	tasksEndingByService  // open, see TaskOpen
	taskGroups
)

// taskIndexes say by what a group is named besides its cluster, and which tasks are in one.
var taskIndexes = [taskGroups]struct {
	name  func(*model.Task) string
	holds func(*model.Task) bool
}{
	tasksByInstance: {byInstance, func(*model.Task) bool { return true }},
	tasksByService:  {byService, func(t *model.Task) bool { return t.Service != "" }},
	tasksByFamily:   {byFamily, func(*model.Task) bool { return true }},
	tasksByStarter:  {byStarter, func(t *model.Task) bool { return t.StartedBy != "" }},

	tasksEndingByInstance: {byInstance, func(t *model.Task) bool { return stopping(t) && TaskLive(t) }},
	tasksEndingByService:  {byService, func(t *model.Task) bool { return t.Service != "" && stopping(t) && TaskOpen(t) }},
}

func byInstance(t *model.Task) string { return string(t.Instance) }
func byService(t *model.Task) string  { return string(t.Service) }
func byFamily(t *model.Task) string   { return string(t.Definition.Family) }
func byStarter(t *model.Task) string  { return t.StartedBy }

// taskItem is a task in the order of clusters (by their hash) and ids, or of when it stopped.
type taskItem struct {
	number uint64
	task   *model.Task
}

// taskMember says that a task is in a group. Task ids are random and no two clusters have
// the same, so groups whose hashes are the same do not get into each other's way.
type taskMember struct {
	number uint64
	id     model.TaskID
}

func taskItemLess(a, b taskItem) bool {
	if a.number != b.number {
		return a.number < b.number
	}
	return taskLess(a.task, b.task)
}

func stoppedItemLess(a, b taskItem) bool {
	if a.number != b.number {
		return a.number < b.number
	}
	if !a.task.StoppedAt.Equal(b.task.StoppedAt) {
		return a.task.StoppedAt.Before(b.task.StoppedAt)
	}
	return taskLess(a.task, b.task)
}

func taskMemberLess(a, b taskMember) bool {
	if a.number != b.number {
		return a.number < b.number
	}
	return a.id < b.id
}

func taskLess(a, b *model.Task) bool {
	if a.Cluster != b.Cluster {
		return a.Cluster < b.Cluster
	}
	return a.ID < b.ID
}

func newTaskTable() *taskTable {
	seed := maphash.MakeSeed()
	t := &taskTable{
		toRun: newTree(taskItemLess), toStop: newTree(taskItemLess), stopped: newTree(stoppedItemLess),
		hash:   func(s string) uint64 { return maphash.String(seed, s) },
		pivots: &sync.Pool{New: func() any { return new(model.Task) }},
	}
	for i := range t.groups {
		t.groups[i] = newTree(taskMemberLess)
	}
	return t
}

// freeze returns a copy that later changes do not reach.
func (t *taskTable) freeze() *taskTable {
	c := &taskTable{
		toRun: t.toRun.freeze(), toStop: t.toStop.freeze(), stopped: t.stopped.freeze(),
		hash: t.hash, pivots: t.pivots,
	}
	for i := range t.groups {
		c.groups[i] = t.groups[i].freeze()
	}
	return c
}

// ofStatus is the tree with the tasks that are to stop, or the one with the others.
func (t *taskTable) ofStatus(stopping bool) *tree[taskItem] {
	if stopping {
		return &t.toStop
	}
	return &t.toRun
}

func (t *taskTable) item(r *model.Task) taskItem {
	return taskItem{numberOf(t.hash(string(r.Cluster)), r.ID), r}
}

// get looks a task up by cluster and id.
func (t *taskTable) get(r *model.Task) (*model.Task, bool) { return t.find(r.Cluster, r.ID) }

func (t *taskTable) find(c model.ClusterName, id model.TaskID) (*model.Task, bool) {
	pivot := t.pivots.Get().(*model.Task)
	defer t.pivots.Put(pivot)
	pivot.Cluster, pivot.ID = c, id
	item := t.item(pivot)
	found, ok := t.toRun.Get(item)
	if !ok {
		found, ok = t.toStop.Get(item)
	}
	return found.task, ok
}

// replace puts next in the place of what is there; without next, that is removed.
func (t *taskTable) replace(old, next *model.Task) {
	if next == nil {
		t.remove(old)
		return
	}
	t.put(next)
}

// put makes or replaces a task, and returns what was there.
func (t *taskTable) put(next *model.Task) (old *model.Task) {
	item := t.item(next)
	was, ok := t.ofStatus(stopping(next)).put(item)
	if !ok {
		was, _ = t.ofStatus(!stopping(next)).remove(item)
	}
	t.index(was.task, next)
	return was.task
}

// remove forgets a task, and returns what was there.
func (t *taskTable) remove(r *model.Task) (old *model.Task) {
	item := t.item(r)
	was, ok := t.toRun.remove(item)
	if !ok {
		was, _ = t.toStop.remove(item)
	}
	t.index(was.task, nil)
	return was.task
}

// index makes the groups follow a change of a task; either may be nil.
func (t *taskTable) index(old, next *model.Task) {
	for g := range taskGroups {
		of := &taskIndexes[g]
		had, has := old != nil && of.holds(old), next != nil && of.holds(next)
		if had && has && of.name(old) == of.name(next) && stopping(old) == stopping(next) {
			continue // the usual change
		}
		if had {
			t.groups[g].remove(t.member(g, old))
		}
		if has {
			t.groups[g].put(t.member(g, next))
		}
	}
	had, has := old != nil && !TaskLive(old), next != nil && !TaskLive(next)
	if had && !(has && old.StoppedAt.Equal(next.StoppedAt)) {
		t.stopped.remove(taskItem{timeNumber(old.StoppedAt), old})
	}
	if has {
		t.stopped.put(taskItem{timeNumber(next.StoppedAt), next})
	}
}

// member is what a task is in an index.
func (t *taskTable) member(g taskGroup, r *model.Task) taskMember {
	return taskMember{numberOf(t.group(r.Cluster, taskIndexes[g].name(r), stopping(r)), r.ID), r.ID}
}

// group is what the number of a group begins with. Two groups may have the same.
func (t *taskTable) group(c model.ClusterName, name string, stopping bool) uint64 {
	const odd = 0x9e3779b97f4a7c15 // tells apart what a hash that is added twice would not
	h := t.hash(name) ^ t.hash(string(c))*odd
	if stopping {
		return h | (idBits + 1)
	}
	return h &^ (idBits + 1)
}

// walk walks the tasks of a group by id, starting at from.
func (t *taskTable) walk(g taskGroup, c model.ClusterName, name string, stopping bool, from model.TaskID) iter.Seq[*model.Task] {
	return func(yield func(*model.Task) bool) {
		first := taskMember{numberOf(t.group(c, name, stopping), from), from}
		pivot := t.pivots.Get().(*model.Task)
		defer t.pivots.Put(pivot)
		pivot.Cluster = c
		cluster := t.hash(string(c)) &^ idBits
		tasks := t.ofStatus(stopping)
		var hint btree.PathHint // the tasks are passed in their tree's order
		t.groups[g].Ascend(first, func(m taskMember) bool {
			if (m.number^first.number)&^idBits != 0 {
				return false
			}
			pivot.ID = m.id
			found, ok := tasks.GetHint(taskItem{cluster | m.number&idBits, pivot}, &hint)
			if !ok || taskIndexes[g].name(found.task) != name {
				return true // of another group with the same hash
			}
			return yield(found.task)
		})
	}
}

// ofCluster walks the tasks of a cluster, those to stop or the others, by id, starting at from.
func (t *taskTable) ofCluster(c model.ClusterName, stopping bool, from model.TaskID) iter.Seq[*model.Task] {
	return func(yield func(*model.Task) bool) {
		first := t.item(&model.Task{Cluster: c, ID: from})
		t.ofStatus(stopping).Ascend(first, func(i taskItem) bool {
			if (i.number^first.number)&^idBits != 0 {
				return false
			}
			return i.task.Cluster != c || yield(i.task)
		})
	}
}

// byStopTime walks the STOPPED tasks, the longest stopped first.
func (t *taskTable) byStopTime() iter.Seq[*model.Task] {
	return func(yield func(*model.Task) bool) {
		t.stopped.Scan(func(i taskItem) bool { return yield(i.task) })
	}
}

// all walks all tasks.
func (t *taskTable) all() iter.Seq[*model.Task] {
	return func(yield func(*model.Task) bool) {
		more := true
		for _, part := range []*tree[taskItem]{&t.toRun, &t.toStop} {
			if more {
				part.Scan(func(i taskItem) bool {
					more = yield(i.task)
					return more
				})
			}
		}
	}
}

// items is how many there are in all trees.
func (t *taskTable) items() int {
	n := t.toRun.Len() + t.toStop.Len() + t.stopped.Len()
	for g := range t.groups {
		n += t.groups[g].Len()
	}
	return n
}
