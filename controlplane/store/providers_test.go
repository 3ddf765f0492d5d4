package store

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

func randomStrategy(t *rapid.T) []ecs.CapacityProviderStrategyItem {
	var out []ecs.CapacityProviderStrategyItem
	for _, p := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "FARGATE"}), 0, 2, rapid.ID).Draw(t, "strategy") {
		out = append(out, ecs.CapacityProviderStrategyItem{CapacityProvider: p})
	}
	return out
}

func randomUse(t *rapid.T, tx *Tx) {
	c := model.ClusterName(rapid.SampledFrom([]string{"c", "d"}).Draw(t, "cluster"))
	status := rapid.SampledFrom([]string{model.StatusActive, model.StatusDraining, model.StatusInactive}).Draw(t, "status")
	switch rapid.IntRange(0, 2).Draw(t, "what") {
	case 0:
		var providers []model.ProviderName
		for _, item := range randomStrategy(t) {
			providers = append(providers, model.ProviderName(item.CapacityProvider))
		}
		tx.PutCluster(&model.Cluster{Name: c, CapacityProviders: providers})
	case 1:
		s := &model.Service{Cluster: c, Name: model.ServiceName(fmt.Sprint("s", rapid.IntRange(0, 1).Draw(t, "service"))), Status: status}
		s.CapacityProviderStrategy = randomStrategy(t)
		s.Deployments = []model.Deployment{{CapacityProviderStrategy: randomStrategy(t)}}
		s.LastCompleted = &model.Deployment{CapacityProviderStrategy: randomStrategy(t)}
		tx.PutService(s)
	case 2:
		p := model.ProviderName(rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "provider"))
		id := model.TaskID(fmt.Sprint("t", rapid.IntRange(0, 2).Draw(t, "task")))
		if old, ok := tx.Task(c, id); ok {
			p = old.CapacityProvider // it is set for life
		}
		tx.PutTask(&model.Task{
			Cluster: c, CapacityProvider: p, ID: id,
			LastStatus: rapid.SampledFrom([]model.TaskStatus{model.TaskRunning, model.TaskStopped}).Draw(t, "task status"),
		})
	}
}

// Who uses a capacity provider must be what going through all records gives,
// whatever was put and taken back.
func TestProviderUses_EqualASearchOfTheRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tables := newTables()
		for range rapid.IntRange(1, 20).Draw(t, "transactions") {
			tx := &Tx{Tables: tables}
			for range rapid.IntRange(1, 4).Draw(t, "puts") {
				randomUse(t, tx)
			}
			if rapid.Bool().Draw(t, "refused") {
				tx.rollback()
			}
			if rapid.Bool().Draw(t, "sealed") {
				tables.freeze()
			}
			checkUses(t, tables)
		}
	})
}

func checkUses(t *rapid.T, tables *Tables) {
	for _, p := range []model.ProviderName{"a", "b", "FARGATE"} {
		var want []model.ClusterName
		for c := range tables.Clusters("") {
			if slices.Contains(c.CapacityProviders, p) {
				want = append(want, c.Name)
			}
		}
		if got := slices.Collect(tables.ClustersOfProvider(p)); !slices.Equal(got, want) {
			t.Fatalf("%s is associated with %v, want %v", p, got, want)
		}
		for _, c := range []model.ClusterName{"c", "d"} {
			used := false
			for s := range tables.LiveServices(c, "") {
				used = used || slices.Contains(s.Providers(), p)
			}
			for task := range tables.tasks.all() {
				used = used || task.Cluster == c && TaskLive(task) && task.CapacityProvider == p
			}
			if got := tables.ProviderInUse(c, p); got != used {
				t.Fatalf("%s in use in %s: %t, want %t", p, c, got, used)
			}
		}
	}
}

func TestCapacityProviders_ReservedOnesAreThereFromTheStart(t *testing.T) {
	tx := &Tx{Tables: newTables()}
	group := func(pool string) ecs.AutoScalingGroupProvider {
		return ecs.AutoScalingGroupProvider{AutoScalingGroupArn: "arn:aws:autoscaling:r:1:autoScalingGroup:u:autoScalingGroupName/" + pool}
	}
	tx.PutCapacityProvider(&model.CapacityProvider{Name: "gpu", Status: ecs.CapacityProviderStatusACTIVE, Group: group("racks/g1")})
	tx.PutCapacityProvider(&model.CapacityProvider{Name: "old", Status: ecs.CapacityProviderStatusINACTIVE, Group: group("g0")})
	var names []model.ProviderName
	for p := range tx.CapacityProviders("") {
		names = append(names, p.Name)
	}
	if want := []model.ProviderName{"FARGATE", "FARGATE_SPOT", "gpu", "old"}; !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
	if p, ok := tx.ProviderOfPool("racks/g1"); !ok || p.Name != "gpu" {
		t.Errorf("the pool is of %+v", p)
	}
	for _, pool := range []string{"", "g0", "racks"} {
		if p, ok := tx.ProviderOfPool(pool); ok {
			t.Errorf("the pool %q is of %s", pool, p.Name)
		}
	}
	if pool := tx.PoolOfProvider("gpu"); pool != "racks/g1" {
		t.Errorf("the pool of gpu is %q", pool)
	}
	for _, name := range []model.ProviderName{"old", "FARGATE", "nobody"} {
		if pool := tx.PoolOfProvider(name); pool != "" {
			t.Errorf("the pool of %s is %q", name, pool)
		}
	}
}
