package services_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/rollout"
	"github.com/longshore/longshore/controlplane/services"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/controlplane/store/embedded"
	"github.com/longshore/longshore/controlplane/store/storetest"
	"github.com/longshore/longshore/proto/ecs"
)

// quick are the loop's settings, so small that everything happens within a second.
func quick(healthyAfter time.Duration) rollout.Settings {
	s := rollout.DefaultSettings()
	s.HealthyAfter, s.SilentLimit = healthyAfter, 15*time.Millisecond
	s.BasePause, s.MaxPause = time.Millisecond, 20*time.Millisecond
	s.MaxChanges = 7
	return s
}

// term is one control plane's time as the leader: the loop and the agents on a store.
type term struct {
	t       *testing.T
	store   *store.Store
	moments *moments
}

// lead runs a loop and a fleet on what an etcd holds, until the test ends. A task without a
// health check counts as healthy at once, or, for an odd seed, after some milliseconds.
func lead(t *testing.T, etcd *embedded.Server, seed uint64) *term {
	healthyAfter := time.Duration(seed%2) * 5 * time.Millisecond
	checked := map[model.DefinitionRef]bool{}
	for revision := runs; revision <= crashes; revision++ {
		checked[model.DefinitionRef{Family: "f", Revision: revision}] = checkedRevision(revision)
	}
	agents := newFleet(seed)
	w := &term{t: t, moments: newMoments(healthyAfter, checked)}
	var loop *services.Loop
	w.store = storetest.On(t, etcd, func(s *store.Store) {
		w.moments.load(s.View())
		s.Observe(w.moments.observe)
		s.Observe(agents.observe)
		loop = services.New(services.Config{Store: s, Settings: quick(healthyAfter)})
	})
	agents.store = w.store
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{}, 2)
	go func() { loop.Run(ctx); ended <- struct{}{} }()
	go func() { agents.run(ctx); ended <- struct{}{} }()
	t.Cleanup(func() {
		cancel()
		<-ended
		<-ended
	})
	return w
}

func (w *term) update(f func(*store.Tx)) {
	w.t.Helper()
	if err := w.store.Update(w.t.Context(), func(tx *store.Tx) error { f(tx); return nil }); err != nil {
		w.t.Fatal(err)
	}
}

// begin makes hosts, definitions and services.
func (w *term) begin(instances int, all ...model.Service) {
	w.update(func(tx *store.Tx) {
		for _, i := range hosts(instances) {
			tx.PutInstance(i)
		}
		for revision := runs; revision <= crashes; revision++ {
			tx.PutDefinition(fDefinition(revision))
		}
		for _, s := range all {
			tx.PutService(&s)
		}
	})
}

func replica(name model.ServiceName, desired, least, most int32) model.Service {
	s := model.Service{
		Cluster: "c", Name: name, Status: model.StatusActive, SchedulingStrategy: ecs.SchedulingStrategyREPLICA,
		LaunchType: ecs.LaunchTypeEC2, DesiredCount: desired, CreatedAt: time.Now(),
		DeploymentConfiguration: ecs.DeploymentConfiguration{MinimumHealthyPercent: &least, MaximumPercent: &most},
	}
	return rollout.Deploy(s, model.NewDeploymentID(), model.DefinitionRef{Family: "f", Revision: runs}, time.Now())
}

func daemon(name model.ServiceName) model.Service {
	s := replica(name, 0, 0, 100)
	s.SchedulingStrategy = ecs.SchedulingStrategyDAEMON
	return s
}

// change does what UpdateService does.
func (w *term) change(k model.ServiceKey, f func(*model.Service)) {
	w.t.Helper()
	w.update(func(tx *store.Tx) {
		have, _ := tx.Service(k)
		next := rollout.Renewed(*have)
		next.Deployments = append([]model.Deployment(nil), have.Deployments...)
		f(&next)
		tx.PutService(&next)
	})
}

