package services

import (
	"sync"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/rollout"
	"github.com/longshore/longshore/controlplane/store"
)

// news is what the store has told of services since they were last looked at, and the rosters that
// are kept up to date from it. So a look need not read all tasks of its service.
//
// It is no truth of its own: a roster begins as what the tables say, everything that is then committed is heard
// in the order of the commits, and a look is made on the very tables up to which that was heard.
type news struct {
	mu      sync.Mutex
	view    *store.Tables // with all that was heard, and nothing else
	heard   map[model.ServiceKey]*heard
	rosters map[model.ServiceKey]*rollout.Roster // each is its worker's, who has the key
}

// heard is what has changed of a service.
type heard struct {
	tasks     []taskNews         // in the order of the commits
	instances []model.InstanceID // under tasks of the service
}

// taskNews is a task as it has become; nil if it is there no more.
type taskNews struct {
	id  model.TaskID
	now *model.Task
}

func newNews() *news {
	return &news{heard: map[model.ServiceKey]*heard{}, rosters: map[model.ServiceKey]*rollout.Roster{}}
}

// begin sets the tables for looks before anything was heard.
func (n *news) begin(view *store.Tables) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.view == nil {
		n.view = view
	}
}

// hear takes note of a batch of changes. It runs in the store's commit loop, before the services
// that are concerned are marked.
func (n *news) hear(view *store.Tables, changes []store.Change) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.view = view
	for _, c := range changes {
		switch next := c.New.(type) {
		case *model.Task:
			n.hearTask(c.Old.(*model.Task), next)
		case *model.Instance:
			n.hearInstance(view, c.Old.(*model.Instance), next)
		}
	}
}

func (n *news) hearTask(old, next *model.Task) {
	t := next
	if t == nil {
		t = old
	}
	if t.Service != "" {
		h := n.of(model.ServiceKey{Cluster: t.Cluster, Name: t.Service})
		h.tasks = append(h.tasks, taskNews{t.ID, next})
	}
}

// hearInstance tells the services that have tasks on an instance. One that gets its first task there later
// looks the instance up then.
func (n *news) hearInstance(view *store.Tables, old, next *model.Instance) {
	i := next
	if i == nil {
		i = old
	}
	for t := range view.LiveTasksOnInstance(i.Cluster, i.ID) {
		if t.Service == "" {
			continue
		}
		h := n.of(model.ServiceKey{Cluster: t.Cluster, Name: t.Service})
		if len(h.instances) == 0 || h.instances[len(h.instances)-1] != i.ID {
			h.instances = append(h.instances, i.ID)
		}
	}
}

func (n *news) of(k model.ServiceKey) *heard {
	h := n.heard[k]
	if h == nil {
		h = &heard{}
		n.heard[k] = h
	}
	return h
}

// catchUp returns the tables for a look at a service and its roster as it is there.
func (n *news) catchUp(k model.ServiceKey) (*store.Tables, *rollout.Roster) {
	n.mu.Lock()
	view, h, roster := n.view, n.heard[k], n.rosters[k]
	delete(n.heard, k)
	n.mu.Unlock()
	if roster == nil {
		roster = rollout.NewRoster(view.OpenTasksOfService(k))
		n.mu.Lock()
		n.rosters[k] = roster
		n.mu.Unlock()
		return view, roster
	}
	if h == nil {
		return view, roster
	}
	for _, t := range h.tasks {
		if t.now == nil {
			roster.Forget(t.id)
		} else {
			roster.Note(t.now)
		}
	}
	for _, id := range h.instances {
		roster.NoteInstance(id)
	}
	return view, roster
}

// forget drops what is known of a service that is no longer looked after.
func (n *news) forget(k model.ServiceKey) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.rosters, k)
	delete(n.heard, k)
}
