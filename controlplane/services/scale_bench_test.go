package services_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/longshore/longshore/controlplane/launch"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/rollout"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// BenchmarkLoop_Service starts one service, replaces all its tasks, and drains a twentieth
// of its hosts, each until it is steady again; the two seconds that a task has to
// prove itself are in the time.
func BenchmarkLoop_Service(b *testing.B) {
	spread := func(n int32) model.Service {
		s := replica("web", n, 100, 200)
		s.PlacementStrategy = []ecs.PlacementStrategy{{Type: ecs.PlacementStrategyTypeSpread, Field: "instanceId"}}
		return s
	}
	for _, c := range []struct {
		name    string
		service model.Service
		hosts   int
	}{
		{"replica/tasks=1000/hosts=1000", spread(1000), 1000},
		{"replica/tasks=10000/hosts=10000", spread(10000), 10000},
		{"replica/tasks=10000/hosts=100", spread(10000), 100},
		{"daemon/hosts=1000", daemon("web"), 1000},
		{"daemon/hosts=10000", daemon("web"), 10000},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				benchService(b, c.service, c.hosts)
			}
		})
	}
}

func benchService(b *testing.B, s model.Service, hosts int) {
	st, stop := setStage(b)
	defer stop()
	st.addHosts(hosts)
	tasks := int(s.DesiredCount)
	if s.SchedulingStrategy == ecs.SchedulingStrategyDAEMON {
		tasks = hosts
	}
	steady := func(v *store.Tables) bool {
		s, _ := v.Service(s.Key())
		return s.SteadyReported && len(s.Deployments) == 1
	}
	st.phase("start", tasks, func() {
		s.CreatedAt = time.Now()
		st.put(func(tx *store.Tx) { tx.PutService(&s) })
	}, steady)
	st.phase("rollout", tasks, func() {
		st.put(func(tx *store.Tx) {
			have, _ := tx.Service(s.Key())
			next := rollout.Deploy(*have, model.NewDeploymentID(), model.DefinitionRef{Family: "f", Revision: runsToo}, time.Now())
			tx.PutService(&next)
		})
	}, steady)
	drained := hosts / 20
	st.phase("drain", tasks*drained/hosts, func() { st.drain(drained) }, func(v *store.Tables) bool {
		for n := range drained {
			for range v.LiveTasksOnInstance("c", hostID(n)) {
				return false
			}
		}
		return steady(v)
	})
	st.ReportMetric(0, "ns/op") // says nothing
}

// BenchmarkLoop_ManyServices creates 1,000 services of ten tasks at once.
func BenchmarkLoop_ManyServices(b *testing.B) {
	const count, each = 1000, 10
	for b.Loop() {
		st, stop := setStage(b)
		st.addHosts(count)
		st.phase("start", count*each, func() {
			var all sync.WaitGroup
			for n := range count {
				all.Go(func() {
					s := replica(model.ServiceName(fmt.Sprintf("s%04d", n)), each, 100, 200)
					s.CreatedAt = time.Now()
					st.put(func(tx *store.Tx) { tx.PutService(&s) })
				})
			}
			all.Wait()
		}, func(v *store.Tables) bool {
			for s := range v.LiveServices("c", "") {
				if !s.SteadyReported {
					return false
				}
			}
			return true
		})
		stop()
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkLoop_NoService is what the others are to be compared with: tasks that belong to no service
// are started ten a transaction by 64 clients, as RunTask does.
func BenchmarkLoop_NoService(b *testing.B) {
	for _, hosts := range []int{1000, 10000} {
		b.Run(fmt.Sprintf("hosts=%d", hosts), func(b *testing.B) {
			for b.Loop() {
				st, stop := setStage(b)
				st.addHosts(hosts)
				const tasks = 10000
				st.phase("start", tasks, func() { st.runTasks(tasks) }, func(v *store.Tables) bool {
					return v.Counts("c").RunningTasks.EC2 == tasks
				})
				stop()
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

func (s *stage) runTasks(count int) {
	const clients, each = 64, 10
	work := make(chan struct{}, count/each)
	for range count / each {
		work <- struct{}{}
	}
	close(work)
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for range work {
				s.put(func(tx *store.Tx) { runTen(tx, each) })
			}
		})
	}
	all.Wait()
}

func runTen(tx *store.Tx, count int) {
	d, _ := tx.Definition(model.DefinitionRef{Family: "f", Revision: runs})
	order, _ := launch.Standalone(launch.Order{Cluster: "c", Definition: d, LaunchType: ecs.LaunchTypeEC2, Group: "family:f"}, launch.Constraints{})
	portion := launch.Portion{Order: order, Count: count}
	for _, a := range portion.Place(tx.Fleet("c"), rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))).Assignments {
		tx.PutTask(portion.Task(model.NewTaskID(), a, time.Now()))
	}
}

func hostID(n int) model.InstanceID { return model.InstanceID(fmt.Sprintf("%032x", n)) }

// addHosts adds instances in three zones, and what they run.
func (s *stage) addHosts(count int) {
	s.put(func(tx *store.Tx) {
		tx.PutDefinition(fDefinition(runs))
		tx.PutDefinition(fDefinition(runsToo))
	})
	for n := 0; n < count; n += 100 {
		s.put(func(tx *store.Tx) {
			for k := range 100 {
				i := host(hostID(n+k), 40960)
				zone := fmt.Sprint("az", k%3)
				i.Attributes = []ecs.Attribute{{Name: "ecs.availability-zone", Value: &zone}}
				tx.PutInstance(i)
			}
		})
	}
}

// drain sets the first instances DRAINING.
func (s *stage) drain(count int) {
	const each = 10 // of UpdateContainerInstancesState
	for n := 0; n < count; n += each {
		s.put(func(tx *store.Tx) {
			for k := range min(each, count-n) {
				i, _ := tx.Instance("c", hostID(n+k))
				next := *i
				next.Status = model.StatusDraining
				tx.PutInstance(&next)
			}
		})
	}
}

func looksTaken(b *testing.B, registry *prometheus.Registry) uint64 {
	families, err := registry.Gather()
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "longshore_services_plan_seconds" {
			return f.GetMetric()[0].GetHistogram().GetSampleCount()
		}
	}
	return 0
}

// processorTime is what this process has used so far.
func processorTime(b *testing.B) time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