func deploy(revision int32) func(*model.Service) {
	return func(s *model.Service) {
		*s = rollout.Deploy(*s, model.NewDeploymentID(), model.DefinitionRef{Family: "f", Revision: revision}, time.Now())
	}
}

// atRest tells whether a service is what it should be and nothing else.
func (m *moments) atRest(v *store.Tables, k model.ServiceKey) bool {
	s, _ := v.Service(k)
	d := s.Deployments
	if len(d) != 1 || d[0].RolloutState != ecs.DeploymentRolloutStateCOMPLETED || !s.SteadyReported {
		return false
	}
	n := 0
	for t := range v.LiveTasksOfService(k) {
		if !m.serves(t) || t.Deployment != d[0].ID {
			return false
		}
		n++
	}
	return n == int(s.DesiredCount)
}

func (w *term) settle(keys ...model.ServiceKey) {
	w.t.Helper()
	for _, k := range keys {
		until(w.t, w.store, "service "+string(k.Name)+" at rest", func(v *store.Tables) bool { return w.moments.atRest(v, k) })
	}
}

func keyOf(s model.Service) model.ServiceKey { return s.Key() }

// TestLoop_ServesEnoughAndHoldsNotTooManyAtEveryMomentOfARollout replaces services with
// various percentages, changes its mind in the middle, drains hosts and scales, while
// nothing fails: at each committed moment enough tasks serve.
func TestLoop_ServesEnoughAndHoldsNotTooManyAtEveryMomentOfARollout(t *testing.T) {
	percent := [][2]int32{{100, 200}, {100, 150}, {50, 100}, {75, 125}, {34, 134}}
	w := lead(t, storetest.Etcd(t), 1)
	var all []model.Service
	var keys []model.ServiceKey
	for n, p := range percent {
		all = append(all, replica(model.ServiceName(fmt.Sprint("s", n)), int32(4+2*n), p[0], p[1]))
		keys = append(keys, keyOf(all[n]))
	}
	w.begin(6, all...)
	w.settle(keys...)
	w.moments.setCalm(keys...)
	for round, revision := range []int32{runsToo, getsHealthy, runs, staysUnknown, runsToo} {
		for _, k := range keys {
			w.change(k, deploy(revision))
		}
		drained := hosts(6)[round]
		// In the middle: when the new deployment of the first has a task.
		until(t, w.store, "the rollout begun", func(v *store.Tables) bool {
			s, _ := v.Service(keys[0])
			for t := range v.LiveTasksOfService(keys[0]) {
				if t.Deployment == s.Primary().ID {
					return true
				}
			}
			return false
		})
		drained.Status = model.StatusDraining
		w.update(func(tx *store.Tx) { tx.PutInstance(drained) })
		// Fewer are wanted in the middle; more would not serve at once.
		w.change(keys[1], func(s *model.Service) { s.DesiredCount = max(2, s.DesiredCount-1) })
		w.change(keys[2], deploy(runs))
		if revision == staysUnknown {
			continue // never comes to rest: the next round replaces it from where it stands
		}
		w.settle(keys...)
		back := hosts(6)[round]
		w.update(func(tx *store.Tx) { tx.PutInstance(back) })
	}
	w.moments.report(t)
}

// TestLoop_NeverLeavesThePercentagesWhateverHappens lets everything go wrong at once, for
// several services and under several leaders: tasks that crash, never get healthy or never
// start, hosts that drain or fall silent, other percentages, counts and definitions in the
// middle of a rollout. No step of the service's own may leave the percentages, and in the
// end all comes to rest.
func TestLoop_NeverLeavesThePercentagesWhateverHappens(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			etcd := storetest.Etcd(t)
			all := []model.Service{replica("a", 6, 100, 200), replica("b", 9, 50, 100), replica("c", 4, 75, 150), daemon("d")}
			all[0].DeploymentConfiguration.DeploymentCircuitBreaker = &ecs.DeploymentCircuitBreaker{Enable: true, Rollback: true}
			all[2].DeploymentConfiguration.DeploymentCircuitBreaker = &ecs.DeploymentCircuitBreaker{Enable: true}
			r := rand.New(rand.NewPCG(seed, 2))
			for leader := range 3 {
				t.Run(fmt.Sprint("leader ", leader), func(t *testing.T) {
					w := lead(t, etcd, seed)
					if leader == 0 {
						w.begin(6, all...)
					}
					for range 60 {
						w.disturb(r, all)
						w.pause(r)
					}
					if leader == 2 {
						w.heal(all)
					}
					w.moments.report(t)
				})
			}
		})
	}
}

