package services_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// moments follows every record that a store commits, one after the other, and holds
// each moment against what ECS promises of services. It shares no code with rollout.
type moments struct {
	healthyAfter time.Duration
	checked      map[model.DefinitionRef]bool // definitions with a health check

	mu        sync.Mutex
	services  map[model.ServiceKey]*model.Service
	instances map[model.InstanceID]*model.Instance
	tasks     map[model.ServiceKey]map[model.TaskID]*model.Task // that are not STOPPED
	// calm are the services that nothing happens to that is not their own doing, once
	// they have served: enough of their tasks serve at any moment.
	calm       map[model.ServiceKey]bool
	starts     int
	stops      int // of tasks that served
	violations []string
}

func newMoments(healthyAfter time.Duration, checked map[model.DefinitionRef]bool) *moments {
	return &moments{
		healthyAfter: healthyAfter, checked: checked,
		services: map[model.ServiceKey]*model.Service{}, instances: map[model.InstanceID]*model.Instance{},
		tasks: map[model.ServiceKey]map[model.TaskID]*model.Task{}, calm: map[model.ServiceKey]bool{},
	}
}

// load takes over what a new leader finds.
func (m *moments) load(view *store.Tables) {
	for s := range view.AllServices() {
		m.services[s.Key()] = s
		for t := range view.LiveTasksOfService(s.Key()) {
			m.keep(t)
		}
	}
	for i := range view.LiveInstances("c", "") {
		m.instances[i.ID] = i
	}
}

func (m *moments) keep(t *model.Task) {
	k := model.ServiceKey{Cluster: t.Cluster, Name: t.Service}
	if m.tasks[k] == nil {
		m.tasks[k] = map[model.TaskID]*model.Task{}
	}
	m.tasks[k][t.ID] = t
	if t.LastStatus == model.TaskStopped {
		delete(m.tasks[k], t.ID)
	}
}

func (m *moments) observe(_ *store.Tables, changes []store.Change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range changes {
		switch next := c.New.(type) {
		case *model.Service:
			if next != nil {
				m.services[next.Key()] = next
			}
		case *model.Instance:
			if next != nil {
				m.instances[next.ID] = next
			}
		case *model.Task:
			if next != nil && next.Service != "" {
				old := c.Old.(*model.Task)
				m.keep(next)
				m.check(old, next)
			}
		}
	}
	for k, calm := range m.calm {
		if s := m.services[k]; calm && m.serving(k) < m.least(s) {
			m.violate("%d tasks of %s serve; %d must", m.serving(k), k.Name, m.least(s))
		}
	}
}

// check holds one change of a task against the promises.
func (m *moments) check(old, next *model.Task) {
	k := model.ServiceKey{Cluster: next.Cluster, Name: next.Service}
	s := m.services[k]
	switch {
	case s == nil || s.Status != model.StatusActive:
	case old == nil:
		m.starts++
		m.checkStart(s, next)
	case old.DesiredStatus == model.TaskRunning && next.DesiredStatus == model.TaskStopped &&
		next.StopCode == ecs.TaskStopCodeServiceSchedulerInitiated && m.serves(old) && m.proven(old):
		m.stops++
		if n := m.serving(k); n < m.least(s) {
			m.violate("%s was stopped (%s) with %d tasks of %s left that serve; %d must stay", next.ID, next.StoppedReason, n, k.Name, m.least(s))
		}
	}
}

func (m *moments) checkStart(s *model.Service, next *model.Task) {
	i := m.instances[next.Instance]
	if i == nil || i.Status != model.StatusActive || !i.AgentConnected {
		m.violate("%s of %s was started on %+v", next.ID, s.Name, i)
	}
	held, beside := 0, 0
	for _, t := range m.tasks[s.Key()] {
		// The tasks of a silent host count or not by the clock of the loop.
		if i := m.instances[t.Instance]; i != nil && i.SilentSince.IsZero() {
			held++
			if t.Instance == next.Instance {
				beside++
			}
		}
	}
	most := max(int(s.DesiredCount)*int(*s.DeploymentConfiguration.MaximumPercent)/100, int(s.DesiredCount))
	if s.SchedulingStrategy == ecs.SchedulingStrategyDAEMON {
		held, most = beside, 1
	}
	if held > most {
		m.violate("%s makes %d tasks of %s; at most %d may be there", next.ID, held, s.Name, most)
	}
}

func (m *moments) least(s *model.Service) int {
	percent := int(*s.DeploymentConfiguration.MinimumHealthyPercent)
	return min((int(s.DesiredCount)*percent+99)/100, int(s.DesiredCount))
}

func (m *moments) serves(t *model.Task) bool {
	switch {
	case t.LastStatus != model.TaskRunning || t.DesiredStatus != model.TaskRunning || t.HealthStatus == ecs.HealthStatusUNHEALTHY:
		return false
	case m.checked[t.Definition]:
		return t.HealthStatus == ecs.HealthStatusHEALTHY
	}
	return time.Since(t.StartedAt) >= m.healthyAfter
}

// proven tells whether a task without a health check counted as healthy for certain when the
// loop looked at it, a little before its plan was committed.
func (m *moments) proven(t *model.Task) bool {
	const planning = 50 * time.Millisecond
	return m.checked[t.Definition] || m.healthyAfter == 0 || time.Since(t.StartedAt) >= m.healthyAfter+planning
}

func (m *moments) serving(k model.ServiceKey) int {
	n := 0
	for _, t := range m.tasks[k] {
		if m.serves(t) {
			n++
		}
	}
	return n
}

func (m *moments) violate(format string, args ...any) {
	m.violations = append(m.violations, fmt.Sprintf(format, args...))
}

func (m *moments) setCalm(keys ...model.ServiceKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range keys {
		m.calm[k] = true
	}
}

// report fails the test if a promise was broken at any moment.
func (m *moments) report(t *testing.T) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, v := range slices.Compact(m.violations) {
		t.Error(v)
	}
	t.Logf("%d tasks were started, %d stopped that served", m.starts, m.stops)
	if m.starts == 0 {
		t.Error("nothing happened")
	}
}
