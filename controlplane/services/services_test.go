package services_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/rollout"
	"github.com/longshore/longshore/controlplane/services"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/controlplane/store/storetest"
	"github.com/longshore/longshore/proto/ecs"
)

var key = model.ServiceKey{Cluster: "c", Name: "web"}

// world is a store with the service loop on it and an obedient agent: it runs
// what should run and stops what should stop, at once.
type world struct {
	t     *testing.T
	store *store.Store
}

func newWorld(t *testing.T, instances ...*model.Instance) *world {
	t.Helper()
	dirty := make(chan model.TaskID, 10000)
	var loop *services.Loop
	settings := rollout.DefaultSettings()
	settings.HealthyAfter = 20 * time.Millisecond
	s := storetest.New(t, func(s *store.Store) {
		loop = services.New(services.Config{Store: s, Settings: settings})
		s.Observe(func(_ *store.Tables, changes []store.Change) {
			for _, c := range changes {
				if task, ok := c.New.(*model.Task); ok && task != nil {
					dirty <- task.ID
				}
			}
		})
	})
	w := &world{t, s}
	w.update(func(tx *store.Tx) {
		for _, i := range instances {
			tx.PutInstance(i)
		}
		for revision := range int32(2) {
			tx.PutDefinition(&model.Definition{
				Ref:    model.DefinitionRef{Family: "f", Revision: revision + 1},
				Status: ecs.TaskDefinitionStatusACTIVE,
				Shape:  ecs.TaskDefinition{ContainerDefinitions: []ecs.ContainerDefinition{{Name: "main", Cpu: 100, Memory: new(int32(64))}}},
			})
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{}, 2)
	go func() {
		loop.Run(ctx)
		ended <- struct{}{}
	}()
	go func() {
		defer func() { ended <- struct{}{} }()
		for {
			select {
			case id := <-dirty:
				w.obey(ctx, id)
			case <-ctx.Done():
				return
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		<-ended
	})
	return w
}

func (w *world) obey(ctx context.Context, id model.TaskID) {
	w.store.Update(ctx, func(tx *store.Tx) error {
		task, ok := tx.Task("c", id)
		if !ok || !store.TaskLive(task) {
			return nil
		}
		status := model.TaskRunning
		if task.DesiredStatus == model.TaskStopped {
			status = model.TaskStopped
		}
		if next, changed := task.Reported(model.TaskReport{Status: status}, time.Now()); changed {
			tx.PutTask(next)
		}
		return nil
	})
}

func (w *world) update(f func(*store.Tx)) {
	w.t.Helper()
	if err := w.store.Update(w.t.Context(), func(tx *store.Tx) error { f(tx); return nil }); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) deploy(desired int32, revision int32) {
	w.t.Helper()
	w.update(func(tx *store.Tx) {
		s := model.Service{Cluster: key.Cluster, Name: key.Name, Status: model.StatusActive, SchedulingStrategy: ecs.SchedulingStrategyREPLICA, CreatedAt: time.Now()}
		if old, ok := tx.Service(key); ok {
			s = *old
		}
		s.DesiredCount = desired
		s.DeploymentConfiguration = ecs.DeploymentConfiguration{MaximumPercent: new(int32(200)), MinimumHealthyPercent: new(int32(100))}
		s = rollout.Deploy(s, model.NewDeploymentID(), model.DefinitionRef{Family: "f", Revision: revision}, time.Now())
		tx.PutService(&s)
	})
}

// await waits until a condition holds.
func (w *world) await(what string, holds func(*store.Tables) bool) {
	w.t.Helper()
	changed, stop := w.store.Subscribe()
	defer stop()
	deadline := time.After(60 * time.Second)
	for !holds(w.store.View()) {
		select {
		case <-changed:
		case <-deadline:
			w.t.Fatalf("waited in vain: %s; events: %q", what, w.events())
		}
	}
}

func (w *world) events() []string {
	var out []string
	for e := range w.store.View().Events(key) {
		out = append(out, e.Message)
	}
	return out
}

func running(v *store.Tables, revision int32) int {
	n := 0
	for task := range v.LiveTasksOfService(key) {
		if task.LastStatus == model.TaskRunning && task.Definition.Revision == revision {
			n++
		}
	}
	return n
}

func settled(desired int, revision int32) func(*store.Tables) bool {
	return func(v *store.Tables) bool {
		s, _ := v.Service(key)
		return running(v, revision) == desired && len(slices.Collect(v.LiveTasksOfService(key))) == desired &&
			len(s.Deployments) == 1 && s.Primary().RolloutState == ecs.DeploymentRolloutStateCOMPLETED
	}
}

func host(id model.InstanceID, cpu int32) *model.Instance {
	return &model.Instance{
		ID: id, Cluster: "c", Status: model.StatusActive, AgentConnected: true,
		Resources: []ecs.Resource{{Name: "CPU", IntegerValue: cpu}, {Name: "MEMORY", IntegerValue: 4096}},
	}
}

func TestLoop_FillsReplacesRollsScalesAndDeletes(t *testing.T) {
	w := newWorld(t, host("i1", 2048), host("i2", 2048))
	w.deploy(4, 1)
	w.await("four tasks of revision 1", settled(4, 1))
	perHost := map[model.InstanceID]int{}
	for task := range w.store.View().LiveTasksOfService(key) {
		perHost[task.Instance]++
		if task.StartedBy != string(task.Deployment) || task.Group != "service:web" {
			t.Errorf("task started by %q in group %q", task.StartedBy, task.Group)
		}
	}
	if perHost["i1"] != 2 || perHost["i2"] != 2 {
		t.Errorf("tasks are not spread over instances: %v", perHost)
	}

	var victim *model.Task
	for task := range w.store.View().LiveTasksOfService(key) {
		victim = task
	}
	w.update(func(tx *store.Tx) {
		task, _ := tx.Task("c", victim.ID)
		next, _ := task.Reported(model.TaskReport{Status: model.TaskStopped, StopCode: ecs.TaskStopCodeEssentialContainerExited}, time.Now())
		tx.PutTask(next)
	})
	w.await("the dead task replaced", func(v *store.Tables) bool {
		dead, _ := v.Task("c", victim.ID)
		return settled(4, 1)(v) && dead.OutcomeCounted
	})

	w.deploy(4, 2)
	w.await("four tasks of revision 2", settled(4, 2))
	w.deploy(1, 2)
	w.await("one task", settled(1, 2))
	w.update(func(tx *store.Tx) {
		s, _ := tx.Service(key)
		next := *s
		next.Status, next.DesiredCount = model.StatusDraining, 0
		tx.PutService(&next)
	})
	w.await("the service INACTIVE", func(v *store.Tables) bool {
		s, _ := v.Service(key)
		return s.Status == model.StatusInactive && len(slices.Collect(v.LiveTasksOfService(key))) == 0
	})
	if events := w.events(); !slices.ContainsFunc(events, func(e string) bool { return strings.Contains(e, "has reached a steady state.") }) {
		t.Errorf("no steady state among the events %q", events)
	}
}

func TestLoop_TriesAgainWhenThereIsRoom(t *testing.T) {
	w := newWorld(t, host("i1", 250))
	w.deploy(3, 1)
	w.await("the shortage told", func(v *store.Tables) bool {
		return running(v, 1) == 2 && slices.ContainsFunc(w.events(), func(e string) bool {
			return strings.Contains(e, "(container-instance i1) has insufficient CPU units available")
		})
	})
	w.update(func(tx *store.Tx) { tx.PutInstance(host("i2", 250)) })
	w.await("three tasks once a second host is there", settled(3, 1))
}

func TestLoop_DaemonRunsOnEveryHostThatComes(t *testing.T) {
	w := newWorld(t, host("i1", 2048))
	w.update(func(tx *store.Tx) {
		s := model.Service{Cluster: "c", Name: "web", Status: model.StatusActive, SchedulingStrategy: ecs.SchedulingStrategyDAEMON}
		s.DeploymentConfiguration = ecs.DeploymentConfiguration{MaximumPercent: new(int32(100)), MinimumHealthyPercent: new(int32(0))}
		s = rollout.Deploy(s, model.NewDeploymentID(), model.DefinitionRef{Family: "f", Revision: 1}, time.Now())
		tx.PutService(&s)
	})
	w.await("one task", func(v *store.Tables) bool { return running(v, 1) == 1 })
	w.update(func(tx *store.Tx) { tx.PutInstance(host("i2", 2048)) })
	w.await("a task on each host", func(v *store.Tables) bool {
		hosts := map[model.InstanceID]int{}
		for task := range v.LiveTasksOfService(key) {
			hosts[task.Instance]++
		}
		return hosts["i1"] == 1 && hosts["i2"] == 1
	})
}

func TestLoop_KeepsTheLatestHundredEvents(t *testing.T) {
	w := newWorld(t, host("i1", 4096))
	for n := range int32(60) {
		w.deploy(n%2+1, 1)
		w.await("settled", settled(int(n%2+1), 1))
	}
	if n := len(w.events()); n > 100 || n < 90 {
		t.Errorf("%d events kept, want 100", n)
	}
}

func pooled(id model.InstanceID, pool string, cpu int32) *model.Instance {
	i := host(id, cpu)
	i.Attributes = []ecs.Attribute{{Name: model.PoolAttribute, Value: &pool}}
	return i
}

func providers(v *store.Tables) map[model.ProviderName]int {
	out := map[model.ProviderName]int{}
	for task := range v.LiveTasksOfService(key) {
		out[task.CapacityProvider]++
	}
	return out
}

func TestLoop_DividesTasksAmongCapacityProviders(t *testing.T) {
	w := newWorld(t, pooled("i1", "pa", 4096), pooled("i2", "pb", 250), host("i3", 4096))
	w.update(func(tx *store.Tx) {
		for _, name := range []string{"a", "b"} {
			tx.PutCapacityProvider(&model.CapacityProvider{
				Name: model.ProviderName(name), Status: ecs.CapacityProviderStatusACTIVE,
				Group: ecs.AutoScalingGroupProvider{AutoScalingGroupArn: "arn:aws:autoscaling:r:1:autoScalingGroup:u:autoScalingGroupName/p" + name},
			})
		}
		s := model.Service{Cluster: "c", Name: "web", Status: model.StatusActive, SchedulingStrategy: ecs.SchedulingStrategyREPLICA, DesiredCount: 3}
		s.CapacityProviderStrategy = []ecs.CapacityProviderStrategyItem{{CapacityProvider: "a", Base: 1, Weight: 1}, {CapacityProvider: "b", Weight: 1}}
		s = rollout.Deploy(s, model.NewDeploymentID(), model.DefinitionRef{Family: "f", Revision: 1}, time.Now())
		tx.PutService(&s)
	})
	w.await("three tasks", settled(3, 1))
	if got := providers(w.store.View()); got["a"] != 2 || got["b"] != 1 {
		t.Errorf("tasks by provider: %v", got)
	}
	for task := range w.store.View().LiveTasksOfService(key) {
		if want := map[model.ProviderName]model.InstanceID{"a": "i1", "b": "i2"}[task.CapacityProvider]; task.Instance != want || task.LaunchType != ecs.LaunchTypeEC2 {
			t.Errorf("a %s task of %s is on %s", task.LaunchType, task.CapacityProvider, task.Instance)
		}
	}
	scale := func(n int32) {
		w.update(func(tx *store.Tx) {
			have, _ := tx.Service(key)
			next := rollout.Renewed(*have)
			next.DesiredCount = n
			tx.PutService(&next)
		})
	}
	scale(7)
	w.await("the shortage of one pool told", func(v *store.Tables) bool {
		got := providers(v)
		return got["a"] == 4 && got["b"] == 2 && slices.ContainsFunc(w.events(), func(e string) bool {
			return strings.Contains(e, "(container-instance i2) has insufficient CPU units available")
		})
	})
	w.update(func(tx *store.Tx) { tx.PutInstance(pooled("i4", "pb", 250)) })
	w.await("seven tasks once the pool has a second host", settled(7, 1))
	if got := providers(w.store.View()); got["a"] != 4 || got["b"] != 3 {
		t.Errorf("tasks by provider: %v", got)
	}
}

// member makes web a service with constraints, and waits for nothing.
func (w *world) member(scheduling ecs.SchedulingStrategy, desired int32, expression string) {
	w.update(func(tx *store.Tx) {
		s := model.Service{Cluster: "c", Name: "web", Status: model.StatusActive, SchedulingStrategy: scheduling, DesiredCount: desired,
			PlacementConstraints: []ecs.PlacementConstraint{{Type: ecs.PlacementConstraintTypeMemberOf, Expression: expression}}}
		s.DeploymentConfiguration = ecs.DeploymentConfiguration{MaximumPercent: new(int32(100)), MinimumHealthyPercent: new(int32(0))}
		s = rollout.Deploy(s, model.NewDeploymentID(), model.DefinitionRef{Family: "f", Revision: 1}, time.Now())
		tx.PutService(&s)
	})
}

// only tells whether exactly the given hosts run a task of web, one each.
func only(hosts ...model.InstanceID) func(*store.Tables) bool {
	return func(v *store.Tables) bool {
		var on []model.InstanceID
		for task := range v.LiveTasksOfService(key) {
			on = append(on, task.Instance)
		}
		slices.Sort(on)
		return slices.Equal(on, hosts)
	}
}

// guest is a task of another group.
func guest(id model.TaskID, on model.InstanceID, group string) *model.Task {
	return &model.Task{ID: id, Cluster: "c", Instance: on, Group: group, Definition: model.DefinitionRef{Family: "f", Revision: 1},
		DesiredStatus: model.TaskRunning, LastStatus: model.TaskPending, CreatedAt: time.Now()}
}

func TestLoop_DaemonFollowsTheHostsThatMatchItsConstraints(t *testing.T) {
	with := func(id model.InstanceID, rack string) *model.Instance {
		i := host(id, 2048)
		i.Attributes = []ecs.Attribute{{Name: "rack", Value: &rack}}
		return i
	}
	w := newWorld(t, with("i1", "1"), with("i2", "2"), with("i3", "3"))
	w.member(ecs.SchedulingStrategyDAEMON, 0, "attribute:rack in [1, 2]")
	w.await("tasks on the hosts that match", only("i1", "i2"))
	w.update(func(tx *store.Tx) { tx.PutInstance(with("i3", "1")); tx.PutInstance(with("i1", "9")) })
	w.await("tasks on the hosts that match now", only("i2", "i3"))
}

func TestLoop_DaemonFollowsTheTasksThatItsConstraintsNameAndNotItsOwn(t *testing.T) {
	w := newWorld(t, host("i1", 2048), host("i2", 2048))
	w.update(func(tx *store.Tx) { tx.PutTask(guest("t1", "i1", "service:batch")) })
	w.member(ecs.SchedulingStrategyDAEMON, 0, "task:group != service:batch && task:group != service:web")
	w.await("a task where the other service is not", only("i2"))
	w.await("the service settled", func(v *store.Tables) bool {
		s, _ := v.Service(key)
		return s.Primary().RolloutState == ecs.DeploymentRolloutStateCOMPLETED
	})
	first := slices.Collect(w.store.View().LiveTasksOfService(key))[0].ID
	w.update(func(tx *store.Tx) {
		gone, _ := tx.Task("c", "t1")
		next := *gone
		next.LastStatus, next.DesiredStatus = model.TaskStopped, model.TaskStopped
		tx.PutTask(&next)
	})
	w.await("a task on the host that it left", only("i1", "i2"))
	w.update(func(tx *store.Tx) { tx.PutTask(guest("t2", "i1", "service:batch")) })
	w.await("none where it came back", only("i2"))
	if now := slices.Collect(w.store.View().LiveTasksOfService(key))[0].ID; now != first {
		t.Errorf("the task on i2 was replaced: %s, then %s", first, now)
	}
}

func TestLoop_TriesAgainWhenTheGroupThatItWantsIsThere(t *testing.T) {
	w := newWorld(t, host("i1", 2048), host("i2", 2048))
	w.member(ecs.SchedulingStrategyREPLICA, 1, "task:group == service:cache")
	w.await("no host matches", func(*store.Tables) bool {
		return slices.ContainsFunc(w.events(), func(e string) bool {
			return strings.Contains(e, `encountered error "MemberOf placement constraint unsatisfied."`)
		})
	})
	w.update(func(tx *store.Tx) { tx.PutTask(guest("t1", "i2", "service:cache")) })
	w.await("a task beside the group", only("i2"))
}
