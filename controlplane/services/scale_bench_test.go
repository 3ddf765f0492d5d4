package services_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/rollout"
	"github.com/longshore/longshore/controlplane/services"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/controlplane/store/storetest"
	"github.com/longshore/longshore/proto/ecs"
)

// BenchmarkLoop_ServiceToSteady brings one service to a steady state on a real etcd, with
// agents that answer within milliseconds, and then replaces all its tasks. It reports how
// often the service was looked at and what processor time everything took, agents and etcd
// included; the two seconds that a task has to prove itself are in the time.
func BenchmarkLoop_ServiceToSteady(b *testing.B) {
	for _, c := range []struct {
		name      string
		service   model.Service
		instances int
	}{
		{"replica of 1000", replica("web", 1000, 100, 200), 100},
		{"replica of 10000", replica("web", 10000, 100, 200), 100},
		{"daemon on 2000", daemon("web"), 2000},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				benchSteady(b, c.service, c.instances)
			}
		})
	}
}

func benchSteady(b *testing.B, s model.Service, instances int) {
	agents, registry := newFleet(1), prometheus.NewRegistry()
	var loop *services.Loop
	db := storetest.New(b, func(s *store.Store) {
		s.Observe(agents.observe)
		loop = services.New(services.Config{Store: s, Settings: rollout.DefaultSettings(), Registry: registry})
	})
	agents.store = db
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{}, 2)
	go func() { loop.Run(ctx); ended <- struct{}{} }()
	go func() { agents.run(ctx); ended <- struct{}{} }()
	defer func() { cancel(); <-ended; <-ended }()
	put := func(f func(tx *store.Tx)) {
		if err := db.Update(b.Context(), func(tx *store.Tx) error { f(tx); return nil }); err != nil {
			b.Fatal(err)
		}
	}
	for n := 0; n < instances; n += 100 {
		put(func(tx *store.Tx) {
			for k := range 100 {
				i := host(model.InstanceID(fmt.Sprintf("i%05d", n+k)), 40960)
				zone := fmt.Sprint("az", k%3)
				i.Attributes = []ecs.Attribute{{Name: "ecs.availability-zone", Value: &zone}}
				tx.PutInstance(i)
			}
		})
	}
	for phase, revision := range []int32{runs, runsToo} {
		start, before := processorTime(b), looksTaken(b, registry)
		put(func(tx *store.Tx) {
			if phase == 0 {
				tx.PutDefinition(fDefinition(runs))
				tx.PutDefinition(fDefinition(runsToo))
				s.CreatedAt = time.Now()
			} else {
				have, _ := tx.Service(s.Key())
				s = rollout.Deploy(*have, model.NewDeploymentID(), model.DefinitionRef{Family: "f", Revision: revision}, time.Now())
			}
			first := s
			tx.PutService(&first)
		})
		until(b, db, "steady", func(v *store.Tables) bool {
			s, _ := v.Service(s.Key())
			return s.SteadyReported && len(s.Deployments) == 1
		})
		name := []string{"start", "rollout"}[phase]
		b.ReportMetric(float64(looksTaken(b, registry)-before), "looks/"+name)
		b.ReportMetric((processorTime(b) - start).Seconds(), "cpu-s/"+name)
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