// pause lets a few commits happen, or a moment pass if there is nothing to commit.
func (w *term) pause(r *rand.Rand) {
	changed, stop := w.store.Subscribe()
	defer stop()
	for range r.IntN(6) {
		select {
		case <-changed:
		case <-time.After(3 * time.Millisecond):
		}
	}
}

func (w *term) disturb(r *rand.Rand, all []model.Service) {
	k := keyOf(all[r.IntN(len(all))])
	instance := hosts(6)[r.IntN(6)]
	switch r.IntN(12) {
	case 0, 1, 2:
		w.change(k, deploy(1+r.Int32N(crashes)))
	case 3, 4:
		w.change(k, func(s *model.Service) {
			if s.SchedulingStrategy == ecs.SchedulingStrategyREPLICA {
				s.DesiredCount = r.Int32N(10)
			}
		})
	case 5:
		p := [][2]int32{{100, 200}, {50, 100}, {0, 100}, {75, 125}, {100, 150}}[r.IntN(5)]
		w.change(k, func(s *model.Service) {
			if s.SchedulingStrategy == ecs.SchedulingStrategyREPLICA {
				s.DeploymentConfiguration.MinimumHealthyPercent, s.DeploymentConfiguration.MaximumPercent = &p[0], &p[1]
			}
		})
	case 6:
		instance.Status = model.StatusDraining
		w.update(func(tx *store.Tx) { tx.PutInstance(instance) })
	case 7:
		instance.AgentConnected, instance.SilentSince = false, time.Now()
		w.update(func(tx *store.Tx) { tx.PutInstance(instance) })
	case 8:
		w.update(func(tx *store.Tx) { tx.PutInstance(instance) })
	default:
		w.strike(k, r.IntN(3))
	}
}

// strike makes one to three running tasks of a service end, or fail their health checks.
func (w *term) strike(k model.ServiceKey, n int) {
	w.update(func(tx *store.Tx) {
		var struck []*model.Task
		for t := range tx.LiveTasksOfService(k) {
			if t.LastStatus == model.TaskRunning && len(struck) <= n {
				struck = append(struck, t)
			}
		}
		for _, t := range struck {
			report := model.TaskReport{Status: model.TaskStopped, StopCode: ecs.TaskStopCodeEssentialContainerExited}
			if checkedRevision(t.Definition.Revision) {
				report = model.TaskReport{Status: model.TaskRunning, HealthStatus: ecs.HealthStatusUNHEALTHY}
			}
			if next, changed := t.Reported(report, time.Now()); changed {
				tx.PutTask(next)
			}
		}
	})
}

// heal brings all hosts back and deploys what works.
func (w *term) heal(all []model.Service) {
	w.update(func(tx *store.Tx) {
		for _, i := range hosts(6) {
			tx.PutInstance(i)
		}
	})
	for n, s := range all {
		w.change(keyOf(s), func(s *model.Service) {
			least, most := int32(100), int32(200)
			if s.SchedulingStrategy == ecs.SchedulingStrategyDAEMON {
				least, most = 0, 100
			}
			s.DeploymentConfiguration.MinimumHealthyPercent, s.DeploymentConfiguration.MaximumPercent = &least, &most
			deploy([]int32{runs, getsHealthy}[n%2])(s)
		})
	}
	for _, s := range all {
		w.settle(keyOf(s))
	}
}
